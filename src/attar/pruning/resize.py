"""The edit of a network that goes on without some layers, and whose others are of other sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.errors import must, near
from attar.pruning.attention import open_attention_
from attar.pruning.layers import owners_of
from attar.pruning.passed import stand_in

MOST = 2**24
"""The largest size that a file may ask for; of several along the axes of a tensor each."""

_MAY_GROW = frozenset(
    {
        "in_channels",
        "out_channels",
        "groups",
        "in_features",
        "out_features",
        "num_features",
        "num_channels",
        "num_groups",
        "num_parameters",
        "normalized_shape",
    }
)
"""Numbers of torch's layers that say how much goes in or out. Any other number of a module only gets smaller."""

_SAVE = "Save it again"
_REMEDY = "Use the function that built the network"

Number = int | tuple[int, ...]


@dataclass(frozen=True)
class Resize:
    """Layers that are gone, and the sizes of others. Layers of another size begin with new weights.

    They are drawn as torch draws them for a new layer of that size, also where the function that built the network
    drew them otherwise. Parameters that a module of the user's own uses itself keep their first positions.

    Attributes:
        removed: Names of layers that are left out: what goes in comes out.
        zeroed: Names of layers that give zeros in the shape of what goes in, so that what is added to them passes them
            by.
        numbers: Whole numbers, or several of them, that modules keep of their sizes, by their name:
            ``features.0.out_channels``.
        shapes: Of parameters and buffers that are of another shape, by their name.
    """

    removed: tuple[str, ...] = ()
    zeroed: tuple[str, ...] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    replaces_earlier: ClassVar[bool] = False

    def apply(self, network: nn.Module) -> nn.Module:
        """Make the edit in place.

        Raises:
            BadInput: If the network has no such layer, number or tensor, a tensor has another count of axes, is shared
                or made by a parametrization such as a number format. The network is then left as it was.
        """
        layers = dict(network.named_modules())
        for name in (*self.removed, *self.zeroed):
            if not name or name not in layers:
                raise must("removed", "Resize", "names of the network's layers", name, near(name, filter(None, layers)))
        for name, number in self.numbers.items():
            _check_number(name, number, layers)
        owned = owners_of(network)
        for name, shape in self.shapes.items():
            _check_shape(name, shape, layers, owned)
        if any(isinstance(layer, nn.MultiheadAttention) for layer in layers.values()):
            open_attention_(network)  # else a whole block is computed from its tensors, whatever stands in their place
        for name, number in self.numbers.items():
            layer, attribute = _place(name)
            setattr(layers[layer], attribute, number)
        resized: dict[str, list[str]] = {}
        for name in self.shapes:
            layer, attribute = _place(name)
            resized.setdefault(layer, []).append(attribute)
        for name, attributes in resized.items():
            self._resize_(name, layers[name], attributes)
        stand_ins = {id(layers[name]): stand_in(layers[name], False) for name in self.removed}
        stand_ins |= {id(layers[name]): stand_in(layers[name], True) for name in self.zeroed}
        for layer in layers.values():
            for child, module in layer._modules.items():
                if id(module) in stand_ins:
                    layer._modules[child] = stand_ins[id(module)]
        if stand_ins:
            _keep_inputs_(network)
        return network

    def _resize_(self, name: str, layer: nn.Module, attributes: list[str]) -> None:
        """Give a layer tensors of other shapes, and first values."""
        for attribute in attributes:
            shape = self.shapes[f"{name}.{attribute}" if name else attribute]
            old: Tensor = getattr(layer, attribute).detach()
            new = torch.zeros(shape, dtype=old.dtype, device=old.device)
            shared = tuple(slice(min(pair)) for pair in zip(old.shape, shape, strict=True))
            new[shared] = old[shared]
            if attribute in layer._parameters:
                requires_grad = getattr(layer, attribute).requires_grad
                layer._parameters[attribute] = nn.Parameter(new, requires_grad=requires_grad)
            else:
                layer._buffers[attribute] = new
        reset = getattr(
            layer, "_reset_parameters" if isinstance(layer, nn.MultiheadAttention) else "reset_parameters", None
        )
        if callable(reset):
            reset()

    def to_json(self) -> dict[str, Any]:
        """The edit as a plain document."""
        return {
            "use": "resize",
            "removed": list(self.removed),
            "zeroed": list(self.zeroed),
            "numbers": {name: list(one) if isinstance(one, tuple) else one for name, one in self.numbers.items()},
            "shapes": {name: list(one) for name, one in self.shapes.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Resize:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else, or a size is out of range.
        """
        if document.keys() != {"use", "removed", "zeroed", "numbers", "shapes"}:
            rule = "names of layers that are removed and zeroed, numbers and shapes by name"
            raise must("resize", "the spec", rule, dict(document), _SAVE)
        names = [document["removed"], document["zeroed"]]
        every = list(chain.from_iterable(one for one in names if isinstance(one, list)))
        if not all(isinstance(one, list) for one in names) or not _are_different_names(every):
            raise must("removed and zeroed", "the spec", "lists of different names of layers", names, _SAVE)
        numbers, shapes = document["numbers"], document["shapes"]
        if not isinstance(numbers, Mapping) or not isinstance(shapes, Mapping):
            raise must("numbers and shapes", "the spec", "tables by name", [numbers, shapes], _SAVE)
        for name, number in numbers.items():
            if not _is_size(number, 0) and not _are_sizes(number, 0):
                raise must(f"number {name!r}", "the spec", f"whole numbers from 0 to {MOST}", number, _SAVE)
        for name, shape in shapes.items():
            if not _are_sizes(shape, 1) or prod(shape) > MOST**2:
                raise must(f"shape {name!r}", "the spec", f"whole numbers from 1 to {MOST}", shape, _SAVE)
        read = {name: tuple(one) if isinstance(one, list) else one for name, one in numbers.items()}
        by_name = {name: tuple(one) for name, one in shapes.items()}
        return cls(tuple(document["removed"]), tuple(document["zeroed"]), read, by_name)


def _keep_inputs_(network: nn.Module) -> None:
    """Let no layer write over what goes into it: where one before it is gone, that may be needed for gradients."""
    for module in network.modules():
        if getattr(module, "inplace", None) is True:
            module.inplace = False  # type: ignore[assignment]


def _place(name: str) -> tuple[str, str]:
    """A module's name and an attribute's."""
    layer, _, attribute = name.rpartition(".")
    return layer, attribute


def _check_number(name: str, number: Number, layers: Mapping[str, nn.Module]) -> None:
    """Only what a module has already can change; and what says how much it computes only gets smaller."""
    layer, attribute = _place(name)
    present = vars(layers[layer]).get(attribute) if layer in layers else None
    before = present if isinstance(present, tuple) else (present,)
    after = number if isinstance(number, tuple) else (number,)
    same = isinstance(present, tuple) == isinstance(number, tuple) and len(before) == len(after)
    if not same or not all(_is_size(one, 0) for one in before):
        rule = "names of whole numbers that the network's modules have, and as many of them"
        raise must("numbers", "Resize", rule, name, _REMEDY)
    if attribute not in _MAY_GROW and any(new > old for new, old in zip(after, before, strict=True)):
        raise must(f"number {name!r}", "Resize", f"no more than {present}, which it is", number, _REMEDY)


def _check_shape(name: str, shape: tuple[int, ...], layers: Mapping[str, nn.Module], owners: Mapping[str, int]) -> None:
    layer, attribute = _place(name)
    if layer in layers and parametrize.is_parametrized(layers[layer], attribute):
        rule = "names of tensors that no number format or other parametrization is attached to"
        raise must("shapes", "Resize", rule, name, "Resize first, and quantize what is left")
    if name not in owners:
        raise must("shapes", "Resize", "names of the network's tensors", name, near(name, owners))
    if owners[name] > 1:
        raise must("shapes", "Resize", "names of tensors that one layer has alone", name, _REMEDY)
    tensor: Tensor = getattr(layers[layer], attribute)
    if tensor.dim() != len(shape):
        rule = f"as many sizes as its shape {tuple(tensor.shape)} has"
        raise must(f"shape {name!r}", "Resize", rule, shape, _REMEDY)


def _is_size(value: object, least: int) -> TypeGuard[int]:
    return type(value) is int and least <= value <= MOST


def _are_sizes(given: object, least: int) -> TypeGuard[list[int]]:
    return isinstance(given, list) and len(given) > 0 and all(_is_size(one, least) for one in given)


def _are_different_names(given: list[Any]) -> TypeGuard[list[str]]:
    return all(isinstance(name, str) for name in given) and len(set(given)) == len(given)
