"""A peer: Flask and a pickle, served by `gunicorn -w 2 flask_app:app` with TLS of its own.

`python flask_app.py FILE` trains the pickle; PEER_PICKLE is that file. iris is scikit-learn's, so that its answers are compared by
class; image gives back what it got.
"""

import os
import pickle
import sys

import numpy as np


def train(path):
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    data = load_iris()
    with open(path, "wb") as file:
        pickle.dump(LogisticRegression(max_iter=1_000).fit(data.data, data.target), file)


def make():
    from flask import Flask, jsonify, request

    with open(os.environ["PEER_PICKLE"], "rb") as file:
        iris = pickle.load(file)
    flask = Flask(__name__)

    def tensor(name, datatype, array):
        return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.ravel().tolist()}

    def run_iris(rows):
        probabilities = iris.predict_proba(rows)
        return [tensor("label", "INT64", probabilities.argmax(1)), tensor("probabilities", "FP32", probabilities)]

    models = {"iris": run_iris, "image": lambda rows: [tensor("Y", "FP32", rows)]}

    @flask.post("/v2/models/<name>/infer")
    def infer(name):
        given = request.json["inputs"][0]
        rows = np.array(given["data"], dtype=np.float32).reshape(given["shape"])
        return jsonify(model_name=name, model_version="1", outputs=models[name](rows))

    return flask


if __name__ == "__main__":
    train(sys.argv[1])
else:
    app = make()
