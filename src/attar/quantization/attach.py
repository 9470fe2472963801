"""Formats attached to a network as parametrizations: the layers stay what they are, and removing them is built in."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.errors import must, near
from attar.network.copying import copied
from attar.quantization.activations import INPUT, InputFormat
from attar.quantization.format import Encoded, Format, Learned, Random, Table, straight_through


class WeightFormat(nn.Module):
    """The parametrization: a format, and the part of its table that is kept.

    Learned entries are parameters, other kept ones are buffers. While the module is in evaluation mode nothing is
    rounded by chance.
    """

    def __init__(self, form: Format, table: Table) -> None:
        """Attach nothing yet.

        Args:
            form: The format.
            table: The entries that are kept, as they are at the beginning: what `Learned.initial_table` gives.
        """
        super().__init__()
        self.form = form
        self.deterministic = form.deterministic() if isinstance(form, Random) else form
        self.entries = tuple(table)
        for name, entry in table.items():
            if isinstance(form, Learned) and name in form.learned:
                self.register_parameter(name, nn.Parameter(entry))
            else:
                self.register_buffer(name, entry)

    @property
    def table(self) -> dict[str, Tensor]:
        """The kept entries."""
        return {name: getattr(self, name) for name in self.entries}

    def forward(self, tensor: Tensor) -> Tensor:
        """The tensor as the format has it, with the format's gradient."""
        return straight_through(self.form if self.training else self.deterministic, tensor, self.table)

    def encode(self, tensor: Tensor) -> Encoded:
        """Its codes."""
        with torch.no_grad():
            table = {name: entry.detach() for name, entry in self.table.items()}
            return self.deterministic.encode(tensor.detach(), table)

    def extra_repr(self) -> str:
        return repr(self.form)


def attach_(layer: nn.Module, attribute: str, weight_format: WeightFormat, *, check: bool = True) -> None:
    """Let a format make of a parameter what the layer uses, in place.

    Args:
        layer: The layer.
        attribute: The name of its parameter, which is frozen if the format does not train it.
        weight_format: The format with the kept part of its table.
        check: Whether the format is tried on the parameter.
    """
    if isinstance(weight_format.form, Learned) and not weight_format.form.trains_weights:
        getattr(layer, attribute).requires_grad_(False)
    weight_format.train(layer.training)
    _give_own_class_(layer)
    parametrize.register_parametrization(layer, attribute, weight_format, unsafe=not check)


def is_quantized(student: nn.Module) -> bool:
    """Whether formats are attached to it."""
    return bool(formats(student) or input_formats(student))


def formats(student: nn.Module) -> dict[str, Format]:
    """The format of each quantized tensor, by its name."""
    return {name: form.form for name, (_, _, form) in weight_formats(student).items()}


def input_formats(student: nn.Module) -> dict[str, Format]:
    """The format of what goes into each layer whose inputs are quantized, by the layer's name."""
    return {name: inputs.form for name, inputs in attached_inputs(student).items()}


def attached_inputs(student: nn.Module) -> dict[str, InputFormat]:
    """What rounds the inputs of each layer whose inputs are quantized, by the layer's name."""
    found = ((name, getattr(layer, INPUT, None)) for name, layer in student.named_modules())
    return {name: inputs for name, inputs in found if isinstance(inputs, InputFormat)}


def encode(student: nn.Module) -> dict[str, Encoded]:
    """The codes of each quantized tensor, by its name: what is written to disk."""
    return {
        name: form.encode(getattr(layer.parametrizations, attribute).original)
        for name, (layer, attribute, form) in weight_formats(student).items()
    }


def without_formats(network: nn.Module) -> nn.Module:
    """The network with the float weights below its formats, a copy; itself where it has none."""
    return dequantize(network, leave="float") if is_quantized(network) else network


def dequantize(
    student: nn.Module, *, leave: Literal["quantized", "float"] = "quantized", keep_input_formats: bool = False
) -> nn.Module:
    """A copy without any format: plain layers again, with parameters that learn.

    Args:
        student: What `quantize` gave, trained or not.
        leave: Whether weights are what the formats made of them, or the float values below.
        keep_input_formats: Whether layers go on rounding their inputs.

    Raises:
        BadInput: If nothing is quantized.
    """
    if leave not in ("quantized", "float"):
        raise must("leave", "dequantize", "'quantized' or 'float'", leave, near(str(leave), ("quantized", "float")))
    if not formats(student) and not input_formats(student):
        raise must("student", "dequantize", "quantized", type(student).__name__, "Pass what quantize() gave")
    student = copied(student)
    modes = {layer: layer.training for layer in student.modules()}
    student.eval()  # As it is when it is used: nothing is rounded by chance.
    for layer, attribute, _ in list(weight_formats(student).values()):
        original = getattr(layer.parametrizations, attribute).original
        # It is a leaf that takes over the value; frozen ones are to learn again.
        original.requires_grad_(True)
        _give_own_class_(layer)
        parametrize.remove_parametrizations(layer, attribute, leave_parametrized=leave == "quantized")
    if not keep_input_formats:
        for name, inputs in attached_inputs(student).items():
            inputs.detach_from_(student.get_submodule(name))
    for layer in student.modules():
        layer.training = modes.get(layer, layer.training)
    return student


def train_codebooks_only_(student: nn.Module) -> nn.Module:
    """Freeze everything but the learned entries of formats, in place, and return the student.

    That is differentiable quantization as it was published: weights, biases and batch normalization's weights stay.
    Batch normalization's running statistics still follow the data in training mode.

    Raises:
        BadInput: If no format has learned entries.
    """
    student.requires_grad_(False)
    learned = [entry for _, _, form in weight_formats(student).values() for entry in form.parameters()]
    if not learned:
        rule = "a student whose formats have a learned codebook or learned scales"
        raise must("student", "train_codebooks_only_", rule, type(student).__name__, "Use Codebook() for example")
    for entry in learned:
        entry.requires_grad_(True)
    return student


def _give_own_class_(layer: nn.Module) -> None:
    """Make a parametrized layer's class its own.

    Torch makes a class for each such layer and puts the tensor on it as a property; a copy of the layer has the same
    class, so that what is done to one would be done to the other.
    """
    if parametrize.is_parametrized(layer):
        kind = type(layer)
        content = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
        layer.__class__ = type(kind.__name__, kind.__bases__, content)


def weight_formats(student: nn.Module) -> dict[str, tuple[Any, str, WeightFormat]]:
    """Each quantized tensor by its name: its layer, its name there, and its format."""
    found: dict[str, tuple[Any, str, WeightFormat]] = {}
    for name, layer in student.named_modules():
        if not parametrize.is_parametrized(layer):
            continue
        for attribute, attached in layer.parametrizations.items():
            if isinstance(attached[0], WeightFormat):
                found[f"{name}.{attribute}" if name else attribute] = (layer, attribute, attached[0])
    return found
