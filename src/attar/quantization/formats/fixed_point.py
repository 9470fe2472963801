"""Fixed-point numbers whose point is somewhere else in each layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from attar.errors import must, near
from attar.ops.dtypes import at_least_float32
from attar.ops.granularity import PER_TENSOR, Granularity
from attar.ops.grid import check_bits, check_finite, fraction_bits, limits, passed_within, power, rounded
from attar.quantization.format import NOTHING, Encoded, Table, stored
from attar.quantization.ranges import Range, check_range, least_error


@dataclass(frozen=True)
class DynamicFixedPoint:
    r"""``code * 2**-fraction``, codes from :math:`-2^{B-1}` to :math:`2^{B-1}-1`, one ``fraction`` for each layer.

    What is beyond the ends saturates and gets no gradient. With ``range="max"`` one bit holds the sign and enough are
    before the point for the largest size. (Ristretto's rule for activations leaves the sign bit out, so that sizes
    above half of the largest saturate; ``fraction`` can be given to do the same.)

    Attributes:
        bits: Bits of a number in all, sign included, 2 to 16.
        fraction: Bits behind the point; may be negative or more than ``bits``. None to measure it.
        range: What is covered: ``max`` the largest size; ``percentile`` that share of the values; ``mse`` the best of
            the rule's number of bits behind the point and one to four more.
        percentile: In percent, for that rule.
        rounding: To the nearest, or by chance so that the mean is the value; the latter only while training.
        granularity: Which values share the place of the point.

    Raises:
        BadInput: If a setting is not one of these.

    Example:
        >>> form = DynamicFixedPoint(bits=3)
        >>> form.decode(form.encode(torch.tensor([-1.0, 0.3, 0.9])))
        tensor([-1.0000,  0.2500,  0.7500])

    References:
        Gysel, Motamedi, Ghiasi, *Hardware-oriented approximation of convolutional neural networks*, 2016. Tann,
        Hashemi, Bahar, Reda, *Hardware-software codesign of accurate, multiplier-free deep neural networks*, 2017.
    """

    bits: int = 8
    fraction: int | None = None
    range: Range = "max"
    percentile: float = 99.99
    rounding: Literal["deterministic", "stochastic"] = "deterministic"
    granularity: Granularity = PER_TENSOR

    supports: ClassVar[tuple[str, ...]] = ("weights", "activations")

    def __post_init__(self) -> None:
        check_bits(self.bits, "DynamicFixedPoint", lowest=2)
        check_range(self.range, self.percentile, "DynamicFixedPoint")
        if self.fraction is not None and not -64 <= self.fraction <= 64:
            rule = "a whole number from -64 to 64"
            raise must("fraction", "DynamicFixedPoint", rule, self.fraction, "None measures it")
        valid = ("deterministic", "stochastic")
        if self.rounding not in valid:
            raise must("rounding", "DynamicFixedPoint", "one of them", self.rounding, near(str(self.rounding), valid))

    @property
    def codes(self) -> _Codes:
        """Two's complement."""
        return _Codes(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1))

    def deterministic(self) -> DynamicFixedPoint:
        """The same, rounding to the nearest."""
        return replace(self, rounding="deterministic")

    @property
    def needs_calibration(self) -> bool:
        """Unless the place of the point is given."""
        return self.fraction is None

    def grid(self, table: Table) -> tuple[Tensor, Tensor]:
        """Scale and code of zero."""
        return power(-table["fraction"], torch.float32), torch.zeros_like(table["fraction"])

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """``fraction``: bits behind the point, ``[groups]`` int32."""
        return self._calibrate(self.granularity.rows(at_least_float32(tensor)), table)

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: Entries that are not to be measured.
        """
        check_finite(tensor, "DynamicFixedPoint")
        rows = self.granularity.rows(at_least_float32(tensor))
        table = self._calibrate(rows, table)
        codes = self._codes(rows, table["fraction"], self.rounding == "stochastic")
        return Encoded(stored(self.granularity.from_rows(codes, tuple(tensor.shape)), self.codes), table, tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The grid's numbers."""
        scale = power(-encoded.table["fraction"], _real(encoded.dtype))
        rows = self.granularity.rows(encoded.codes).to(scale.dtype) * scale[:, None]
        return self.granularity.from_rows(rows, encoded.shape).to(encoded.dtype)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """The identity within the range."""
        scale = power(-encoded.table["fraction"], _real(encoded.dtype))[:, None]
        low, high = (self.codes.start - 0.5) * scale, (self.codes.stop - 0.5) * scale
        return self.granularity.from_rows(passed_within(self.granularity.rows(tensor), low, high), encoded.shape)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Four bytes a group."""
        return self.granularity.groups(shape) * 4

    def _calibrate(self, rows: Tensor, table: Table) -> dict[str, Tensor]:
        if "fraction" in table:
            return dict(table)
        if self.fraction is not None:
            fraction = torch.full((len(rows),), self.fraction, dtype=torch.int32, device=rows.device)
            return {"fraction": fraction, **table}
        low, high = limits(rows, self.range, self.percentile)
        fraction = fraction_bits(torch.maximum(-low, high), self.bits)
        if self.range == "mse":
            tries = [fraction + more for more in _Codes(5)]
            numbers = [self._codes(rows, each, False) * power(-each, rows.dtype)[:, None] for each in tries]
            fraction = fraction + least_error(rows, numbers).int()
        return {"fraction": fraction, **table}

    def _codes(self, rows: Tensor, fraction: Tensor, stochastic: bool) -> Tensor:
        cells = rounded(rows * power(fraction, rows.dtype)[:, None], stochastic=stochastic)
        return cells.clamp_(self.codes.start, self.codes.stop - 1)


def _real(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


_Codes = range
"""The built-in, whose name the setting ``range`` takes within the class."""
