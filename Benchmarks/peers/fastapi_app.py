"""A peer: FastAPI and ONNX Runtime, served by `uvicorn fastapi_app:app --workers 2` with TLS of its own.

Written as somebody would who cares for speed: orjson both ways, no pydantic models, one thread a session.
PEER_MODELS is the folder of NAME/1/model.onnx.
"""

import os
import pathlib

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response

DATATYPES = {"tensor(float)": ("FP32", np.float32), "tensor(int64)": ("INT64", np.int64)}


def load(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


MODELS = {path.parent.parent.name: load(path) for path in pathlib.Path(os.environ["PEER_MODELS"]).glob("*/1/model.onnx")}
app = FastAPI(openapi_url=None)


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: Request):
    body = orjson.loads(await request.body())
    session = MODELS[name]
    types = {tensor.name: DATATYPES[tensor.type][1] for tensor in session.get_inputs()}
    inputs = {
        tensor["name"]: np.array(tensor["data"], dtype=types[tensor["name"]]).reshape(tensor["shape"])
        for tensor in body["inputs"]
    }
    outputs = [
        {"name": output.name, "datatype": DATATYPES[output.type][0], "shape": list(array.shape), "data": array.ravel()}
        for output, array in zip(session.get_outputs(), session.run(None, inputs))
    ]
    answer = {"model_name": name, "model_version": "1", "outputs": outputs}
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
