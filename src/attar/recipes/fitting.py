"""Estimators that are fitted in the run: on the training rows alone, in the form that users fit them on."""

from __future__ import annotations

import copy
import importlib.util
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attar.data.split import Split
from attar.errors import BadInput, must
from attar.formatting import grouped, size
from attar.memory import installed
from attar.network.references import call
from attar.recipes.schema.teacher import TeacherSection
from attar.tables.names import by_place
from attar.tasks.labels import ABSENT
from attar.teachers.unfitted_copy import unfitted_copy
from attar.teachers.weighted_fit import weight_argument

_BLOCK = 4096
"""Rows that are converted at once."""

_ESTIMATOR = "teacher.estimator of the recipe"

ESTIMATOR = "estimator.skops"
"""The file of a fitted estimator in its node."""


def to_fit(section: TeacherSection, train: Split) -> Any:
    """What the recipe's function returns, to be fitted: a copy that has not seen any row.

    Raises:
        BadInput: If there is no such function, or it returns what cannot be fitted on such rows.
    """
    assert section.estimator is not None
    kind: Literal["classifier", "regressor"] = "regressor" if train.task.target == "values" else "classifier"
    fresh = unfitted(call(section.estimator), section.seed, kind)
    if train.weights is not None:
        weight_argument(fresh, _ESTIMATOR, "data.weights")
    return fresh


def unfitted(given: Any, seed: int, kind: Literal["classifier", "regressor"] = "classifier") -> Any:
    """A copy of an estimator that has not seen any row, its random states set where they are open.

    Args:
        given: The estimator.
        seed: Of the random states.
        kind: What it has to be.

    Raises:
        BadInput: If it has no ``fit``, or is of another kind as far as scikit-learn knows.
    """
    if isinstance(given, type) or not callable(getattr(given, "fit", None)):
        got = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
        remedy = "Return one, such as RandomForestClassifier(), or set fit = false for a function of another kind"
        raise must("teacher.estimator", "the recipe", "a function that returns an estimator with fit", got, remedy)
    _check_type(given, kind)
    fresh = unfitted_copy(given) if hasattr(given, "get_params") else copy.deepcopy(given)
    if hasattr(fresh, "get_params"):
        states = {
            name: seed
            for name, value in fresh.get_params(deep=True).items()
            if name.rpartition("__")[2] == "random_state" and value is None
        }
        if states:
            fresh.set_params(**states)
    return fresh


def _check_type(given: Any, wanted: str) -> None:
    """Raise unless an estimator may be of the kind that is wanted, before time is spent on fitting it."""
    from sklearn.utils import get_tags

    try:
        kind = get_tags(given).estimator_type
    except (AttributeError, TypeError, ValueError):  # not of scikit-learn's kind
        return
    if kind == wanted or (kind is None and callable(getattr(given, "predict", None))):
        return
    does = {
        "regressor": "predicts values",
        "classifier": "predicts classes",
        "clusterer": "finds clusters",
        "outlier_detector": "finds outliers",
    }
    raise BadInput(
        f"teacher.estimator of the recipe returns a {type(given).__name__}, which "
        f"{does.get(str(kind), f'is no {wanted}')}, and the data have "
        f"{'classes' if wanted == 'classifier' else 'values to predict'}. Return a {wanted}."
    )


def fit_estimator(fresh: Any, train: Split, seed: int) -> Any:
    """A copy of an unfitted estimator, fitted on the labeled rows: the same each time.

    Rows of a table are a DataFrame (where pandas is there) with categories for names and NaN where values are missing;
    other inputs are float64 ``[rows, values]``. Labels are the numbers of the classes, or 1 and 0 ``[rows, labels]`` or
    values float64 ``[rows]`` or ``[rows, values]``, where all of a row are known. Where rows have weights, these are
    its ``sample_weight``.

    Raises:
        BadInput: If it cannot be fitted on these rows.
    """
    assert train.labels is not None, "checked before anything is trained"
    values = train.task.target == "values"
    known = ~train.labels.isnan() if values else train.labels != ABSENT
    complete = known.reshape(len(known), -1).all(1)
    labeled = train if bool(complete.all()) else train.rows(complete)
    matrix = _matrix(labeled)
    rows: Any = matrix
    if labeled.columns is not None:
        frames = importlib.util.find_spec("pandas") is not None
        nameless = list(labeled.columns.names) == by_place(len(labeled.columns))
        rows = labeled.columns.decode(matrix, like="pandas" if frames and not nameless else "numpy")
    assert labeled.labels is not None
    truth: Any = labeled.labels.numpy()
    if values:  # one value is a column to nobody
        truth = truth.astype(np.float64)
        truth = truth[:, 0] if truth.shape[1] == 1 else truth
    counts: dict[str, Any] = {}
    if labeled.weights is not None:
        name = weight_argument(fresh, _ESTIMATOR, "data.weights")
        counts = {name: labeled.weights.double().numpy()}
    estimator = copy.deepcopy(fresh)
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        estimator.fit(rows, truth, **counts)
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


def _matrix(split: Split) -> NDArray[np.float64]:
    """The inputs of a split, ``[rows, values]``, converted in blocks: beside the matrix there is little.

    Raises:
        BadInput: If it would take more memory than this machine has.
    """
    values = math.prod(split.inputs.shape[1:])
    total, there = 8 * len(split) * values, installed()
    if total > there:
        raise BadInput(
            f"teacher.estimator of the recipe is fitted on float64, and {grouped(len(split))} rows of "
            f"{grouped(values)} values would take {size(total)} of memory; this machine has {size(there)}. Set "
            "data.limit, or a smaller data.size of images."
        )
    matrix = np.empty((len(split), values))
    for start in range(0, len(split), _BLOCK):
        rows = slice(start, start + _BLOCK)
        matrix[rows] = split.floats(rows).flatten(1).numpy()
    return matrix
