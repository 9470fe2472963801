"""From a quantized student to what a packed file holds, and back to a network that runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.deployment.packed.content import Content
from attar.deployment.refused import DeploymentError
from attar.errors import must
from attar.network.copying import copied
from attar.quantization.activations import INPUT, InputFormat, attach_input_
from attar.quantization.attach import attached_inputs, dequantize, encode, formats, is_quantized, weight_formats


def content(student: nn.Module) -> Content:
    """What is written of a quantized student.

    Args:
        student: What `quantize` gave. It is not changed.

    Raises:
        BadInput: If nothing is quantized.
        DeploymentError: If decoding would not give the weights that the student uses, because something else changes
            them too.
    """
    if not is_quantized(student):
        raise must("student", "deploy, packed,", "quantized", type(student).__name__, "Pass what quantize() gave")
    forms = formats(student)
    for name, (layer, attribute, _) in weight_formats(student).items():
        if len(layer.parametrizations[attribute]) > 1:
            place = name.rpartition(".")[0]
            raise DeploymentError(
                f"The weights {name!r} of layer {place!r} ({name_of_layer(layer)}) are not what their codes say: "
                "another parametrization changes them. Skip this layer, or remove the other one."
            )
    state = dequantize(student, leave="float", keep_input_formats=True).state_dict()
    return Content(
        {name: (forms[name], codes) for name, codes in encode(student).items()},
        {name: tensor.detach() for name, tensor in state.items() if name not in forms},
        exact=frozenset(
            f"{layer}.{INPUT}.{entry}".removeprefix(".")
            for layer, inputs in attached_inputs(student).items()
            for entry in inputs.names
        ),
    )


def decoded(student: nn.Module, packed: Content) -> nn.Module:
    """A copy with decoded weights, in evaluation mode; layers go on rounding their inputs.

    Args:
        student: What `quantize` gave. It is not changed.
        packed: Its `content`.
    """
    network = dequantize(student, leave="float", keep_input_formats=True).eval()
    with torch.no_grad():
        for name, weights in packed.decoded().items():
            network.get_parameter(name).copy_(weights)
    return network


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
