"""What one example costs a network in multiply-adds, and how many parameters it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from attar.errors import must
from attar.network.evaluating import evaluating
from attar.network.forward import forward


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a network, independent of any machine.

    Attributes:
        parameters: Numbers that training sets; one that several layers share counts once.
        macs: Multiply-adds of one example in every linear layer, convolution, transposed convolution, recurrent layer,
            matrix product and attention. Biases, activations, normalization and pooling are not counted.
        by_layer: The same by name of the module in which they happen, the innermost one, for those that have any; the
            network itself is ``""``. The values add up to ``macs``.
    """

    parameters: int
    macs: int
    by_layer: dict[str, int]

    def __str__(self) -> str:
        return f"{self.parameters:,} parameters, {self.macs:,} multiply-adds an example"


def cost(module: nn.Module, example: Tensor) -> Cost:
    """Count the multiply-adds of one example by running it once.

    Args:
        module: The network; neither its weights, its statistics nor its modes are changed.
        example: One input, ``[1, ...]``, on the network's device.

    Raises:
        BadInput: If the example is not a single one.

    Example:
        >>> print(cost(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), torch.zeros(1, 8)))
        46 parameters, 40 multiply-adds an example
    """
    if example.dim() < 1 or len(example) != 1:
        raise must("example", "cost", "a single input, [1, ...]", list(example.shape), "Pass inputs[:1]")
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _recurrent_flops})
    by_layer: dict[str, int] = {}
    with evaluating(module), _without_gradients(module), _unfused(), _attributed(module, counter, by_layer), counter:
        forward(module, example)
    macs = counter.get_total_flops() // 2  # the counter takes a multiply-add for two operations
    return Cost(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        macs=macs,
        by_layer={name: flops // 2 for name, flops in by_layer.items() if flops},
    )


def _recurrent_flops(
    inputs: Sequence[int], from_inputs: Sequence[int], from_states: Sequence[int], *_: object, **__: object
) -> int:
    """Operations of one fused recurrent layer in one direction, from the shapes of its first three arguments.

    At each step of ``[steps, batch, features]`` both weight matrices are multiplied once.
    """
    return 2 * prod(inputs[:-1]) * (prod(from_inputs) + prod(from_states))


@contextmanager
def _without_gradients(module: nn.Module) -> Iterator[None]:
    """No parameter asks for gradients: the counter follows those of a layer's output, and a part of one has none."""
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in asking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


@contextmanager
def _unfused() -> Iterator[None]:
    """Attention as the products that it is made of, since the counter does not know every fused form."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def _attributed(module: nn.Module, counter: FlopCounterMode, by_layer: dict[str, int]) -> Iterator[None]:
    """While open, add what the counter gains inside each module, but not inside its parts, to ``by_layer``."""
    running: list[tuple[int, list[int]]] = []  # what was counted when a module began, and what its parts took

    def enter(*_: object) -> None:
        running.append((counter.get_total_flops(), [0]))

    def leave(name: str) -> None:
        start, inside_children = running.pop()
        inside = counter.get_total_flops() - start
        by_layer[name] = by_layer.get(name, 0) + inside - sum(inside_children)
        if running:
            running[-1][1].append(inside)

    def hooks() -> Iterator[RemovableHandle]:
        for name, child in module.named_modules():
            yield child.register_forward_pre_hook(enter)
            yield child.register_forward_hook(lambda *_, name=name: leave(name))

    with ExitStack() as stack:
        for handle in hooks():
            stack.callback(handle.remove)
        yield
