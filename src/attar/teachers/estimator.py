"""Teachers that are estimators as scikit-learn has them: anything fitted that has ``predict_proba`` or ``predict``.

An estimator is used as it was handed over, and asked in the form that it was fitted on: a matrix, or a table with
column names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import BadInput, Words, must, shown
from attar.tables.columns import Columns
from attar.teachers.estimator_rows import EstimatorRows, are_of_several, can, classes_in, fingerprint_of, name_of

_ROUNDED = 1e-2
"""How far the sum of probabilities may be from 1: they may have been rounded, or be float16."""

_ONE_AGAINST_REST = {"multiclassova", "multiclass_ova", "ova", "ovr", "MultiClassOneVsAll"}
"""Objectives of LightGBM and of CatBoost whose probabilities do not sum to 1; as those of their files they are divided
by their sum, as scikit-learn's `OneVsRestClassifier` does it."""

_SMALLEST = 1e-7
"""Probabilities below this count as this: a tree that says 0 has seen few rows, and the log of 0 helps nobody."""


class EstimatorTeacher:
    """A fitted classifier with ``predict_proba`` as a teacher; its logits are logs of probabilities.

    A two-class estimator that has only ``decision_function`` is taken as well; its margin then counts as the log-odds
    of the second class (which only calibration can make true).

    Attributes:
        estimator: The estimator, as it was handed over.
        columns: What the columns of the inputs are; None for plain numbers.
        decode: Whether categories come back from their codes.
        classes: How many classes it tells apart.
        names: The estimator's own classes, in the order of the logits.

    Example:
        >>> from sklearn.naive_bayes import GaussianNB
        >>> estimator = GaussianNB().fit([[0.0], [0.1], [2.0], [2.1]], ["no", "no", "yes", "yes"])
        >>> teacher = EstimatorTeacher(estimator, classes=["yes", "no"])
        >>> teacher.predict(torch.tensor([[0.0]])).argmax(1)
        tensor([1])
    """

    def __init__(
        self,
        estimator: object,
        *,
        columns: Columns | None = None,
        classes: Sequence[object] | int | None = None,
        decode: bool = True,
    ) -> None:
        """Make a fitted classifier a teacher.

        Args:
            estimator: Has ``classes_`` (or ``class_labels``), and ``predict_proba`` or (two classes only)
                ``decision_function``.
            columns: What the columns of the inputs are. With them, categories come back from their codes, unless
                ``decode`` is off. None gives the estimator the numbers as they are; inputs of more than two
                dimensions are laid out flat, one row per example.
            classes: The data's classes in the data's order; the estimator's are brought into this order, and must be
                the same ones. A number n stands for the class numbers 0 to n - 1. None keeps the estimator's order.
            decode: False where the estimator was fitted on codes rather than categories.

        Raises:
            BadInput: If the estimator is not fitted, gives no probabilities, or has other classes than the data.
        """
        self.estimator = estimator
        self.columns = columns
        self.decode = decode
        self._rows = EstimatorRows(estimator, columns, decode, repr(self))
        known: Any = classes_in(estimator)
        if known is None or are_of_several(known):
            got = Words("no classes_" if known is None else "classes_ of several targets")
            other = "RegressorTeacher takes regressors" if known is None else "LabelsTeacher takes those of several"
            remedy = f"Give a fitted classifier of one target; {other}"
            raise must("estimator", "EstimatorTeacher", "a classifier with classes_", got, remedy)
        own = list(np.asarray(known).tolist())
        self._method = next((name for name in ("predict_proba", "decision_function") if can(estimator, name)), None)
        if self._method is None or (self._method == "decision_function" and len(own) != 2):
            rule = "one with predict_proba, or of two classes with decision_function"
            raise must("estimator", "EstimatorTeacher", rule, name_of(estimator), _remedy_for(estimator))
        self._names = own
        self._order = _order(own, classes, repr(self))
        self.names = tuple(own[position] for position in self._order)
        self.classes = len(own)
        if self.classes < 2:
            remedy = "Fit it on examples of all classes"
            raise must("classes_", repr(self), "at least two", own, remedy)

    def probabilities(self, inputs: Tensor) -> NDArray[np.float64]:
        """Probabilities ``[batch, classes]`` of ``[batch, columns]`` inputs, in the data's order, as they come.

        Raises:
            BadInput: If the inputs have another number of columns than the estimator, or it gives anything but
                probabilities ``[batch, classes]``.
        """
        outputs = self._rows.ask(str(self._method), inputs)
        if self._method == "decision_function":
            outputs = _two_classes(np.asarray(outputs, np.float64))
        given = _numbers(outputs, self._names, repr(self))
        if given.shape != (len(inputs), self.classes):
            remedy = f"Let {self._method} give a row for each that it is asked about, and in it a number for each class"
            raise must("output", repr(self), f"[{len(inputs)}, {self.classes}]", list(given.shape), remedy)
        wrong = ~((given >= -1e-6) & (given <= 1 + 1e-6)).all(axis=1)
        wrong |= ~(given.sum(axis=1) > 0)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            remedy = "Check that it was fitted on rows like these"
            raise must("output", repr(self), f"probabilities, also for row {row}", given[row].tolist(), remedy)
        apart = np.abs(given.sum(axis=1) - 1)
        if (apart > _ROUNDED).any() and self._is_one_against_rest():
            given = given / given.sum(axis=1, keepdims=True)
        elif (apart > _ROUNDED).any():
            row = int(apart.argmax())
            rule = f"probabilities that sum to 1, also for row {row}"
            got = Words(f"{shown(given[row].tolist(), 60)}, which sum to {given[row].sum():.4g}")
            remedy = 'Divide them by their sum, or set data.task = "multilabel" if several classes may hold'
            raise must("output", repr(self), rule, got, remedy)
        return given[:, self._order]

    def _is_one_against_rest(self) -> bool:
        """Whether it says that each class was told apart from all others, as LightGBM and CatBoost can do it."""
        last = self.estimator
        while steps := getattr(last, "steps", None):  # of a pipeline
            last = steps[-1][1]
        get = getattr(last, "get_params", None)
        known: dict[str, Any] = get() if callable(get) else {}
        goals = {str(known.get(name)).partition(":")[0] for name in ("objective", "loss_function")}
        return bool(goals & _ONE_AGAINST_REST)

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes"]:
        """Logs of probabilities of ``[batch, columns]`` inputs, on the device of the inputs.

        Probabilities below 1e-7 are raised to it, and all are scaled to sum to 1.

        Raises:
            BadInput: As `probabilities`.
        """
        return logs(self.probabilities(inputs)).to(inputs.device)

    def fingerprint(self) -> str:
        """SHA-256 over everything that the estimator holds, the columns and the order of the classes."""
        return fingerprint_of("estimator", self._rows, self._order)

    def __repr__(self) -> str:
        return f"EstimatorTeacher({name_of(self.estimator)})"


class RegressorTeacher:
    """A fitted regressor as a teacher; its "logits" are the values that it predicts.

    Attributes:
        estimator: The regressor, as it was handed over.
        columns: What the columns of the inputs are; None for plain numbers.
        classes: How many numbers it predicts for each row: the size of its output, as with any other teacher.
        origin: ``[outputs]``, what is taken off what it predicts; None for nothing.
    """

    def __init__(
        self,
        estimator: object,
        *,
        columns: Columns | None = None,
        outputs: int = 1,
        decode: bool = True,
        origin: NDArray[np.float64] | None = None,
    ) -> None:
        """Make a fitted regressor a teacher.

        Args:
            estimator: Has ``predict``, which gives ``[batch]`` or ``[batch, outputs]`` numbers.
            columns: As for `EstimatorTeacher`.
            outputs: How many numbers it predicts for each row.
            decode: False where the estimator was fitted on codes rather than categories.
            origin: ``[outputs]``, what is taken off its values before they are rounded to float32, which tells large
                numbers that differ by little not apart. None for nothing.

        Raises:
            BadInput: If the estimator is not fitted or has no ``predict``, or ``outputs`` is below 1.
        """
        self.estimator = estimator
        self.columns = columns
        self._rows = EstimatorRows(estimator, columns, decode, repr(self))
        if not can(estimator, "predict"):
            raise must(
                "estimator", "RegressorTeacher", "one with predict", name_of(estimator), "Give a fitted regressor"
            )
        if outputs < 1:
            raise must("outputs", "RegressorTeacher", "at least 1", outputs, "Count the numbers it predicts for a row")
        self.classes, self.origin = outputs, origin

    @property
    def target(self) -> Literal["values"]:
        """What `predict` gives."""
        return "values"

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch outputs"]:
        """Values of ``[batch, columns]`` inputs, on the device of the inputs.

        Raises:
            BadInput: If the inputs have another number of columns than the estimator, or it gives anything but finite
                numbers ``[batch, outputs]``.
        """
        given = _numeric(np.asarray(self._rows.ask("predict", inputs)))
        values = given.reshape(-1, 1) if given.ndim == 1 else given
        if values.shape != (len(inputs), self.classes) or values.dtype.kind not in "fiub":
            got = Words(f"{values.dtype} {list(given.shape)}")
            remedy = "Pass outputs=, the number of values it predicts; EstimatorTeacher takes classifiers"
            raise must("output", repr(self), f"numbers [{len(inputs)}, {self.classes}]", got, remedy)
        with np.errstate(over="ignore"):
            single = (values if self.origin is None else values - self.origin).astype(np.float32)
        wrong = ~np.isfinite(single).all(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            rule, remedy = f"finite, also for row {row}, in float32", "Check that it was fitted on rows like these"
            raise must("output", repr(self), rule, values[row].tolist(), remedy)
        return torch.from_numpy(single).to(inputs.device)

    def fingerprint(self) -> str:
        """SHA-256 over everything that the estimator holds, and the columns."""
        origin = () if self.origin is None else self.origin.tolist()
        return fingerprint_of("regressor", self._rows, [self.classes, *origin])

    def __repr__(self) -> str:
        return f"RegressorTeacher({name_of(self.estimator)})"


def _numeric(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers that came as objects as numbers; anything else as it is."""
    try:
        return values.astype(np.float64) if values.dtype == object else values
    except (TypeError, ValueError):
        return values


def _numbers(outputs: Any, names: Sequence[object], teacher: str) -> NDArray[np.float64]:
    """What an estimator gave as numbers; columns of a frame that are called as its classes in their order.

    Raises:
        BadInput: If it gave anything but numbers.
    """
    called = [str(one) for one in getattr(outputs, "columns", ())]
    wanted = [str(one) for one in names]
    if called != wanted and len(set(called)) == len(called) and set(called) == set(wanted):
        outputs = np.asarray(outputs)[:, [called.index(one) for one in wanted]]
    try:
        return np.asarray(outputs, np.float64)
    except (TypeError, ValueError) as error:
        few = np.asarray(outputs, object).reshape(-1)[:3].tolist()
        remedy = "Let predict_proba return probabilities [rows, classes], not the classes themselves"
        raise must("output", teacher, "numbers", few, remedy) from error


def _order(own: list[object], classes: Sequence[object] | int | None, teacher: str) -> list[int]:
    """Where each of the data's classes stands among the estimator's."""
    if classes is None:
        return list(range(len(own)))
    wanted = list(range(classes)) if isinstance(classes, int) else list(classes)
    # Data often names its classes in words where the estimator saw numbers: "3" is 3.
    for spelling in (lambda value: value, str, _as_text):
        theirs, ours = [spelling(value) for value in own], [spelling(value) for value in wanted]
        if len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs) and set(ours) == set(theirs):
            return [theirs.index(value) for value in ours]
    only, lacking = [value for value in own if value not in wanted], [value for value in wanted if value not in own]
    raise BadInput(
        f"classes of {teacher} must be the data's; the estimator has {shown(only, 80)} besides, and lacks "
        f"{shown(lacking, 80)}. Fit it on these classes. If it was fitted on their numbers, say which is which: in a "
        f'recipe by teacher.classes, such as ["no", "yes"], in Python by classes={len(own)}.'
    )


def _as_text(value: object) -> str:
    """A class as files name it: 1.0 is 1."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def logs(probabilities: NDArray[np.float64]) -> Tensor:
    """Float32 logs of ``[batch, classes]`` probabilities, kept from 0 and scaled to sum to 1."""
    clipped = np.maximum(probabilities, _SMALLEST)
    return torch.from_numpy(np.log(clipped / clipped.sum(axis=1, keepdims=True)).astype(np.float32))


def _two_classes(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of two classes, ``[batch, 2]``, from the log-odds of the second."""
    second = 1 / (1 + np.exp(-np.clip(margins.reshape(-1), -700, 700)))
    return np.stack([1 - second, second], axis=1)


def _remedy_for(estimator: object) -> str:
    if can(estimator, "decision_function"):
        return "Wrap it in CalibratedClassifierCV, which gives it predict_proba"
    if can(estimator, "predict"):
        return "RegressorTeacher takes estimators that only predict values"
    return "Give an estimator that was fitted for classification"
