"""Even steps within each bucket of weights, as in distillation with quantization."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import must, near
from attar.ops.dtypes import at_least_float32
from attar.ops.granularity import BUCKETS, Granularity
from attar.ops.grid import SMALLEST, check_bits, check_finite, rounded
from attar.quantization.format import NOTHING, Encoded, Table, stored


@dataclass(frozen=True)
class Uniform:
    r"""``2**bits`` evenly spaced numbers, from the smallest to the largest value of each group.

    ``linear`` scales a group to [0, 1] by its smallest and largest value, which are both kept exactly but for
    rounding; zero is in general no point of the grid. ``absmax`` and ``absnorm`` scale by the largest size or by the
    Euclidean length of the group, to a grid of ``2**bits - 1`` numbers that is symmetric around zero and has it; in
    the paper's code their sign is a bit beside the ``bits``. A group of equal values is kept as it is.

    Attributes:
        bits: Bits of a code, 1 to 16; 2 at least with a symmetric grid.
        granularity: Which values share a scale. The paper's bucket is ``PerGroup``.
        scaling: What the ends of the grid are.
        rounding: To the nearest number, or by chance so that the mean is the value; the latter only while training.
        gradient: The straight-through gradient: ``identity``; ``truncated``, where weights are clipped to [-1, 1]
            first and those outside get none; ``exact``, which takes the rounding alone as constant, and goes through
            the scale.

    Raises:
        BadInput: If a setting is not one of these.

    Example:
        >>> form = Uniform(bits=2)
        >>> form.decode(form.encode(torch.tensor([0.0, 0.1, 0.4, 0.9])))
        tensor([0.0000, 0.0000, 0.3000, 0.9000])

    References:
        Polino, Pascanu, Alistarh, *Model compression via distillation and quantization*, 2018, sections 2 and 3.
        arXiv:1802.05668. Grid and padding are those of its published code: 2**bits points.
    """

    bits: int = 4
    granularity: Granularity = BUCKETS
    scaling: Literal["linear", "absmax", "absnorm"] = "linear"
    rounding: Literal["deterministic", "stochastic"] = "deterministic"
    gradient: Literal["identity", "truncated", "exact"] = "identity"

    supports: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        for name, valid in (
            ("scaling", ("linear", "absmax", "absnorm")),
            ("rounding", ("deterministic", "stochastic")),
            ("gradient", ("identity", "truncated", "exact")),
        ):
            if (value := getattr(self, name)) not in valid:
                raise must(name, "Uniform", f"one of {', '.join(valid)}", value, near(str(value), valid))
        check_bits(self.bits, "Uniform", lowest=1 if self.scaling == "linear" else 2)

    @property
    def codes(self) -> range:
        """From 0 (the smallest value); around 0 on a symmetric grid."""
        if self.scaling == "linear":
            return range(2**self.bits)
        return range(1 - 2 ** (self.bits - 1), 2 ** (self.bits - 1))

    def deterministic(self) -> Uniform:
        """The same, rounding to the nearest."""
        return replace(self, rounding="deterministic")

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """``scale`` of the grid, and where it begins (``low``) if it is linear, ``[groups]`` each."""
        return self._calibrate(self._rows(tensor), table)

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: Entries that are not to be measured.
        """
        check_finite(tensor, "Uniform")
        rows = self._rows(tensor)
        table = self._calibrate(rows, table)
        values = self._cells(rows, table)
        codes = rounded(values, stochastic=self.rounding == "stochastic")
        codes = codes.clamp_(self.codes.start, self.codes.stop - 1)
        return Encoded(stored(self.granularity.from_rows(codes, tuple(tensor.shape)), self.codes), table, tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The grid's numbers."""
        scale = encoded.table["scale"]
        rows = self.granularity.rows(encoded.codes).to(scale.dtype) * scale[:, None]
        if self.scaling == "linear":
            rows += encoded.table["low"][:, None]
        return self.granularity.from_rows(rows, encoded.shape).to(encoded.dtype)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """See ``gradient``."""
        if self.gradient == "identity":
            return tensor
        if self.gradient == "truncated":
            # A hair wider, so that a weight of exactly 1 goes on learning.
            return functional.hardtanh(tensor, -1.000001, 1.000001)
        rows = self._rows(tensor)
        measured = self._calibrate(rows, table)
        # How far rounding moved each value, in steps: the one thing taken as constant.
        moved = self.granularity.rows(encoded.codes) - self._cells(rows, measured).detach()
        return self.granularity.from_rows(rows + moved * measured["scale"][:, None], encoded.shape).to(encoded.dtype)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Eight bytes a group; four if the grid is symmetric."""
        return self.granularity.groups(shape) * (8 if self.scaling == "linear" else 4)

    def _rows(self, tensor: Tensor) -> Tensor:
        values = at_least_float32(tensor)
        return self.granularity.rows(values.clamp(-1, 1) if self.gradient == "truncated" else values)

    def _calibrate(self, rows: Tensor, table: Table) -> dict[str, Tensor]:
        if table.keys() >= ({"low", "scale"} if self.scaling == "linear" else {"scale"}):
            return dict(table)
        if not rows.numel():
            low, span = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
        elif self.scaling == "linear":
            low, high = rows.amin(1), rows.amax(1)
            span = high - low
        else:
            low = rows.new_zeros(len(rows))
            span = rows.abs().amax(1)
            if self.scaling == "absnorm":
                # Of the values in units of the largest, as squares of large numbers are none.
                unit = torch.where(span < SMALLEST, torch.ones_like(span), span)
                span = span * torch.linalg.vector_norm(rows / unit[:, None], dim=1)
        scale = torch.where(span < SMALLEST, torch.ones_like(span), span) / self.codes[-1]
        return {**({"low": low} if self.scaling == "linear" else {}), "scale": scale, **table}

    def _cells(self, rows: Tensor, table: Table) -> Tensor:
        shifted = rows - table["low"][:, None] if self.scaling == "linear" else rows
        return shifted / table["scale"][:, None]
