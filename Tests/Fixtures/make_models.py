#!/usr/bin/env python3
"""Writes the tiny ONNX models the tests of OnnxRuntime run, into Tests/Fixtures/models (committed).

    python3 -m venv .venv-fixtures
    .venv-fixtures/bin/pip install onnx==1.18.0 'protobuf<6' 'numpy<2.3'
    .venv-fixtures/bin/python Tests/Fixtures/make_models.py

Every model is a few hundred bytes; what each is for stands beside it. Running it again writes the same bytes.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).resolve().parent / "models"

# The datatypes of the Open Inference Protocol and ONNX's.
DATATYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, initializers=(), opset=17, extra_domains=()):
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(domain, version) for domain, version in extra_domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="sluice")


def write(name, proto):
    (FOLDER / f"{name}.onnx").write_bytes(proto.SerializeToString(deterministic=True))


def identities():
    """One model a datatype: y = x, of any length and with one fixed dimension, so zero elements are allowed."""
    for name, kind in DATATYPES.items():
        write(
            f"identity-{name}",
            model(
                [helper.make_node("Identity", ["x"], ["y"])],
                [value("x", kind, ["n", 2])],
                [value("y", kind, ["n", 2])],
            ),
        )


def arithmetic():
    # Two inputs and two outputs of unlike datatypes, in an order that is not alphabetical.
    write(
        "pair",
        model(
            [
                helper.make_node("Mul", ["width", "height"], ["area"]),
                helper.make_node("Cast", ["width"], ["rounded"], to=TensorProto.INT64),
            ],
            [value("width", TensorProto.FLOAT, ["n"]), value("height", TensorProto.FLOAT, ["n"])],
            [value("area", TensorProto.FLOAT, ["n"]), value("rounded", TensorProto.INT64, ["n"])],
        ),
    )
    # A dynamic batch: float32 [batch, 4] x [4, 3].
    weights = numpy_helper.from_array(
        np.arange(12, dtype=np.float32).reshape(4, 3), name="weights"
    )
    write(
        "linear",
        model(
            [helper.make_node("MatMul", ["x", "weights"], ["y"])],
            [value("x", TensorProto.FLOAT, ["batch", 4])],
            [value("y", TensorProto.FLOAT, ["batch", 3])],
            [weights],
        ),
    )
    # No dimensions at all.
    one = numpy_helper.from_array(np.array(1, dtype=np.float64), name="one")
    write(
        "scalar",
        model(
            [helper.make_node("Add", ["x", "one"], ["y"])],
            [value("x", TensorProto.DOUBLE, [])],
            [value("y", TensorProto.DOUBLE, [])],
            [one],
        ),
    )
    # Fails while it runs unless x has seven elements.
    seven = numpy_helper.from_array(np.array([7], dtype=np.int64), name="seven")
    write(
        "seven",
        model(
            [helper.make_node("Reshape", ["x", "seven"], ["y"])],
            [value("x", TensorProto.FLOAT, ["n"])],
            [value("y", TensorProto.FLOAT, [7])],
            [seven],
        ),
    )
    # As many outputs as inputs are positive: a shape that depends on the numbers.
    zero = numpy_helper.from_array(np.array(0, dtype=np.float32), name="zero")
    write(
        "positive",
        model(
            [
                helper.make_node("Greater", ["x", "zero"], ["mask"]),
                helper.make_node("Compress", ["x", "mask"], ["y"], axis=0),
                helper.make_node("Neg", ["x"], ["negated"]),
            ],
            [value("x", TensorProto.FLOAT, ["n"])],
            [value("y", TensorProto.FLOAT, ["m"]), value("negated", TensorProto.FLOAT, ["n"])],
            [zero],
        ),
    )
    # Nine inputs and twelve outputs: more than fit where the usual few are kept.
    names = [f"x{i}" for i in range(9)]
    results = [f"y{i}" for i in range(12)]
    write(
        "many",
        model(
            [
                helper.make_node("Add", [names[i % 9], names[(i + 1) % 9]], [results[i]])
                for i in range(12)
            ],
            [value(n, TensorProto.INT32, ["n"]) for n in names],
            [value(r, TensorProto.INT32, ["n"]) for r in results],
        ),
    )


def strings():
    # The default locale, en_US.UTF-8, is not there on every machine: the engine would refuse to load the model.
    write(
        "upper",
        model(
            [
                helper.make_node(
                    "StringNormalizer", ["x"], ["y"], case_change_action="UPPER", locale="C.UTF-8"
                )
            ],
            [value("x", TensorProto.STRING, ["n"])],
            [value("y", TensorProto.STRING, ["m"])],
        ),
    )


def endless():
    """A Loop whose condition is always true: it ends only when it is told to."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Add", ["state", "step"], ["next"]),
        ],
        "body",
        [
            value("iteration", TensorProto.INT64, []),
            value("going", TensorProto.BOOL, []),
            value("state", TensorProto.FLOAT, [1]),
        ],
        [value("still_going", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([1], dtype=np.float32), name="step")],
    )
    write(
        "endless",
        model(
            [helper.make_node("Loop", ["", "always", "x"], ["y"], body=body)],
            [value("x", TensorProto.FLOAT, [1]), value("always", TensorProto.BOOL, [])],
            [value("y", TensorProto.FLOAT, [1])],
        ),
    )


def activation():
    """Expands one number to as many as the caller asks for and returns their sum: a memory bomb in 200 bytes."""
    write(
        "activation",
        model(
            [
                helper.make_node("Expand", ["x", "size"], ["wide"]),
                helper.make_node("ReduceSum", ["wide"], ["y"], keepdims=0),
            ],
            [value("x", TensorProto.FLOAT, [1]), value("size", TensorProto.INT64, [1])],
            [value("y", TensorProto.FLOAT, [])],
        ),
    )
    # The same without the sum: an answer of any size.
    write(
        "expand",
        model(
            [helper.make_node("Expand", ["x", "size"], ["y"])],
            [value("x", TensorProto.FLOAT, [1]), value("size", TensorProto.INT64, [1])],
            [value("y", TensorProto.FLOAT, ["n"])],
        ),
    )


def bomb():
    """Asks for 6.4 GB whatever it is given: for the limits of an import."""
    size = numpy_helper.from_array(np.array([1_600_000_000], dtype=np.int64), name="size")
    write(
        "bomb",
        model(
            [
                helper.make_node("Expand", ["x", "size"], ["wide"]),
                helper.make_node("ReduceSum", ["wide"], ["y"], keepdims=0),
            ],
            [value("x", TensorProto.FLOAT, [1])],
            [value("y", TensorProto.FLOAT, [])],
            [size],
        ),
    )


def folded():
    """A file of 200 bytes whose session holds 4 MiB, because the constant is folded while it is loaded."""
    size = numpy_helper.from_array(np.array([1 << 20], dtype=np.int64), name="size")
    one = numpy_helper.from_array(np.array([1], dtype=np.float32), name="one")
    write(
        "folded",
        model(
            [
                helper.make_node("Expand", ["one", "size"], ["ones"]),
                helper.make_node("Add", ["x", "ones"], ["sum"]),
                helper.make_node("ReduceSum", ["sum"], ["y"], keepdims=0),
            ],
            [value("x", TensorProto.FLOAT, [1])],
            [value("y", TensorProto.FLOAT, [])],
            [size, one],
        ),
    )


def external():
    """Weights in a file beside the model, as an import writes them; 64 x 64 float32, the identity matrix."""
    weights = numpy_helper.from_array(np.eye(64, dtype=np.float32), name="weights")
    proto = model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [value("x", TensorProto.FLOAT, ["batch", 64])],
        [value("y", TensorProto.FLOAT, ["batch", 64])],
        [weights],
    )
    tensor = proto.graph.initializer[0]
    (FOLDER / "external.weights").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in {"location": "external.weights", "offset": "0", "length": "16384"}.items():
        tensor.external_data.add(key=key, value=text)
    write("external", proto)
    # The same, but its weights file does not exist.
    tensor.external_data[0].value = "missing.weights"
    write("external-missing", proto)


def keep_outside(tensor, name):
    """Moves a tensor's bytes into a file beside the model."""
    (FOLDER / name).write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=name)


def external_nested():
    """External weights of the graph, of a branch and of a constant: y = x * row + 3, and 1 more where it is wanted."""
    row, one, three = (
        numpy_helper.from_array(np.full([4], number, dtype=np.float32), name=name)
        for number, name in [(0, "row"), (1, "one"), (3, "three")]
    )
    keep_outside(one, "branch.weights")
    keep_outside(three, "constant.weights")
    more = helper.make_graph(
        [helper.make_node("Add", ["sum", "one"], ["more"])],
        "more",
        [],
        [value("more", TensorProto.FLOAT, [4])],
        [one],
    )
    same = helper.make_graph(
        [helper.make_node("Identity", ["sum"], ["same"])],
        "same",
        [],
        [value("same", TensorProto.FLOAT, [4])],
    )
    row.ClearField("raw_data")
    row.data_location = TensorProto.EXTERNAL
    # Four numbers of the other model's file: the first row of an identity matrix.
    for key, text in {"location": "external.weights", "offset": "0", "length": "16"}.items():
        row.external_data.add(key=key, value=text)
    write(
        "external-nested",
        model(
            [
                helper.make_node("Constant", [], ["three"], value=three),
                helper.make_node("Mul", ["x", "row"], ["product"]),
                helper.make_node("Add", ["product", "three"], ["sum"]),
                helper.make_node(
                    "If", ["wanted"], ["y"], then_branch=more, else_branch=same
                ),
            ],
            [value("x", TensorProto.FLOAT, [4]), value("wanted", TensorProto.BOOL, [])],
            [value("y", TensorProto.FLOAT, [4])],
            [row],
        ),
    )


def foreign():
    """Valid models the gateway refuses, and why."""
    # A classifier as skl2onnx writes it by default: a sequence of maps.
    zipmap = helper.make_node(
        "ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]
    )
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        )
    )
    write(
        "zipmap",
        model(
            [zipmap],
            [value("x", TensorProto.FLOAT, ["n", 3])],
            [helper.make_value_info("probabilities", maps)],
            extra_domains=[("ai.onnx.ml", 3)],
        ),
    )
    write(
        "sequence",
        model(
            [helper.make_node("SequenceConstruct", ["x", "x"], ["y"])],
            [value("x", TensorProto.FLOAT, ["n"])],
            [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, ["n"])],
        ),
    )
    write(
        "rank-nine",
        model(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT, [1] * 9)],
            [value("y", TensorProto.FLOAT, [1] * 9)],
        ),
    )
    write(
        "float8",
        model(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", TensorProto.FLOAT8E4M3FN, ["n"])],
            [value("y", TensorProto.FLOAT8E4M3FN, ["n"])],
            opset=19,
        ),
    )


def broken():
    """Files that are no models."""
    identity = helper.make_node("Identity", ["x"], ["y"])
    x, y = value("x", TensorProto.FLOAT, ["n"]), value("y", TensorProto.FLOAT, ["n"])
    write("unknown-opset", model([identity], [x], [y], opset=9999))
    write(
        "unknown-operator", model([helper.make_node("NoSuchOperator", ["x"], ["y"])], [x], [y])
    )
    write("dangling", model([helper.make_node("Identity", ["nowhere"], ["y"])], [x], [y]))
    whole = (FOLDER / "linear.onnx").read_bytes()
    (FOLDER / "truncated.onnx").write_bytes(whole[: len(whole) * 2 // 3])
    (FOLDER / "wrong-magic.onnx").write_bytes(b"\x7fELF\x02\x01\x01\x00" + whole)
    (FOLDER / "empty.onnx").write_bytes(b"")
    noise = np.random.default_rng(1).integers(0, 256, 512, dtype=np.uint8)
    (FOLDER / "corrupt.onnx").write_bytes(noise.tobytes())


def main():
    FOLDER.mkdir(exist_ok=True)
    identities()
    arithmetic()
    strings()
    endless()
    activation()
    bomb()
    folded()
    external()
    external_nested()
    foreign()
    broken()
    print(f"{len(list(FOLDER.iterdir()))} files, {sum(f.stat().st_size for f in FOLDER.iterdir())} bytes")


main()
