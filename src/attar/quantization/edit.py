"""The edit that quantization leaves in a spec: which format is attached to which tensor, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from attar.errors import Words, must, near
from attar.ops.dtypes import at_least_float32
from attar.quantization.activations import InputFormat, attach_input_
from attar.quantization.attach import WeightFormat, attach_, formats, input_formats, is_quantized, weight_formats
from attar.quantization.format import Format, Learned, Ranged
from attar.quantization.formats.named import from_table, to_table


@dataclass(frozen=True)
class Quantize:
    """Formats of a network, tensor by tensor, as they are when patterns and allocations have been resolved.

    Attributes:
        weights: The format of each quantized tensor, by the tensor's name.
        inputs: The format of what goes into each layer whose inputs are quantized, by the layer's name.
        shared: Names of tensors that have one codebook together; each list of names has one of its own.
    """

    weights: Mapping[str, Format] = field(default_factory=dict)
    inputs: Mapping[str, Format] = field(default_factory=dict)
    shared: tuple[tuple[str, ...], ...] = ()

    replaces_earlier: ClassVar[bool] = True

    @classmethod
    def of(cls, network: nn.Module) -> Quantize:
        """The formats that are attached to a network."""
        tensors: dict[int, list[str]] = {}
        for name, (_, _, weight_format) in weight_formats(network).items():
            for entry in weight_format.parameters():
                tensors.setdefault(id(entry), []).append(name)
        shared = tuple(dict.fromkeys(tuple(names) for names in tensors.values() if len(names) > 1))
        return cls(formats(network), input_formats(network), shared)

    def apply(self, network: nn.Module) -> nn.Module:
        """Attach the formats in place; learned entries and ranges are to be filled.

        Raises:
            BadInput: If the network has no such tensor or layer, or no format can be attached there.
        """
        if is_quantized(network):
            rule, remedy = "one without formats", "Build it without them: the edit attaches its own"
            raise must("network", "Quantize", rule, Words("one that has some"), remedy)
        layers = dict(network.named_modules())
        owners = _owners(network)
        attached = {}
        for name, form in self.weights.items():
            layer_name, _, attribute = name.rpartition(".")
            if name not in owners:
                raise must("weights", "Quantize", "names of the network's parameters", name, near(name, owners))
            if owners[name] > 1:
                rule = "names of parameters that one layer has alone"
                raise must("weights", "Quantize", rule, name, "Use the function that built the network")
            layer = layers[layer_name]
            weight = layer._parameters[attribute]
            assert weight is not None
            table = {}
            if isinstance(form, Learned):
                kind = at_least_float32(torch.empty(0, dtype=weight.dtype)).dtype
                shapes = form.table_shapes(tuple(weight.shape))
                table = {key: torch.zeros(shape, dtype=kind, device=weight.device) for key, shape in shapes.items()}
            attached[name] = WeightFormat(form, table)
            attach_(layer, attribute, attached[name], check=False)
        for name, form in self.inputs.items():
            if name not in layers:
                raise must("inputs", "Quantize", "names of the network's layers", name, near(name, layers))
            device = next((tensor.device for tensor in layers[name].parameters()), torch.device("cpu"))
            inputs = InputFormat(form)
            if inputs.form.needs_calibration:
                inputs.calibrate_(torch.zeros(1))  # for the names and shapes of its table
            attach_input_(layers[name], inputs.to(device).train(layers[name].training))
        for names in self.shared:
            first = attached[names[0]]
            for other in names[1:]:
                for key, entry in first._parameters.items():
                    setattr(attached[other], key, entry)
        return network

    def to_json(self) -> dict[str, Any]:
        """The edit as a plain document.

        Raises:
            BadInput: If a format is of a class of the user's own.
        """
        return {
            "use": "quantize",
            "weights": {name: to_table(form) for name, form in self.weights.items()},
            "inputs": {name: to_table(form) for name, form in self.inputs.items()},
            "shared": [list(names) for names in self.shared],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Quantize:
        """Read what `to_json` gave.

        Raises:
            BadInput: If it is something else, or a format is not made for its place.
        """
        weights, inputs, shared = (document.get(key) for key in ("weights", "inputs", "shared"))
        tables = [table for table in (weights, inputs) if isinstance(table, Mapping)]
        if document.keys() != {"use", "weights", "inputs", "shared"} or len(tables) < 2 or not _are_names(shared):
            rule = "formats of weights and inputs by name, and lists of shared names"
            raise must("quantize", "the spec", rule, document, "Save it again")
        edit = cls(
            {name: _format(name, table, "weights") for name, table in tables[0].items()},
            {name: _format(name, table, "activations") for name, table in tables[1].items()},
            tuple(tuple(names) for names in shared or ()),
        )
        edit._check_shared()
        return edit

    def _check_shared(self) -> None:
        """Only tensors of one format with learned entries can share, each in one list."""
        every = [name for names in self.shared for name in names]
        for names in self.shared:
            found = {self.weights.get(name) for name in names}
            learned = any(getattr(form, "learned", ()) for form in found)
            if len(found) != 1 or not learned or len(set(every)) < len(every):
                rule = "lists of different tensors with the same codebook"
                raise must("shared", "the spec", rule, list(names), "Save it again")


def _owners(network: nn.Module) -> dict[str, int]:
    """How many layers have each parameter to which a format can be attached, by the parameter's first name."""
    counts: dict[int, int] = {}
    names: dict[str, int] = {}
    for prefix, layer in network.named_modules():
        for attribute, parameter in layer._parameters.items():
            if parameter is not None and not isinstance(layer, nn.RNNBase | parametrize.ParametrizationList):
                counts[id(parameter)] = counts.get(id(parameter), 0) + 1
                names[f"{prefix}.{attribute}" if prefix else attribute] = id(parameter)
    return {name: counts[place] for name, place in names.items()}


def _are_names(shared: Any) -> bool:
    return isinstance(shared, list) and all(
        isinstance(names, list) and len(names) > 1 and all(isinstance(name, str) for name in names) for names in shared
    )


def _format(name: str, table: Any, use: str) -> Format:
    form = from_table(table)
    if use not in form.supports or (use == "activations" and not isinstance(form, Ranged)):
        raise must(f"format of {name!r}", "the spec", f"one that is made for {use}", to_table(form), "Save it again")
    return form
