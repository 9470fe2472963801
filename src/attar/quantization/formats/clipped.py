"""Activations between zero and a limit, in even steps: those of WRPN and DoReFa."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attar.ops.dtypes import at_least_float32
from attar.ops.granularity import PerTensor
from attar.ops.grid import SMALLEST, check_bits, check_finite, limits, passed_within
from attar.quantization.format import NOTHING, Encoded, Table, stored
from attar.quantization.ranges import Range, check_range, least_error, shrunk


@dataclass(frozen=True)
class Clipped:
    """``2**bits`` even steps from 0 to a limit, which is 1 in both papers. What is beyond is clipped, without gradient.

    With a limit of 1 it takes activations in [0, 1], so that what comes before has to learn that; a measured limit
    takes networks as they are.

    Attributes:
        bits: Bits of a code, 1 to 16.
        range: How the limit is measured; None for 1. See `Affine`.
        percentile: In percent, for that rule.

    Raises:
        BadInput: If a setting is not one of these.

    Example:
        >>> form = Clipped(bits=1)
        >>> form.decode(form.encode(torch.tensor([-1.0, 0.4, 0.6, 2.0])))
        tensor([0., 0., 1., 1.])

    References:
        Mishra et al., *WRPN: wide reduced-precision networks*, 2018, section 5.1. Zhou et al., *DoReFa-Net*, 2016,
        section 2.5.
    """

    bits: int = 8
    range: Range | None = None
    percentile: float = 99.99

    supports: ClassVar[tuple[str, ...]] = ("activations",)

    def __post_init__(self) -> None:
        check_bits(self.bits, "Clipped")
        check_range(self.range or "max", self.percentile, "Clipped")

    @property
    def codes(self) -> _Codes:
        """From 0 (zero) to the limit."""
        return _Codes(2**self.bits)

    @property
    def needs_calibration(self) -> bool:
        """Unless the limit is 1."""
        return self.range is not None

    def grid(self, table: Table) -> tuple[Tensor, Tensor]:
        """Scale and code of zero."""
        return table["scale"].float(), torch.zeros_like(table["scale"], dtype=torch.int32)

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """``scale``, ``[1]``."""
        if "scale" in table:
            return dict(table)
        rows = PerTensor().rows(at_least_float32(tensor))
        if self.range is None:
            return {"scale": self._scale(rows.new_ones(1)), **table}
        low, high = limits(rows, self.range, self.percentile)
        scale = self._scale(high)
        if self.range == "mse":
            scales = [self._scale(end) for _, end in shrunk(low, high)]
            best = least_error(rows.clamp(min=0), [self._codes(rows, each) * each for each in scales])
            scale = torch.stack(scales).gather(0, best[None]).squeeze(0)
        return {"scale": scale, **table}

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """Codes of a tensor.

        Args:
            tensor: Any shape.
            table: Entries that are not to be measured.
        """
        check_finite(tensor, "Clipped")
        table = self.calibrate(tensor, table)
        return Encoded(stored(self._codes(at_least_float32(tensor), table["scale"]), self.codes), table, tensor.dtype)

    def decode(self, encoded: Encoded) -> Tensor:
        """The grid's numbers."""
        scale = encoded.table["scale"]
        return (encoded.codes.to(scale.dtype) * scale).to(encoded.dtype)

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """The identity within the range."""
        scale = encoded.table["scale"][:, None]
        rows = passed_within(PerTensor().rows(tensor), -0.5 * scale, (self.codes.stop - 0.5) * scale)
        return rows.reshape(encoded.shape)

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Four bytes."""
        return 4

    def _scale(self, limit: Tensor) -> Tensor:
        return torch.where(limit < SMALLEST, torch.ones_like(limit), limit) / self.codes[-1]

    def _codes(self, values: Tensor, scale: Tensor) -> Tensor:
        return (values * (1 / scale)).round_().clamp_(0, self.codes.stop - 1)


_Codes = range
"""The built-in, whose name the setting ``range`` takes within the class."""
