"""tritonclient[http], unmodified, at a gateway with iris and the identities of every datatype: triton.py HOST:PORT CA

The token comes by the environment: TOKEN. Each check raises when something is wrong; prints one JSON object, a check's name
and what it saw.
"""
import json
import os
import ssl
import sys
import time

import ml_dtypes
import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

address, ca = sys.argv[1:]


def auth():
    """A new one for each call: the client leaves fields of its own in it."""
    return {"authorization": "Bearer " + os.environ["TOKEN"]}


said = {}

DATATYPES = {
    "BOOL": np.array([[True, False], [False, True]]),
    "UINT8": np.array([[0, 255], [1, 2]], np.uint8),
    "UINT16": np.array([[0, 65535], [1, 2]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1], [1, 2]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1], [2**53 + 1, 2]], np.uint64),
    "INT8": np.array([[-128, 127], [1, 2]], np.int8),
    "INT16": np.array([[-32768, 32767], [1, 2]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1], [1, 2]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1], [2**53 + 1, 2]], np.int64),
    "FP16": np.array([[1.5, -65504], [0, 0.1]], np.float16),
    "BF16": np.array([[1.5, -3.0], [0, 2.0**100]], ml_dtypes.bfloat16),
    "FP32": np.array([[1.5, -3.4028235e38], [1e-45, 0.1]], np.float32),
    "FP64": np.array([[1.5, 1.7976931348623157e308], [5e-324, 0.1]], np.float64),
    "BYTES": np.array([[b"ab", b""], ["h\u00e9".encode(), b"\"\\\n"]], np.object_),
}
# Halves have no form in JSON.
ONLY_BINARY = {"FP16", "BF16"}


def same(left, right, what):
    assert left is not None, what + ": no such output"
    assert left.shape == right.shape, f"{what}: {left.shape} {right.shape}"
    if left.dtype == np.object_:
        left = np.array([e if isinstance(e, bytes) else e.encode() for e in left.ravel()])
        right = right.ravel()
    assert (left == right).all(), f"{what}: {left} {right}"


def refused(call, code, *words):
    try:
        call()
    except InferenceServerException as error:
        assert code is None or error.status() == str(code), f"{error.status()} {error}"
        for word in words:
            assert word in error.message(), f"no {word} in {error}"
        return error.message()
    raise AssertionError("it was not refused")


def tensors(datatype, values, binary_in, binary_out):
    tensor = http.InferInput("x", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary_in)
    return [tensor], [http.InferRequestedOutput("y", binary_data=binary_out)]


def describe(client):
    assert client.is_server_live(headers=auth()) and client.is_server_ready(headers=auth())
    server = client.get_server_metadata(headers=auth())
    assert server["name"] == "sluice" and server["version"], server
    said["extensions"] = sorted(server["extensions"])
    for version in ["", "1"]:
        assert client.is_model_ready("iris", version, headers=auth())
        metadata = client.get_model_metadata("iris", version, headers=auth())
        assert metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}], metadata
        config = client.get_model_config("iris", version, headers=auth())
        assert config["name"] == "iris" and config["max_batch_size"] > 0, config
        assert config["input"][0]["data_type"] == "TYPE_FP32" and config["input"][0]["dims"] == [4], config
    assert not client.is_model_ready("nobody", headers=auth())
    assert not client.is_model_ready("iris", "7", headers=auth())
    refused(lambda: client.get_model_metadata("nobody", headers=auth()), 404, "nobody")
    refused(lambda: client.get_server_metadata(), 401, "token")
    said["described"] = True


def datatypes(client):
    for name, values in DATATYPES.items():
        model = "identity-" + name.lower()
        for binary_in in [True, False]:
            for binary_out in [True, False]:
                if name in ONLY_BINARY and not (binary_in and binary_out):
                    continue
                inputs, outputs = tensors(name, values, binary_in, binary_out)
                result = client.infer(model, inputs, outputs=outputs, request_id="r-1", headers=auth())
                same(result.as_numpy("y"), values, f"{name} {binary_in} {binary_out}")
                answer = result.get_response()
                assert answer["id"] == "r-1" and answer["model_version"] == "1", answer
                assert answer["outputs"][0]["datatype"] == name, answer
        # No outputs named: all of them, binary.
        inputs, _ = tensors(name, values, True, True)
        same(client.infer(model, inputs, headers=auth()).as_numpy("y"), values, name)
        said.setdefault("datatypes", []).append(name)
    inputs, outputs = tensors("FP16", DATATYPES["FP16"], True, False)
    refused(lambda: client.infer("identity-fp16", inputs, outputs=outputs, headers=auth()), 400, "binary")
    # NaN and infinities travel in binary, and only so.
    odd = np.array([[np.nan, np.inf], [-np.inf, 1]], np.float32)
    inputs, outputs = tensors("FP32", odd, True, True)
    result = client.infer("identity-fp32", inputs, outputs=outputs, headers=auth()).as_numpy("y")
    assert np.array_equal(result, odd, equal_nan=True)
    inputs, outputs = tensors("FP32", odd, True, False)
    refused(lambda: client.infer("identity-fp32", inputs, outputs=outputs, headers=auth()), 400, "binary")
    inputs, outputs = tensors("FP32", np.zeros((0, 2), np.float32), True, True)
    same(client.infer("identity-fp32", inputs, outputs=outputs, headers=auth()).as_numpy("y"),
         np.zeros((0, 2), np.float32), "empty")


def iris(client):
    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)
    tensor = http.InferInput("X", [2, 4], "FP32")
    tensor.set_data_from_numpy(rows)
    result = client.infer("iris", [tensor], model_version="1", headers=auth())
    same(result.as_numpy("label"), np.array([0, 2]), "label")
    shares = result.as_numpy("probabilities")
    for compression in ["gzip", "deflate"]:
        for way in [{"request_compression_algorithm": compression},
                    {"response_compression_algorithm": compression},
                    {"request_compression_algorithm": compression, "response_compression_algorithm": compression}]:
            again = client.infer("iris", [tensor], headers=auth(), **way)
            same(again.as_numpy("probabilities"), shares, compression)
        # Large enough for the answer to be compressed.
        many = np.tile(rows, (2000, 1))
        large = http.InferInput("X", list(many.shape), "FP32")
        for binary in [True, False]:
            large.set_data_from_numpy(many, binary_data=binary)
            outputs = [http.InferRequestedOutput("label", binary_data=binary)]
            again = client.infer("iris", [large], outputs=outputs, headers=auth(),
                                 request_compression_algorithm=compression,
                                 response_compression_algorithm=compression)
            same(again.as_numpy("label"), np.tile([0, 2], 2000), f"{compression} {binary}")
    for binary in [True, False]:
        best = [http.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
        found = client.infer("iris", [tensor], outputs=best, headers=auth()).as_numpy("probabilities")
        assert found.shape == (2, 2), found
        first = [e.decode() if isinstance(e, bytes) else e for e in found[:, 0]]
        assert [e.split(":")[1:] for e in first] == [["0", "setosa"], ["2", "virginica"]], found
        assert abs(float(first[0].split(":")[0]) - shares[0][0]) < 1e-5, found
        # A model without a manifest has no names for its places.
        inputs, _ = tensors("FP32", np.array([[0.25, 0.5]], np.float32), True, binary)
        best = [http.InferRequestedOutput("y", binary_data=binary, class_count=1)]
        found = client.infer("identity-fp32", inputs, outputs=best, headers=auth()).as_numpy("y")
        assert [e.decode() if isinstance(e, bytes) else e for e in found.flat] == ["0.5:1"], found
    pending = [client.async_infer("iris", [tensor], headers=auth()) for _ in range(20)]
    for answer in pending:
        same(answer.get_result().as_numpy("label"), np.array([0, 2]), "async")
    client.infer("iris", [tensor], headers=auth(), timeout=5_000_000, priority=1)
    refused(lambda: client.infer("iris", [tensor], headers=auth(), sequence_id=7), 501, "sequence")
    wrong = http.InferInput("X", [1, 3], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 3), np.float32))
    refused(lambda: client.infer("iris", [wrong], headers=auth()), 400, "iris", "X")
    refused(lambda: client.infer("iris", [tensor], headers=auth(), model_version="9"), 404)
    said["iris"] = len(pending)


def repository(client):
    index = client.get_model_repository_index(headers=auth())
    assert {"iris", "identity-fp32"} <= {model["name"] for model in index}, index
    client.unload_model("identity-int8", headers=auth())
    assert not client.is_model_ready("identity-int8", headers=auth())
    client.load_model("identity-int8", headers=auth())
    assert client.is_model_ready("identity-int8", headers=auth())
    refused(lambda: client.load_model("identity-int8", headers=auth(), config="{}"), 501, "config")
    refused(lambda: client.load_model("nobody", headers=auth()), 404)
    # A run is counted just after its answer has been handed on: two readings that agree have all of them.
    def statistics(*version):
        return client.get_inference_statistics("iris", *version, headers=auth())["model_stats"]

    deadline = time.monotonic() + 20
    while (one := statistics()) != statistics("1"):
        assert time.monotonic() < deadline, (one, statistics("1"))
    assert len(one) == 1 and one[0]["inference_count"] > 20, one
    assert one[0]["inference_stats"]["success"]["count"] == one[0]["inference_count"], one
    assert one[0]["inference_stats"]["fail"]["ns"] >= 0
    every = client.get_inference_statistics(headers=auth())["model_stats"]
    assert len(every) == len(index), every
    said["repository"] = len(index)


def absent(client):
    calls = [
        lambda: client.get_trace_settings(headers=auth()),
        lambda: client.get_trace_settings("iris", headers=auth()),
        lambda: client.update_trace_settings(settings={"trace_rate": "1"}, headers=auth()),
        lambda: client.get_log_settings(headers=auth()),
        lambda: client.update_log_settings({"log_info": True}, headers=auth()),
        lambda: client.get_system_shared_memory_status(headers=auth()),
        lambda: client.register_system_shared_memory("r", "/k", 8, headers=auth()),
        lambda: client.unregister_system_shared_memory("r", headers=auth()),
        lambda: client.unregister_system_shared_memory(headers=auth()),
        lambda: client.get_cuda_shared_memory_status("r", headers=auth()),
        lambda: client.register_cuda_shared_memory("r", b"AA==", 0, 8, headers=auth()),
        lambda: client.unregister_cuda_shared_memory(headers=auth()),
    ]
    for call in calls:
        refused(call, 501)
    said["absent"] = len(calls)


with http.InferenceServerClient(
    address, concurrency=4, ssl=True, ssl_options={"ca_certs": ca},
    ssl_context_factory=lambda: ssl.create_default_context(cafile=ca),
) as client:
    for check in [describe, datatypes, iris, repository, absent]:
        check(client)
print(json.dumps(said, sort_keys=True))
