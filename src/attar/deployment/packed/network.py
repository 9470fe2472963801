"""From a quantized student to what a packed file holds, and back to a network that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.deployment.export import DeploymentError
from attar.deployment.packed.container import Content
from attar.errors import CorruptFile, must
from attar.network.copying import copied
from attar.network.describe import must_fit
from attar.quantization.activations import INPUT, InputFormat, quantize_input
from attar.quantization.format import Format
from attar.quantization.quantize import encoded, formats, input_formats, unquantized


def is_quantized(student: nn.Module) -> bool:
    """Whether formats ride on it."""
    return bool(formats(student) or input_formats(student))


def plain(student: nn.Module) -> nn.Module:
    """A copy without formats, its weights what the formats made of them; inputs of layers are taken as they are."""
    return unquantized(student).eval()


def running(student: nn.Module) -> nn.Module:
    """A copy with plain weights whose layers still round their inputs: what the student is in evaluation mode."""
    network = plain(student)
    for name, inputs in _inputs(student).items():
        _attach(network.get_submodule(name), _input_format(inputs.form, inputs.table))
    return network


def content(student: nn.Module) -> Content:
    """What is written of a quantized student.

    Raises:
        BadInput: If nothing is quantized.
        DeploymentError: If decoding would not give the weights that the student uses, because something else changes
            them too.
    """
    if not is_quantized(student):
        raise must("student", "deploy, packed,", "quantized", type(student).__name__, "Pass what quantize() gave")
    bare = plain(student)
    state, forms = bare.state_dict(), formats(student)
    packed = Content(
        {name: (forms[name], codes) for name, codes in encoded(student).items()},
        {name: tensor.detach() for name, tensor in state.items() if name not in forms},
        {name: (layer.form, layer.table) for name, layer in _inputs(student).items()},
    )
    for name, tensor in packed.state().items():
        if name not in state or not _same_bits(tensor, state[name]):
            layer = name.rpartition(".")[0]
            raise DeploymentError(
                f"The weights {name!r} of layer {layer!r} ({type(bare.get_submodule(layer)).__name__}) are not what "
                "their codes say: another parametrization changes them. Skip this layer, or remove the other one."
            )
    return packed


def filled(network: nn.Module, packed: Content, path: Path) -> nn.Module:
    """A plain network, filled with what was packed, in place; its layers get the formats of their inputs.

    Args:
        network: Of the architecture that was packed, without formats.
        packed: What `read_packed` gave.
        path: Where it was read; for messages.

    Raises:
        BadInput: If names or shapes are not the network's.
    """
    state = packed.state()
    must_fit(network.state_dict(), state, path, "Build the network that was packed")
    network.load_state_dict(state)
    for name, (form, table) in packed.inputs.items():
        try:
            layer = network.get_submodule(name)
        except AttributeError as error:
            raise CorruptFile(f"{path} names a layer {name!r} that the network has not.") from error
        _attach(layer, _input_format(form, table))
    return network.eval()


def exportable(network: nn.Module) -> nn.Module:
    """A copy whose layers round their inputs by operations that every graph has: multiply, round, clip, multiply."""
    network = copied(network)
    for name, inputs in _inputs(network).items():
        layer = network.get_submodule(name)
        inputs.detach_from_(layer)
        _attach(layer, _Rounding(inputs))
    return network.eval()


class _Rounding(nn.Module):
    """What `InputFormat` does to numbers that are finite, without a function of its own."""

    step: Tensor
    inverse: Tensor

    def __init__(self, inputs: InputFormat) -> None:
        super().__init__()
        step, zero = inputs.form.grid(inputs.table)
        self.register_buffer("step", step.float())
        self.register_buffer("inverse", 1 / step.float())
        codes = inputs.form.codes
        self.low, self.high = float(codes.start - int(zero)), float(codes.stop - 1 - int(zero))

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs, rounded."""
        rounded: Tensor = (inputs * self.inverse).round().clamp(self.low, self.high) * self.step
        return rounded


def name_of_layer(layer: nn.Module) -> str:
    """The type of a layer, without what a parametrization makes of it."""
    kind = type(layer).__bases__[0] if parametrize.is_parametrized(layer) else type(layer)
    return kind.__name__


def _inputs(student: nn.Module) -> dict[str, InputFormat]:
    found = ((name, getattr(layer, INPUT, None)) for name, layer in student.named_modules())
    return {name: inputs for name, inputs in found if isinstance(inputs, InputFormat)}


def _input_format(form: Format, table: Mapping[str, Tensor]) -> InputFormat:
    inputs = InputFormat(form)
    inputs.names = tuple(table)
    for name, entry in table.items():
        inputs.register_buffer(name, entry.detach().cpu().clone())
    return inputs


def _attach(layer: nn.Module, rounding: nn.Module) -> None:
    layer.register_module(INPUT, rounding.eval())
    layer.register_forward_pre_hook(quantize_input)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(_raw(one), _raw(other))


def _raw(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
