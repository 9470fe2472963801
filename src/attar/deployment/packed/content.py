"""What a packed file holds: low-bit codes, the tables that they are read with, and all that stays float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from attar.deployment.packed.ans import LARGEST_ALPHABET, compress
from attar.ops.packing import pack, pack_digits
from attar.quantization.format import Encoded, Format

Coded = tuple[str, UInt8[ndarray, " bytes"]]
"""How codes are packed, and their bytes."""


@dataclass(frozen=True)
class Content:
    """What a packed file holds. What is computed of its codes is shared by all that are made of it with `replace`.

    Attributes:
        codes: Each quantized tensor by name: its format and its codes with their table.
        tensors: All other parameters and buffers.
        graph: The network as an ONNX graph without its weights, for runtimes other than torch.
        exact: Names of those ``tensors`` that are written as they are whatever is asked for, such as the ranges of
            inputs of layers.
    """

    codes: Mapping[str, tuple[Format, Encoded]]
    tensors: Mapping[str, Tensor]
    graph: bytes | None = None
    exact: frozenset[str] = frozenset()
    _decoded: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    _bytes: dict[tuple[str, str], Coded] = field(default_factory=dict, repr=False, compare=False)

    def decoded(self) -> dict[str, Tensor]:
        """The tensors that codes stand for; they are computed once, and not to be changed."""
        for name, (form, codes) in self.codes.items():
            if name not in self._decoded:
                self._decoded[name] = form.decode(codes)
        return {name: self._decoded[name] for name in self.codes}

    def state(self) -> dict[str, Tensor]:
        """All parameters and buffers, decoded; not to be changed."""
        return self.decoded() | dict(self.tensors)

    def coded(self, name: str, coder: str) -> Coded:
        """How the codes of a tensor are packed by a coder, and their bytes; they are computed once."""
        if (name, coder) not in self._bytes:
            form, codes = self.codes[name]
            self._bytes[name, coder] = _coded(codes.codes, form, coder)
        return self._bytes[name, coder]

    def shaped(self) -> dict[str, Tensor]:
        """Tensors of the names and shapes of all parameters and buffers, without decoding them."""
        return {name: codes.codes for name, (_, codes) in self.codes.items()} | dict(self.tensors)

    def stored_as(self, floats: str) -> Content:
        """What a file of these ``floats`` gives back; see `write_packed`."""
        rounded = {name: self.written(name, tensor, floats).to(tensor.dtype) for name, tensor in self.tensors.items()}
        return replace(self, tensors=rounded)

    def with_graph(self, graph: bytes) -> Content:
        """The same with a graph."""
        return replace(self, graph=graph)

    def written(self, name: str, tensor: Tensor, floats: str) -> Tensor:
        """A tensor in the type in which it is stored; see `write_packed`."""
        as_float16 = floats == "float16" and tensor.dtype == torch.float32 and name not in self.exact
        return tensor.half() if as_float16 else tensor


def shared(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of tensors that are another name's numbers, as tied weights are, with that name: written once."""
    first: dict[tuple[Any, ...], str] = {}
    same = {}
    for name, tensor in tensors.items():
        if tensor.numel():
            place = (tensor.data_ptr(), tensor.device, tensor.dtype, tuple(tensor.shape), tensor.stride())
            if first.setdefault(place, name) != name:
                same[name] = first[place]
    return same


def _coded(codes: Tensor, form: Format, coder: str) -> Coded:
    """How the codes are packed, and their bytes."""
    kinds = form.codes
    flat = codes.detach().cpu().contiguous().reshape(-1).numpy().astype(np.int64) - kinds.start
    best: Coded = ("bits", pack(flat, form.bits))
    if len(kinds) <= 16:
        best = min(best, ("digits", pack_digits(flat, len(kinds))), key=lambda each: len(each[1]))
    if coder == "smallest" and len(kinds) <= LARGEST_ALPHABET and flat.size:
        best = min(best, ("ans", compress(flat, len(kinds))), key=lambda each: len(each[1]))
    return best
