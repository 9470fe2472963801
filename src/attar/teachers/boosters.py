"""Trees as LightGBM, XGBoost and CatBoost keep them without scikit-learn, in the form of its estimators."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import BadInput

_BINARY = ("binary", "cross_entropy", "xentropy", "binary:logistic", "binary:logitraw", "reg:logistic")
_MANY = ("multiclass", "multiclassova", "multi:softprob", "multi:softmax")
_VALUES = ("regression", "regression_l1", "regression_l2", "huber", "fair", "poisson", "quantile", "mape", "gamma")
_VALUES_TOO = ("tweedie", "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror")
_VALUES_LAST = ("reg:quantileerror", "reg:gamma", "reg:tweedie", "count:poisson")


def is_booster(given: object) -> bool:
    """Whether it is a bare ``Booster`` of LightGBM or XGBoost; neither package is imported for that."""
    for name in ("lightgbm", "xgboost"):
        package = sys.modules.get(name)
        if package is not None and isinstance(given, package.Booster):
            return True
    return False


def estimator_of_booster(booster: Any, columns: Sequence[str] = ()) -> BoosterClassifier | BoosterRegressor:
    """A booster in the form of an estimator, by the objective that it was trained for.

    Args:
        booster: Of LightGBM or XGBoost.
        columns: What the columns of its rows are called, as LightGBM writes names in another way.

    Raises:
        BadInput: If it is neither a classifier of one target nor a regressor, as far as its objective says.
    """
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


class _Booster:
    """What both kinds of boosters share; what they hold is the text or bytes that the package would write."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.n_features_in_ = trees.width
        if trees.names is not None:
            self.feature_names_in_ = np.array(trees.names, object)

    def __getstate__(self) -> dict[str, Any]:
        return {"package": self.trees.package, "model": self.trees.state()}

    def _asked(self, rows: Any) -> NDArray[np.float64]:
        if self.trees.categories and hasattr(rows, "dtypes"):  # numbers are floats to boosters, whatever a frame has
            numbers = rows.select_dtypes(exclude=["category"]).columns
            return self.trees.ask(rows.astype(dict.fromkeys(numbers, np.float64)))
        return self.trees.ask(np.asarray(rows, np.float64))

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


class BoosterRegressor(_Booster):
    """A booster trained to predict values."""

    def predict(self, matrix: Any) -> NDArray[np.float64]:
        """Values ``[n]`` of rows ``[n, columns]``, an array or a frame."""
        return self._asked(matrix)
