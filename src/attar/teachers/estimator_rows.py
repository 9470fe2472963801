"""How one estimator is asked: in the form that it was fitted on, a matrix or a table with column names."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import Words, must, shown
from attar.tables.columns import Columns
from attar.tables.names import by_place
from attar.teachers.catboost_rows import as_catboost_takes
from attar.teachers.digest import digest


class EstimatorRows:
    """How rows must look for one estimator: as a matrix or as a table, with categories or with codes."""

    def __init__(self, estimator: object, columns: Columns | None, decode: bool, teacher: str) -> None:
        """Find out what an estimator was fitted on.

        Raises:
            BadInput: If it is not fitted, or on other columns than these.
        """
        _check_fitted(estimator, teacher)
        self.estimator, self.columns, self.teacher = estimator, columns, teacher
        self.decoded = decode and columns is not None
        fitted_on = _names_in(estimator)
        # Names were seen if the estimator says so. Where pandas is missing, nothing that needs them can be here.
        self.names = None if fitted_on is None or not _has_pandas() else [str(name) for name in fitted_on]
        self.by_name = False
        width = getattr(estimator, "n_features_in_", None)
        if columns is None:
            self.width = None if width is None else int(width)
            return
        self.width = len(columns)
        # Columns of a matrix are called by their places; there, place is what counts.
        nameless = list(columns.names) == by_place(len(columns))
        if self.names is not None and not nameless:
            missing, more = sorted({*self.names} - {*columns.names}), sorted({*columns.names} - {*self.names})
            if missing or more:
                found = ((more, "beside them"), (missing, "not among them"))
                got = Words(", ".join(f"{shown(names, 60)} {where}" for names, where in found if names))
                remedy = "Give the columns that the estimator was fitted on"
                if not missing:
                    remedy = f"Leave out the others; in a recipe, data.ignore = {json.dumps(more, ensure_ascii=False)}"
                raise must("columns", teacher, "those that the estimator was fitted on", got, remedy)
            self.by_name = True
        elif width is not None and int(width) != self.width:
            remedy = "Give the columns that the estimator was fitted on"
            raise must("columns", teacher, f"{int(width)} of them", self.width, remedy)

    def ask(self, method: str, inputs: Tensor) -> Any:
        """What a method of the estimator says about ``[batch, columns]`` inputs.

        Raises:
            BadInput: If the inputs have another number of columns.
        """
        flat = self.columns is None and inputs.dim() > 2
        matrix = np.ascontiguousarray(inputs.detach().cpu().numpy(), np.float64)
        matrix = matrix.reshape(len(matrix), -1) if flat and len(matrix) else matrix
        if matrix.ndim != 2 or self.width not in (None, matrix.shape[1]):
            rule = f"[batch, {self.width if self.width is not None else 'columns'}]"
            remedy = "Give the rows as the estimator was fitted on them"
            raise must("inputs", self.teacher, rule, list(inputs.shape), remedy)
        try:
            return getattr(self.estimator, method)(self._laid_out(matrix))
        except Exception as error:
            error.add_note(
                f"{self.teacher} was asked about {len(matrix):,} rows; rows_at_once asks about fewer at once."
            )
            raise

    def _laid_out(self, matrix: NDArray[np.float64]) -> Any:
        """The rows in the form that the estimator was fitted on."""
        if self.columns is not None and self.decoded:
            rows = self.columns.decode(matrix, like="numpy" if self.names is None else "pandas")
        elif self.names is not None:
            import pandas as pd

            rows = pd.DataFrame(matrix, columns=self.names if self.columns is None else list(self.columns.names))
        else:
            return matrix
        if self.names is not None:
            rows = rows[self.names] if self.by_name else rows.set_axis(self.names, axis=1)
        names: Any = getattr(self.estimator, "get_cat_feature_indices", None)  # of CatBoost
        return as_catboost_takes(rows, names()) if callable(names) else rows


def fingerprint_of(kind: str, rows: EstimatorRows, order: Sequence[int | float]) -> str:
    """SHA-256 over everything that an estimator holds, its columns and the order of its outputs.

    Args:
        kind: What kind of teacher it is.
        rows: How it is asked.
        order: Of its outputs.
    """
    columns = None if rows.columns is None else rows.columns.to_json()
    estimator: object = rows.estimator
    if callable(own := getattr(estimator, "fingerprint", None)):  # one that cannot be taken apart says it itself
        estimator = str(own())
    return digest([kind, estimator, columns, rows.decoded, list(order)])


def classes_in(estimator: object) -> object:
    """The classes of an estimator, as it or a predictor of AutoGluon names them; None where it does not."""
    known: object = getattr(estimator, "classes_", None)
    return getattr(estimator, "class_labels", None) if known is None else known


def are_of_several(classes: object) -> bool:
    """Whether classes are those of several targets at once: a list of arrays, and no plain list of names."""
    return isinstance(classes, list) and any(np.ndim(one) > 0 for one in classes)


def predicts_values(estimator: object) -> bool:
    """Whether an estimator says so though it has ``predict_proba``, as predictors of AutoGluon do."""
    return getattr(estimator, "problem_type", None) == "regression"


def _names_in(estimator: object) -> Any:
    """The names of the columns that an estimator was fitted on, as those of scikit-learn, predictors of AutoGluon and
    models of CatBoost say them; None where it was fitted on a matrix.
    """
    for name in ("feature_names_in_", "original_features", "feature_names_"):
        known: Any = getattr(estimator, name, None)
        if known is not None and not callable(known) and len(known):
            # CatBoost numbers what has no name.
            return None if [str(one) for one in known] == [str(place) for place in range(len(known))] else known
    return None


def can(estimator: object, method: str) -> bool:
    """Whether a method is there: scikit-learn takes one away that does not apply, and says so by its absence."""
    return callable(getattr(estimator, method, None))


def name_of(estimator: object) -> str:
    """What sentences call an estimator: by its class."""
    return estimator.__name__ if isinstance(estimator, type) else type(estimator).__name__


def _check_fitted(estimator: object, teacher: str) -> None:
    """Raise unless an estimator is fitted; what is no estimator of scikit-learn's kind counts as fitted."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if isinstance(estimator, type):
        raise must(
            "estimator", teacher, "a fitted estimator", Words(f"the class {estimator.__name__}"), "Make one and fit it"
        )
    if not can(estimator, "fit"):
        return
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise must("estimator", teacher, "fitted", name_of(estimator), "Call its fit first") from error
    except (AttributeError, TypeError):  # not of scikit-learn's kind, so that nothing tells whether it is fitted
        return


def _has_pandas() -> bool:
    return importlib.util.find_spec("pandas") is not None
