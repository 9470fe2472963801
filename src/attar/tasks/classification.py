"""Classification: each example has one class, and a network gives a logit for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.special import bdtrc, ndtri  # type: ignore[import-untyped]
from torch import Tensor

from attar.errors import Words, must
from attar.formatting import percent, percent_interval, significant
from attar.tasks.intervals import wilson
from attar.tasks.labels import ABSENT
from attar.tasks.metrics.classification import brier_scores, calibration_error, is_right, log_losses
from attar.tasks.metrics.metric import Floats, Metric
from attar.tasks.task import Chance, Losses

_LEVEL = 0.05
"""Of both one-sided tests of chance."""

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

    Raises:
        BadInput: If there is no name, or one stands there twice.

    Example:
        >>> task = Classification(("cat", "dog"))
        >>> task.quality(np.array([[4.0, 0.0], [0.0, 4.0]]), np.array([0, 1])).accuracy
        1.0
    """

    use: ClassVar[str] = "classification"
    target: ClassVar[Literal["logits", "log_odds", "values"]] = "logits"
    losses: ClassVar[Losses] = Losses(labels={"use": "hard_labels"}, teacher={"use": "soft_targets"})
    metrics: ClassVar[Mapping[str, Metric]] = MappingProxyType(
        {one.name: one for one in (ACCURACY, _LOG_LOSS, RMSE_OF_PROBABILITIES, _CALIBRATION)}
    )

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) < len(self.classes):
            got = list(self.classes)
            raise must("classes", "a classification", "different names, at least one", got, "Name each class once")

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
        if labels.dtype != torch.int64:
            raise must("labels", of, "int64", labels.dtype, "Convert them with .long()")
        if labels.shape != (rows,):
            raise must("labels", of, f"one for each of the {rows} rows", tuple(labels.shape), "Leave none out")
        if not rows:
            return
        least, most = (int(value) for value in labels.aminmax())
        if not ABSENT <= least <= most < len(self.classes):
            count = len(self.classes)
            rule = f"from 0 to {count - 1} (there are {count} classes), or -1 where unknown"
            remedy = "Number the classes from 0, or name all of them in classes"
            raise must("labels", of, rule, Words(f"{least} .. {most}"), remedy)

    def check_enough(self, labels: Tensor, of: str) -> None:
        """See that there are two classes at least, and examples of each where there are any."""
        if len(self.classes) < 2:
            raise must("classes", of, "two or more different names", self.classes, "Name each class once")
        known = labels[labels != ABSENT]
        counts = torch.bincount(known, minlength=len(self.classes)).tolist()
        empty = [name for name, count in zip(self.classes, counts, strict=True) if count == 0]
        if len(known) and empty:
            remedy = "Give examples of it, or number and name only the classes that have some"
            raise must("labels", f"the train split of {of}", "of every class", Words(f"none of {empty}"), remedy)

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
        logits, truth = self._known(outputs, labels)
        if not len(truth):
            raise must("labels", "quality", "known for at least one example", Words("none"), "Give a split with labels")
        if not np.isfinite(logits).all():
            bad = int(np.flatnonzero(labels != ABSENT)[~np.isfinite(logits).all(axis=1)][0])
            got = Words(f"row {bad}: {outputs[bad]}")
            raise must("logits", "quality", "finite", got, "The model overflows on this example")
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
        logits, truth = self._known(outputs, labels)
        return is_right(logits, truth)

    def agreement(self, outputs_a: Floats, outputs_b: Floats) -> float:
        """Share of examples on which two models name the same class."""
        if outputs_a.ndim != 2 or outputs_a.shape != outputs_b.shape or not outputs_a.size:
            got = (outputs_a.shape, outputs_b.shape)
            raise must("logits", "agreement", "two [n, classes] arrays of one shape", got, "Run both on the same split")
        return float((outputs_a.argmax(axis=1) == outputs_b.argmax(axis=1)).mean())

    def chance(self, outputs: Floats, labels: NDArray[Any], split: str) -> Chance:
        """Compare a model's predictions with always giving the most frequent class, and with guessing.

        Better than the constant means that so many right predictions, or more, would come with a probability below 0.05
        if each were right as often as the constant. Guessing means that the predictions, dealt out to the examples at
        random, would be right as often (mean and variance of a random permutation, one-sided at 0.05).
        """
        logits, truth = self._known(outputs, labels)
        predictions, examples, count = logits.argmax(axis=1), len(truth), len(self.classes)
        predicted_counts = np.bincount(predictions, minlength=count).astype(np.float64)
        label_counts = np.bincount(truth, minlength=count).astype(np.float64)
        if np.count_nonzero(label_counts) < 2:  # nothing to tell apart
            return Chance(None, False)
        right, most = int((predictions == truth).sum()), int(label_counts.argmax())
        share = float(label_counts[most]) / examples
        guessing = right <= _by_guessing(predicted_counts, label_counts)
        if not guessing and bdtrc(right - 1, examples, share) < _LEVEL:
            return Chance(None, False)
        shown = f"{right / examples:.1%}"
        if np.count_nonzero(predicted_counts) == 1:
            only = self.classes[int(predicted_counts.argmax())]
            return Chance(f"gives every {split} example the same prediction, {only!r} ({shown})", True)
        constant = f"always predicting {self.classes[most]!r} gives {share:.1%}"
        counted = f"{shown} of {examples:,} {split} examples are right, and {constant}"
        if guessing:
            return Chance(f"is at chance: {counted}", True)
        return Chance(f"is not measurably better than a constant: {counted}", False)

    def label_in_words(self, label: Tensor) -> str:
        """The name of the class."""
        return "unknown" if int(label) == ABSENT else self.classes[int(label)]

    def _known(self, logits: Floats, labels: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
        """Logits and labels of the examples whose class is known.

        Raises:
            BadInput: If they do not fit each other or the classes.
        """
        count = len(self.classes)
        if logits.ndim != 2 or logits.shape[1] != count or labels.shape != logits.shape[:1]:
            got = (logits.shape, labels.shape)
            raise must("logits and labels", "quality", f"[n, {count}] and [n]", got, "Judge the split that was run")
        if len(labels) and not ABSENT <= labels.min() <= labels.max() < count:
            ends = (int(labels.min()), int(labels.max()))
            raise must("labels", "quality", f"from 0 to {count - 1}, or -1 for not known", ends, "Check the data")
        known = labels != ABSENT
        return logits[known], labels[known].astype(np.int64)


def _by_guessing(predicted_counts: NDArray[np.float64], label_counts: NDArray[np.float64]) -> float:
    """Right predictions that guessing reaches in 95 of 100 cases, from the frequencies of predictions and labels."""
    examples = float(label_counts.sum())
    pairs = predicted_counts * label_counts
    mean = float(pairs.sum()) / examples
    unequal = float(pairs.sum() ** 2 - np.square(pairs).sum())
    same = float((pairs * (examples - predicted_counts) * (examples - label_counts)).sum())
    variance = (same + unequal) / (examples**2 * max(1.0, examples - 1))
    return mean + float(ndtri(1 - _LEVEL)) * math.sqrt(variance)
