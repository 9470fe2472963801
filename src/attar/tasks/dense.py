"""Dense maps: each position of an example has a class, and a network gives logits for each position."""

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

from attar.errors import must
from attar.formatting import percent, percent_interval, significant
from attar.tasks.chance import against_chance
from attar.tasks.checks import (
    check_class_numbers,
    check_comparable,
    check_every_class,
    check_integers,
    check_judged,
    check_names,
    check_shapes,
    is_size,
)
from attar.tasks.intervals import mean_interval
from attar.tasks.labels import ABSENT, LabelKind, rarest
from attar.tasks.metrics import dense as metrics
from attar.tasks.metrics.dense import Overlaps, overlaps
from attar.tasks.metrics.metric import Floats, Metric
from attar.tasks.target import Target
from attar.tasks.task import Chance, Constant, Losses

_IOU = Metric(name="iou", title="IoU per image", higher_is_better=True, unit="share", of_each=metrics.image_ious)
_ACCURACY = Metric(
    name="accuracy", title="pixel accuracy", higher_is_better=True, unit="share", of_each=metrics.pixel_accuracies
)
_MEAN_IOU = Metric(
    name="mean_iou", title="mean IoU of the classes", higher_is_better=True, unit="share", of_all=metrics.mean_iou
)
_LOG_LOSS = Metric(
    name="log_loss", title="log loss", higher_is_better=False, unit="nats", of_each=metrics.pixel_log_losses
)
_RMSE = Metric(
    name="rmse",
    title="RMSE of probabilities",
    higher_is_better=False,
    unit="number",
    of_each=metrics.pixel_brier_scores,
    root=True,
)
_MOST = 2**24
"""Numbers of one output, at most."""


@dataclass(frozen=True, slots=True)
class RegionQuality:
    """How good a model is at one class.

    Attributes:
        examples: How many images have it.
        positions: How many positions have it.
        accuracy: Share of these that are told right, in 0..1; None without any.
        iou: Intersection over union in all images together, in 0..1; None where it is neither there nor predicted.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    positions: int
    accuracy: float | None
    iou: float | None


@dataclass(frozen=True, slots=True)
class DenseQuality:
    """How good a model is on labelled maps.

    Positions of one image are no independent examples. All figures but ``mean_iou`` are means over images of a figure
    of each, and the interval is of that mean, by how images differ.

    Attributes:
        examples: How many images were judged.
        iou: Mean over the images of the intersection over union of each, itself the mean over the classes in it.
        interval: 95% interval of that mean.
        accuracy: Mean over the images of the share of its positions that are right, in 0..1.
        mean_iou: Mean over the classes of their intersection over union in all images together.
        log_loss: Mean negative log-likelihood of the true class, in nats.
        rmse: Root of the mean squared difference of probabilities and one-hot labels.
        per_class: Figures of each class by name, in the order of the logits.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    iou: float
    interval: tuple[float, float]
    accuracy: float
    mean_iou: float
    log_loss: float
    rmse: float
    per_class: dict[str, RegionQuality]

    def __str__(self) -> str:
        return (
            f"IoU {percent(self.iou, self.examples)} (mean of the images, 95% interval "
            f"{percent_interval(self.interval, self.examples)}, {self.examples} images), "
            f"mean IoU of the classes {percent(self.mean_iou, self.examples)}, "
            f"pixel accuracy {percent(self.accuracy, self.examples)}, log loss {significant(self.log_loss)} nats"
        )


@dataclass(frozen=True, slots=True)
class Dense:
    """A class for each position of an image, such as a segmentation.

    Labels are ``[n, height, width]`` int64 class numbers; positions of -1 do not count. An output is
    ``[classes, height, width]`` logits, of which the largest at a position names its class, the first of equal ones.

    The intersection over union of each image decides by default: the share of right positions is high for a model that
    says the largest class everywhere. It is a mean over images, so that models can be compared in pairs, as the mean
    over the classes (``mean_iou``) is not.

    Attributes:
        classes: Names of the classes; a label is the index of its name.
        size: Height and width of an output.

    Raises:
        BadInput: If there is no name, one stands there twice, or the size is none.

    Example:
        >>> task = Dense(("ground", "sky"), (1, 2))
        >>> task.quality(np.array([[[[3.0, 0.0]], [[0.0, 3.0]]]]), np.array([[[0, 1]]])).iou
        1.0
    """

    use: ClassVar[str] = "dense"
    target: ClassVar[Target] = "logits"
    label_kind: ClassVar[LabelKind] = "map"
    label_dtype: ClassVar[str] = "int64"
    losses: ClassVar[Losses] = Losses(labels={"use": "hard_labels"}, teacher={"use": "soft_targets"})
    metrics: ClassVar[Mapping[str, Metric]] = MappingProxyType(
        {one.name: one for one in (_IOU, _ACCURACY, _MEAN_IOU, _LOG_LOSS, _RMSE)}
    )

    classes: tuple[str, ...]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        check_names(self.classes, "classes", "a task of dense maps", "class")
        size = self.size
        if not is_size(size) or len(self.classes) * size[0] * size[1] > _MOST:
            rule = f"height and width of maps, with at most {_MOST} numbers for all classes"
            raise must("size", "a task of dense maps", rule, size, "Write (height, width)")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the logits of one example."""
        return (len(self.classes), *self.size)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        return self.classes

    def __str__(self) -> str:
        return f"maps of {len(self.classes)} classes, {self.size[0]} x {self.size[1]}"

    def to_json(self) -> dict[str, Any]:
        """The task as plain values."""
        return {"use": self.use, "classes": list(self.classes), "size": list(self.size)}

    # -- labels --------------------------------------------------------------------------------------------------------

    def check_labels(self, labels: Tensor, rows: int, of: str) -> None:
        """See that there is a map of class numbers for each example."""
        check_integers(labels, of)
        if labels.shape != (rows, *self.size):
            rule = f"[{rows}, {self.size[0]}, {self.size[1]}], a map for each of the {rows} rows"
            raise must("labels", of, rule, tuple(labels.shape), "Leave none out")
        check_class_numbers(labels, len(self.classes), of, "where a position does not count")

    def check_enough(self, labels: Tensor, of: str) -> None:
        """See that there are two classes at least, and a position of each where there are any."""
        remedy = "Give maps that have it, or number and name only the classes that some have"
        check_every_class(labels, self.classes, of, remedy)

    def known(self, labels: Tensor) -> Tensor:
        """``[n]`` bool: of which a position is known."""
        return (labels != ABSENT).flatten(1).any(1)

    def unknown_labels(self, rows: int) -> Tensor:
        """``[rows, height, width]`` times -1."""
        return torch.full((rows, *self.size), ABSENT)

    def strata(self, labels: Tensor) -> Tensor:
        """The rarest class of each map, so that all parts of the data get some of it."""
        flat = labels.flatten(1)
        return rarest(torch.stack([(flat == one).any(1) for one in range(len(self.classes))], dim=1))

    def mask(self, labels: Tensor) -> Tensor:
        """``[n, height, width]`` bool: positions of -1 do not count.

        Where nothing is known of a map all of it counts: terms about labels give 0, and a teacher says something of all
        positions.
        """
        known = labels != ABSENT
        return known | ~known.flatten(1).any(1)[:, None, None]

    # -- outputs -------------------------------------------------------------------------------------------------------

    def quality(self, outputs: Floats, labels: NDArray[Any]) -> DenseQuality:
        """How good logits are; see `attar.tasks.task.Task.quality`."""
        known = self._known(outputs, labels)
        check_judged(outputs, known, "logits")
        named = metrics.class_maps(outputs)
        counts = overlaps(named, labels, len(self.classes))
        ious = counts.image_ious()[known]
        return DenseQuality(
            examples=int(known.sum()),
            iou=_IOU.of(ious),
            interval=mean_interval(ious),
            accuracy=_ACCURACY.of(metrics.accuracies_of_maps(named, labels)[known]),
            mean_iou=float(np.nanmean(counts.class_ious())),
            log_loss=_LOG_LOSS.of(metrics.pixel_log_losses(outputs, labels)[known]),
            rmse=_RMSE.of(metrics.pixel_brier_scores(outputs, labels)[known]),
            per_class={name: _of_class(counts, number) for number, name in enumerate(self.classes)},
        )

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Intersection over union of each image of which something is known."""
        known = self._known(outputs, labels)
        ious: NDArray[np.float64] = metrics.image_ious(outputs, labels)[known]
        return ious

    def agreement(self, outputs_a: Floats, outputs_b: Floats) -> float:
        """Share of all positions at which two models name the same class."""
        check_comparable(outputs_a, outputs_b, ("n", "classes", "height", "width"))
        return float((metrics.class_maps(outputs_a) == metrics.class_maps(outputs_b)).mean())

    def best_constant(self, labels: NDArray[Any]) -> Constant:
        """One class everywhere, or the most frequent class of each position."""
        truth = labels[(labels != ABSENT).any(axis=(1, 2))]
        frequent = np.stack([(truth == one).sum(axis=0) for one in range(len(self.classes))]).argmax(axis=0)
        counts = overlaps(np.broadcast_to(frequent, truth.shape), truth, len(self.classes))
        # Of one class everywhere its own share of the positions is the intersection over union, and others have none.
        positions, there = counts.true.sum(axis=1), (counts.true > 0).sum(axis=1)
        candidates = [
            Constant(f"saying {name!r} everywhere", counts.true[:, number] / positions / there)
            for number, name in enumerate(self.classes)
        ]
        candidates.append(Constant("saying the most frequent class of each position", counts.image_ious()))
        return max(candidates, key=lambda one: float(one.scores.mean()))

    def chance(self, outputs: Floats, labels: NDArray[Any], split: str, constant: Constant | None = None) -> Chance:
        """Compare with the best constant answer and with guessing; see `attar.tasks.chance.against_chance`."""
        known = self._known(outputs, labels)
        best = self.best_constant(labels) if constant is None else constant

        def scores(named: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
            return overlaps(named, true, len(self.classes)).image_ious()

        return against_chance(scores, metrics.class_maps(outputs)[known], labels[known], best, "IoU per image", split)

    def label_in_words(self, label: Tensor) -> str:
        """The classes in a map with their shares of its positions, the largest first."""
        known = label[label != ABSENT]
        if not len(known):
            return "unknown"
        counts = torch.bincount(known, minlength=len(self.classes))
        order = counts.argsort(descending=True, stable=True).tolist()
        return ", ".join(f"{self.classes[one]} {int(counts[one]) / len(known):.0%}" for one in order if counts[one])

    def _known(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """``[n]``, of which images something is known. A copy of logits would take as much memory as they do.

        Raises:
            BadInput: If outputs and labels do not fit each other or the classes.
        """
        check_shapes(outputs, labels, self.shape, self.size)
        return np.asarray((labels != ABSENT).any(axis=(1, 2)))


def _of_class(counts: Overlaps, number: int) -> RegionQuality:
    """The figures of one class."""
    named, true, both = (int(one[:, number].sum()) for one in (counts.named, counts.true, counts.both))
    return RegionQuality(
        examples=int((counts.true[:, number] > 0).sum()),
        positions=true,
        accuracy=both / true if true else None,
        iou=both / (named + true - both) if named + true else None,
    )
