"""Classification: each example has one class, and a network gives a logit for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.special import bdtrc, ndtri  # type: ignore[import-untyped]
from torch import Tensor

from attar.errors import must
from attar.formatting import percent, percent_interval, significant
from attar.tasks.chance import LEVEL, judged
from attar.tasks.checks import (
    check_class_numbers,
    check_comparable,
    check_every_class,
    check_integers,
    check_judged,
    check_names,
    check_shapes,
)
from attar.tasks.intervals import wilson
from attar.tasks.labels import ABSENT, LabelKind
from attar.tasks.metrics.classification import brier_scores, calibration_error, is_right, log_losses
from attar.tasks.metrics.metric import Floats, Metric
from attar.tasks.target import Target
from attar.tasks.task import Chance, Constant, Losses

ACCURACY = Metric(name="accuracy", title="accuracy", higher_is_better=True, unit="share", of_each=is_right)
_LOG_LOSS = Metric(name="log_loss", title="log loss", higher_is_better=False, unit="nats", of_each=log_losses)
RMSE_OF_PROBABILITIES = Metric(
    name="rmse", title="RMSE of probabilities", higher_is_better=False, unit="number", of_each=brier_scores, root=True
)
_CALIBRATION = Metric(
    name="calibration_error",
    title="calibration error",
    higher_is_better=False,
    unit="number",
    of_all=calibration_error,
)


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """How good a model is on the examples of one class.

    Attributes:
        examples: How many there are.
        accuracy: Share of them that it gets right, in 0..1; None without examples.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class ClassificationQuality:
    """How good a model is on labelled examples.

    Attributes:
        examples: How many were judged.
        accuracy: Share of them that it gets right, in 0..1.
        interval: 95% Wilson interval of the accuracy.
        per_class: The same for each class by name, in the order of the logits.
        log_loss: Mean negative log-likelihood of the true class, in nats.
        calibration_error: Expected calibration error over `attar.tasks.metrics.BINS` bins of equal width, in 0..1.
        rmse: Root of the mean squared difference of probabilities and one-hot labels, over examples and classes, in
            0..1; for two classes that of the positive class's probability.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    accuracy: float
    interval: tuple[float, float]
    per_class: dict[str, ClassQuality]
    log_loss: float
    calibration_error: float
    rmse: float

    def __str__(self) -> str:
        return (
            f"{percent(self.accuracy, self.examples)} right (95% interval "
            f"{percent_interval(self.interval, self.examples)}, {self.examples} examples), "
            f"log loss {significant(self.log_loss)} nats, calibration error {significant(self.calibration_error)}, "
            f"RMSE of probabilities {significant(self.rmse)}"
        )


@dataclass(frozen=True, slots=True)
class Classification:
    """One class of several for each example.

    Labels are ``[n]`` int64 class numbers, -1 where unknown; an output is ``[classes]`` logits, of which the largest
    names the class, the first of equal ones.

    Attributes:
        classes: Names of the classes; a label is the index of its name.
        label_dtype: NumPy's name of the type that the user's labels have, of which a name is then the text: models
            predict in it. ``str`` where the names are the labels.

    Raises:
        BadInput: If there is no name, or one stands there twice.

    Example:
        >>> task = Classification(("cat", "dog"))
        >>> task.quality(np.array([[4.0, 0.0], [0.0, 4.0]]), np.array([0, 1])).accuracy
        1.0
    """

    use: ClassVar[str] = "classification"
    target: ClassVar[Target] = "logits"
    label_kind: ClassVar[LabelKind] = "class"
    losses: ClassVar[Losses] = Losses(labels={"use": "hard_labels"}, teacher={"use": "soft_targets"})
    metrics: ClassVar[Mapping[str, Metric]] = MappingProxyType(
        {one.name: one for one in (ACCURACY, _LOG_LOSS, RMSE_OF_PROBABILITIES, _CALIBRATION)}
    )

    classes: tuple[str, ...]
    label_dtype: str = field(default="str", compare=False, repr=False)  # other values of the same classes

    def __post_init__(self) -> None:
        check_names(self.classes, "classes", "a classification", "class")

    @property
    def shape(self) -> tuple[int]:
        """Of the logits of one example."""
        return (len(self.classes),)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        return self.classes

    def __str__(self) -> str:
        return f"{len(self.classes)} classes"

    def to_json(self) -> dict[str, Any]:
        """The task as plain values."""
        return {"use": self.use, "classes": list(self.classes)}

    # -- labels --------------------------------------------------------------------------------------------------------

    def check_labels(self, labels: Tensor, rows: int, of: str) -> None:
        """See that labels are class numbers, one for each example."""
        check_integers(labels, of)
        if labels.shape != (rows,):
            raise must("labels", of, f"one for each of the {rows} rows", tuple(labels.shape), "Leave none out")
        check_class_numbers(labels, len(self.classes), of, "where unknown")

    def check_enough(self, labels: Tensor, of: str) -> None:
        """See that there are two classes at least, and examples of each where there are any."""
        remedy = "Give examples of it, or number and name only the classes that have some"
        check_every_class(labels, self.classes, of, remedy)

    def known(self, labels: Tensor) -> Tensor:
        """``[n]`` bool: whose class is known."""
        return labels != ABSENT

    def unknown_labels(self, rows: int) -> Tensor:
        """``[rows]`` times -1."""
        return torch.full((rows,), ABSENT)

    def strata(self, labels: Tensor) -> Tensor:
        """The classes themselves; those whose class is unknown are one more."""
        return labels

    def mask(self, labels: Tensor) -> None:
        """Every example counts; one without a label costs nothing, where a term is about labels."""
        return None

    # -- outputs -------------------------------------------------------------------------------------------------------

    def quality(self, outputs: Floats, labels: NDArray[Any]) -> ClassificationQuality:
        """How good logits are; see `attar.tasks.task.Task.quality`."""
        known = self._known(outputs, labels)
        check_judged(outputs, known, "logits")
        logits, truth = outputs[known], labels[known].astype(np.int64)
        right = is_right(logits, truth)
        examples, hits = len(truth), int(right.sum())
        totals = np.bincount(truth, minlength=len(self.classes))
        hits_of = np.bincount(truth[right], minlength=len(self.classes))
        return ClassificationQuality(
            examples=examples,
            accuracy=hits / examples,
            interval=wilson(hits, examples),
            per_class={
                name: ClassQuality(int(total), int(hit) / int(total) if total else None)
                for name, total, hit in zip(self.classes, totals, hits_of, strict=True)
            },
            log_loss=_LOG_LOSS.figure(logits, truth),
            calibration_error=_CALIBRATION.figure(logits, truth),
            rmse=RMSE_OF_PROBABILITIES.figure(logits, truth),
        )

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each example whose class is known is right."""
        known = self._known(outputs, labels)
        return is_right(outputs[known], labels[known])

    def agreement(self, outputs_a: Floats, outputs_b: Floats) -> float:
        """Share of examples on which two models name the same class."""
        check_comparable(outputs_a, outputs_b, ("n", "classes"))
        return float((outputs_a.argmax(axis=1) == outputs_b.argmax(axis=1)).mean())

    def best_constant(self, labels: NDArray[Any]) -> Constant:
        """The most frequent class."""
        truth = labels[labels != ABSENT].astype(np.int64)
        most = int(np.bincount(truth, minlength=len(self.classes)).argmax())
        return Constant(repr(self.classes[most]), truth == most)

    def chance(self, outputs: Floats, labels: NDArray[Any], split: str, constant: Constant | None = None) -> Chance:
        """Compare a model's predictions with always giving the most frequent class, and with guessing.

        Better than the constant means that so many right predictions, or more, would come with a probability below 0.05
        if each were right as often as the constant. Guessing means that the predictions, dealt out to the examples at
        random, would be right as often (mean and variance of a random permutation, one-sided at 0.05).
        """
        known = self._known(outputs, labels)
        predictions, truth = outputs[known].argmax(axis=1), labels[known].astype(np.int64)
        examples, count = len(truth), len(self.classes)
        predicted_counts = np.bincount(predictions, minlength=count).astype(np.float64)
        label_counts = np.bincount(truth, minlength=count).astype(np.float64)
        if np.count_nonzero(label_counts) < 2:  # nothing to tell apart
            return Chance(None, False)
        best = self.best_constant(labels) if constant is None else constant
        right, share = int((predictions == truth).sum()), float(best.scores.mean())
        shown, only = f"{right / examples:.1%}", self.classes[int(predicted_counts.argmax())]
        return judged(
            is_better=bool(bdtrc(right - 1, examples, share) < LEVEL),
            is_guessing=right <= _by_guessing(predicted_counts, label_counts),
            same=f", {only!r} ({shown})" if np.count_nonzero(predicted_counts) == 1 else None,
            compared=f"{shown} of {examples:,} {split} examples are right, and always predicting {best.name} gives "
            f"{share:.1%}",
            split=split,
        )

    def label_in_words(self, label: Tensor) -> str:
        """The name of the class."""
        return "unknown" if int(label) == ABSENT else self.classes[int(label)]

    def _known(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """``[n]``, the class of which examples is known.

        Raises:
            BadInput: If outputs and labels do not fit each other or the classes.
        """
        check_shapes(outputs, labels, self.shape, ())
        count = len(self.classes)
        if len(labels) and not ABSENT <= labels.min() <= labels.max() < count:
            ends = (int(labels.min()), int(labels.max()))
            raise must("labels", "quality", f"from 0 to {count - 1}, or -1 for not known", ends, "Check the data")
        return np.asarray(labels != ABSENT)


def _by_guessing(predicted_counts: NDArray[np.float64], label_counts: NDArray[np.float64]) -> float:
    """Right predictions that guessing reaches in 95 of 100 cases, from the frequencies of predictions and labels."""
    examples = float(label_counts.sum())
    pairs = predicted_counts * label_counts
    mean = float(pairs.sum()) / examples
    unequal = float(pairs.sum() ** 2 - np.square(pairs).sum())
    same = float((pairs * (examples - predicted_counts) * (examples - label_counts)).sum())
    variance = (same + unequal) / (examples**2 * max(1.0, examples - 1))
    return mean + float(ndtri(1 - LEVEL)) * math.sqrt(variance)
