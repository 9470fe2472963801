"""Weights that share a few points, which training places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import must, near
from attar.ops.dtypes import at_least_float32
from attar.ops.granularity import BUCKETS, Granularity
from attar.ops.grid import SMALLEST, check_bits, check_finite, nearest_point
from attar.quantization.format import NOTHING, Encoded, Table, bits_of, stored

_ROUNDS = 300
"""The points of thousands of values stop moving within tens of rounds."""


@dataclass(frozen=True)
class Codebook:
    r"""Each group is scaled to [0, 1] by its smallest and largest value, and each value becomes its nearest point.

    The points are one list for the tensor. With :math:`\alpha_b` the span of bucket b, the gradient of point j is
    :math:`\sum_{i: a(i)=j} \alpha_{b(i)} \, dL/dw_i` over the values that it stands for; a point that stands for none
    stays where it is. Points are taken in rising order wherever they are used, so that they may cross while they
    learn and an optimizer's momentum stays with its point.

    Attributes:
        bits: ``2**bits`` points, 1 to 16 bits.
        levels: A number of points instead, at least 2; ``bits`` then follows.
        points: The points themselves to begin with, instead; ``bits`` follows.
        init: Where they begin: at even ``quantile`` shares of the scaled values, at ``uniform`` distances, or where
            ``kmeans`` arrives from the quantiles, with the smallest squared error of the scaled values near them.
        trains: What training changes: the ``codebook`` and not the weights (differentiable quantization), the
            ``weights`` by the identity as gradient, or ``both``.
        granularity: Which values share a scale.

    Raises:
        BadInput: If a setting is not one of these.

    Example:
        >>> form = Codebook(points=(0.0, 0.1, 1.0))
        >>> form.decode(form.encode(torch.tensor([0.0, 3.0, 4.0, 10.0])))
        tensor([ 0.,  1.,  1., 10.])

    References:
        Polino, Pascanu, Alistarh, *Model compression via distillation and quantization*, 2018, section 4.
        arXiv:1802.05668. Means of what is nearest, in turns: Lloyd, *Least squares quantization in PCM*, 1982.
    """

    bits: int = 4
    levels: int | None = None
    points: tuple[float, ...] | None = None
    init: Literal["quantile", "uniform", "kmeans"] = "quantile"
    trains: Literal["codebook", "weights", "both"] = "codebook"
    granularity: Granularity = BUCKETS

    supports: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        starts, trained = ("quantile", "uniform", "kmeans"), ("codebook", "weights", "both")
        for name, valid in (("init", starts), ("trains", trained)):
            if (value := getattr(self, name)) not in valid:
                raise must(name, "Codebook", f"one of {', '.join(valid)}", value, near(str(value), valid))
        if self.points is not None and self.levels not in (None, len(self.points)):
            raise must("levels", "Codebook", "left out where points are given", self.levels, "Give one of the two")
        count = len(self.points) if self.points is not None else self.levels
        if count is not None:
            if not 2 <= count <= 2**16:
                raise must("levels", "Codebook", "from 2 to 65536", count, "16 points are four bits")
            object.__setattr__(self, "bits", bits_of(range(count)))
        if self.points is not None and not all(-1e6 < point < 1e6 for point in self.points):
            raise must(
                "points", "Codebook", "numbers, most of them from 0 to 1", self.points, "Scale them by the group"
            )
        check_bits(self.bits, "Codebook")

    @property
    def codes(self) -> range:
        """One for each point, in rising order."""
        return range(len(self.points) if self.points is not None else self.levels or 2**self.bits)

    @property
    def learned(self) -> tuple[str, ...]:
        """The points, unless only weights are trained."""
        return () if self.trains == "weights" else ("points",)

    @property
    def trains_weights(self) -> bool:
        """Whether the weights go on learning."""
        return self.trains != "codebook"

    def initial_table(self, tensor: Tensor) -> dict[str, Tensor]:
        """The points to begin with."""
        values = at_least_float32(tensor)
        if self.points is not None:
            return {"points": values.new_tensor(sorted(self.points))}
        even = torch.linspace(0, 1, len(self.codes), dtype=values.dtype, device=values.device)
        if self.init == "uniform" or not values.numel():
            return {"points": even}
        rows = self.granularity.rows(values.detach())
        low, span = self._scale(rows)
        scaled = self.granularity.from_rows((rows - low[:, None]) / span[:, None], tuple(tensor.shape))
        rising = scaled.reshape(-1).sort().values
        # In float64: float32 cannot count beyond 2**24.
        place = torch.linspace(0, len(rising) - 1, len(even), dtype=torch.float64, device=even.device)
        before = place.floor().long()
        after = (before + 1).clamp(max=len(rising) - 1)
        points = torch.lerp(rising[before], rising[after], (place - before).to(rising.dtype))
        return {"points": _k_means(rising, points) if self.init == "kmeans" else points}

    def table_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shape of the points."""
        return {"points": (len(self.codes),)}

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """``low`` and ``span``, ``[groups]`` each, and ``points`` in rising order."""
        return self._calibrate(tensor, self.granularity.rows(at_least_float32(tensor)), table)

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: Entries that are not to be measured.
        """
        check_finite(tensor, "Codebook")
        rows = self.granularity.rows(at_least_float32(tensor))
        table = self._calibrate(tensor, rows, table)
        scaled = (rows - table["low"][:, None]) / table["span"][:, None]
        codes = self.granularity.from_rows(nearest_point(scaled, table["points"]), tuple(tensor.shape))
        return Encoded(stored(codes, self.codes), table, tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """Points, scaled back."""
        return self._scaled_back(encoded, encoded.table["points"])

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """The chosen points, the identity of the weights, or both."""
        if self.trains == "weights":
            return tensor
        points = self._scaled_back(encoded, table.get("points", encoded.table["points"]).sort().values)
        return points if self.trains == "codebook" else points + tensor

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Eight bytes a group and four a point."""
        return self.granularity.groups(shape) * 8 + len(self.codes) * 4

    def _scaled_back(self, encoded: Encoded, points: Tensor) -> Tensor:
        codes = self.granularity.rows(encoded.codes)
        chosen = points.index_select(0, codes.reshape(-1).int()).reshape(codes.shape)
        rows = encoded.table["low"][:, None] + encoded.table["span"][:, None] * chosen
        return self.granularity.from_rows(rows, encoded.shape).to(encoded.dtype)

    def _scale(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        if not rows.numel():
            return rows.new_zeros(len(rows)), rows.new_ones(len(rows))
        low = rows.amin(1)
        span = rows.amax(1) - low
        return low, torch.where(span < SMALLEST, torch.ones_like(span), span)

    def _calibrate(self, tensor: Tensor, rows: Tensor, table: Table) -> dict[str, Tensor]:
        if not table.keys() >= {"low", "span"}:
            low, span = self._scale(rows)
            table = {"low": low, "span": span, **table}
        points = table["points"].detach() if "points" in table else self.initial_table(tensor)["points"]
        return {**table, "points": points.sort().values}


def _k_means(rising: Tensor, points: Tensor) -> Tensor:
    """Each point moved to the mean of the values that are nearest to it, again and again until none moves.

    Args:
        rising: Values in rising order, ``[n]``.
        points: Where the points begin, in rising order, ``[k]``; one that no value is nearest to stays.
    """
    # What lies between two places of the sorted values sums up to a difference of two of these.
    sums = functional.pad(rising.double().cumsum(0), (1, 0))
    within = points.double()
    for _ in range(_ROUNDS):
        middle = (within[1:] + within[:-1]) / 2
        ends = functional.pad(torch.searchsorted(rising.double(), middle), (1, 0))
        ends = torch.cat([ends, ends.new_tensor([len(rising)])])
        counts = ends.diff()
        moved = torch.where(counts > 0, sums[ends].diff() / counts.clamp(min=1), within)
        if torch.equal(moved, within):
            break
        within = moved
    return within.to(points.dtype)
