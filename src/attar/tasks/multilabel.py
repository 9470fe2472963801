"""Multi-label classification: any of several labels may hold for an example, and a network gives a logit for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from torch import Tensor

from attar.errors import Words, must
from attar.formatting import percent, percent_interval, significant
from attar.tasks.chance import against_chance
from attar.tasks.checks import check_comparable, check_integers, check_judged, check_names, check_shapes
from attar.tasks.intervals import mean_interval
from attar.tasks.labels import ABSENT, LabelKind, rarest
from attar.tasks.metrics import multilabel as metrics
from attar.tasks.metrics.metric import Floats, Metric
from attar.tasks.target import Target
from attar.tasks.task import Chance, Constant, Losses

_F1 = Metric(name="f1", title="F1 per example", higher_is_better=True, unit="share", of_each=metrics.f1_scores)
_ACCURACY = Metric(
    name="accuracy", title="accuracy of labels", higher_is_better=True, unit="share", of_each=metrics.label_accuracies
)
_EXACT = Metric(
    name="exact_match", title="exact match", higher_is_better=True, unit="share", of_each=metrics.exact_matches
)
_MICRO = Metric(name="micro_f1", title="micro F1", higher_is_better=True, unit="share", of_all=metrics.micro_f1)
_LOG_LOSS = Metric(
    name="log_loss", title="log loss", higher_is_better=False, unit="nats", of_each=metrics.binary_log_losses
)
_RMSE = Metric(
    name="rmse",
    title="RMSE of probabilities",
    higher_is_better=False,
    unit="number",
    of_each=metrics.binary_brier_scores,
    root=True,
)


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """How good a model is at one label.

    Attributes:
        examples: Of how many it is known.
        positive: For how many of them it holds.
        accuracy: Share of them that are told right, in 0..1; None without examples.
        f1: F1 over them, in 0..1; None where it neither holds nor is named.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    positive: int
    accuracy: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class MultiLabelQuality:
    """How good a model is on labelled examples; all means are over the examples of which a label is known.

    Attributes:
        examples: How many were judged.
        f1: Mean over the examples of the F1 of each, in 0..1.
        interval: 95% interval of that mean.
        accuracy: Mean share of the labels of an example that are told right, in 0..1.
        exact_match: Share of the examples of which all labels are told right, in 0..1.
        micro_f1: F1 of all labels of all examples together, in 0..1.
        log_loss: Mean negative log-likelihood of a label, in nats.
        rmse: Root of the mean squared difference of probabilities and labels.
        per_class: Figures of each label by name, in the order of the logits.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    f1: float
    interval: tuple[float, float]
    accuracy: float
    exact_match: float
    micro_f1: float
    log_loss: float
    rmse: float
    per_class: dict[str, LabelQuality]

    def __str__(self) -> str:
        return (
            f"F1 {percent(self.f1, self.examples)} (mean of the examples, 95% interval "
            f"{percent_interval(self.interval, self.examples)}, {self.examples} examples), "
            f"{percent(self.accuracy, self.examples)} of labels right, "
            f"exact match {percent(self.exact_match, self.examples)}, "
            f"micro F1 {percent(self.micro_f1, self.examples)}, log loss {significant(self.log_loss)} nats"
        )


@dataclass(frozen=True, slots=True)
class MultiLabel:
    """Any of several labels for each example.

    Labels are ``[n, labels]`` int64: 1 where the label holds, 0 where it does not, -1 where that is not known. An
    output is ``[labels]`` log-odds: the sigmoid of each is its label's probability, and above 0 it is named.

    F1 of each example decides by default. Most labels do not hold for most examples, so that the share of labels that
    are right is high for a model that names none; F1 counts what is named and what holds. It is a mean over examples,
    so that models can be compared in pairs, as the F1 of all labels together (``micro_f1``) is not.

    Attributes:
        classes: Names of the labels.

    Raises:
        BadInput: If there is no name, or one stands there twice.

    Example:
        >>> task = MultiLabel(("beach", "people"))
        >>> task.quality(np.array([[4.0, -4.0], [4.0, 4.0]]), np.array([[1, 0], [1, 0]])).exact_match
        0.5
    """

    use: ClassVar[str] = "multilabel"
    target: ClassVar[Target] = "log_odds"
    label_kind: ClassVar[LabelKind] = "labels"
    label_dtype: ClassVar[str] = "int64"
    losses: ClassVar[Losses] = Losses(labels={"use": "binary_labels"}, teacher={"use": "binary_targets"})
    metrics: ClassVar[Mapping[str, Metric]] = MappingProxyType(
        {one.name: one for one in (_F1, _ACCURACY, _EXACT, _MICRO, _LOG_LOSS, _RMSE)}
    )

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_names(self.classes, "classes", "a multi-label task", "label")

    @property
    def shape(self) -> tuple[int]:
        """Of the logits of one example."""
        return (len(self.classes),)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the labels."""
        return self.classes

    def __str__(self) -> str:
        return f"{len(self.classes)} labels"

    def to_json(self) -> dict[str, Any]:
        """The task as plain values."""
        return {"use": self.use, "classes": list(self.classes)}

    # -- labels --------------------------------------------------------------------------------------------------------

    def check_labels(self, labels: Tensor, rows: int, of: str) -> None:
        """See that there are a 1, 0 or -1 for each label of each example."""
        check_integers(labels, of)
        count = len(self.classes)
        if labels.shape != (rows, count):
            rule = f"[{rows}, {count}], a row of 1 and 0 for each of the {rows} rows"
            raise must("labels", of, rule, tuple(labels.shape), "Give one column for each label")
        if not labels.numel():
            return
        least, most = (int(value) for value in labels.aminmax())
        if not ABSENT <= least <= most <= 1:
            rule = "1 where a label holds, 0 where it does not, or -1 where unknown"
            raise must("labels", of, rule, Words(f"{least} .. {most}"), "Write one column of 1 and 0 for each label")

    def check_enough(self, labels: Tensor, of: str) -> None:
        """See that each label holds for some example and does not for some other, where anything is known."""
        if not bool((labels != ABSENT).any()):
            return
        holds, fails = ((labels == value).any(0).tolist() for value in (1, 0))
        for name, some, others in zip(self.classes, holds, fails, strict=True):
            if some and others:
                continue
            found = "holds for every example" if some else "holds for no example" if others else "is known of none"
            remedy = "Give examples of both, or leave the label out"
            got = Words(f"{name!r}, which {found}")
            raise must("labels", f"the train split of {of}", "of examples with and without it", got, remedy)

    def known(self, labels: Tensor) -> Tensor:
        """``[n]`` bool: of which some label is known."""
        return (labels != ABSENT).any(1)

    def unknown_labels(self, rows: int) -> Tensor:
        """``[rows, labels]`` times -1."""
        return torch.full((rows, len(self.classes)), ABSENT)

    def strata(self, labels: Tensor) -> Tensor:
        """The rarest label of each example, so that all parts of the data get some of it."""
        return rarest(labels == 1)

    def mask(self, labels: Tensor) -> None:
        """Every example counts; where nothing is known of it, terms about labels give 0."""
        return None

    # -- outputs -------------------------------------------------------------------------------------------------------

    def quality(self, outputs: Floats, labels: NDArray[Any]) -> MultiLabelQuality:
        """How good logits are; see `attar.tasks.task.Task.quality`."""
        known = self._known(outputs, labels)
        check_judged(outputs, known, "logits")
        logits, truth = outputs[known], labels[known]
        return MultiLabelQuality(
            examples=len(truth),
            f1=_F1.figure(logits, truth),
            interval=mean_interval(metrics.f1_scores(logits, truth)),
            accuracy=_ACCURACY.figure(logits, truth),
            exact_match=_EXACT.figure(logits, truth),
            micro_f1=_MICRO.figure(logits, truth),
            log_loss=_LOG_LOSS.figure(logits, truth),
            rmse=_RMSE.figure(logits, truth),
            per_class={name: _of_label(logits[:, place], truth[:, place]) for place, name in enumerate(self.classes)},
        )

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.float64]:
        """F1 of each example of which a label is known."""
        known = self._known(outputs, labels)
        return metrics.f1_scores(outputs[known], labels[known])

    def agreement(self, outputs_a: Floats, outputs_b: Floats) -> float:
        """Share of all labels about which two models say the same."""
        check_comparable(outputs_a, outputs_b, ("n", "labels"))
        return float(((outputs_a > 0) == (outputs_b > 0)).mean())

    def best_constant(self, labels: NDArray[Any]) -> Constant:
        """No label, or the most frequent ones, however many of them are best."""
        truth = labels[(labels != ABSENT).any(axis=1)]
        order = np.argsort(-(truth == 1).sum(axis=0), kind="stable")
        best, named = None, np.zeros(len(order), bool)
        for count in range(len(order) + 1):
            if count:
                named[order[count - 1]] = True
            scores = _f1_of_named(np.broadcast_to(named, truth.shape), truth)
            if best is None or scores.mean() > best.scores.mean():
                name = f"naming the {count} most frequent labels" if count > 1 else "naming no label"
                best = Constant(f"naming {self.classes[int(order[0])]!r}" if count == 1 else name, scores)
        assert best is not None, "no label is one answer"
        return best

    def chance(self, outputs: Floats, labels: NDArray[Any], split: str, constant: Constant | None = None) -> Chance:
        """Compare with the best constant answer and with guessing; see `attar.tasks.chance.against_chance`."""
        known = self._known(outputs, labels)
        best = self.best_constant(labels) if constant is None else constant
        return against_chance(_f1_of_named, outputs[known] > 0, labels[known], best, "F1", split)

    def label_in_words(self, label: Tensor) -> str:
        """The names of the labels that hold."""
        if bool((label == ABSENT).all()):
            return "unknown"
        return ", ".join(name for name, value in zip(self.classes, label.tolist(), strict=True) if value == 1) or "none"

    def _known(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """``[n]``, of which examples something is known.

        Raises:
            BadInput: If outputs and labels do not fit each other or the names.
        """
        check_shapes(outputs, labels, self.shape, self.shape)
        return np.asarray((labels != ABSENT).any(axis=1))


def _f1_of_named(named: NDArray[np.bool_], labels: NDArray[Any]) -> NDArray[np.float64]:
    """F1 of each example, of labels that are named or not."""
    return metrics.f1_scores(named - 0.5, labels)


def _of_label(logits: Floats, labels: NDArray[np.int64]) -> LabelQuality:
    """The figures of one label, from ``[n]`` arrays."""
    known = labels != ABSENT
    named, holds = logits[known] > 0, labels[known] == 1
    either = int(named.sum() + holds.sum())
    return LabelQuality(
        examples=int(known.sum()),
        positive=int(holds.sum()),
        accuracy=float((named == holds).mean()) if len(holds) else None,
        f1=2 * int((named & holds).sum()) / either if either else None,
    )
