"""Networks whose ``forward`` takes several named inputs, as networks of one tensor that holds them all."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from attar.errors import BadInput, must
from attar.named_inputs import NamedInputs
from attar.network.named import Named

_TYPES = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}


class Unpacked(nn.Module):
    """A network of named inputs, as one whose single input is rows of `attar.named_inputs.NamedInputs`.

    Attributes:
        network: Takes the inputs by their names.
        named: What they are.
    """

    def __init__(self, network: nn.Module, named: NamedInputs) -> None:
        """Let a network be called with one tensor.

        Args:
            network: Kept as it is.
            named: Its inputs.
        """
        super().__init__()
        self.network = network
        self.named = named

    def forward(self, rows: Tensor) -> object:
        """What the network gives for ``[batch, width]``."""
        return self.by_name(*self.inputs_of(rows))

    def by_name(self, *inputs: Tensor) -> object:
        """What the network gives for inputs ``[batch, ...]``, one for each name."""
        return self.network(**dict(zip(self.named.names, inputs, strict=True)))

    def inputs_of(self, rows: Tensor) -> list[Tensor]:
        """The inputs in rows ``[batch, width]``, each ``[batch, ...]`` in its own type."""
        pieces = torch.split(rows, [one.size for one in self.named.inputs], dim=1)
        return [
            piece.reshape(-1, *one.shape).to(_TYPES[one.dtype]) if one.shape else piece[:, 0].to(_TYPES[one.dtype])
            for piece, one in zip(pieces, self.named.inputs, strict=True)
        ]


@dataclass(frozen=True)
class UnpackInputs:
    """The edit by which a network takes the named inputs of its data as one.

    Attributes:
        named: The inputs.
    """

    named: NamedInputs
    replaces_earlier: ClassVar[bool] = True

    def apply(self, network: nn.Module) -> nn.Module:
        """The network behind what takes rows apart.

        Raises:
            BadInput: If its ``forward`` does not take these names.
        """
        network = network.network if isinstance(network, Named | Unpacked) else network
        _check_takes(network, self.named)
        return Unpacked(network, self.named)

    def to_json(self) -> dict[str, Any]:
        """The edit as a plain document."""
        return {"use": "unpack_inputs", "inputs": self.named.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> UnpackInputs:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else.
        """
        if document.keys() != {"use", "inputs"}:
            raise must("edit", "the spec", "use and inputs", sorted(document), "Save the network again")
        return cls(NamedInputs.from_json(document["inputs"]))


def _check_takes(network: nn.Module, named: NamedInputs) -> None:
    try:
        parameters = inspect.signature(network.forward).parameters
    except (TypeError, ValueError):  # compiled code without a signature
        return
    taken = {name for name, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    every = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    needed = [name for name in parameters if name in taken and parameters[name].default is inspect.Parameter.empty]
    if (every or taken >= set(named.names)) and set(needed) <= set(named.names):
        return
    raise BadInput(
        f"forward of {type(network).__name__} takes {', '.join(needed or sorted(taken)) or 'nothing'}, and the inputs "
        f"of the data are called {', '.join(named.names)}. Give both the same names."
    )
