"""Which teachers a mimic can have, and how each of them becomes one of Attar's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from attar.errors import BadInput, Words, must, shown
from attar.estimators.rows import Kind, head, is_frame
from attar.tables.columns import Columns
from attar.teachers.boosters import estimator_of_booster, is_booster
from attar.teachers.estimator import EstimatorTeacher, RegressorTeacher
from attar.teachers.estimator_rows import classes_in, predicts_values
from attar.teachers.in_blocks import InBlocks
from attar.teachers.labels import LabelsTeacher, gives_labels
from attar.teachers.model_file import FILES, refused_file
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.teacher import Teacher, target_of
from attar.teachers.unfitted_copy import unfitted_copy
from attar.teachers.weighted_fit import weight_argument


def tags_of(teacher: object) -> Tags | None:
    """What scikit-learn knows about the teacher; None if it is not of its kind."""
    try:
        return get_tags(teacher)
    except (AttributeError, TypeError, ValueError):
        return None


def kind_of(teacher: object) -> Kind | None:
    """Whether the teacher tells classes apart or predicts values; None if it does neither.

    A classifier of several labels is a classifier too, until `kind_when_fitted` knows: most can be fitted on either.
    """
    if isinstance(teacher, type):
        return None
    if is_booster(teacher):
        try:
            teacher = estimator_of_booster(teacher)
        except BadInput:  # `as_estimator` explains why
            return None
    if isinstance(teacher, Teacher) and is_attars(teacher):
        return "regressor" if target_of(teacher) == "values" else "classifier"
    tags = tags_of(teacher)
    if tags is not None and tags.estimator_type is not None:  # numbers of clusters and of outliers are no values
        kinds: dict[str, Kind] = {"classifier": "classifier", "regressor": "regressor"}
        return kinds.get(tags.estimator_type)
    if _has(teacher, "predict_proba") and not predicts_values(teacher):
        return "classifier"
    return "regressor" if _has(teacher, "predict") else None


def as_estimator(teacher: object) -> object:
    """The teacher as it is called: a bare booster in the form of an estimator, anything else as it is.

    Raises:
        BadInput: If a booster gives neither probabilities nor values.
    """
    return estimator_of_booster(teacher) if is_booster(teacher) else teacher


def is_attars(teacher: object) -> bool:
    """Whether it is a `Teacher`, which takes tensors, and no estimator."""
    return isinstance(teacher, Teacher) and not _has(teacher, "fit")


def is_fitted(teacher: object) -> bool:
    """Whether the teacher can predict as it is; what has no ``fit`` always can."""
    if not _has(teacher, "fit"):
        return True
    try:
        check_is_fitted(teacher)
    except (NotFittedError, TypeError):
        return False
    except AttributeError:
        return True  # not of scikit-learn's kind, so that nothing tells whether it is fitted
    return True


def fitted(teacher: Any, rows: Any, truth: Any, weights: Any) -> Any:
    """An unfitted copy of the teacher, fitted.

    Args:
        teacher: Not fitted.
        rows: As they came.
        truth: Labels or values.
        weights: ``[rows]``, what each row counts, in the unit in which they came; None for 1.

    Raises:
        BadInput: If it takes no weights, and there are some.
    """
    if hasattr(rows, "iloc"):  # a step of a pipeline may add columns to what it is given, and these are the user's
        rows = rows.copy(deep=False)
    if weights is None:
        return unfitted_copy(teacher).fit(rows, truth)
    name = weight_argument(teacher, "The teacher of Mimic", "sample_weight")
    return unfitted_copy(teacher).fit(rows, truth, **{name: np.asarray(weights, np.float64)})


def refuse_without_probabilities(teacher: object, classes: int | None) -> None:
    """Refuse a classifier that gives class names alone, before time is spent on fitting it.

    One that is made of others may know only when it is fitted what it gives, as a stack does: then it is asked again.

    Args:
        teacher: Fitted, or to be.
        classes: How many there are; None if that is not known.

    Raises:
        BadInput: If it has no ``predict_proba`` nor, for two classes, ``decision_function``.
    """
    if is_attars(teacher) or _has(teacher, "predict_proba"):
        return
    if _has(teacher, "decision_function") and classes in (None, 2):
        return
    if not is_fitted(teacher) and _is_of_others(teacher):
        return
    raise BadInput(
        f"The teacher of Mimic, a {type(teacher).__name__}, gives no probabilities: it has neither predict_proba nor, "
        "for two classes, decision_function. Wrap it in CalibratedClassifierCV, which gives it predict_proba."
    )


def _is_of_others(teacher: Any) -> bool:
    """Whether a scikit-learn estimator, or the last step of a pipeline, is made of other estimators."""
    while isinstance(teacher, Pipeline):
        teacher = teacher.steps[-1][1]
    get = getattr(teacher, "get_params", None)
    return get is not None and any(_has(one, "fit") for one in get(deep=True).values())


def classes_of(teacher: Any) -> npt.NDArray[Any] | None:
    """The classes of a fitted classifier, sorted; None for one of Attar's teachers that does not name them.

    Raises:
        BadInput: If there are fewer than two, or an estimator does not name them.
    """
    if is_attars(teacher):
        return np.unique(np.asarray(teacher.names)) if isinstance(teacher, EstimatorTeacher) else None
    named: Any = classes_in(teacher)
    if named is None:
        raise BadInput(
            f"The teacher of Mimic, a {type(teacher).__name__}, has no classes_. Give a fitted classifier, which has "
            "them."
        )
    classes: npt.NDArray[Any] = np.unique(np.asarray(named))
    if len(classes) < 2:
        raise BadInput(
            f"The teacher of Mimic knows one class only, {shown(classes.tolist()[0])}. Fit it on rows of all classes."
        )
    return classes


def wrapped(
    teacher: Any,
    kind: Kind,
    columns: Columns,
    like: Any,
    classes: npt.NDArray[Any] | None,
    rows_at_once: int | None = None,
    origin: npt.NDArray[np.float64] | None = None,
) -> Teacher:
    """The teacher as one that takes encoded rows.

    Args:
        teacher: Fitted.
        kind: What it is.
        columns: How the rows are encoded.
        like: A row or more in the form in which estimators get them back.
        classes: In the order of the outputs; None for a regressor, or where the teacher does not name them.
        rows_at_once: About how many it is asked at once, at most; None for any number.
        origin: ``[outputs]``, what is taken off the values of a regressor, as `attar.estimators.origin` says it.

    Raises:
        BadInput: If the teacher is not fitted, has other columns or classes, or gives no probabilities.
    """
    asked = _of_encoded(teacher, kind, columns, like, classes, origin)
    return asked if rows_at_once is None else InBlocks(asked, rows_at_once)


def _of_encoded(
    teacher: Any,
    kind: Kind,
    columns: Columns,
    like: Any,
    classes: npt.NDArray[Any] | None,
    origin: npt.NDArray[np.float64] | None,
) -> Teacher:
    """What `wrapped` gives for any number of rows."""
    if isinstance(teacher, EstimatorTeacher) and teacher.columns is None and teacher.decode and is_frame(like):
        teacher = teacher.estimator  # it knows no codes, and frames by the names of their columns
    if is_attars(teacher):
        return _ordered(teacher, classes, columns)
    estimator = DecodingEstimator(teacher, columns, like) if is_frame(like) else teacher
    decoded_by = None if is_frame(like) else columns
    if kind == "regressor":
        outputs = np.asarray(predicted(teacher, columns, head(like))).reshape(1, -1).shape[1]
        return RegressorTeacher(estimator, columns=decoded_by, outputs=outputs, origin=origin)
    if kind == "labels":
        labels = int(predicted(teacher, columns, head(like)).shape[1]) if _has(teacher, "predict") else None
        return LabelsTeacher(estimator, columns=decoded_by, labels=labels)
    return EstimatorTeacher(estimator, columns=decoded_by, classes=None if classes is None else classes.tolist())


def _ordered(teacher: Teacher, classes: npt.NDArray[Any] | None, columns: Columns) -> Teacher:
    """A teacher of tensors, once its classes are known to be the data's; of an ONNX file one of their columns."""
    if classes is not None and teacher.classes != len(classes):
        raise BadInput(
            f"The teacher of Mimic has {teacher.classes} classes, and y has {len(classes)}. Give rows of all of its "
            "classes."
        )
    if isinstance(teacher, EstimatorTeacher) and classes is not None:
        form: dict[str, Any] = {"columns": teacher.columns, "decode": teacher.decode}
        return EstimatorTeacher(teacher.estimator, **form, classes=classes.tolist())
    return teacher.of_columns(columns) if isinstance(teacher, OnnxTeacher) else teacher


def kind_when_fitted(teacher: Any, kind: Kind, columns: Columns, like: Any) -> Kind:
    """What a fitted teacher is: a classifier that predicts several columns of 1 and 0 tells labels.

    Args:
        teacher: Fitted.
        kind: What `kind_of` found.
        columns: How rows are encoded.
        like: A row in the form in which estimators get them back.
    """
    if kind != "classifier":
        return kind
    if is_attars(teacher):
        return "labels" if target_of(teacher) == "log_odds" else kind
    if gives_labels(teacher):
        return "labels"
    if not _has(teacher, "predict") or tags_of(teacher) is None:  # of one that is not of scikit-learn's kind
        return kind
    shape: tuple[int, ...] = getattr(predicted(teacher, columns, head(like)), "shape", ())
    return "labels" if len(shape) == 2 and shape[1] >= 2 else kind


def predicted(teacher: Any, columns: Columns, rows: Any) -> Any:
    """What a teacher predicts for rows in the form of the user's: an array, or a sparse matrix."""
    return teacher.predict(columns.decode(columns.encode(rows, unseen="missing"), like=rows))


def gives_one_axis(teacher: Any, columns: Columns, like: Any) -> bool:
    """Whether a regressor predicts ``[rows]``, and not ``[rows, 1]``; any other teacher, and one of Attar's, does.

    Args:
        teacher: Fitted.
        columns: How rows are encoded.
        like: A row in the form in which estimators get them back.
    """
    return kind_of(teacher) != "regressor" or is_attars(teacher) or np.ndim(predicted(teacher, columns, like)) == 1


class DecodingEstimator:
    """An estimator of encoded rows, which it gets in the form, and with the types, that it was fitted on.

    It has those methods that the estimator has.
    """

    def __init__(self, estimator: Any, columns: Columns, like: Any) -> None:
        self.estimator = estimator
        self.columns = columns
        self.like = like

    def __getattr__(self, name: str) -> Any:
        if name == "classes_":
            return classes_in(self.estimator)
        if name not in ("predict", "predict_proba", "decision_function"):
            raise AttributeError(name)
        method = getattr(self.estimator, name)
        return lambda matrix: method(self.columns.decode(matrix, like=self.like))

    def __repr__(self) -> str:
        return f"{type(self.estimator).__name__} in its own form"


def no_teacher(given: object) -> BadInput:
    """The error for what neither tells classes apart nor predicts values, with what to give in its place."""
    what, remedy = (
        shown(given),
        "Give a classifier or regressor with predict_proba or predict, or one of Attar's teachers",
    )
    if isinstance(given, type):
        remedy = f"Give an instance of this class, such as {given.__name__}()"
    elif isinstance(given, str | Path) and Path(given).suffix.lower() in (".onnx", *FILES):
        what = f"the path {what}"
        remedy = f"Give attar.as_teacher({str(given)!r}, columns=attar.Columns.infer(X)), which reads the file"
    elif isinstance(given, str | Path) and refused_file(str(given)):
        what = f"the path {what}, which is that of a pickle"
        remedy = "Give what it holds: load it with joblib, pickle or torch where you trust it"
    elif isinstance(given, nn.Module | list | tuple):
        what, remedy = f"a {type(given).__name__}", "Give attar.as_teacher of it"
    return must("teacher", "Mimic", "a classifier or a regressor", Words(what), remedy)


def not_fitted(teacher: object) -> BadInput:
    """The error for a teacher that is not fitted and cannot be, for want of labels."""
    return BadInput(
        f"The teacher of Mimic, a {type(teacher).__name__}, is not fitted, and there is no y to fit it on. This Mimic "
        "estimator requires y to be passed, but the target y is None. Fit the teacher first, or pass y."
    )


def _has(teacher: object, method: str) -> bool:
    return callable(getattr(teacher, method, None))
