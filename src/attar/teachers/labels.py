"""The teacher that is an estimator which says of several labels, any of which may hold, how probable each is."""

from __future__ import annotations

from typing import Any, Literal, TypeGuard

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import BadInput, Words, must
from attar.tables.columns import Columns
from attar.teachers.estimator_rows import EstimatorRows, can, fingerprint_of, name_of
from attar.teachers.outputs import SMALLEST


class LabelsTeacher:
    """A fitted multi-label classifier as a teacher; its "logits" are the log-odds of each label.

    It may give its probabilities in any of scikit-learn's forms: a list with ``[batch, 2]`` for each label, as forests
    and `MultiOutputClassifier` do, or ``[batch, labels]``, as `OneVsRestClassifier` and `MLPClassifier` do. Where there
    is no ``predict_proba``, the margins of a ``decision_function`` count as log-odds (which only calibration can make
    true).

    Attributes:
        estimator: The estimator, as it was handed over.
        columns: What the columns of the inputs are; None for plain numbers.
        classes: How many labels there are: the size of its output, as with any other teacher.

    Example:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> tree = DecisionTreeClassifier().fit([[0.0], [1.0]], [[1, 0], [1, 1]])
        >>> LabelsTeacher(tree).predict(torch.tensor([[0.0]])).sigmoid().round()
        tensor([[1., 0.]])
    """

    def __init__(
        self, estimator: object, *, columns: Columns | None = None, labels: int | None = None, decode: bool = True
    ) -> None:
        """Make a fitted multi-label classifier a teacher.

        Args:
            estimator: Has ``predict_proba`` or ``decision_function``.
            columns: As for `EstimatorTeacher`.
            labels: How many labels there are; None where the estimator's ``classes_`` say so.
            decode: False where the estimator was fitted on codes rather than categories.

        Raises:
            BadInput: If the estimator is not fitted, gives no probabilities, has other labels than so many, or one
                that is no question of 0 and 1.
        """
        self.estimator = estimator
        self.columns = columns
        self._rows = EstimatorRows(estimator, columns, decode, repr(self))
        self._method = next((name for name in ("predict_proba", "decision_function") if can(estimator, name)), None)
        if self._method is None:
            rule, remedy = "one with predict_proba or decision_function", "Wrap what it is made of in "
            remedy += "CalibratedClassifierCV, which gives it predict_proba"
            raise must("estimator", "LabelsTeacher", rule, name_of(estimator), remedy)
        known = getattr(estimator, "classes_", None)
        self._holds = [_holds(one, place, repr(self)) for place, one in enumerate(known)] if of_each(known) else None
        found = len(self._holds) if self._holds is not None else labels
        if found is None and known is not None:
            found = len(known)
        if found is None or found < 1 or labels not in (None, found):
            got = Words("no classes_" if found is None else f"{found} of them")
            rule = "so many as the data have" if labels is None else f"{labels}, one for each column of labels"
            raise must("labels", repr(self), rule, got, "Give an estimator that was fitted on these labels")
        self.classes: int = found

    @property
    def target(self) -> Literal["log_odds"]:
        """What `predict` gives."""
        return "log_odds"

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch labels"]:
        """Log-odds of ``[batch, columns]`` inputs, on the device of the inputs.

        Probabilities are kept 1e-7 from 0 and 1.

        Raises:
            BadInput: If the inputs have another number of columns than the estimator, or it gives anything but
                a probability for each label of each row.
        """
        given = self._rows.ask(str(self._method), inputs)
        numbers = self._of_labels(given) if isinstance(given, list) else np.asarray(given, np.float64)
        if numbers.shape != (len(inputs), self.classes):
            got, remedy = list(numbers.shape), "Give a classifier that was fitted on columns of 0 and 1"
            raise must("output", repr(self), f"[{len(inputs)}, {self.classes}], a number for each label", got, remedy)
        margins = self._method == "decision_function"
        wrong = ~(np.isfinite(numbers) if margins else (numbers >= -1e-6) & (numbers <= 1 + 1e-6)).all(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            rule = f"{'finite' if margins else 'probabilities'}, also for row {row}"
            remedy = "Check that it was fitted on rows like these"
            raise must("output", repr(self), rule, numbers[row].tolist(), remedy)
        values = torch.from_numpy(numbers)
        return (values if margins else torch.logit(values, eps=SMALLEST)).float().to(inputs.device)

    def _of_labels(self, given: list[Any]) -> NDArray[np.float64]:
        """``[batch, labels]`` probabilities of 1, from a list of one ``[batch, 2]`` a label.

        A label that never varied where it was fitted has one column, of what it always was.
        """
        holds = self._holds or [1] * len(given)
        columns = []
        for place, one in zip(holds, given, strict=False):
            probabilities = np.asarray(one, np.float64)
            columns.append(np.zeros(len(probabilities)) if place is None else probabilities[:, place])
        return np.stack(columns, axis=1) if columns else np.empty((0, 0))

    def fingerprint(self) -> str:
        """SHA-256 over everything that the estimator holds, and the columns."""
        return fingerprint_of("labels", self._rows, [self.classes])

    def __repr__(self) -> str:
        return f"LabelsTeacher({name_of(self.estimator)})"


def of_each(classes: object) -> TypeGuard[list[Any]]:
    """Whether ``classes_`` are a list with those of each of several targets."""
    return isinstance(classes, list) and all(np.ndim(one) == 1 for one in classes)


def gives_labels(estimator: object) -> bool:
    """Whether a fitted classifier says of itself that it tells several labels, any of which may hold.

    Example:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> gives_labels(DecisionTreeClassifier().fit([[0.0], [1.0]], [[1, 0], [1, 1]]))
        True
    """
    if of_each(getattr(estimator, "classes_", None)) or getattr(estimator, "multilabel_", False) is True:
        return True
    # A perceptron of scikit-learn has a softmax for classes, and one output where there are two.
    sigmoids = getattr(estimator, "out_activation_", None) == "logistic"
    outputs = getattr(estimator, "n_outputs_", 1)
    return sigmoids and isinstance(outputs, int) and outputs > 1


def _holds(classes: Any, place: int, teacher: str) -> int | None:
    """Where among its two classes the one is that says that a label holds; None where it never did.

    Raises:
        BadInput: If they are others than 0 and 1.
    """
    values = np.asarray(classes).tolist()
    if not set(values) <= {0, 1}:
        raise BadInput(
            f"{teacher} tells {len(values)} classes of its target {place} apart, {', '.join(map(repr, values))[:80]}, "
            "and a label is 0 or 1. Make each target one question, a column of 0 and 1, or have one teacher a target."
        )
    return values.index(1) if 1 in values else None
