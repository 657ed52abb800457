#!/usr/bin/env python3
"""Makes the models of the fleet benchmarks: dense ones with external weights, and small forests.

    models.py FOLDER [--dense N --megabytes M] [--forests N] [--plain]

writes FOLDER/dense-M-K/1 and FOLDER/forest-K/1, each with model.onnx and manifest.json (docs/manifest.md), a dense one
with weights.bin beside them. A dense model is a stack of MatMul and Relu on float32 [batch, width]; its graph leaves
nothing to optimise and its weights stand 64 KiB aligned in the external file, so its manifest says `"load": "mapped"`
(--plain leaves that out). A forest is a TreeEnsembleRegressor of full random trees. Nothing is trained and everything
is seeded; golden answers come from NumPy. Needs numpy and onnx.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper

ALIGNMENT = 64 << 10
OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
IR_VERSION = 8
GOLDEN_ROWS = 2


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensor_json(name, array):
    return {
        "name": name,
        "datatype": "FP32",
        "shape": list(array.shape),
        "data": [float(value) for value in array.ravel()],
    }


def write_manifest(folder, name, files, width_in, width_out, golden, tolerance, load):
    """The manifest comes last: until then the folder holds no model."""
    manifest = {
        "format": 1,
        "name": name,
        "version": 1,
        "files": [
            {"name": file, "sha256": digest(folder / file), "bytes": (folder / file).stat().st_size}
            for file in files
        ],
        "signature": {
            "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, width_in]}],
            "outputs": [{"name": "Y", "datatype": "FP32", "shape": [-1, width_out]}],
        },
        "golden": [
            {
                "inputs": [tensor_json("X", golden[0])],
                "outputs": [tensor_json("Y", golden[1])],
                "tolerance": tolerance,
            }
        ],
        "origin": {"source": "Benchmarks/fleet/models.py"},
    }
    if load:
        manifest["load"] = load
    draft = folder / "manifest.json.new"
    draft.write_text(json.dumps(manifest))
    draft.rename(folder / "manifest.json")


def value_info(name, width):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def save(graph, folder):
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    # By its path: the checker looks for the external file beside it.
    onnx.checker.check_model(str(folder / "model.onnx"))


def external(name, shape, offset, length):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def make_dense(root, number, megabytes, load):
    """A square layer after the other, until the weights have `megabytes` MiB."""
    name = f"dense-{megabytes}-{number}"
    folder = root / name / "1"
    if (folder / "manifest.json").exists():
        return name
    folder.mkdir(parents=True, exist_ok=True)
    # A layer of 128 k columns has a multiple of 64 KiB.
    width = next(w for w in (2048, 1024, 512, 256, 128) if w == 128 or w * w * 4 * 4 <= megabytes << 20)
    length = width * width * 4
    layers = max(2, (megabytes << 20) // length)
    random = np.random.default_rng(1_000 * megabytes + number)
    golden = random.standard_normal((GOLDEN_ROWS, width)).astype(np.float32)
    value = golden
    nodes, weights, below = [], [], "X"
    with open(folder / "weights.bin", "wb") as file:
        for layer in range(layers):
            matrix = random.standard_normal((width, width), dtype=np.float32)
            # Relu halves the variance: this keeps activations of one size through all layers.
            matrix *= np.float32(np.sqrt(2.0 / width))
            file.write(matrix.tobytes())
            weights.append(external(f"W{layer}", [width, width], layer * length, length))
            above = "Y" if layer == layers - 1 else f"h{layer}"
            nodes.append(helper.make_node("MatMul", [below, f"W{layer}"], [f"m{layer}"]))
            nodes.append(helper.make_node("Relu", [f"m{layer}"], [above]))
            value = np.maximum(value @ matrix, 0)
            below = above
    graph = helper.make_graph(
        nodes, "dense", [value_info("X", width)], [value_info("Y", width)], weights
    )
    save(graph, folder)
    tolerance = float(np.abs(value).max()) * 1e-3
    write_manifest(
        folder, name, ["model.onnx", "weights.bin"], width, width, (golden, value), tolerance, load
    )
    return name


def make_forest(root, number, trees, depth, features):
    """Full trees of one depth, thresholds and leaves at random."""
    name = f"forest-{number}"
    folder = root / name / "1"
    if (folder / "manifest.json").exists():
        return name
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(number)
    inner, nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    feature = random.integers(0, features, (trees, inner))
    threshold = random.standard_normal((trees, inner)).astype(np.float32)
    leaf = random.standard_normal((trees, nodes - inner)).astype(np.float32)
    pad = np.zeros((trees, nodes - inner), dtype=np.int64)
    index = np.arange(inner)
    children = lambda step: np.hstack([np.tile(2 * index + step, (trees, 1)), pad]).ravel()
    node = helper.make_node(
        "TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=1,
        aggregate_function="SUM", post_transform="NONE",
        nodes_treeids=np.repeat(np.arange(trees), nodes).tolist(),
        nodes_nodeids=np.tile(np.arange(nodes), trees).tolist(),
        nodes_featureids=np.hstack([feature, pad]).ravel().tolist(),
        nodes_values=np.hstack([threshold, pad.astype(np.float32)]).ravel().tolist(),
        nodes_modes=(["BRANCH_LEQ"] * inner + ["LEAF"] * (nodes - inner)) * trees,
        nodes_truenodeids=children(1).tolist(),
        nodes_falsenodeids=children(2).tolist(),
        target_treeids=np.repeat(np.arange(trees), nodes - inner).tolist(),
        target_nodeids=np.tile(np.arange(inner, nodes), trees).tolist(),
        target_ids=[0] * (trees * (nodes - inner)),
        target_weights=leaf.ravel().tolist(),
    )
    save(helper.make_graph([node], "forest", [value_info("X", features)], [value_info("Y", 1)]), folder)
    golden = random.standard_normal((GOLDEN_ROWS, features)).astype(np.float32)
    answer = np.zeros((GOLDEN_ROWS, 1), dtype=np.float64)
    for row in range(GOLDEN_ROWS):
        for tree in range(trees):
            at = 0
            while at < inner:
                goes = golden[row, feature[tree, at]] <= threshold[tree, at]
                at = 2 * at + (1 if goes else 2)
            answer[row, 0] += leaf[tree, at - inner]
    write_manifest(folder, name, ["model.onnx"], features, 1, (golden, answer), 1e-3, None)
    return name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--dense", type=int, default=0, metavar="N", help="so many dense models")
    parser.add_argument("--megabytes", type=int, default=470, metavar="M", help="of weights (MiB)")
    parser.add_argument("--plain", action="store_true", help="dense ones are loaded, not mapped")
    parser.add_argument("--forests", type=int, default=0, metavar="N", help="so many forests")
    parser.add_argument("--trees", type=int, default=60)
    parser.add_argument("--depth", type=int, default=9)
    parser.add_argument("--features", type=int, default=16)
    options = parser.parse_args()
    for number in range(1, options.dense + 1):
        load = None if options.plain else "mapped"
        print(make_dense(options.folder, number, options.megabytes, load), flush=True)
    for number in range(1, options.forests + 1):
        made = make_forest(options.folder, number, options.trees, options.depth, options.features)
        print(made, flush=True)


if __name__ == "__main__":
    main()
