#!/usr/bin/env python3
"""Trains the models of the demo and the tests, and writes models/NAME/1/{model.onnx, manifest.json}.

Every data set ships with scikit-learn, every random state is fixed. A manifest's golden cases hold rows of the
data set and what scikit-learn itself answers for them, so a test can compare the whole gateway with the
original. Run it by `make models`, which prepares the pinned environment of models/requirements.txt.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).resolve().parent
OPSET = {"": 18, "ai.onnx.ml": 3}
DATATYPES = {
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.STRING: "BYTES",
}
GOLDEN_ROWS = 8
TOLERANCE = 1e-5


def rename_outputs(model, names):
    """Gives the graph's outputs their public names, in order."""
    renamed = {old.name: new for old, new in zip(model.graph.output, names, strict=True)}
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = renamed.get(name, name)
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    for output in model.graph.output:
        output.name = renamed[output.name]


def set_output_shapes(model, shapes):
    """The converter leaves some output shapes open; the batch is free, the rest is known here."""
    for output, shape in zip(model.graph.output, shapes, strict=True):
        del output.type.tensor_type.shape.dim[:]
        for size in shape:
            dim = output.type.tensor_type.shape.dim.add()
            if size is None:
                dim.dim_param = "batch"
            else:
                dim.dim_value = size


def specification(value):
    tensor = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim]
    return {"name": value.name, "datatype": DATATYPES[tensor.elem_type], "shape": shape}


def golden_tensor(spec, array):
    data = array.reshape(-1).tolist()
    if spec["datatype"] == "BYTES":
        data = [str(value) for value in data]
    return {**spec, "shape": list(array.shape), "data": data}


def disagreement(expected, actual):
    """The largest difference, relative for numbers above one; infinite when labels differ."""
    if expected.dtype.kind in "OUSi":
        return 0.0 if (expected.astype(str) == actual.astype(str)).all() else float("inf")
    return float(np.max(np.abs(expected - actual) / np.maximum(1.0, np.abs(expected))))


def write(name, estimator, inputs, outputs, rows, about, labels=()):
    """Converts, compares over every row, writes the model and, last, its manifest.

    inputs: name -> array [rows, columns]; outputs: name -> (what scikit-learn answers, shape); labels: of the classes of
    the output `probabilities`.
    """
    types = [
        (
            column,
            (StringTensorType if array.dtype.kind in "OU" else FloatTensorType)(
                [None, array.shape[1]]
            ),
        )
        for column, array in inputs.items()
    ]
    options = None
    if hasattr(estimator, "predict_proba"):
        last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
        options = {id(last): {"zipmap": False}}
    model = convert_sklearn(estimator, name, types, target_opset=OPSET, options=options)
    rename_outputs(model, list(outputs))
    set_output_shapes(model, [shape for _, shape in outputs.values()])
    model.producer_name, model.producer_version = "sluice models/build.py", "1"
    model.doc_string = about
    onnx.checker.check_model(model)
    content = model.SerializeToString(deterministic=True)

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    answers = session.run(list(outputs), inputs)
    worst = max(
        disagreement(expected, actual)
        for (expected, _), actual in zip(outputs.values(), answers, strict=True)
    )
    if not worst <= TOLERANCE:
        sys.exit(f"{name}: the converted model differs from scikit-learn by {worst}")

    folder = HERE / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    specs_in = [specification(value) for value in model.graph.input]
    specs_out = [specification(value) for value in model.graph.output]
    batches = [rows[:1], rows]
    labelled = [
        {**spec, "labels": list(labels)} if labels and spec["name"] == "probabilities" else spec
        for spec in specs_out
    ]
    manifest = {
        "format": 1,
        "name": name,
        "version": 1,
        "files": [
            {
                "name": "model.onnx",
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
            }
        ],
        "signature": {"inputs": specs_in, "outputs": labelled},
        "golden": [
            {
                "inputs": [golden_tensor(s, inputs[s["name"]][chosen]) for s in specs_in],
                "outputs": [golden_tensor(s, outputs[s["name"]][0][chosen]) for s in specs_out],
                "tolerance": TOLERANCE,
            }
            for chosen in batches
        ],
        "origin": {
            "source": about,
            "converter": f"skl2onnx {skl2onnx.__version__}",
            "framework": f"scikit-learn {sklearn.__version__}",
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{name:24} {len(content):>10,} bytes   worst difference {worst:.1e}", flush=True)


def classifier(name, estimator, data, target, about, labels=()):
    data = data.astype(np.float32)
    estimator.fit(data, target)
    probabilities = estimator.predict_proba(data)
    write(
        name,
        estimator,
        {"X": data},
        {
            "label": (estimator.predict(data).astype(np.int64), [None]),
            "probabilities": (probabilities, [None, probabilities.shape[1]]),
        },
        golden_rows(len(data)),
        about,
        [str(label) for label in labels],
    )


def golden_rows(count):
    return np.linspace(0, count - 1, GOLDEN_ROWS).astype(int)


def iris():
    data = load_iris()
    classifier(
        "iris",
        LogisticRegression(max_iter=1000),
        data.data,
        data.target,
        "Logistic regression on Fisher's iris: sepal and petal length and width in cm",
        data.target_names,
    )


def digits_forest():
    data = load_digits()
    classifier(
        "digits-forest",
        RandomForestClassifier(200, min_samples_leaf=2, random_state=7, n_jobs=1),
        data.data,
        data.target,
        "Random forest of 200 trees on 8x8 handwritten digits",
    )


def digits_mlp():
    data = load_digits()
    classifier(
        "digits-mlp",
        make_pipeline(StandardScaler(), MLPClassifier((128, 64), max_iter=300, random_state=7)),
        data.data,
        data.target,
        "Two-layer perceptron on 8x8 handwritten digits",
    )


def breast_cancer_boosting():
    data = load_breast_cancer()
    classifier(
        "breast-cancer-boosting",
        GradientBoostingClassifier(n_estimators=200, random_state=7),
        data.data,
        data.target,
        "Gradient boosting of 200 trees on the Wisconsin breast cancer data",
        data.target_names,
    )


def diabetes_forest():
    data = load_diabetes()
    features = data.data.astype(np.float32)
    forest = RandomForestRegressor(200, min_samples_leaf=3, random_state=7, n_jobs=1)
    forest.fit(features, data.target)
    write(
        "diabetes-forest",
        forest,
        {"X": features},
        {"prediction": (forest.predict(features).reshape(-1, 1), [None, 1])},
        golden_rows(len(features)),
        "Random forest of 200 trees predicting the progression of diabetes after a year",
    )


def wine_pipeline():
    """String and numeric columns, each an input of its own, as a table's columns arrive."""
    data = load_wine()
    column = {name: data.data[:, index] for index, name in enumerate(data.feature_names)}

    def words(values, names):
        edges = np.quantile(values, np.linspace(0, 1, len(names) + 1)[1:-1])
        return np.array(names, dtype=object)[np.digitize(values, edges)].reshape(-1, 1)

    inputs = {
        "colour": words(column["color_intensity"], ["pale", "ruby", "inky"]),
        "strength": words(column["alcohol"], ["light", "medium", "strong"]),
        "flavanoids": column["flavanoids"].astype(np.float32).reshape(-1, 1),
        "proline": column["proline"].astype(np.float32).reshape(-1, 1),
    }
    table = np.concatenate(list(inputs.values()), axis=1)
    pipeline = make_pipeline(
        ColumnTransformer(
            [("words", OneHotEncoder(), [0, 1]), ("numbers", StandardScaler(), [2, 3])]
        ),
        LogisticRegression(max_iter=1000),
    )
    pipeline.fit(table, data.target)
    probabilities = pipeline.predict_proba(table)
    write(
        "wine-pipeline",
        pipeline,
        inputs,
        {
            "label": (pipeline.predict(table).astype(np.int64), [None]),
            "probabilities": (probabilities, [None, probabilities.shape[1]]),
        },
        golden_rows(len(table)),
        "Pipeline on wines: one-hot colour and strength in words, scaled flavanoids and proline",
    )


if __name__ == "__main__":
    iris()
    digits_forest()
    digits_mlp()
    breast_cancer_boosting()
    diabetes_forest()
    wine_pipeline()
