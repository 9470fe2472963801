"""What layers do to one another while a network runs: what each is computed through, and where branches are added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.rnn import RNNBase
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from attar.network.evaluating import evaluating
from attar.network.forward import forward
from attar.pruning.influence import tensors
from attar.pruning.layers import ends
from attar.pruning.passed import STAND_INS

_ADDS = frozenset({"add", "radd", "iadd", "sub", "subtract", "rsub", "isub"})
_BY_ELEMENT = _ADDS | {"mul", "rmul", "imul", "multiply", "div", "divide", "truediv", "itruediv", "maximum", "minimum"}

_EMPTY = (nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict, *STAND_INS)

Stretch = tuple[str, tuple[int, ...]]
"""A module, and the axes along which an operation in it stretches one operand to the size of the other."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Two that are added.

    Attributes:
        module: The innermost module in which they are.
        branch: Names of the layers that only one of them comes through, in the order in which they are called.
        beside: Likewise of the other, of no more layers; empty where it passes the branch by as it is.
        in_a_block: Whether the module takes one tensor and gives one of that shape, so that it can be left out whole.
    """

    module: str
    branch: tuple[str, ...]
    beside: tuple[str, ...]
    in_a_block: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a tensor comes from.

    Attributes:
        through: A bit for each layer that it was computed through.
        maker: Name of the layer that made its channels; None where there is none, or several.
    """

    through: int = 0
    maker: str | None = None


class Unequal(Exception):
    """Two tensors meet whose sizes do not fit."""

    def __init__(self, module: str, sizes: tuple[torch.Size, torch.Size], marks: tuple[Mark, Mark]) -> None:
        super().__init__(f"{module!r} adds what is of sizes {list(sizes[0])} and {list(sizes[1])}")
        self.sizes = sizes
        self.marks = marks


def layers_of(network: nn.Module) -> dict[str, nn.Module]:
    """The layers of a network by name: the innermost modules; of torch's attention and recurrent layers they, whole.

    What does nothing, such as `torch.nn.Identity`, is none.
    """
    found: dict[str, nn.Module] = {}

    def look(name: str, module: nn.Module) -> None:
        composite = isinstance(module, nn.MultiheadAttention | RNNBase) or parametrize.is_parametrized(module)
        if composite or not module._modules:
            if not isinstance(module, _EMPTY) and module not in found.values():
                found[name] = module
            return
        for child, inner in module._modules.items():
            if inner is not None:
                look(f"{name}.{child}" if name else child, inner)

    look("", network)
    return found


class Trace(TorchFunctionMode):
    """Follows tensors through a network while it runs.

    Attributes:
        running: Names of the modules that run, the innermost one last; after an error, of those that did.
        order: The layers that were called, each with its bit, in the order of their first calls.
        stretched: Where one operand was stretched to the size of another.
    """

    def __init__(self, allowed: frozenset[Stretch] | None = None) -> None:
        """Start with nothing seen.

        Args:
            allowed: What may be stretched; anything if left out.
        """
        super().__init__()
        self.running: list[str] = []
        self.order: dict[str, int] = {}
        self._sums: list[Sum] = []
        self._blocks: set[str] = set()
        self.stretched: set[Stretch] = set()
        self._allowed = allowed
        self._marks: dict[int, tuple[Tensor, Mark]] = {}  # with the tensor, so that its number is not used again

    @property
    def sums(self) -> tuple[Sum, ...]:
        """Where branches were added, each once."""
        return tuple(dict.fromkeys(replace(one, in_a_block=one.module in self._blocks) for one in self._sums))

    def mark(self, tensor: Tensor, mark: Mark) -> None:
        """Say where a tensor comes from."""
        self._marks[id(tensor)] = tensor, mark

    def of(self, tensor: Tensor) -> Mark | None:
        """Where a tensor comes from; None where it does not depend on the network's input."""
        found = self._marks.get(id(tensor))
        return None if found is None else found[1]

    def merged(self, taken: Sequence[Tensor]) -> Mark | None:
        """Where what is computed from some tensors comes from."""
        marks = [mark for tensor in taken if (mark := self.of(tensor)) is not None]
        if not marks:
            return None
        through = 0
        for mark in marks:
            through |= mark.through
        makers = {mark.maker for mark in marks} - {None}
        return Mark(through, makers.pop() if len(makers) == 1 else None)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute as ever, and note where it comes from."""
        given = dict(kwargs or {})
        taken = [leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor) and id(leaf) in self._marks]
        name = getattr(func, "__name__", "").strip("_")
        if len(taken) > 1 and name in _BY_ELEMENT:
            self._meet(taken[0], taken[1], name in _ADDS)
        result = func(*args, **given)
        mark = self.merged(taken)
        if mark is not None:
            for tensor in tree_leaves(result):
                if isinstance(tensor, Tensor):
                    self.mark(tensor, mark)
        return result

    def _meet(self, first: Tensor, second: Tensor, adds: bool) -> None:
        marks = self._marks[id(first)][1], self._marks[id(second)][1]
        if first.dim() != second.dim():
            return
        if first.shape == second.shape:
            if adds:
                self._note_sum(*marks)
            return
        pairs = list(zip(first.shape, second.shape, strict=True))
        axes = tuple(axis for axis, (one, other) in enumerate(pairs) if one != other)
        stretch = self.running[-1] if self.running else "", axes
        fits = all(min(pairs[axis]) == 1 for axis in axes)
        if not fits or (self._allowed is not None and stretch not in self._allowed):
            raise Unequal(stretch[0], (first.shape, second.shape), marks)
        self.stretched.add(stretch)

    def _note_sum(self, first: Mark, second: Mark) -> None:
        sides = [self._names(one.through & ~other.through) for one, other in ((first, second), (second, first))]
        beside, branch = sorted(sides, key=len)
        if branch:
            self._sums.append(Sum(self.running[-1] if self.running else "", branch, beside))

    def _names(self, through: int) -> tuple[str, ...]:
        return tuple(name for name, bit in self.order.items() if through & bit)

    def starts(self, name: str) -> Callable[..., None]:
        """The hook to be called before a module."""

        def hook(*_: object) -> None:
            self.running.append(name)

        return hook

    def ends(self, name: str, is_layer: bool) -> Callable[..., Any]:
        """The hook to be called after a module."""

        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            self.running.pop()
            taken = tensors((args, kwargs))
            if not is_layer:
                alike = isinstance(output, Tensor) and len(taken) == 1 and output.shape == taken[0].shape
                if alike and not isinstance(module, nn.TransformerEncoderLayer):  # at whose parts others look
                    self._blocks.add(name)
                return None
            bit = self.order.setdefault(name, 1 << len(self.order))
            before = self.merged(taken) or Mark()
            if any(output is one for one in taken) and not getattr(module, "inplace", False):
                output = output.view_as(output)  # of another place than what came in, which may pass the layer by
            for tensor in tensors(output):
                mark = self.of(tensor) or before
                maker = name if ends(module) is not None else mark.maker
                self.mark(tensor, Mark(mark.through | before.through | bit, maker))
            return output

        return hook


@contextmanager
def traced(network: nn.Module, allowed: frozenset[Stretch] | None = None) -> Iterator[Trace]:
    """A trace of what a network does while this is open.

    Args:
        network: Any module.
        allowed: What may be stretched; anything if left out.
    """
    trace = Trace(allowed)
    known = set(layers_of(network))
    with ExitStack() as stack:
        for name, module in network.named_modules():
            if isinstance(module, torch.jit.ScriptModule):  # compiled code takes no hooks
                continue
            stack.callback(module.register_forward_pre_hook(trace.starts(name), prepend=True).remove)
            hook = trace.ends(name, name in known)
            stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        yield trace


def run(network: nn.Module, example: Tensor, trace: Trace) -> Tensor:
    """The output for an example, followed by a trace.

    Raises:
        Unequal: If tensors meet whose sizes do not fit.
    """
    with evaluating(network), trace:
        trace.mark(example, Mark())
        return forward(network, example)
