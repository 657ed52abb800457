"""Turns a trained model into ONNX, with rows and the original's own answers beside it.

    convert.py SOURCE KIND FOLDER [ROWS]

KIND is pickle, xgboost or lightgbm. Writes FOLDER/model.onnx and FOLDER/result.json. The gateway's own engine
compares the two afterwards: nothing here judges the conversion. Run by `sluice models import` in a confined process,
because opening a pickle runs the code in it.
"""

from __future__ import annotations

import json
import pathlib
import pickle
import re
import sys
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Any

import joblib
import numpy as np
import onnx
import onnxmltools
import pandas
import skl2onnx
import sklearn
from onnxmltools.convert.common.data_types import FloatTensorType as BoosterFloats
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

ROWS_MAX = 256
GOLDEN_ROWS = [1, 8]
# A case that stands in the manifest stays small.
GOLDEN_ELEMENTS_MAX = 20_000
OPSET = {"": 18, "ai.onnx.ml": 3}
# Rows where the two best classes are closer than this say nothing: rounding decides.
MARGIN_MIN = 1e-3
WITH_CONVERTER = (
    "LogisticRegression, RandomForestClassifier, HistGradientBoostingClassifier, SVC, MLPClassifier, "
    "their regressors and others have one"
)
ADVICE = {
    "GaussianProcessClassifier": "SVC(probability=True) or LogisticRegression can take its place",
    "NearestCentroid": "KNeighborsClassifier can take its place",
    "LabelPropagation": "train a classifier on the labels it found, and import that",
    "LabelSpreading": "train a classifier on the labels it found, and import that",
    "KernelRidge": "SVR or GaussianProcessRegressor can take its place",
    "TransformedTargetRegressor": "import its regressor_ and apply the inverse to the answer in the caller",
    "HashingVectorizer": "TfidfVectorizer or CountVectorizer can take its place",
    "NMF": "PCA or TruncatedSVD can take its place",
    "LatentDirichletAllocation": "PCA or TruncatedSVD can take its place",
    "FunctionTransformer": "do what its Python function does in the caller, and import the steps behind it",
}


class Refusal(Exception):
    """What cannot be imported: which kind of trouble, and a sentence with its mend."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


@dataclass
class Input:
    """One input of the converted model: `columns` columns of one type."""

    name: str
    dtype: str  # float, int or text
    columns: int = 1

    @property
    def datatype(self) -> str:
        return {"float": "FP32", "int": "INT64", "text": "BYTES"}[self.dtype]

    def onnx_type(self):
        make = {"float": FloatTensorType, "int": Int64TensorType, "text": StringTensorType}
        return make[self.dtype]([None, self.columns])


@dataclass
class Original:
    """A model as it was trained."""

    model: Any
    framework: str
    converter: str
    notes: list[str] = field(default_factory=list)
    feature_names: list[str] = field(default_factory=list)


# Reading ----------------------------------------------------------------------------------------------------


def read(source: pathlib.Path, kind: str) -> Original:
    if kind == "xgboost":
        return read_xgboost(source)
    if kind == "lightgbm":
        return read_lightgbm(source)
    return read_pickle(source)


def recorded_version(source: pathlib.Path) -> str | None:
    """The scikit-learn that wrote the file, as the file says without being opened."""
    content = source.read_bytes()
    for unpack in (lambda b: b, zlib.decompress, lambda b: zlib.decompress(b, 47)):
        try:
            found = re.search(rb"_sklearn_version.{1,12}?(\d+\.\d+[\w.]*)", unpack(content), re.DOTALL)
        except zlib.error:
            continue
        if found:
            return found.group(1).decode()
    return None


def read_pickle(source: pathlib.Path) -> Original:
    written_by = recorded_version(source)
    differs = written_by is not None and written_by != sklearn.__version__
    hint = f" (it was written by scikit-learn {written_by}; this is {sklearn.__version__})" if differs else ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = joblib.load(source)
    except ModuleNotFoundError as error:
        raise Refusal(
            "missing_classes",
            f"the pickle needs the Python module '{error.name}', which the import environment does not have{hint}: "
            "convert the model to ONNX where that module is installed and import the .onnx, or train it without "
            "classes of your own",
        ) from error
    except AttributeError as error:
        raise Refusal(
            "missing_classes",
            f"a class of the pickle is missing: {error}{hint}: convert the model to ONNX where the class is defined "
            "and import the .onnx",
        ) from error
    except MemoryError:
        raise
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, OSError, zlib.error) as error:
        if differs and isinstance(error, (ValueError, KeyError)):
            raise Refusal(
                "version", f"the pickle cannot be read{hint}: {one_line(error)}. Save it again with that version"
            ) from error
        raise Refusal(
            "corrupted", f"the file is no pickle, or damaged: {type(error).__name__}: {one_line(error)}"
        ) from error
    except Exception as error:  # Whatever the code in a pickle may throw.
        raise Refusal(
            "corrupted", f"the pickle cannot be opened{hint}: {type(error).__name__}: {one_line(error)}"
        ) from error
    original = recognised(model)
    if differs:
        original.notes.append(
            f"written by scikit-learn {written_by}, read by {sklearn.__version__}: trust it as far as the parity goes"
        )
    return original


def recognised(model: Any) -> Original:
    family = type(model).__module__.split(".")[0]
    if family == "xgboost":
        import xgboost

        if isinstance(model, xgboost.Booster):
            model = estimator_of(model)
        return Original(model, f"XGBoost {xgboost.__version__}", f"onnxmltools {onnxmltools.__version__}")
    if family == "lightgbm":
        import lightgbm

        return Original(model, f"LightGBM {lightgbm.__version__}", f"onnxmltools {onnxmltools.__version__}")
    if not isinstance(model, BaseEstimator) or not (hasattr(model, "predict") or hasattr(model, "transform")):
        raise Refusal(
            "no_model",
            f"the pickle holds a {type(model).__module__}.{type(model).__qualname__}, which is no model: save the "
            "estimator or pipeline itself, for example joblib.dump(pipeline, 'model.joblib')",
        )
    return Original(model, f"scikit-learn {sklearn.__version__}", f"skl2onnx {skl2onnx.__version__}")


def read_xgboost(source: pathlib.Path) -> Original:
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(source)
    except xgboost.core.XGBoostError as error:
        raise Refusal(
            "corrupted", f"the file is no XGBoost model, or damaged: {one_line(error)}"
        ) from error
    return recognised(booster)


def estimator_of(booster: Any) -> Any:
    """XGBoost's bare form as the estimator it would be, which knows its classes."""
    import xgboost

    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    if objective.startswith(("binary:logistic", "multi:")):
        model = xgboost.XGBClassifier()
    elif objective.startswith("reg:"):
        model = xgboost.XGBRegressor()
    else:
        raise Refusal(
            "no_converter",
            f"XGBoost models with the objective {objective} have no converter: binary:logistic, multi:softprob, "
            "multi:softmax and reg:* have one",
        )
    model.load_model(booster.save_raw("ubj"))
    return model


def read_lightgbm(source: pathlib.Path) -> Original:
    import lightgbm

    try:
        booster = lightgbm.Booster(model_file=str(source))
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise Refusal(
            "corrupted", f"the file is no LightGBM model, or damaged: {one_line(error)}"
        ) from error
    return recognised(booster)


# What goes in -----------------------------------------------------------------------------------------------


def first_step(model: Any) -> Any:
    return first_step(model.steps[0][1]) if isinstance(model, Pipeline) else model


def last_step(model: Any) -> Any:
    return last_step(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def feature_names(model: Any) -> list[str]:
    for candidate in (model, first_step(model)):
        names = getattr(candidate, "feature_names_in_", None)
        if names is not None and not callable(names):
            return [str(name) for name in names]
    return []


def feature_count(model: Any) -> int:
    for candidate in (model, first_step(model)):
        try:
            count = getattr(candidate, "n_features_in_", None)
        except AttributeError:
            count = None
        if count is not None:
            return int(count)
    for ask in ("num_features", "num_feature"):
        if hasattr(model, ask):
            return int(getattr(model, ask)())
    raise Refusal(
        "not_trained",
        f"{type(model).__name__} does not say how many features it takes: it was not trained, or only its settings "
        "were saved",
    )


def inputs_of(model: Any) -> list[Input]:
    """One input a column where a pipeline treats its columns differently, otherwise one for all features."""
    first = first_step(model)
    if hasattr(first, "vocabulary_"):
        return [Input("text", "text")]
    columns = column_kinds(first)
    if columns is not None:
        kinds = {kind for _, kind in columns}
        if kinds != {"float"} or feature_names(model):
            return [Input(name, kind) for name, kind in columns]
    kind = array_kind(getattr(first, "categories_", None))
    return [Input("X", kind, feature_count(model))]


def array_kind(categories: Any) -> str:
    """The type of columns that an encoder learned."""
    if categories is None:
        return "float"
    kinds = {np.asarray(c).dtype.kind for c in categories}
    if kinds & {"O", "U", "S", "T"}:
        return "text"
    return "int" if kinds <= {"i", "u"} else "float"


def column_kinds(first: Any) -> list[tuple[str, str]] | None:
    """Name and type of every column of a ColumnTransformer, in order; nil for others."""
    if not isinstance(first, ColumnTransformer):
        return None
    names = feature_names(first)
    count = feature_count(first)
    kinds = ["float"] * count
    for _, transformer, columns in first.transformers_:
        if isinstance(transformer, str):
            continue
        encoder = first_step(transformer)
        if isinstance(transformer, Pipeline):
            encoder = next((s for _, s in transformer.steps if hasattr(s, "categories_")), encoder)
        categories = getattr(encoder, "categories_", None)
        for position, index in enumerate(column_indices(columns, names, count)):
            if categories is not None and position < len(categories):
                kinds[index] = array_kind([categories[position]])
            elif hasattr(encoder, "vocabulary_"):
                kinds[index] = "text"
    shown = names or [f"column_{index}" for index in range(count)]
    return list(zip(shown, kinds, strict=True))


def column_indices(columns: Any, names: list[str], count: int) -> list[int]:
    if isinstance(columns, slice):
        return list(range(count))[columns]
    values = [columns] if np.isscalar(columns) else list(columns)
    if values and isinstance(values[0], (bool, np.bool_)):
        return [index for index, chosen in enumerate(values) if chosen]
    return [names.index(v) if isinstance(v, str) else int(v) % count for v in values]


# Rows -------------------------------------------------------------------------------------------------------


@dataclass
class Hints:
    """What the model's parts tell about sensible values of each feature."""

    ranges: dict[int, list[float]] = field(default_factory=dict)
    categories: dict[int, list[Any]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def learn(self, part: Any, indices: list[int]) -> None:
        if isinstance(part, Pipeline):
            # Behind the first step that makes new features the indices mean something else.
            for _, step in part.steps:
                self.learn(step, indices)
                if isinstance(step, ColumnTransformer) or hasattr(step, "categories_"):
                    return
            return
        if isinstance(part, ColumnTransformer):
            names, count = feature_names(part), feature_count(part)
            for _, inner, columns in part.transformers_:
                if not isinstance(inner, str):
                    self.learn(inner, column_indices(columns, names, count))
            return
        if hasattr(part, "vocabulary_"):
            self.words = list(part.vocabulary_)[:1000]
        for position, values in enumerate(getattr(part, "categories_", [])[: len(indices)]):
            self.categories[indices[position]] = [v for v in values if v is not None and v == v]
        centre, scale = getattr(part, "mean_", None), getattr(part, "scale_", None)
        if isinstance(centre, np.ndarray) and isinstance(scale, np.ndarray) and len(centre) == len(indices):
            for position, index in enumerate(indices):
                self.ranges[index] = [centre[position] - 2 * scale[position], centre[position] + 2 * scale[position]]
        low, high = getattr(part, "data_min_", None), getattr(part, "data_max_", None)
        if low is not None and high is not None and len(low) == len(indices):
            for position, index in enumerate(indices):
                self.ranges[index] = [low[position], high[position]]
        for feature, threshold in tree_thresholds(part):
            if feature < len(indices) and indices[feature] not in self.categories:
                self.widen(indices[feature], threshold)

    def widen(self, index: int, value: float) -> None:
        known = self.ranges.setdefault(index, [value, value])
        known[0], known[1] = min(known[0], value), max(known[1], value)

    def column(self, index: int, kind: str, count: int, random: np.random.Generator) -> np.ndarray:
        if index in self.categories and self.categories[index]:
            return np.array([self.categories[index][random.integers(len(self.categories[index]))]
                             for _ in range(count)], dtype=object if kind == "text" else None)
        if kind == "text":
            words = self.words or ["a", "b"]
            return np.array([" ".join(random.choice(words, 6)) for _ in range(count)], dtype=object)
        low, high = self.ranges.get(index, [-2.0, 2.0])
        spread = max((high - low) * 0.1, 1e-3 * max(1.0, abs(low)))
        values = random.uniform(low - spread, high + spread, count)
        return np.rint(values) if kind == "int" else values


def tree_thresholds(part: Any):
    """Feature and threshold of the splits in trees, from the model's own tables."""
    if hasattr(part, "tree_"):
        tree = part.tree_
        inner = tree.feature >= 0
        yield from zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)
    elif hasattr(part, "estimators_"):
        for estimator in np.ravel(np.asarray(part.estimators_, dtype=object))[:50]:
            if hasattr(estimator, "tree_"):
                yield from tree_thresholds(estimator)
    elif type(part).__module__.startswith(("xgboost", "lightgbm")):
        yield from boosted_thresholds(part)


def boosted_thresholds(part: Any):
    booster = part
    if hasattr(part, "get_booster"):
        booster = part.get_booster()
    elif hasattr(part, "booster_"):
        booster = part.booster_
    table = booster.trees_to_dataframe()
    if "split_feature" in table:
        names, feature, value = booster.feature_name(), table["split_feature"], table["threshold"]
    else:
        names = booster.feature_names or [f"f{index}" for index in range(booster.num_features())]
        feature, value = table["Feature"], table["Split"]
    places = {name: index for index, name in enumerate(names)}
    for name, threshold in zip(feature, value, strict=True):
        if name in places and isinstance(threshold, (int, float)) and threshold == threshold:
            yield places[name], float(threshold)


def generated_rows(model: Any, inputs: list[Input]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(20250101)
    hints = Hints()
    count = sum(value.columns for value in inputs)
    hints.learn(model, list(range(count)))
    rows, index = {}, 0
    for value in inputs:
        columns = [hints.column(index + offset, value.dtype, ROWS_MAX, random) for offset in range(value.columns)]
        rows[value.name] = np.stack(columns, axis=1).astype(numpy_type(value))
        index += value.columns
    return rows


def given_rows(path: pathlib.Path, inputs: list[Input]) -> dict[str, np.ndarray]:
    count = sum(value.columns for value in inputs)
    try:
        if path.suffix == ".npy":
            table = pandas.DataFrame(np.load(path, allow_pickle=False))
        elif path.suffix == ".csv":
            table = pandas.read_csv(path)
        else:
            raise Refusal("rows", f"--rows takes .npy or .csv, not {path.name}")
    except (OSError, ValueError) as error:
        raise Refusal("rows", f"the rows cannot be read: {one_line(error)}") from error
    named = [value.name for value in inputs]
    if len(inputs) > 1 and set(named) <= set(table.columns):
        table = table[named]
    if table.shape[1] != count:
        raise Refusal("rows", f"the rows have {table.shape[1]} columns, the model takes {count}")
    if len(table) == 0:
        raise Refusal("rows", "the file of rows has none")
    table = table.iloc[np.linspace(0, len(table) - 1, min(len(table), ROWS_MAX)).astype(int)]
    rows, index = {}, 0
    try:
        for value in inputs:
            rows[value.name] = table.iloc[:, index : index + value.columns].to_numpy().astype(numpy_type(value))
            index += value.columns
    except ValueError as error:
        raise Refusal("rows", f"the rows do not fit input '{value.name}' ({value.datatype}): {one_line(error)}") from error
    return rows


def numpy_type(value: Input):
    return {"float": np.float32, "int": np.int64, "text": object}[value.dtype]


# What comes out ---------------------------------------------------------------------------------------------


def table_of(model: Any, inputs: list[Input], rows: dict[str, np.ndarray]) -> Any:
    """The rows as the original wants them: a table with names, an array, or texts."""
    if hasattr(first_step(model), "vocabulary_"):
        return [str(row[0]) for row in rows["text"]]
    names = feature_names(model)
    # The numbers of the request, in the type that scikit-learn was trained with.
    arrays = [rows[value.name].astype(np.float64) if value.dtype == "float" else rows[value.name] for value in inputs]
    if names and type(model).__module__.startswith("sklearn"):
        columns = [array[:, column] for array in arrays for column in range(array.shape[1])]
        return pandas.DataFrame(dict(zip(names, columns, strict=True)))
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate([array.astype(object) for array in arrays], axis=1)


def answers_of(model: Any, table: Any) -> dict[str, np.ndarray]:
    """What the original says, by the name the output shall have, in the converters' order."""
    last = last_step(model)
    family = type(last).__module__.split(".")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if family == "lightgbm" and not isinstance(last, BaseEstimator):
            return booster_answers(model, table)
        if is_classifier(model):
            answers = {"label": model.predict(table)}
            if hasattr(model, "predict_proba"):
                answers["probabilities"] = model.predict_proba(table)
            elif hasattr(model, "decision_function"):
                answers["scores"] = model.decision_function(table)
            return answers
        if is_regressor(model) or (hasattr(model, "predict") and not hasattr(model, "fit_predict")):
            return {"prediction": model.predict(table)}
        if hasattr(model, "fit_predict") and hasattr(model, "predict"):
            return {"label": model.predict(table)}
        answer = model.transform(table)
        return {"output": answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)}


def booster_answers(booster: Any, table: Any) -> dict[str, np.ndarray]:
    """LightGBM's own form: it answers probabilities where its objective is a classifier's."""
    answer = np.asarray(booster.predict(table))
    objective = str(booster.dump_model(num_iteration=1).get("objective", ""))
    if objective.startswith("binary"):
        return {
            "label": (answer > 0.5).astype(np.int64),
            "probabilities": np.stack([1 - answer, answer], axis=1),
        }
    if objective.startswith("multiclass"):
        return {"label": answer.argmax(axis=1).astype(np.int64), "probabilities": answer}
    return {"prediction": answer}


def clear_rows(answers: dict[str, np.ndarray]) -> np.ndarray:
    """Rows whose label does not hang on a rounding."""
    probabilities = answers.get("probabilities")
    if not isinstance(probabilities, np.ndarray) or probabilities.ndim != 2 or probabilities.shape[1] < 2:
        return np.arange(len(next(iter(answers.values()))))
    best = np.sort(probabilities, axis=1)
    clear = np.flatnonzero(best[:, -1] - best[:, -2] > MARGIN_MIN)
    return clear if len(clear) else np.arange(len(probabilities))


# Converting -------------------------------------------------------------------------------------------------


def register_boosters() -> None:
    """Boosters inside a scikit-learn pipeline: skl2onnx learns their converters from onnxmltools."""
    import lightgbm
    import xgboost
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes as classifier_shape,
    )
    from skl2onnx.common.shape_calculator import (
        calculate_linear_regressor_output_shapes as regressor_shape,
    )

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(
        xgboost.XGBClassifier, "XgboostXGBClassifier", classifier_shape, convert_xgboost, options=options)
    update_registered_converter(
        xgboost.XGBRegressor, "XgboostXGBRegressor", regressor_shape, convert_xgboost)
    update_registered_converter(
        lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", classifier_shape, convert_lightgbm, options=options)
    update_registered_converter(
        lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", regressor_shape, convert_lightgbm,
        options={"split": None})


def converted(model: Any, inputs: list[Input]) -> onnx.ModelProto:
    types = [(value.name, value.onnx_type()) for value in inputs]
    family = type(model).__module__.split(".")[0]
    # onnxmltools knows only types of its own.
    boosted = [("X", BoosterFloats([None, value.columns])) for value in inputs]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if family == "xgboost":
                return onnxmltools.convert_xgboost(model, initial_types=boosted, target_opset=15)
            if family == "lightgbm":
                return onnxmltools.convert_lightgbm(model, initial_types=boosted, target_opset=15, zipmap=False)
            register_boosters()
            return with_known_locale(converted_by_skl2onnx(model, types))
    except (MissingConverter, MissingShapeCalculator) as error:
        raise without_converter(model, error) from error
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(
            "no_converter",
            f"{type(last_step(model)).__name__} could not be converted: {type(error).__name__}: {one_line(error)}. "
            f"Convert it by yourself and import the .onnx, or use another estimator ({WITH_CONVERTER})",
        ) from error


def converted_by_skl2onnx(model: Any, types: list) -> onnx.ModelProto:
    if is_classifier(model):
        try:
            return skl2onnx.convert_sklearn(
                model, "model", types, target_opset=OPSET, options={id(last_step(model)): {"zipmap": False}})
        except NameError:
            # A classifier that knows no such option has no map among its outputs.
            return skl2onnx.convert_sklearn(model, "model", types, target_opset=OPSET)
    return skl2onnx.convert_sklearn(model, "model", types, target_opset=OPSET)


def with_known_locale(model: onnx.ModelProto) -> onnx.ModelProto:
    """Lower case without a locale that few machines have: the engine's default is en_US."""
    for node in model.graph.node:
        if node.op_type == "StringNormalizer" and all(a.name != "locale" for a in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    return model


def parts_of(model: Any):
    yield model
    if isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from parts_of(step)
    elif isinstance(model, ColumnTransformer):
        for _, inner, _ in model.transformers_:
            if not isinstance(inner, str):
                yield from parts_of(inner)
    for name in ("estimator", "estimator_", "regressor_", "best_estimator_"):
        inner = getattr(model, name, None)
        if isinstance(inner, BaseEstimator):
            yield from parts_of(inner)


def without_converter(model: Any, error: Exception) -> Refusal:
    """Says which part of the model it is."""
    text = str(error)
    named = re.search(r"for type '<class '([\w.]+)'>", text)
    full = named.group(1) if named else type(last_step(model)).__name__
    name = full.rsplit(".", 1)[-1]
    if not named:
        known = [type(part).__name__ for part in parts_of(model) if type(part).__name__ in ADVICE]
        name = known[0] if known else name
    mend = ADVICE.get(name, f"use another estimator ({WITH_CONVERTER})")
    own = "" if full.startswith(("sklearn.", "xgboost.", "lightgbm.")) or "." not in full else " (a class of your own)"
    return Refusal(
        "no_converter",
        f"{name}{own} has no converter to ONNX: {mend}, or convert it by yourself and import the .onnx",
    )


def rename_outputs(model: onnx.ModelProto, names: list[str]) -> None:
    """Gives the first outputs their public names and drops the others."""
    graph = model.graph
    del graph.output[len(names):]
    renamed = {output.name: new for output, new in zip(graph.output, names, strict=True) if output.name != new}
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    for new in list(renamed.values()):
        if new in used and new not in renamed:
            renamed[new] = new + "_inner"
    for node in graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = renamed.get(name, name)
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    for output in graph.output:
        output.name = renamed.get(output.name, output.name)


def fit_answers(
    model: onnx.ModelProto, answers: dict[str, np.ndarray]
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Gives the original's answers the datatype and the rank that the converted model's outputs have, and the
    outputs the shape that the answers have."""
    datatypes = {1: ("FP32", np.float32), 11: ("FP64", np.float64), 7: ("INT64", np.int64), 6: ("INT32", np.int32),
                 8: ("BYTES", object), 9: ("BOOL", bool)}
    names, fitted = [], {}
    for output, (name, answer) in zip(model.graph.output, answers.items(), strict=False):
        if isinstance(answer, list) or np.asarray(answer).dtype == object and np.asarray(answer).ndim > 1:
            raise Refusal("no_converter", "a model with several targets of different kinds cannot be imported: "
                          "import one model a target")
        answer = np.asarray(answer)
        tensor = output.type.tensor_type
        datatype, number = datatypes.get(tensor.elem_type, (None, None))
        if datatype is None:
            raise Refusal("no_converter", f"the converted output '{output.name}' is no tensor of a known datatype")
        names.append(datatype)
        rank = len(tensor.shape.dim)
        is_column = rank == 2 or rank == 0 and name in ("prediction", "scores")
        if answer.ndim == 1 and is_column:
            answer = answer.reshape(-1, 1)
        fitted[name] = answer.astype(str).astype(object) if datatype == "BYTES" else answer.astype(number)
        shape = tensor.shape
        del shape.dim[:]
        for position, size in enumerate(fitted[name].shape):
            dimension = shape.dim.add()
            if position == 0:
                dimension.dim_param = "batch"
            else:
                dimension.dim_value = size
    return names, fitted


# The result -------------------------------------------------------------------------------------------------


def written(name: str, datatype: str, array: np.ndarray) -> dict[str, Any]:
    flat = array.reshape(-1).tolist()
    if datatype == "BYTES":
        flat = [str(value) for value in flat]
    elif datatype in ("FP32", "FP64"):
        flat = [value if np.isfinite(value) else
                "NaN" if value != value else "Infinity" if value > 0 else "-Infinity" for value in flat]
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": flat}


def case_of(
    inputs: list[Input], rows: dict[str, np.ndarray], datatypes: list[str], answers: dict[str, np.ndarray],
    chosen: np.ndarray,
) -> dict[str, Any]:
    return {
        "inputs": [written(value.name, value.datatype, rows[value.name][chosen]) for value in inputs],
        "outputs": [written(name, datatype, answer[chosen])
                    for datatype, (name, answer) in zip(datatypes, answers.items(), strict=True)],
    }


def labels_of(model: Any, answers: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """The names of the classes, by output, where they say more than their places do."""
    classes = getattr(model, "classes_", None)
    probabilities = answers.get("probabilities")
    if classes is None or probabilities is None or np.ndim(classes) != 1:
        return {}
    names = [str(name) for name in classes]
    if probabilities.shape[1:] != (len(names),) or names == [str(place) for place in range(len(names))]:
        return {}
    return {"probabilities": names}


def is_small(case: dict[str, Any]) -> bool:
    return sum(len(tensor["data"]) for side in case.values() for tensor in side) <= GOLDEN_ELEMENTS_MAX


def one_line(error: BaseException | str) -> str:
    return " ".join(str(error).split())[:400]


def convert(source: pathlib.Path, kind: str, folder: pathlib.Path, rows_file: pathlib.Path | None) -> dict[str, Any]:
    original = read(source, kind)
    model = original.model
    inputs = inputs_of(model)
    rows = given_rows(rows_file, inputs) if rows_file else generated_rows(model, inputs)
    proto = converted(model, inputs)
    try:
        answers = answers_of(model, table_of(model, inputs, rows))
    except MemoryError:
        raise
    except Exception as error:
        raise Refusal(
            "rows", f"the original does not take the {'given' if rows_file else 'generated'} rows: "
            f"{type(error).__name__}: {one_line(error)}"
            + ("" if rows_file else "; give rows of your data by --rows FILE (.npy or .csv)")) from error
    answers = dict(list(answers.items())[: len(proto.graph.output)])
    datatypes, answers = fit_answers(proto, answers)
    rename_outputs(proto, list(answers))
    proto.producer_name = "sluice models import"
    (folder / "model.onnx").write_bytes(proto.SerializeToString(deterministic=True))
    clear = clear_rows(answers)
    cases = [case_of(inputs, rows, datatypes, answers, clear[np.linspace(0, len(clear) - 1, min(n, len(clear))).astype(int)])
             for n in dict.fromkeys(GOLDEN_ROWS)]
    return {
        "framework": original.framework,
        "converter": original.converter,
        "estimator": " > ".join(type(step).__name__ for step in chain_of(model)),
        "notes": original.notes,
        "features": feature_names(model) if len(inputs) == 1 else [],
        "labels": labels_of(model, answers),
        "rows": int(len(clear)),
        "rows_given": rows_file is not None,
        "parity": case_of(inputs, rows, datatypes, answers, clear),
        "golden": [case for case in cases if is_small(case)],
    }


def chain_of(model: Any) -> list[Any]:
    return [inner for _, step in model.steps for inner in chain_of(step)] if isinstance(model, Pipeline) else [model]


def main() -> int:
    source, kind, folder = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    rows_file = pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else None
    try:
        result = convert(source, kind, folder, rows_file)
    except Refusal as refusal:
        result = {"failure": {"kind": refusal.kind, "message": str(refusal)}}
    except MemoryError:
        result = {"failure": {"kind": "memory", "message": "the conversion ran out of memory"}}
    (folder / "result.json").write_text(json.dumps(result, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
