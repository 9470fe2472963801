"""Estimators that are fitted in the run: on the training rows alone, in the form that users fit them on."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import numpy as np

from attar.errors import BadInput, must
from attar.tasks.labels import ABSENT
from attar.transfer.split import Split

ESTIMATOR = "estimator.skops"
"""The file of a fitted estimator in its node."""


def unfitted(given: Any, seed: int) -> Any:
    """A copy of an estimator that has not seen any row, its random states set where they are open.

    Raises:
        BadInput: If it has no ``fit``, or is no classifier as far as scikit-learn knows.
    """
    if isinstance(given, type) or not callable(getattr(given, "fit", None)):
        got = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
        remedy = "Return one, such as RandomForestClassifier(), or set fit = false for a function of another kind"
        raise must("teacher.estimator", "the recipe", "a function that returns an estimator with fit", got, remedy)
    from sklearn.base import clone  # scikit-learn takes a second, and most runs do without

    _check_type(given)
    fresh = clone(given) if hasattr(given, "get_params") else copy.deepcopy(given)
    if hasattr(fresh, "get_params"):
        states = {
            name: seed
            for name, value in fresh.get_params(deep=True).items()
            if name.rpartition("__")[2] == "random_state" and value is None
        }
        if states:
            fresh.set_params(**states)
    return fresh


def _check_type(given: Any) -> None:
    """Raise unless an estimator may be a classifier, before time is spent on fitting it."""
    from sklearn.utils import get_tags

    try:
        kind = get_tags(given).estimator_type
    except (AttributeError, TypeError, ValueError):  # not of scikit-learn's kind
        return
    if kind == "classifier" or (kind is None and callable(getattr(given, "predict", None))):
        return
    does = {"regressor": "predicts values", "clusterer": "finds clusters", "outlier_detector": "finds outliers"}
    raise BadInput(
        f"teacher.estimator of the recipe returns a {type(given).__name__}, which "
        f"{does.get(str(kind), 'is no classifier')}, and the data have classes. Return a classifier."
    )


def fit_estimator(fresh: Any, train: Split, seed: int) -> Any:
    """A copy of an unfitted estimator, fitted on the labeled rows: the same each time.

    Rows of a table are a DataFrame (where pandas is there) with categories for names and NaN where values are missing;
    other inputs are float64 ``[rows, values]``. Labels are the numbers of the classes.

    Raises:
        BadInput: If it cannot be fitted on these rows.
    """
    assert train.labels is not None, "checked before anything is trained"
    labeled = train.rows(train.labels != ABSENT)
    matrix = labeled.floats().double().flatten(1).numpy()
    rows: Any = matrix
    if labeled.columns is not None:
        frames = importlib.util.find_spec("pandas") is not None
        nameless = all(name == f"column {place}" for place, name in enumerate(labeled.columns.names))
        rows = labeled.columns.decode(matrix, like="pandas" if frames and not nameless else "numpy")
    estimator = copy.deepcopy(fresh)
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        estimator.fit(rows, labeled.labels.numpy())  # type: ignore[union-attr]
    except Exception as error:  # estimators raise whatever their libraries do
        lines = str(error).strip().splitlines()
        raise BadInput(
            f"teacher.estimator of the recipe: {type(estimator).__name__} cannot be fitted on the {len(labeled)} "
            f"training rows ({type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}). Put an encoder "
            "for names and an imputer for missing values before it, for instance in a pipeline."
        ) from error
    finally:
        np.random.set_state(before)
    return estimator
