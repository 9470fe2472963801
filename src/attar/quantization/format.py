"""What a number format is: a tensor to whole-number codes and a small table, and back.

Training, measuring and what is written to disk all use the same ``decode(encode(tensor))``. The straight-through
gradient of a format is the true gradient of another function, its `Format.surrogate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Table = Mapping[str, Tensor]
"""The small tensors that codes are read with: scales, points, thresholds, by name."""

NOTHING: Table = MappingProxyType({})
"""The table that gives nothing, so that everything is measured."""


@dataclass(frozen=True)
class Encoded:
    """A tensor as codes.

    Attributes:
        codes: Whole numbers in the shape of the tensor, each in the format's ``codes``.
        table: What they are read with; what `Format.decode` does not need is not in it.
        dtype: Of the tensor that was encoded, and that decoding gives back.
    """

    codes: Tensor
    table: Table
    dtype: torch.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.codes.shape)

    @property
    def table_bytes(self) -> int:
        """Bytes of the table."""
        return sum(entry.numel() * entry.element_size() for entry in self.table.values())


@runtime_checkable
class Format(Protocol):
    """How numbers are stored. Settings only: what training learns or a calibration measures is kept elsewhere.

    ``table`` arguments override what would be measured on the tensor, entry by entry: learned codebooks, ranges from a
    calibration, or the whole table of another encoding.
    """

    @property
    def codes(self) -> range:
        """All codes that there are."""
        ...

    @property
    def bits(self) -> int:
        """Bits of one code, before any entropy coding."""
        ...

    @property
    def supports(self) -> tuple[str, ...]:
        """What it is made for: ``"weights"``, ``"activations"``, or both."""
        ...

    def calibrate(self, tensor: Tensor, table: Table = NOTHING) -> dict[str, Tensor]:
        """The table that fits a tensor, with all that `encode` needs."""
        ...

    def encode(self, tensor: Tensor, table: Table = NOTHING) -> Encoded:
        """The codes of a tensor.

        Raises:
            BadInput: If a value is NaN or infinite.
        """
        ...

    def decode(self, encoded: Encoded) -> Tensor:
        """The numbers that the codes stand for, in a tensor of the encoded one's shape and type."""
        ...

    def surrogate(self, tensor: Tensor, table: Table, encoded: Encoded) -> Tensor:
        """A differentiable function of the tensor and of learned entries whose gradient takes rounding's place.

        Args:
            tensor: What was encoded.
            table: The table that was given to `encode`.
            encoded: What came out.
        """
        ...

    def table_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of the table of a float32 tensor of this shape."""
        ...


@runtime_checkable
class Learned(Protocol):
    """A format with entries of its table that are kept, instead of measured anew at each encoding."""

    def initial_table(self, tensor: Tensor) -> dict[str, Tensor]:
        """The entries that are kept, as they are at the beginning."""
        ...

    def table_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shapes of what `initial_table` gives for a tensor of this shape."""
        ...

    @property
    def learned(self) -> tuple[str, ...]:
        """Those of them that training changes."""
        ...

    @property
    def trains_weights(self) -> bool:
        """Whether the tensor itself goes on learning."""
        ...


@runtime_checkable
class Ranged(Protocol):
    """A format of activations: even steps, of which one is zero, over a range that is known before they come."""

    @property
    def needs_calibration(self) -> bool:
        """Whether the range has to be measured on examples."""
        ...

    def grid(self, table: Table) -> tuple[Tensor, Tensor]:
        """Scale: the length of a step (float32) and the code of zero (int32), ``[1]`` each."""
        ...


@runtime_checkable
class Random(Protocol):
    """A format that may round by chance."""

    def deterministic(self) -> Format:
        """The same without chance: how weights are rounded when nothing is being trained."""
        ...


def bits_of(codes: range) -> int:
    """Bits that tell so many codes apart, at least 1."""
    return max((len(codes) - 1).bit_length(), 1)


def stored(codes: Tensor, kinds: range) -> Tensor:
    """Whole numbers in the smallest integer type that holds all codes of the format."""
    for dtype in (torch.uint8, torch.int8, torch.int16):
        held = torch.iinfo(dtype)
        if held.min <= kinds.start and kinds.stop - 1 <= held.max:
            return codes.to(dtype)
    return codes.to(torch.int32)


def straight_through(form: Format, tensor: Tensor, table: Table) -> Tensor:
    """Exactly ``decode(encode(tensor))``, with the gradient of the format's surrogate.

    Args:
        form: The format.
        tensor: What is rounded; gradients flow to it.
        table: Entries that are kept or learned; gradients flow to those that the surrogate uses.
    """
    with torch.no_grad():
        encoded = form.encode(tensor, table)
        value = form.decode(encoded)
        value = _laid_out_as(tensor, value)
    wants = tensor.requires_grad or any(entry.requires_grad for entry in table.values())
    if not (wants and torch.is_grad_enabled()):
        return value
    gradual = form.surrogate(tensor, table, encoded)
    # The difference of a finite number from itself is exactly 0, so that the value stays what it is.
    return _laid_out_as(tensor, value + (gradual - gradual.detach()))


def _laid_out_as(tensor: Tensor, value: Tensor) -> Tensor:
    """The value in the layout of a tensor: channels last stays so.

    With one channel, or a kernel of one pixel, a tensor is contiguous in both layouts; what is computed of it has the
    strides of the usual one, and a convolution takes these as the layout of its output.
    """
    return value if value.stride() == tensor.stride() else torch.empty_like(tensor).copy_(value)
