"""Weights that are zero, or plus or minus one number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from attar.errors import must, near
from attar.ops.dtypes import at_least_float32
from attar.ops.granularity import PER_TENSOR, Granularity, PerGroup
from attar.ops.grid import check_finite
from attar.quantization.format import NOTHING, Encoded, Table, stored


@dataclass(frozen=True)
class Ternary:
    r"""``-scale``, 0 or ``+scale``: weights become 0 up to :math:`\Delta` = ``threshold`` times their mean size.

    With ``scale="twn"`` the scale is the mean size of the weights above :math:`\Delta`, and the gradient that of the
    identity. With ``"learned"`` there are two, for weights above and below zero, which begin with that value and are
    trained: each gets the gradients of its weights, and these get theirs times the scale, as in trained ternary
    quantization (which sets its threshold by the largest weight; ours is the mean's, for both). As a scale gets the sum
    of many gradients, learning rates have to be small.

    Attributes:
        scale: Where the scales come from.
        threshold: :math:`\Delta` in mean sizes.
        granularity: Which weights share scale and threshold.

    Raises:
        BadInput: If a setting is not one of these.

    Example:
        >>> import torch
        >>> form = Ternary()
        >>> form.decode(form.encode(torch.tensor([0.1, -0.2, 0.9, -1.1])))
        tensor([ 0.,  0.,  1., -1.])

    References:
        Li, Zhang, Liu, *Ternary weight networks*, 2016, section 2. arXiv:1605.04711. Zhu, Han, Mao, Dally, *Trained
        ternary quantization*, 2017, section 3. arXiv:1612.01064.
    """

    scale: Literal["twn", "learned"] = "twn"
    threshold: float = 0.7
    granularity: Granularity = PER_TENSOR

    supports: ClassVar[tuple[str, ...]] = ("weights",)
    trains_weights: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.scale not in ("twn", "learned"):
            raise must("scale", "Ternary", "'twn' or 'learned'", self.scale, near(str(self.scale), ("twn", "learned")))
        if not 0 <= self.threshold < math.inf:
            raise must("threshold", "Ternary", "at least 0 and finite", self.threshold, "0.7 is the paper's")

    @property
    def codes(self) -> range:
        """-1, 0 and 1."""
        return range(-1, 2)

    @property
    def bits(self) -> int:
        """Two; five codes fit into a byte as digits to the base 3."""
        return 2

    @property
    def learned(self) -> tuple[str, ...]:
        """Both scales, or nothing."""
        return ("positive", "negative") if self.scale == "learned" else ()

    def initial_table(self, tensor: Tensor) -> dict[str, Tensor]:
        """Scales to begin with."""
        if self.scale == "twn":
            return {}
        begin = self._scale(*self._rows(tensor))
        return {"positive": begin.clone(), "negative": begin.clone()}

    def table_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shapes of the scales."""
        return {} if self.scale == "twn" else dict.fromkeys(("positive", "negative"), (self.granularity.groups(shape),))

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """``scale``, or ``positive`` and ``negative``, ``[groups]`` each."""
        return self._calibrate(*self._rows(tensor), table)

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: Entries that are not to be measured.
        """
        check_finite(tensor, "Ternary")
        rows, counts = self._rows(tensor)
        codes = self.granularity.from_rows(rows.sign() * (rows.abs() > self._delta(rows, counts)), tuple(tensor.shape))
        return Encoded(stored(codes, self.codes), self._calibrate(rows, counts, table), tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The three numbers of each group."""
        codes, table = self.granularity.rows(encoded.codes), encoded.table
        if self.scale == "twn":
            rows = codes.to(table["scale"].dtype) * table["scale"][:, None]
        else:
            rows = (codes > 0) * table["positive"][:, None] - (codes < 0) * table["negative"][:, None]
        return self.granularity.from_rows(rows, encoded.shape).to(encoded.dtype)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """The identity; with learned scales what is said above."""
        if self.scale == "twn":
            return tensor
        codes, rows = self.granularity.rows(encoded.codes), self.granularity.rows(tensor)
        above, below = codes > 0, codes < 0
        measured = self._calibrate(*self._rows(tensor), table)
        positive, negative = (measured[name][:, None] for name in ("positive", "negative"))
        slope = above * positive.detach() + below * negative.detach() + (codes == 0)
        scaled = rows * slope + above * positive - below * negative
        return self.granularity.from_rows(scaled, encoded.shape).to(encoded.dtype)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Four bytes a group; eight with learned scales."""
        return self.granularity.groups(shape) * (4 if self.scale == "twn" else 8)

    def _rows(self, tensor: Tensor) -> tuple[Tensor, int | Tensor]:
        """Groups as rows, and how many values each has: what fills up the last one is zero and does not count."""
        values = at_least_float32(tensor)
        rows = self.granularity.rows(values)
        size = max(rows.shape[1], 1)
        counts: int | Tensor = size
        if isinstance(self.granularity, PerGroup) and (missing := self.granularity.filled(values.numel())):
            counts = rows.new_full((len(rows), 1), size)
            counts[-1] -= missing
            real = torch.arange(rows.numel(), device=rows.device).view(rows.shape) < values.numel()
            rows = rows * real
        return rows, counts

    def _delta(self, rows: Tensor, counts: int | Tensor) -> Tensor:
        return self.threshold * rows.abs().sum(1, keepdim=True) / counts

    def _scale(self, rows: Tensor, counts: int | Tensor) -> Tensor:
        large = rows.abs() * (rows.abs() > self._delta(rows, counts))
        return large.sum(1) / (large > 0).sum(1).clamp(min=1)

    def _calibrate(self, rows: Tensor, counts: int | Tensor, table: Table) -> dict[str, Tensor]:
        names = ("scale",) if self.scale == "twn" else ("positive", "negative")
        if table.keys() >= set(names):
            return {name: table[name] for name in names}
        begin = self._scale(rows, counts)
        return {name: table.get(name, begin) for name in names}
