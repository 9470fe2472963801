"""Weights of DoReFa-Net: squashed by tanh, then in even steps from -1 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attar.ops.dtypes import at_least_float32
from attar.ops.grid import SMALLEST, check_bits, check_finite
from attar.quantization.format import NOTHING, Encoded, Table, stored


@dataclass(frozen=True)
class DoReFa:
    r"""Two or more bits: :math:`2 Q(\tanh w / (2 \max|\tanh w|) + 1/2) - 1`. One bit: :math:`\pm` the mean size.

    Q rounds to ``2**bits`` even steps of [0, 1]. Only the rounding is taken as the identity: the gradient goes through
    tanh and through the largest weight. Weights that are such numbers already are changed again by another pass, as
    tanh bends them: encode the weights, not what was decoded. Zero is not on the grid.

    Attributes:
        bits: Bits of a code, 1 to 16.

    Raises:
        BadInput: If ``bits`` is none of these.

    Example:
        >>> form = DoReFa(bits=1)
        >>> form.decode(form.encode(torch.tensor([-3.0, 1.0])))
        tensor([-2.,  2.])

    References:
        Zhou et al., *DoReFa-Net: training low bitwidth convolutional neural networks with low bitwidth gradients*,
        2016, section 2.3. arXiv:1606.06160.
    """

    bits: int = 4

    supports: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        check_bits(self.bits, "DoReFa")

    @property
    def codes(self) -> range:
        """From 0, which is -1 (minus the mean size with one bit)."""
        return range(2**self.bits)

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """``scale``, ``[1]``, with one bit; else nothing."""
        if self.bits > 1 or "scale" in table:
            return dict(table)
        return {"scale": (at_least_float32(tensor).abs().sum() / max(tensor.numel(), 1)).reshape(1), **table}

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: Entries that are not to be measured.
        """
        check_finite(tensor, "DoReFa")
        values = at_least_float32(tensor).contiguous()
        if self.bits == 1:
            codes = values >= 0
        else:
            codes = ((_squashed(values) + 1) * (self.codes[-1] / 2)).round_()
        return Encoded(stored(codes, self.codes), self.calibrate(tensor, table), tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The grid's numbers."""
        codes = encoded.codes.to(torch.float64 if encoded.dtype == torch.float64 else torch.float32)
        numbers = codes * (2 / self.codes[-1]) - 1
        return (numbers * encoded.table["scale"] if self.bits == 1 else numbers).to(encoded.dtype)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """What is rounded; the identity with one bit."""
        return tensor if self.bits == 1 else _squashed(tensor)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Four bytes with one bit, else none."""
        return 4 if self.bits == 1 else 0


def _squashed(values: Tensor) -> Tensor:
    bent = values.tanh()
    if not bent.numel():
        return bent
    largest = bent.abs().amax()
    return bent / torch.where(largest < SMALLEST, torch.ones_like(largest), largest)
