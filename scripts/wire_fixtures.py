"""What tritonclient's own generated messages say, as fixtures for MessagesTests, and whether our message
descriptions agree with theirs. Called by scripts/check-wire-compatibility, which has installed tritonclient.

    wire_fixtures.py DESCRIPTOR_SET FIXTURES [--write]
"""

import struct
import sys

import numpy as np
import tritonclient.grpc as triton
from google.protobuf import descriptor_pb2
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc._utils import _get_inference_request

# What their messages have and ours leave out on purpose; protobuf skips them.
LEFT_OUT = {("ModelStatistics", "response_stats")}


def compare(path):
    """Field for field: number, type, label, message type, oneof. Returns the differences."""
    ours = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        ours.ParseFromString(file.read())
    theirs = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(theirs)
    differences, fields = [], 0

    def walk(mine, other, path):
        nonlocal fields
        other_fields = {field.name: field for field in other.field}
        for field in mine.field:
            fields += 1
            twin = other_fields.pop(field.name, None)
            if twin is None:
                differences.append(f"{path}.{field.name}: not theirs")
                continue
            for what in ("number", "type", "label", "type_name"):
                if getattr(field, what) != getattr(twin, what):
                    differences.append(
                        f"{path}.{field.name}: {what} {getattr(field, what)}, "
                        f"theirs {getattr(twin, what)}")
            if field.HasField("oneof_index") != twin.HasField("oneof_index"):
                differences.append(f"{path}.{field.name}: oneof on one side only")
        for name in other_fields:
            if (path, name) not in LEFT_OUT:
                differences.append(f"{path}.{name}: theirs only")
        nested = {message.name: message for message in other.nested_type}
        for message in mine.nested_type:
            walk(message, nested[message.name], f"{path}.{message.name}")

    messages = {message.name: message for message in theirs.message_type}
    for file in ours.file:
        for message in file.message_type:
            if message.name not in messages:
                differences.append(f"{message.name}: not theirs")
            else:
                walk(message, messages[message.name], message.name)
    print(f"descriptions: {fields} fields compared, {len(differences)} differ")
    return differences


def request(inputs, model="iris", version="", outputs=None, **options):
    """The request the stock client would send."""
    settings = dict(
        request_id="", sequence_id=0, sequence_start=False, sequence_end=False, priority=0,
        timeout=None, parameters=None)
    settings.update(options)
    return _get_inference_request(
        inputs=inputs, model_name=model, model_version=version, outputs=outputs, **settings)


def tensor(name, datatype, values):
    values = np.array(values)
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def typed(name, datatype, shape, **contents):
    return pb.ModelInferRequest.InferInputTensor(
        name=name, datatype=datatype, shape=shape,
        contents=pb.InferTensorContents(**contents))


def fixtures():
    """Name and message of each fixture. MessagesTests knows what they mean."""
    x = tensor("X", "FP32", np.array([[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]], np.float32))
    yield "inferPlain", request([x], request_id="42")
    yield "inferOutputs", request(
        [x], version="1",
        outputs=[triton.InferRequestedOutput("label"), triton.InferRequestedOutput("probabilities")])
    yield "inferAllTypes", request([
        tensor("bool", "BOOL", np.array([True, False])),
        tensor("uint8", "UINT8", np.array([255], np.uint8)),
        tensor("uint16", "UINT16", np.array([65535], np.uint16)),
        tensor("uint32", "UINT32", np.array([4294967295], np.uint32)),
        tensor("uint64", "UINT64", np.array([18446744073709551615], np.uint64)),
        tensor("int8", "INT8", np.array([-1], np.int8)),
        tensor("int16", "INT16", np.array([-2], np.int16)),
        tensor("int32", "INT32", np.array([-3], np.int32)),
        tensor("int64", "INT64", np.array([-4], np.int64)),
        tensor("fp16", "FP16", np.array([1], np.float16)),
        tensor("fp32", "FP32", np.array([1], np.float32)),
        tensor("fp64", "FP64", np.array([1], np.float64)),
        tensor("bytes", "BYTES", np.array([b"ab", b""], np.object_)),
    ])
    yield "inferHints", request(
        [x], priority=1, timeout=1000, parameters={"purpose": "test", "depth": 3, "exact": True})
    yield "inferSequence", request([x], sequence_id=7, sequence_start=True)
    shared = triton.InferInput("X", [2, 4], "FP32")
    shared.set_shared_memory("region", 32)
    yield "inferSharedMemory", request([shared])
    yield "inferClassification", request(
        [x], outputs=[triton.InferRequestedOutput("probabilities", class_count=3)])
    yield "inferTyped", pb.ModelInferRequest(model_name="typed", inputs=[
        typed("bool", "BOOL", [2], bool_contents=[True, False]),
        typed("uint8", "UINT8", [1], uint_contents=[255]),
        typed("uint16", "UINT16", [1], uint_contents=[65535]),
        typed("uint32", "UINT32", [1], uint_contents=[4294967295]),
        typed("uint64", "UINT64", [1], uint64_contents=[18446744073709551615]),
        typed("int8", "INT8", [1], int_contents=[-1]),
        typed("int16", "INT16", [1], int_contents=[-2]),
        typed("int32", "INT32", [1], int_contents=[-3]),
        typed("int64", "INT64", [1], int64_contents=[-4]),
        typed("fp32", "FP32", [1], fp32_contents=[1]),
        typed("fp64", "FP64", [1], fp64_contents=[1]),
        typed("bytes", "BYTES", [2], bytes_contents=[b"ab", b""]),
        typed("empty", "FP32", [0, 3]),
    ])
    mixed = pb.ModelInferRequest(model_name="m", inputs=[
        typed("a", "FP32", [1], fp32_contents=[1])])
    mixed.raw_input_contents.append(struct.pack("<f", 1))
    yield "inferMixed", mixed

    yield "metadataRequest", pb.ModelMetadataRequest(name="iris", version="3")
    yield "readyRequest", pb.ModelReadyRequest(name="iris")
    yield "statisticsRequest", pb.ModelStatisticsRequest(name="iris", version="3")
    yield "indexRequest", pb.RepositoryIndexRequest(ready=True)
    yield "loadRequest", pb.RepositoryModelLoadRequest(model_name="iris")
    load = pb.RepositoryModelLoadRequest(model_name="iris")
    load.parameters["config"].string_param = "{}"
    yield "loadWithConfiguration", load
    unload = pb.RepositoryModelUnloadRequest(model_name="iris")
    unload.parameters["unload_dependents"].bool_param = False
    yield "unloadRequest", unload

    output = pb.ModelInferResponse.InferOutputTensor
    yield "inferResponse", pb.ModelInferResponse(
        model_name="iris", model_version="1", id="42",
        outputs=[output(name="label", datatype="INT64", shape=[2]),
                 output(name="probabilities", datatype="FP32", shape=[2, 3])],
        raw_output_contents=[struct.pack("<2q", 0, 1),
                             struct.pack("<6f", 0.75, 0.25, 0, 0, 0.5, 0.5)])
    metadata = pb.ModelMetadataResponse
    yield "metadataResponse", metadata(
        name="iris", versions=["1", "3"], platform="onnxruntime_onnx",
        inputs=[metadata.TensorMetadata(name="X", datatype="FP32", shape=[-1, 4])],
        outputs=[metadata.TensorMetadata(name="label", datatype="INT64", shape=[-1]),
                 metadata.TensorMetadata(name="scalar", datatype="BYTES")])
    yield "readyResponse", pb.ModelReadyResponse(ready=True)
    yield "notReadyResponse", pb.ModelReadyResponse(ready=False)
    yield "serverMetadataResponse", pb.ServerMetadataResponse(
        name="sluice", version="0.1", extensions=["binary_tensor_data", "statistics"])
    index = pb.RepositoryIndexResponse
    yield "indexResponse", index(models=[
        index.ModelIndex(name="iris", version="1", state="READY"),
        index.ModelIndex(name="other", state="UNAVAILABLE", reason="unloaded by CLIENT")])
    statistics = pb.ModelStatistics(
        name="iris", version="1", last_inference=1700000000123, inference_count=7,
        execution_count=5)
    for name, count, time in (
            ("success", 7, 900), ("fail", 1, 20), ("queue", 7, 30), ("compute_infer", 5, 400)):
        duration = getattr(statistics.inference_stats, name)
        duration.count, duration.ns = count, time
    yield "statisticsResponse", pb.ModelStatisticsResponse(model_stats=[statistics])
    yield "loadResponse", pb.RepositoryModelLoadResponse()


def swift():
    lines = [
        "// Made by scripts/check-wire-compatibility --write from tritonclient's own generated messages.",
        "",
        "/// Messages in hex, as the stock client and its classes write them.",
        "enum TritonFixtures {",
    ]
    for name, message in fixtures():
        data = message.SerializeToString(deterministic=True).hex()
        lines.append(f'    static let {name} = """')
        lines += [f"        {data[at:at + 88]}" for at in range(0, len(data), 88)]
        lines.append('        """')
    lines.append("}")
    return "\n".join(lines) + "\n"


def main():
    descriptors, path = sys.argv[1:3]
    differences = compare(descriptors)
    for difference in differences:
        print(f"  {difference}", file=sys.stderr)
    text = swift()
    if "--write" in sys.argv:
        with open(path, "w") as file:
            file.write(text)
    else:
        with open(path) as file:
            if file.read() != text:
                differences.append("fixtures")
                print(f"{path} is not what tritonclient writes: run with --write", file=sys.stderr)
    sys.exit(1 if differences else 0)


main()
