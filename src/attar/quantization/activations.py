"""What goes into a layer, in a format of few bits whose range was measured on training inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import must
from attar.network.evaluating import evaluating
from attar.quantization.format import Format, Random, Ranged, straight_through

INPUT = "input_format"
"""The name under which a layer holds the format of its inputs."""

_EACH, _ALL = 2**18, 2**20
"""Values that are kept of one batch, and of all batches together, to measure a range on."""


class InputFormat(nn.Module):
    """Rounds what goes into a layer; its table is fixed by a calibration and is part of the state."""

    def __init__(self, form: Format) -> None:
        super().__init__()
        assert isinstance(form, Ranged)
        self.form: Any = form
        self.settled: Any = form.settled() if isinstance(form, Random) else form
        self.names: tuple[str, ...] = ()
        self.observed: _Sample | None = None
        if not form.measures:
            self.measure_(torch.zeros(1))

    @property
    def table(self) -> dict[str, Tensor]:
        """The range, in the terms of the format."""
        return {name: getattr(self, name) for name in self.names}

    def measure_(self, sample: Tensor) -> None:
        """Set the range."""
        table = self.form.measure(sample)
        self.names = tuple(table)
        for name, entry in table.items():
            self.register_buffer(name, entry)

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs as the format has them; the gradient within the range is that of the identity."""
        if self.observed is not None:
            self.observed.add(inputs)
            return inputs
        form, table = self.form if self.training else self.settled, self.table
        if inputs.dtype == torch.float64 or getattr(form, "rounding", None) == "stochastic":
            return straight_through(form, inputs, table)
        step, zero = form.grid(table)
        # NaN or infinity in one value spoils all of them, as no whole number stands for it.
        step = step + 0 * inputs.detach().sum(dtype=torch.float32)
        low, high = form.codes.start - zero, form.codes.stop - 1 - zero
        rounded: Tensor = _Rounded.apply(inputs, step, low, high)  # type: ignore[no-untyped-call]
        return rounded

    def detach_from_(self, layer: nn.Module) -> None:
        """Let a layer take its inputs as they are again."""
        delattr(layer, INPUT)
        for key, hook in list(layer._forward_pre_hooks.items()):
            if hook is quantize_input:
                del layer._forward_pre_hooks[key]

    def extra_repr(self) -> str:
        return repr(self.form)


class _Rounded(torch.autograd.Function):
    """``decode(encode(inputs))`` with the gradient of the surrogate, in the fewest passes over the inputs.

    Activations are many, and torch's own kernels take long where images are channels last.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
        values = inputs.float()
        ctx.save_for_backward(values, step, low, high)
        steps = (values * (1 / step)).round_().clamp_(low, high)
        return steps.mul_(step).to(inputs.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        values, step, low, high = ctx.saved_tensors
        # Half a step further, as values there are rounded and not clipped.
        ends = float((low - 0.5) * step), float((high + 0.5) * step)
        passed = torch.ops.aten.hardtanh_backward(gradient.float(), values, *ends)
        return passed.to(gradient.dtype), None, None, None


def quantize_input(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hook that passes a layer's first argument through its `InputFormat`."""
    return (getattr(layer, INPUT)(arguments[0]), *arguments[1:])


def calibrate_(
    student: nn.Module, layers: Mapping[str, InputFormat], calibration: Tensor | Iterable[Tensor] | None
) -> None:
    """Measure the ranges of formats that need it, on what comes to their layers, weights being quantized already.

    Args:
        student: What they are parts of; run in evaluation mode and not changed otherwise.
        layers: The formats by the names of their layers.
        calibration: Inputs of the student.

    Raises:
        BadInput: If inputs are needed and missing, or never come to a layer.
    """
    waiting = {name: inputs for name, inputs in layers.items() if inputs.form.measures}
    if not waiting:
        return
    if calibration is None:
        rule = f"given, as {next(iter(waiting.values())).form} measures its range"
        raise must("calibration", "quantize", rule, None, "Pass some inputs from the training set")
    try:
        for inputs in waiting.values():
            inputs.observed = _Sample(whole=inputs.form.range != "max")
        with evaluating(student):
            for batch in [calibration] if isinstance(calibration, Tensor) else calibration:
                student(batch)
        for name, inputs in waiting.items():
            assert inputs.observed is not None
            if not inputs.observed.values:
                rule = f"inputs that reach layer {name!r}"
                remedy = "Give at least one example, or name the layers that are used"
                raise must("calibration", "quantize", rule, "none that does", remedy)
            inputs.measure_(inputs.observed.joined())
    finally:
        for inputs in waiting.values():
            inputs.observed = None


class _Sample:
    """Values of all batches: evenly thinned where there are many, or the extremes alone."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.stride = 1
        self.values: list[Tensor] = []

    def add(self, values: Tensor) -> None:
        flat = values.detach().reshape(-1).float()
        if not flat.numel():
            return
        if not self.whole:
            self.values.append(torch.stack(flat.aminmax()))
            return
        self.values.append(flat[:: max(self.stride, -(-len(flat) // _EACH))].clone())
        if sum(map(len, self.values)) > _ALL:
            self.stride *= 2
            self.values = [self.joined()[::2].clone()]

    def joined(self) -> Tensor:
        return torch.cat(self.values).clone()
