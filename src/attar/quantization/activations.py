"""What goes into a layer, in a low-bit format whose range was measured on training inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import Words, must
from attar.network.evaluating import evaluating
from attar.network.forward import forward
from attar.ops.granularity import PER_TENSOR
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
        if (granularity := getattr(form, "granularity", PER_TENSOR)) != PER_TENSOR:
            rule = "the whole tensor: what goes into a layer has one range"
            raise must("granularity", "quantize, activations", rule, granularity, "Leave it out, or give PerTensor()")
        self.form: Any = form
        self.deterministic: Any = form.deterministic() if isinstance(form, Random) else form
        self.names: tuple[str, ...] = ()
        self.observed: _Sample | None = None
        if not form.needs_calibration:
            self.calibrate_(torch.zeros(1))

    @property
    def table(self) -> dict[str, Tensor]:
        """The range, in the terms of the format."""
        return {name: getattr(self, name) for name in self.names}

    def calibrate_(self, sample: Tensor) -> None:
        """Set the range."""
        table = self.form.calibrate(sample)
        self.names = tuple(table)
        for name, entry in table.items():
            self.register_buffer(name, entry)

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs as the format has them; the gradient within the range is that of the identity."""
        if self.observed is not None:
            self.observed.add(inputs)
            return inputs
        form, table = self.form if self.training else self.deterministic, self.table
        if inputs.dtype == torch.float64 or getattr(form, "rounding", None) == "stochastic":
            return straight_through(form, inputs, table)
        # What is infinite is clipped, and NaN stays NaN in its own place, as in a graph that a runtime executes.
        scale, zero = form.grid(table)
        low, high = form.codes.start - zero, form.codes.stop - 1 - zero
        rounded: Tensor = _Rounded.apply(inputs, scale, low, high)  # type: ignore[no-untyped-call]
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
    def forward(ctx: Any, inputs: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
        values = inputs.float()
        ctx.save_for_backward(values, scale, low, high)
        steps = (values * (1 / scale)).round_().clamp_(low, high)
        return steps.mul_(scale).to(inputs.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        values, scale, low, high = ctx.saved_tensors
        # Half a step further, as values there are rounded and not clipped.
        ends = float((low - 0.5) * scale), float((high + 0.5) * scale)
        passed = torch.ops.aten.hardtanh_backward(gradient.float(), values, *ends)
        return passed.to(gradient.dtype), None, None, None


def attach_input_(layer: nn.Module, rounding: nn.Module) -> None:
    """Let a layer pass its first argument through a module, which becomes a part of it."""
    layer.register_module(INPUT, rounding)
    layer.register_forward_pre_hook(quantize_input)


def quantize_input(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hook that passes a layer's first argument through its `InputFormat`."""
    if not arguments:
        rule = f"given by their place to {type(layer).__name__}, whose inputs have a format"
        raise must("inputs", "forward", rule, Words("keywords alone"), "Call it as layer(inputs)")
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
        BadInput: If inputs are needed and missing, never come to a layer, or what comes to it is NaN, infinite, or
            zero and nothing else.
    """
    waiting = {name: inputs for name, inputs in layers.items() if inputs.form.needs_calibration}
    if not waiting:
        return
    if calibration is None:
        rule = f"given, as {next(iter(waiting.values())).form} measures its range"
        raise must("calibration", "quantize", rule, None, "Pass some inputs from the training set")
    try:
        for inputs in waiting.values():
            inputs.observed = _Sample(every_value=inputs.form.range != "max")
        with evaluating(student):
            for batch in [calibration] if isinstance(calibration, Tensor) else calibration:
                forward(student, batch)
        for name, inputs in waiting.items():
            assert inputs.observed is not None
            if not inputs.observed.values:
                rule = f"inputs that reach layer {name!r}"
                remedy = "Give at least one example, or name the layers that are used"
                raise must("calibration", "quantize", rule, Words("none that does"), remedy)
            sample = inputs.observed.joined()
            if not (bool(sample.isfinite().all()) and bool(sample.any())):
                rule = f"finite, and not zero alone, where it reaches layer {name!r}"
                got = Words(f"values from {float(sample.min())} to {float(sample.max())}")
                remedy = "Give other training examples, or skip that layer"
                raise must("calibration", "quantize", rule, got, remedy)
            inputs.calibrate_(sample)
    finally:
        for inputs in waiting.values():
            inputs.observed = None


class _Sample:
    """Values of all batches: some drawn at random where there are many, or the extremes alone.

    Every so manieth would not do: pictures have a width, and the same columns would come again and again.
    """

    def __init__(self, every_value: bool) -> None:
        self.every_value = every_value
        self.one_in = 1
        self.values: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(0)

    def add(self, values: Tensor) -> None:
        flat = values.detach().reshape(-1).float()
        if not flat.numel():
            return
        if not self.every_value:
            self.values.append(torch.stack(flat.aminmax()))
            return
        self.values.append(self._drawn(flat, -(-len(flat) // max(self.one_in, -(-len(flat) // _EACH)))))
        if sum(map(len, self.values)) > _ALL:
            self.one_in *= 2
            every_value = self.joined()
            self.values = [self._drawn(every_value, len(every_value) // 2)]

    def joined(self) -> Tensor:
        return torch.cat(self.values).clone()

    def _drawn(self, flat: Tensor, count: int) -> Tensor:
        if count >= len(flat):
            return flat.clone()
        return flat[torch.randint(len(flat), (count,), generator=self.generator).to(flat.device)]
