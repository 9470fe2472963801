"""Weights that are powers of two: a product becomes a shift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import must, near
from attar.ops.dtypes import at_least_float32
from attar.ops.grid import check_finite, power_of_two
from attar.quantization.format import NOTHING, Encoded, Table, bits_of, stored


@dataclass(frozen=True)
class PowerOfTwo:
    """Plus or minus a power of two. There is no table: the exponents are settings.

    A code is how far the highest power is shifted to the right; with the number of exponents added, the same with a
    minus sign; zero, if there is one, is the last code. Without a zero code, zero and whatever is too small become
    plus or minus the smallest power.

    Attributes:
        exponents: Lowest and highest exponent; four bits without a zero code have eight of them.
        rounding: In the ``log`` domain, ``nearest`` in value, or ``stochastic`` so that the mean is the value (while
            training only). They differ: 1.45 is nearer to 1, its logarithm nearer to that of 2.
        zero: Whether there is a code for zero.
        gradient: The straight-through gradient: ``identity``, or ``truncated``: none beyond the largest power.

    Raises:
        BadInput: If a setting is not one of these.

    Example:
        >>> form = PowerOfTwo()
        >>> form.decode(form.encode(torch.tensor([0.0, -0.3, 0.7, 5.0])))
        tensor([ 0.0078, -0.2500,  0.5000,  1.0000])

    References:
        Tann, Hashemi, Bahar, Reda, *Hardware-software codesign of accurate, multiplier-free deep neural networks*,
        2017; exponents from -7 to 0 and no zero.
    """

    exponents: tuple[int, int] = (-7, 0)
    rounding: Literal["log", "nearest", "stochastic"] = "log"
    zero: bool = False
    gradient: Literal["identity", "truncated"] = "identity"

    supports: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        lowest, highest = self.exponents
        if not -100 <= lowest <= highest <= 100:
            rule = "a lowest and a highest exponent from -100 to 100"
            raise must("exponents", "PowerOfTwo", rule, self.exponents, "(-7, 0) are those of four bits")
        for name, valid in (("rounding", ("log", "nearest", "stochastic")), ("gradient", ("identity", "truncated"))):
            if (value := getattr(self, name)) not in valid:
                raise must(name, "PowerOfTwo", f"one of {', '.join(valid)}", value, near(str(value), valid))

    @property
    def codes(self) -> range:
        """Powers from the largest to the smallest, the same negative, zero."""
        return range(2 * self._count + self.zero)

    @property
    def bits(self) -> int:
        """Bits of one code."""
        return bits_of(self.codes)

    def deterministic(self) -> PowerOfTwo:
        """The same, rounding to the nearest value where it was by chance."""
        return replace(self, rounding="nearest") if self.rounding == "stochastic" else self

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """Nothing."""
        return dict(table)

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: There is none.
        """
        check_finite(tensor, "PowerOfTwo")
        values = at_least_float32(tensor).contiguous()
        lowest, highest = self.exponents
        exponent, gone = power_of_two(values, lowest, highest, rounding=self.rounding, zero=self.zero)
        codes = highest - exponent + (values < 0) * self._count
        if gone is not None:
            codes = codes.masked_fill(gone, 2 * self._count)
        return Encoded(stored(codes, self.codes), {}, tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The powers."""
        lowest, highest = self.exponents
        powers = [2.0**exponent for exponent in range(highest, lowest - 1, -1)]
        every = [*powers, *(-each for each in powers), 0.0]
        numbers = torch.tensor(every, dtype=encoded.dtype, device=encoded.codes.device)
        return numbers.index_select(0, encoded.codes.reshape(-1).int()).reshape(encoded.shape)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """See ``gradient``."""
        # A hair wider, so that a weight of exactly the largest power goes on learning.
        end = 2.0 ** self.exponents[1] * 1.000001
        return tensor if self.gradient == "identity" else functional.hardtanh(tensor, -end, end)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """None."""
        return 0

    @property
    def _count(self) -> int:
        return self.exponents[1] - self.exponents[0] + 1
