"""Even steps with an integer that stands for zero: what integer arithmetic of runtimes uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attar.ops.dtypes import at_least_float32
from attar.ops.granularity import PER_TENSOR, Granularity
from attar.ops.grid import SMALLEST, check_bits, check_finite, limits, passed_within
from attar.quantization.format import NOTHING, Encoded, Table, stored
from attar.quantization.ranges import Range, check_range, least_error, shrunk


@dataclass(frozen=True)
class Affine:
    """``(code - zero_point) * step``, in which zero is a number of the grid, so that padding stays what it is.

    Values beyond the range become its ends. They get no gradient, all others that of the identity.

    Attributes:
        bits: Bits of a code, 1 to 16; 2 at least if symmetric.
        granularity: Which values share a scale; activations want ``PerTensor``.
        symmetric: Codes around a zero point of 0, as many on either side.
        range: Which values the grid covers: ``max`` all; ``percentile`` that share of them, on either side of zero;
            ``mse`` the range, of forty that shrink evenly towards zero, that makes the mean squared error least.
        percentile: In percent, above 50.

    Raises:
        BadInput: If a setting is not one of these.

    Example:
        >>> form = Affine(bits=2)
        >>> form.decode(form.encode(torch.tensor([-1.0, 0.0, 0.6, 2.0])))
        tensor([-1.,  0.,  1.,  2.])

    References:
        Jacob et al., *Quantization and training of neural networks for efficient integer-arithmetic-only inference*,
        2018, section 2.1. arXiv:1712.05877.
    """

    bits: int = 8
    granularity: Granularity = PER_TENSOR
    symmetric: bool = False
    range: Range = "max"
    percentile: float = 99.99

    supports: ClassVar[tuple[str, ...]] = ("weights", "activations")

    def __post_init__(self) -> None:
        check_bits(self.bits, "Affine", lowest=2 if self.symmetric else 1)
        check_range(self.range, self.percentile, "Affine")

    @property
    def codes(self) -> _Codes:
        """From 0; around 0 if symmetric."""
        half = 2 ** (self.bits - 1)
        return _Codes(1 - half, half) if self.symmetric else _Codes(2**self.bits)

    @property
    def needs_calibration(self) -> bool:
        """Always."""
        return True

    def grid(self, table: Table) -> tuple[Tensor, Tensor]:
        """Scale and code of zero."""
        return table["scale"].float(), table["zero_point"]

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """``scale`` and ``zero_point``, ``[groups]`` each."""
        return self._calibrate(self.granularity.rows(at_least_float32(tensor)), table)

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: Entries that are not to be measured.
        """
        check_finite(tensor, "Affine")
        rows = self.granularity.rows(at_least_float32(tensor))
        table = self._calibrate(rows, table)
        codes = self._codes(rows, table["scale"], table["zero_point"])
        return Encoded(stored(self.granularity.from_rows(codes, tuple(tensor.shape)), self.codes), table, tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The grid's numbers."""
        scale = encoded.table["scale"]
        codes = self.granularity.rows(encoded.codes).to(scale.dtype)
        rows = (codes - encoded.table["zero_point"][:, None]) * scale[:, None]
        return self.granularity.from_rows(rows, encoded.shape).to(encoded.dtype)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """The identity within the range."""
        if self.range == "max" and not table:
            return tensor
        scale, zero = encoded.table["scale"][:, None], encoded.table["zero_point"][:, None]
        # Half a step further, as values there are rounded and not clipped.
        low, high = (self.codes.start - 0.5 - zero) * scale, (self.codes.stop - 0.5 - zero) * scale
        return self.granularity.from_rows(passed_within(self.granularity.rows(tensor), low, high), encoded.shape)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Eight bytes a group; the zero point of a symmetric grid is counted too, as it is there."""
        return self.granularity.groups(shape) * 8

    def _calibrate(self, rows: Tensor, table: Table) -> dict[str, Tensor]:
        if table.keys() >= {"scale", "zero_point"}:
            return dict(table)
        low, high = limits(rows, self.range, self.percentile)
        scale, zero = self._grid(low, high)
        if self.range == "mse":
            candidates = [self._grid(*ends) for ends in shrunk(low, high)]
            best = least_error(rows, [(self._codes(rows, s, z) - z[:, None]) * s[:, None] for s, z in candidates])
            every = torch.stack([s for s, _ in candidates]), torch.stack([z for _, z in candidates])
            scale, zero = (each.gather(0, best[None]).squeeze(0) for each in every)
        return {"scale": scale, "zero_point": zero.int(), **table}

    def _grid(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        if self.symmetric:
            largest = torch.maximum(-low, high)
            span, zero = largest, torch.zeros_like(largest)
        else:
            span, zero = high - low, -low
        scale = torch.where(span < SMALLEST, torch.ones_like(span), span) / self.codes[-1]
        return scale, (zero / scale).round()

    def _codes(self, rows: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        codes = (rows * (1 / scale)[:, None]).round_() + zero[:, None]
        return codes.clamp_(self.codes.start, self.codes.stop - 1)


_Codes = range
"""The built-in, whose name the setting ``range`` takes within the class."""
