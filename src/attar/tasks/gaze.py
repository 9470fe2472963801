"""Gaze: where people look at an image, as a density over its pixels, of which a network gives the logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from torch import Tensor

from attar.errors import Words, must
from attar.formatting import percent, significant
from attar.tasks.chance import against_chance
from attar.tasks.checks import check_integers, check_judged, check_shapes, is_size
from attar.tasks.intervals import student_interval
from attar.tasks.labels import ABSENT, LabelKind
from attar.tasks.metrics import gaze as metrics
from attar.tasks.metrics.gaze import Center, center_bias, fitted_center, log_densities, shares_of_fixations
from attar.tasks.metrics.metric import Floats, Metric
from attar.tasks.target import Target
from attar.tasks.task import Chance, Constant, Losses

_AUC = Metric(name="auc", title="AUC", higher_is_better=True, unit="share", of_each=metrics.aucs)
_NSS = Metric(name="nss", title="NSS", higher_is_better=True, unit="number", of_each=metrics.nss)
_LOG_LOSS = Metric(name="log_loss", title="log loss", higher_is_better=False, unit="nats", of_each=metrics.log_losses)
_KL = Metric(
    name="kl", title="KL from the fixation map", higher_is_better=False, unit="nats", of_each=metrics.kl_divergences
)
_SIM = Metric(name="sim", title="SIM", higher_is_better=True, unit="share", of_each=metrics.similarities)
_RMSE = Metric(
    name="rmse",
    title="RMSE of the density",
    higher_is_better=False,
    unit="number",
    of_each=metrics.squared_errors,
    root=True,
)
_MOST = 2**16
"""Pixels of one density, at most: each is a number of an output, with a name of its own."""

_MOST_FIXATIONS = 2**31


@dataclass(frozen=True, slots=True)
class GazeQuality:
    """How good a model is at saying where people look.

    All figures are means over the images of a figure of each, which is a mean over its fixations where it is of such.

    Attributes:
        examples: How many images were judged.
        information_gain: By how many bits a fixation is more likely than under the center bias of the task.
        interval: 95% interval of that, by how images differ.
        auc: Area under the curve of telling fixations from all pixels of the image, in 0..1.
        nss: The density at fixations, in standard deviations of an image's from its mean.
        log_loss: Negative log-likelihood of a fixation, in nats.
        kl: KL from the smoothed map of the fixations to the density, in nats.
        sim: What that map and the density have in common, in 0..1.
        rmse: Root of the mean squared difference of the density and the shares of the fixations.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    information_gain: float
    interval: tuple[float, float]
    auc: float
    nss: float
    log_loss: float
    kl: float
    sim: float
    rmse: float

    def __str__(self) -> str:
        low, high = (significant(end) for end in self.interval)
        return (
            f"information gain {significant(self.information_gain)} bits per fixation (mean of the images, 95% "
            f"interval {low} to {high}, {self.examples} images), AUC {percent(self.auc, self.examples)}, "
            f"NSS {significant(self.nss)}, log loss {significant(self.log_loss)} nats"
        )


@dataclass(frozen=True, slots=True)
class Gaze:
    """Where people look at an image.

    Labels are ``[n, height, width]`` int64: how many fixations fell on each pixel, of all observers together; -1 where
    none could be seen. An image without a fixation is not known. An output is ``[height * width]`` logits, row by row,
    whose softmax is the probability of each pixel. Teachers and ensembles are averaged, stored and learned from as any
    distribution over classes is.

    Information gain over a center bias decides: how much of a score comes of looking at the middle, which people do
    whatever there is, then counts for nothing. It is one Gaussian for all images.

    Attributes:
        size: Height and width of an output.
        center: The center bias: row and column of its mean, and its standard deviation down and across, as shares of
            height and width; None for all pixels alike. Data that are read have that of their training fixations.

    Raises:
        BadInput: If the size or the center bias is none.

    Example:
        >>> task = Gaze((1, 4))
        >>> float(task.quality(np.log([[0.5, 0.25, 0.125, 0.125]]), np.array([[[2, 0, 0, 0]]])).information_gain)
        1.0

    References:
        Theis, Korshunova, Tejani, Huszár, *Faster gaze prediction with dense networks and Fisher pruning*, 2018.
        arXiv:1801.05787
    """

    use: ClassVar[str] = "gaze"
    target: ClassVar[Target] = "logits"
    label_kind: ClassVar[LabelKind] = "fixations"
    label_dtype: ClassVar[str] = "int64"
    losses: ClassVar[Losses] = Losses(labels={"use": "fixations"}, teacher={"use": "soft_targets", "temperature": 1.0})

    size: tuple[int, int]
    center: Center | None = None

    def __post_init__(self) -> None:
        size = self.size
        if not is_size(size) or not 2 <= size[0] * size[1] <= _MOST:
            rule = f"height and width of densities, of 2 to {_MOST} pixels"
            raise must("size", "a task of gaze", rule, size, "Predict coarser maps of larger images")
        center: Any = self.center
        if center is None:
            return
        is_center = isinstance(center, tuple) and len(center) == 4
        if not is_center or not all(isinstance(one, int | float) and math.isfinite(one) for one in center) or (
            min(center[2:]) <= 0
        ):  # fmt: skip
            rule = "row, column and two standard deviations above 0, as shares of height and width"
            raise must("center", "a task of gaze", rule, center, "Leave it out for all pixels alike")

    @property
    def shape(self) -> tuple[int]:
        """Of the logits of one image."""
        return (self.size[0] * self.size[1],)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pixels: row and column."""
        return tuple(f"{row} {column}" for row in range(self.size[0]) for column in range(self.size[1]))

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """By what models are judged."""
        gain = Metric(
            name="information_gain",
            title="information gain",
            higher_is_better=True,
            unit="bits",
            of_each=partial(metrics.information_gains, baseline=self._center_bias),
        )
        return MappingProxyType({one.name: one for one in (gain, _AUC, _NSS, _LOG_LOSS, _KL, _SIM, _RMSE)})

    def __str__(self) -> str:
        return f"densities of gaze, {self.size[0]} x {self.size[1]}"

    def to_json(self) -> dict[str, Any]:
        """The task as plain values."""
        return {
            "use": self.use,
            "size": list(self.size),
            "center": None if self.center is None else list(self.center),
        }

    # -- labels --------------------------------------------------------------------------------------------------------

    def check_labels(self, labels: Tensor, rows: int, of: str) -> None:
        """See that there is a map of counts for each image."""
        check_integers(labels, of)
        if labels.shape != (rows, *self.size):
            rule = f"[{rows}, {self.size[0]}, {self.size[1]}], a map of counts for each of the {rows} rows"
            raise must("labels", of, rule, tuple(labels.shape), "Leave none out")
        if labels.numel() and not ABSENT <= int(labels.min()) <= int(labels.max()) < _MOST_FIXATIONS:
            rule = "counts of fixations from 0, or -1 where none could be seen"
            raise must("labels", of, rule, Words(f"{int(labels.min())} .. {int(labels.max())}"), "Count them")

    def check_enough(self, labels: Tensor, of: str) -> None:
        """See that there is a fixation, where anything is known."""
        if len(labels) and not bool((labels > 0).any()) and bool((labels == 0).any()):
            raise must("labels", f"the train split of {of}", "with fixations", Words("none"), "Count them by pixel")

    def known(self, labels: Tensor) -> Tensor:
        """``[n]`` bool: which images have a fixation."""
        return (labels > 0).flatten(1).any(1)

    def unknown_labels(self, rows: int) -> Tensor:
        """``[rows, height, width]`` times -1."""
        return torch.full((rows, *self.size), ABSENT)

    def strata(self, labels: Tensor) -> Tensor:
        """Images with fixations, and such without."""
        return self.known(labels).long()

    def mask(self, labels: Tensor) -> None:
        """Every image counts once; one without fixations costs nothing, where a term is about them."""
        return None

    # -- outputs -------------------------------------------------------------------------------------------------------

    def quality(self, outputs: Floats, labels: NDArray[Any]) -> GazeQuality:
        """How good logits are; see `attar.tasks.task.Task.quality`."""
        known = self._known(outputs, labels)
        check_judged(outputs, known, "logits")
        outputs, labels = outputs[known], labels[known]
        figures = {name: one.figure(outputs, labels) for name, one in self.metrics.items()}
        interval = student_interval(self.metrics["information_gain"].scores(outputs, labels))
        return GazeQuality(examples=len(labels), interval=interval, **figures)

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Information gain of each image that has a fixation, in bits."""
        known = self._known(outputs, labels)
        gains: NDArray[np.float64] = metrics.information_gains(outputs[known], labels[known], self._center_bias)
        return gains

    def agreement(self, outputs_a: Floats, outputs_b: Floats) -> None:
        """None: no class is named."""
        return None

    def best_constant(self, labels: NDArray[Any]) -> Constant:
        """All pixels alike, or the center bias that these fixations have themselves."""
        truth = labels[(labels > 0).any(axis=(1, 2))]
        shares = shares_of_fixations(truth)
        candidates = (
            ("the same probability of all pixels", center_bias(self.size, None)),
            ("the center bias of these fixations", center_bias(self.size, fitted_center(truth))),
        )
        constants = [Constant(name, self._gains(density, shares)) for name, density in candidates]
        return max(constants, key=lambda one: float(one.scores.mean()))

    def chance(self, outputs: Floats, labels: NDArray[Any], split: str, constant: Constant | None = None) -> Chance:
        """Compare with the best constant density and with guessing; see `attar.tasks.chance.against_chance`."""
        known = self._known(outputs, labels)
        best = self.best_constant(labels) if constant is None else constant
        shares = shares_of_fixations(labels[known])
        return against_chance(
            self._gains, log_densities(outputs[known]), shares, best, "information gain", split, signed=True
        )

    def label_in_words(self, label: Tensor) -> str:
        """How many fixations an image has."""
        count = int(label.clamp(min=0).sum())
        return f"{count} fixation{'' if count == 1 else 's'}" if count else "unknown"

    @property
    def _center_bias(self) -> NDArray[np.float64]:
        return center_bias(self.size, self.center)

    def _gains(self, densities: NDArray[Any], shares: NDArray[Any]) -> NDArray[np.float64]:
        """Information gain in bits, of log densities and shares of fixations, ``[n, positions]`` or ``[positions]``."""
        gains: NDArray[np.float64] = ((densities - self._center_bias) * shares).sum(axis=1) / math.log(2)
        return gains

    def _known(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """``[n]``, which images have a fixation.

        Raises:
            BadInput: If outputs and labels do not fit each other or the size.
        """
        check_shapes(outputs, labels, self.shape, self.size)
        return np.asarray((labels > 0).any(axis=(1, 2)))
