"""Which teachers a mimic can have, and how each is asked about a matrix of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float32, Float64
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from attar.errors import BadInput, must
from attar.tables.columns import Columns
from attar.tabular.rows import Kind, is_frame
from attar.teachers.boosters import estimator_of_booster, is_booster
from attar.teachers.estimator import EstimatorTeacher, RegressorTeacher
from attar.teachers.teacher import Teacher
from attar.training.progress import Progress

Ask = Callable[[Float64[np.ndarray, "rows columns"], Progress, str], Float32[Tensor, "rows outputs"]]
"""What a teacher says about encoded rows: logs of probabilities, or values."""

_CHUNK = 8192
"""Rows in one question: enough for a teacher to be quick, few enough for its memory."""


def tags_of(teacher: object) -> Tags | None:
    """What scikit-learn knows about the teacher; None if it is not of its kind."""
    try:
        return get_tags(teacher)
    except (AttributeError, TypeError, ValueError):
        return None


def kind_of(teacher: object) -> Kind | None:
    """Whether the teacher tells classes apart or predicts values; None if it does neither."""
    if isinstance(teacher, type):
        return None
    if is_booster(teacher):
        try:
            teacher = estimator_of_booster(teacher)
        except BadInput:  # `as_estimator` has the words for it
            return None
    if isinstance(teacher, RegressorTeacher):
        return "regressor"
    if is_attars(teacher):
        return "classifier"
    tags = tags_of(teacher)
    if tags is not None and tags.estimator_type in ("classifier", "regressor"):
        return "classifier" if tags.estimator_type == "classifier" else "regressor"
    if _can(teacher, "predict_proba"):
        return "classifier"
    return "regressor" if _can(teacher, "predict") else None


def as_estimator(teacher: object) -> object:
    """The teacher as it can be asked: a bare booster in the form of an estimator, anything else as it is.

    Raises:
        BadInput: If a booster gives neither probabilities nor values.
    """
    return estimator_of_booster(teacher) if is_booster(teacher) else teacher


def is_attars(teacher: object) -> bool:
    """Whether it is a `Teacher`, which takes tensors, and no estimator."""
    return isinstance(teacher, Teacher) and not _can(teacher, "fit")


def is_fitted(teacher: object) -> bool:
    """Whether the teacher can be asked as it is; what has no ``fit`` always can."""
    if not _can(teacher, "fit"):
        return True
    try:
        check_is_fitted(teacher)
    except (NotFittedError, TypeError):
        return False
    except AttributeError:
        return True  # not of scikit-learn's kind, and nobody else says whether it is fitted
    return True


def refuse_without_probabilities(teacher: object, classes: int | None) -> None:
    """Refuse a classifier that says classes alone, before time is spent on fitting it.

    Raises:
        BadInput: If it has no ``predict_proba`` nor, for two classes, ``decision_function``.
    """
    if is_attars(teacher) or _can(teacher, "predict_proba"):
        return
    if _can(teacher, "decision_function") and classes in (None, 2):
        return
    rule = "a classifier with predict_proba, or of two classes with decision_function"
    remedy = "Wrap it in CalibratedClassifierCV, which gives it predict_proba"
    raise must("teacher", "Mimic", rule, type(teacher).__name__, remedy)


def classes_of(teacher: Any) -> npt.NDArray[Any] | None:
    """The classes of a fitted classifier, sorted; None where it does not name them.

    Raises:
        BadInput: If there are fewer than two, or it predicts several targets at once.
    """
    if is_attars(teacher):
        return np.unique(np.asarray(teacher.names)) if isinstance(teacher, EstimatorTeacher) else None
    named = getattr(teacher, "classes_", None)
    if named is None or isinstance(named, list):
        got = "no classes_" if named is None else "classes_ of several targets"
        raise must("teacher", "Mimic", "a classifier of one target with classes_", got, "Give a fitted classifier")
    classes: npt.NDArray[Any] = np.unique(np.asarray(named))
    if len(classes) < 2:
        rule = "a classifier of at least two classes"
        raise must("teacher", "Mimic", rule, f"1 class: {classes.tolist()}", "Fit it on rows of all classes")
    return classes


def asking(teacher: Any, kind: Kind, columns: Columns, like: Any, classes: npt.NDArray[Any] | None) -> Ask:
    """The teacher as a function of encoded rows.

    Args:
        teacher: Fitted.
        kind: What it is.
        columns: How the rows are encoded.
        like: A row or more in the form in which estimators get them back.
        classes: In the order of the outputs; None for a regressor, or where the teacher does not name them.

    Raises:
        BadInput: If the teacher is not fitted, has other columns or classes, or gives no probabilities.
    """
    found: Teacher
    if is_attars(teacher):
        found = _ordered(teacher, classes)
    else:
        asked = _InForm(teacher, columns, like) if is_frame(like) else teacher
        kept = None if is_frame(like) else columns
        if kind == "regressor":
            found = RegressorTeacher(asked, columns=kept, outputs=_outputs(asked, columns, kept, like))
        else:
            found = EstimatorTeacher(asked, columns=kept, classes=None if classes is None else classes.tolist())

    def ask(matrix: Float64[np.ndarray, "rows columns"], progress: Progress, title: str) -> Tensor:
        said = []
        with progress(title, len(matrix)) as advance:
            for start in range(0, len(matrix), _CHUNK):
                part = torch.from_numpy(matrix[start : start + _CHUNK].astype(np.float32))
                said.append(found.predict(part).to(torch.float32))
                advance(len(part))
        return torch.cat(said)

    return ask


def _ordered(teacher: Teacher, classes: npt.NDArray[Any] | None) -> Teacher:
    """A teacher of tensors, once it is sure that its classes are the data's."""
    if classes is not None and teacher.classes != len(classes):
        got = f"{len(classes)} classes in y"
        raise must("teacher", "Mimic", f"of the data's classes, and it has {teacher.classes}", got, "Give rows of all")
    if isinstance(teacher, EstimatorTeacher) and classes is not None:
        return EstimatorTeacher(teacher.estimator, columns=teacher.columns, classes=classes.tolist())
    return teacher


def _outputs(asked: Any, columns: Columns, kept: Columns | None, like: Any) -> int:
    """How many values a regressor predicts for a row: it is asked about one."""
    if kept is None:
        said = asked.predict(columns.encode(like, unseen="missing")[:1])
    else:
        said = asked.predict(columns.decode(columns.encode(like, unseen="missing")[:1], like=like))
    return int(np.asarray(said).reshape(1, -1).shape[1])


class _InForm:
    """An estimator that is asked about encoded rows and gets them in the form, and with the types, it was fitted on.

    It has those methods that the estimator has.
    """

    def __init__(self, estimator: Any, columns: Columns, like: Any) -> None:
        self.estimator = estimator
        self.columns = columns
        self.like = like

    def __getattr__(self, name: str) -> Any:
        if name == "classes_":
            return self.estimator.classes_
        if name not in ("predict", "predict_proba", "decision_function"):
            raise AttributeError(name)
        method = getattr(self.estimator, name)
        return lambda matrix: method(self.columns.decode(matrix, like=self.like))

    def __repr__(self) -> str:
        return f"{type(self.estimator).__name__} in its own form"


def refuse_unfitted(teacher: object) -> BadInput:
    """The error for a teacher that is not fitted and cannot be, for want of labels."""
    return BadInput(
        f"teacher of Mimic must be fitted where y is not given; got {type(teacher).__name__}, which is not. This Mimic "
        "estimator requires y to be passed, but the target y is None. Fit the teacher first, or pass y."
    )


def _can(teacher: object, method: str) -> bool:
    return callable(getattr(teacher, method, None))
