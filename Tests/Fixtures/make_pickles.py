"""Trains what the import tests import, and notes what the originals answer. Run by the tests in the environment that
`sluice models import` prepares:

    ~/.cache/sluice/python-HASH/bin/python Tests/Fixtures/make_pickles.py FOLDER
"""

import json
import pathlib
import sys

import joblib
import lightgbm
import numpy as np
import pandas
import sklearn
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FOLDER = pathlib.Path(sys.argv[1])
FLOWERS, KINDS = load_iris(return_X_y=True)
FLOWERS = FLOWERS.astype(np.float32)
ROWS = FLOWERS[::30]


def customers():
    """Columns with names, numbers and words, and answers in words: what a table's model looks like."""
    table = pandas.DataFrame(
        {
            "age": np.arange(120) % 60 + 18.0,
            "income": np.linspace(1e3, 9e4, 120),
            "city": np.array(["Bern", "Basel", "Zug", "Chur"])[np.arange(120) % 4],
        }
    )
    answers = np.where((table.age > 40) ^ (table.city == "Bern"), "yes", "no")
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["age", "income"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    pipeline = Pipeline(
        [("columns", columns), ("trees", GradientBoostingClassifier(n_estimators=20, random_state=1))]
    ).fit(table, answers)
    joblib.dump(pipeline, FOLDER / "customers.joblib")
    asked = table.iloc[[0, 7, 25, 61]]
    return {
        "rows": asked.to_dict("list"),
        "labels": pipeline.predict(asked).tolist(),
        "probabilities": pipeline.predict_proba(asked).tolist(),
    }


def boosted():
    """XGBoost's and LightGBM's own files."""
    ours = xgboost.XGBClassifier(n_estimators=10, random_state=1).fit(FLOWERS, KINDS)
    ours.save_model(FOLDER / "flowers.json")
    theirs = lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, random_state=1).fit(FLOWERS, KINDS)
    theirs.booster_.save_model(FOLDER / "flowers.txt")
    return {
        "rows": ROWS.tolist(),
        "xgboost": ours.predict_proba(ROWS).tolist(),
        "lightgbm": theirs.booster_.predict(ROWS).tolist(),
    }


def refused():
    """Files that cannot be imported, each for a reason of its own."""
    joblib.dump({"weights": [1, 2, 3]}, FOLDER / "dictionary.pkl")
    joblib.dump(NearestCentroid().fit(FLOWERS, KINDS), FOLDER / "centroid.pkl")
    (FOLDER / "classes.pkl").write_bytes(b"cmy_company.models\nChurn\n)\x81.")
    whole = (FOLDER / "customers.joblib").read_bytes()
    # Opened, but with a word about the version that wrote it.
    joblib.dump(LogisticRegression(max_iter=500).fit(FLOWERS, KINDS), FOLDER / "older.pkl")
    here = sklearn.__version__.encode()
    older = (FOLDER / "older.pkl").read_bytes()
    assert here in older and len(here) == len(b"1.8.0")
    (FOLDER / "older.pkl").write_bytes(older.replace(here, b"1.8.0"))
    np.save(FOLDER / "rows.npy", FLOWERS[:40])
    (FOLDER / "truncated.pkl").write_bytes(whole[: len(whole) // 2])


answers = {"customers": customers(), "flowers": boosted()}
refused()
(FOLDER / "answers.json").write_text(json.dumps(answers))
