"""From a quantized student to what a packed file holds, and back to a network that runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.deployment.export import DeploymentError
from attar.deployment.packed.container import Content
from attar.errors import must
from attar.network.copying import copied
from attar.quantization.activations import INPUT, InputFormat, attach_input_
from attar.quantization.attach import attached_inputs, dequantize, encode, formats, is_quantized


def content(student: nn.Module, decoded: nn.Module | None = None) -> Content:
    """What is written of a quantized student.

    Args:
        student: What `quantize` gave. It is not changed.
        decoded: What `dequantize` made of it, with the formats of inputs and in evaluation mode, where that is there.

    Raises:
        BadInput: If nothing is quantized.
        DeploymentError: If decoding would not give the weights that the student uses, because something else changes
            them too.
    """
    if not is_quantized(student):
        raise must("student", "deploy, packed,", "quantized", type(student).__name__, "Pass what quantize() gave")
    decoded = dequantize(student, keep_input_formats=True).eval() if decoded is None else decoded
    state, forms = decoded.state_dict(), formats(student)
    packed = Content(
        {name: (forms[name], codes) for name, codes in encode(student).items()},
        {name: tensor.detach() for name, tensor in state.items() if name not in forms},
        exact=frozenset(
            f"{layer}.{INPUT}.{entry}".removeprefix(".")
            for layer, inputs in attached_inputs(student).items()
            for entry in inputs.names
        ),
    )
    for name, tensor in packed.state().items():
        if name not in state or not _same_bits(tensor, state[name]):
            layer = name.rpartition(".")[0]
            raise DeploymentError(
                f"The weights {name!r} of layer {layer!r} ({type(decoded.get_submodule(layer)).__name__}) are not what "
                "their codes say: another parametrization changes them. Skip this layer, or remove the other one."
            )
    return packed


def exportable(network: nn.Module) -> nn.Module:
    """A copy whose layers round their inputs by operations that every graph has: multiply, round, clip, multiply."""
    network = copied(network)
    for name, inputs in attached_inputs(network).items():
        layer = network.get_submodule(name)
        inputs.detach_from_(layer)
        attach_input_(layer, _Rounding(inputs))
    return network.eval()


class _Rounding(nn.Module):
    """What `InputFormat` does to numbers that are finite, without a function of its own."""

    scale: Tensor
    inverse: Tensor

    def __init__(self, inputs: InputFormat) -> None:
        super().__init__()
        scale, zero = inputs.form.grid(inputs.table)
        self.register_buffer("scale", scale.float())
        self.register_buffer("inverse", 1 / scale.float())
        codes = inputs.form.codes
        self.low, self.high = float(codes.start - int(zero)), float(codes.stop - 1 - int(zero))

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs, rounded."""
        rounded: Tensor = (inputs * self.inverse).round().clamp(self.low, self.high) * self.scale
        return rounded


def name_of_layer(layer: nn.Module) -> str:
    """The type of a layer, without what a parametrization makes of it."""
    kind = type(layer).__bases__[0] if parametrize.is_parametrized(layer) else type(layer)
    return kind.__name__


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(_raw(one), _raw(other))


def _raw(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
