"""Weights clipped to [-1, 1] in even steps, as in wide reduced-precision networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from attar.ops.dtypes import at_least_float32
from attar.ops.grid import check_bits, check_finite
from attar.quantization.format import NOTHING, Encoded, Table, stored


@dataclass(frozen=True)
class Wrpn:
    r"""``code / (2**(bits-1) - 1)`` of weights clipped to [-1, 1]: :math:`2^k - 1` numbers, zero among them.

    The grid is the same in every layer and there is no table: weights below half a step are zero, which may be all of a
    layer whose weights begin small and whose bits are few. Weights beyond get no gradient. Activations that go with it
    are `Clipped`.

    Attributes:
        bits: Bits of a code, 2 to 16; with 2 the weights are -1, 0 and 1.

    Raises:
        BadInput: If ``bits`` is none of these.

    Example:
        >>> import torch
        >>> form = Wrpn(bits=2)
        >>> form.decode(form.encode(torch.tensor([-3.0, -0.4, 0.6])))
        tensor([-1.,  0.,  1.])

    References:
        Mishra, Nurvitadhi, Cook, Marr, *WRPN: wide reduced-precision networks*, 2018, section 5.1. arXiv:1709.01134.
        Its use with a teacher: Mishra, Marr, *Apprentice*, 2018.
    """

    bits: int = 4

    supports: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        check_bits(self.bits, "Wrpn", lowest=2)

    @property
    def codes(self) -> range:
        """Around 0, as many on either side."""
        return range(1 - 2 ** (self.bits - 1), 2 ** (self.bits - 1))

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """Nothing."""
        return dict(table)

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: There is none.
        """
        check_finite(tensor, "Wrpn")
        codes = (at_least_float32(tensor).clamp(-1, 1) * self.codes[-1]).round_()
        return Encoded(stored(codes.contiguous(), self.codes), {}, tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The grid's numbers."""
        return (at_least_float32(encoded.codes.to(encoded.dtype)) / self.codes[-1]).to(encoded.dtype)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """The identity from -1 to 1."""
        # A hair wider, so that a weight of exactly 1 goes on learning.
        return functional.hardtanh(tensor, -1.000001, 1.000001)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """None."""
        return 0
