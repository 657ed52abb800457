"""KServe's InferenceRESTClient, unmodified, at a gateway with iris: kserve_rest.py BASE CA

The token comes by the environment: TOKEN. Prints one JSON object.
"""
import asyncio
import importlib.util
import json
import os
import sys
import types

# `import kserve` would load its whole server and Kubernetes: the package is entered without its __init__.
package = types.ModuleType("kserve")
package.__path__ = list(importlib.util.find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = package

import httpx
import numpy as np
from kserve.inference_client import InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import InferInput, InferRequest, RequestedOutput

base, ca = sys.argv[1:]
headers = {"authorization": "Bearer " + os.environ["TOKEN"]}
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)


async def main():
    said = {}
    config = RESTConfig(protocol="v2", verify=ca, timeout=20)
    async with InferenceRESTClient(config) as client:
        said["live"] = await client.is_server_live(base, headers=headers)
        said["ready"] = await client.is_server_ready(base, headers=headers)
        said["models"] = [await client.is_model_ready(base, name, headers=headers) for name in ["iris", "nobody"]]
        for binary in [False, True]:
            tensor = InferInput("X", [2, 4], "FP32")
            tensor.set_data_from_numpy(ROWS, binary_data=binary)
            request = InferRequest("iris", [tensor], request_id="k-1", parameters={"binary_data_output": binary})
            answer = await client.infer(base, request, "iris", headers=dict(headers))
            labels = [output for output in answer.outputs if output.name == "label"][0]
            said[f"labels {binary}"] = [answer.id, answer.model_name, labels.as_numpy().tolist()]
        plain = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [2, 4], "data": ROWS.tolist()}]}
        answer = await client.infer(base, plain, "iris", headers=headers)
        said["dictionary"] = [output.name for output in answer.outputs]
        for what, call in [
            ("no token", client.infer(base, plain, "iris")),
            ("nobody", client.infer(base, plain, "nobody", headers=headers)),
            ("bad input", client.infer(base, {"inputs": []}, "iris", headers=headers)),
        ]:
            try:
                await call
            except httpx.HTTPStatusError as error:
                said[what] = [error.response.status_code, bool(error.response.json()["error"])]
    print(json.dumps(said, sort_keys=True))


asyncio.run(main())
