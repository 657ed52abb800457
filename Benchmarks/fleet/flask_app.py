"""What many start with: Flask and a pickle. `flask_app.py train FILE` makes the pickle, `flask_app.py serve FILE PORT` serves it."""

import pickle
import sys


def train(path):
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    data = load_digits()
    with open(path, "wb") as file:
        pickle.dump(RandomForestClassifier(500, random_state=0, n_jobs=2).fit(data.data, data.target), file)


def serve(path, port):
    from flask import Flask, jsonify, request

    with open(path, "rb") as file:
        model = pickle.load(file)
    app = Flask(__name__)

    @app.post("/predict")
    def predict():
        return jsonify(model.predict_proba(request.json["rows"]).tolist())

    app.run("127.0.0.1", int(port))


if sys.argv[1] == "train":
    train(sys.argv[2])
else:
    serve(*sys.argv[2:])
