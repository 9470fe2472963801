"""Trees as LightGBM, XGBoost and CatBoost keep them without scikit-learn, in the form of its estimators."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import BadInput
from attar.teachers.catboost_rows import as_catboost_takes

_BINARY = ("binary", "cross_entropy", "xentropy", "binary:logistic", "binary:logitraw", "reg:logistic")
_MANY = ("multiclass", "multiclassova", "multi:softprob", "multi:softmax")
_VALUES = ("regression", "regression_l1", "regression_l2", "huber", "fair", "poisson", "quantile", "mape", "gamma")
_VALUES_TOO = ("tweedie", "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror")
_VALUES_LAST = ("reg:quantileerror", "reg:gamma", "reg:tweedie", "count:poisson")

_CATBOOST_CLASSES = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll")
_CATBOOST_LABELS = ("MultiLogloss", "MultiCrossEntropy")
_CATBOOST_ANSWERS = {
    **dict.fromkeys((*_CATBOOST_CLASSES, *_CATBOOST_LABELS), "Probability"),
    **dict.fromkeys(("Poisson", "Tweedie"), "Exponent"),
    "RMSEWithUncertainty": "RMSEWithUncertainty",
}
"""What CatBoost's estimators ask its models for, by objective; else it is the number as it is."""


def is_booster(given: object) -> bool:
    """Whether it is a bare ``Booster`` of LightGBM or XGBoost, or ``CatBoost``; no package is imported for that."""
    for name in ("lightgbm", "xgboost"):
        package = sys.modules.get(name)
        if package is not None and isinstance(given, package.Booster):
            return True
    return _is_catboost(given)


def _is_catboost(given: object) -> bool:
    """Whether it is what ``catboost.train`` gives: no ``CatBoostClassifier`` nor any other of CatBoost's estimators."""
    package = sys.modules.get("catboost")
    return package is not None and type(given) is package.CatBoost


def estimator_of_booster(
    booster: Any, columns: Sequence[str] = ()
) -> BoosterClassifier | BoosterLabels | BoosterRegressor:
    """A booster in the form of an estimator, by the objective that it was trained for.

    Args:
        booster: Of LightGBM, XGBoost or CatBoost.
        columns: What the columns of its rows are called, as LightGBM writes names in another way.

    Raises:
        BadInput: If it is neither a classifier of one target nor a regressor, as far as its objective says; or a model
            of CatBoost that is not fitted.
    """
    if _is_catboost(booster):
        if not booster.is_fitted():
            raise BadInput("The CatBoost model is not fitted. Call its fit first, or catboost.train.")
        return estimator_of_catboost(booster)
    light = type(booster).__module__.startswith("lightgbm")
    trees = _LightGbm(booster, columns) if light else _XgBoost(booster)
    if trees.objective in _BINARY:
        return BoosterClassifier(trees, 2)
    if trees.objective in _MANY:
        return BoosterClassifier(trees, trees.classes)
    if trees.objective in (*_VALUES, *_VALUES_TOO, *_VALUES_LAST):
        return BoosterRegressor(trees)
    goal = f"the objective {trees.objective!r}" if trees.objective else "an objective of its own"
    raise BadInput(
        f"The {trees.package} Booster was trained for {goal}, which gives neither probabilities nor values. Train it "
        "with an objective for classification or regression, or give an object with classes_ and predict_proba."
    )


def estimator_of_catboost(
    model: Any, data: bytes | None = None
) -> BoosterClassifier | BoosterLabels | BoosterRegressor:
    """A fitted ``catboost.CatBoost`` in the form of an estimator.

    Args:
        model: It.
        data: The bytes of the file that it was read from; None where it has none.
    """
    trees = _CatBoost(model, data)
    if trees.objective in _CATBOOST_CLASSES:
        return BoosterClassifier(trees, np.asarray(model.classes_))
    if trees.objective in _CATBOOST_LABELS:
        return BoosterLabels(trees, np.asarray(model.classes_))
    return BoosterRegressor(trees)


class Trees:
    """A booster asked about rows: a matrix, or a frame as it was trained on.

    Attributes:
        package: What it is of.
        objective: What it was trained for.
        classes: How many it tells apart, where it is a classifier of many.
        width: How many columns it reads.
        names: What they are called; None where it does not know.
        categories: Whether it knows the names in its columns, and not their codes alone.
    """

    package: str
    objective: str
    classes: int
    width: int
    names: list[str] | None = None
    categories: bool = False

    def state(self) -> bytes:
        """All that predictions depend on."""
        raise NotImplementedError

    def laid_out(self, rows: Any) -> Any:
        """Rows ``[n, columns]``, an array or a frame, in the form in which `ask` takes them."""
        if self.categories and hasattr(rows, "dtypes"):  # numbers are floats to boosters, whatever a frame has
            numbers = rows.select_dtypes(exclude=["category"]).columns
            return rows.astype(dict.fromkeys(numbers, np.float64))
        return np.asarray(rows, np.float64)

    def ask(self, matrix: Any) -> NDArray[np.float64]:
        """Probabilities or values, ``[n]`` or ``[n, classes]``."""
        raise NotImplementedError


class _LightGbm(Trees):
    package = "LightGBM"

    def __init__(self, booster: Any, columns: Sequence[str]) -> None:
        self.booster = booster
        # Such as "binary sigmoid:1"; nothing where the caller wrote the objective.
        self.objective = str(booster.dump_model(num_iteration=1).get("objective") or "").split(" ")[0]
        self.classes = int(booster.num_model_per_iteration())
        self.width = int(booster.num_feature())
        names = [str(one) for one in booster.feature_name()]
        if names != [f"Column_{place}" for place in range(self.width)]:
            spelt = {one.replace(" ", "_"): one for one in columns}
            self.names = [spelt.get(one, one) for one in names]
        self.categories = bool(booster.pandas_categorical)

    def state(self) -> bytes:
        return str(self.booster.model_to_string()).encode()

    def ask(self, matrix: Any) -> NDArray[np.float64]:
        return np.asarray(self.booster.predict(matrix), np.float64)


class _XgBoost(Trees):
    package = "XGBoost"

    def __init__(self, booster: Any) -> None:
        self.booster = booster
        learner = json.loads(booster.save_config())["learner"]
        self.objective = str(learner["objective"]["name"])
        self.classes = int(learner["learner_model_param"]["num_class"])
        self.width = int(booster.num_features())
        self.names = booster.feature_names
        known = booster.get_categories(export_to_arrow=True).to_arrow() if hasattr(booster, "get_categories") else []
        self.categories = any(names is not None for _, names in known)

    def state(self) -> bytes:
        return bytes(self.booster.save_raw("ubj"))

    def ask(self, matrix: Any) -> NDArray[np.float64]:
        import xgboost

        given: dict[str, Any] = {}
        if not (self.categories and hasattr(matrix, "dtypes")):
            given = {"feature_names": self.names, "feature_types": self.booster.feature_types}
        rows = xgboost.DMatrix(matrix, enable_categorical=True, **given)
        best = self.booster.attr("best_iteration")
        trees = (0, 0) if best is None else (0, int(best) + 1)
        # The margins, where the objective gives no probabilities: the class alone, or the log-odds.
        margin = self.objective in ("multi:softmax", "binary:logitraw")
        numbers = np.asarray(self.booster.predict(rows, output_margin=margin, iteration_range=trees), np.float64)
        if not margin:
            return numbers
        if numbers.ndim == 1:
            return 1 / (1 + np.exp(-numbers))
        powers = np.exp(numbers - numbers.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


class _CatBoost(Trees):
    """A model of CatBoost, known by the bytes of its file."""

    package = "CatBoost"
    categories = True

    def __init__(self, model: Any, data: bytes | None = None) -> None:
        """Take a fitted model.

        Args:
            model: A ``catboost.CatBoost``.
            data: The bytes of its file; None where it has none.
        """
        self.model, self.data = model, data
        self.objective = str(model.get_all_params().get("loss_function", "")).partition(":")[0]
        self.names = [str(one) for one in model.feature_names_]
        self.width = len(self.names)
        if self.names == [str(place) for place in range(self.width)]:
            self.names = None

    def state(self) -> bytes:
        if self.data is None:
            with tempfile.TemporaryDirectory() as folder:
                self.model.save_model(str(Path(folder) / "model.cbm"))
                self.data = (Path(folder) / "model.cbm").read_bytes()
        return self.data

    def laid_out(self, rows: Any) -> Any:
        return as_catboost_takes(rows, self.model.get_cat_feature_indices())

    def ask(self, matrix: Any) -> NDArray[np.float64]:
        answer = _CATBOOST_ANSWERS.get(self.objective, "RawFormulaVal")
        return np.asarray(self.model.predict(matrix, prediction_type=answer), np.float64)


def _read_again(package: str, model: bytes) -> _Booster:
    """The estimator of a booster whose state was kept."""
    if package == "LightGBM":
        import lightgbm

        return estimator_of_booster(lightgbm.Booster(model_str=model.decode()))
    if package == "XGBoost":
        import xgboost

        return estimator_of_booster(xgboost.Booster(model_file=bytearray(model)))
    import catboost

    return estimator_of_catboost(catboost.CatBoost().load_model(blob=model), model)


class _Booster:
    """What both kinds of boosters share; what they hold is the text or bytes that the package would write."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.n_features_in_ = trees.width
        if trees.names is not None:
            self.feature_names_in_ = np.array(trees.names, object)

    def __getstate__(self) -> dict[str, Any]:
        return {"package": self.trees.package, "model": self.trees.state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read the model again, as unpickling and copying do."""
        self.__dict__.update(vars(_read_again(state["package"], state["model"])))

    def _asked(self, rows: Any) -> NDArray[np.float64]:
        return self.trees.ask(self.trees.laid_out(rows))

    def __repr__(self) -> str:
        return f"{self.trees.package} Booster ({self.trees.objective})"


class BoosterClassifier(_Booster):
    """A booster trained to tell classes apart; its classes are the numbers from 0 on, where it has no names for them.

    Attributes:
        classes_: ``[classes]``.
    """

    def __init__(self, trees: Trees, classes: int | NDArray[Any]) -> None:
        """Take its predictions for probabilities.

        Args:
            trees: The booster.
            classes: How many classes it was trained on, or which.
        """
        super().__init__(trees)
        self.classes_ = np.arange(classes) if isinstance(classes, int) else classes

    def predict_proba(self, matrix: Any) -> NDArray[np.float64]:
        """Probabilities ``[n, classes]`` of rows ``[n, columns]``, an array or a frame."""
        numbers = self._asked(matrix)
        numbers = np.stack([1 - numbers, numbers], axis=1) if numbers.ndim == 1 else numbers
        # The classes of one against the rest do not sum to 1.
        return np.asarray(numbers / numbers.sum(axis=1, keepdims=True), np.float64)


class BoosterLabels(_Booster):
    """A booster trained for several labels, any of which may hold.

    Attributes:
        classes_: ``[labels]``, what they are called.
    """

    multilabel_ = True

    def __init__(self, trees: Trees, classes: NDArray[Any]) -> None:
        """Take its predictions for a probability of each.

        Args:
            trees: The booster.
            classes: What the labels are called.
        """
        super().__init__(trees)
        self.classes_ = classes

    def predict_proba(self, matrix: Any) -> NDArray[np.float64]:
        """The probability of each label, ``[n, labels]``, of rows ``[n, columns]``, an array or a frame."""
        return self._asked(matrix)

    def predict(self, matrix: Any) -> NDArray[np.int64]:
        """1 where a label is probable, ``[n, labels]``."""
        return (self._asked(matrix) > 0.5).astype(np.int64)


class BoosterRegressor(_Booster):
    """A booster trained to predict values."""

    def predict(self, matrix: Any) -> NDArray[np.float64]:
        """Values ``[n]`` of rows ``[n, columns]``, an array or a frame."""
        return self._asked(matrix)
