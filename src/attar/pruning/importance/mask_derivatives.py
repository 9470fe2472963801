"""The derivative of each example's loss with respect to a mask on each unit.

A mask is a factor of 1 on a unit, in the inputs of all layers that compute from it. A consumer gets an alias of its
input, so that the gradient which arrives there is of the path through this consumer alone: of two that share an input,
and of the sum of a residual block, each is followed by itself. The derivative with respect to the mask is the sum over
consumers and positions of input times gradient; a row of it is one example's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import BadInput, must
from attar.network.taps import find_layer
from attar.pruning.group import Group
from attar.pruning.importance.accumulated import Accumulated, changed_in_place, examples_of, not_by_example


@dataclass(slots=True)
class _Pass:
    """One forward pass: how many examples it has, and the derivatives of their losses, ``[examples, all units]``."""

    examples: int
    derivatives: Tensor | None = None


class _Columns:
    """Which positions along the axis of an input belong to which columns of the derivatives."""

    def __init__(self, positions: list[int], columns: list[int]) -> None:
        self.least = max(positions, default=-1) + 1
        self._positions, self._columns = torch.tensor(positions), torch.tensor(columns)
        first = columns[0] if columns else 0
        self._slice: slice | None = None
        self._each = 0
        count = columns[-1] - first + 1 if columns else 0
        if count and len(positions) % count == 0:
            each = len(positions) // count
            all_in_order = positions == list(range(len(positions)))
            if all_in_order and columns == [first + place // each for place in range(len(positions))]:
                self._slice, self._each = slice(first, first + count), each

    def add(self, values: Tensor, to: Tensor) -> None:
        """Add ``[examples, positions]`` to ``[examples, all units]``."""
        if self._slice is not None and values.shape[1] == self.least:
            if self._each > 1:
                values = values.reshape(len(values), -1, self._each).sum(2)
            to[:, self._slice] += values
            return
        if self._positions.device != values.device:
            self._positions, self._columns = self._positions.to(values.device), self._columns.to(values.device)
        to.index_add_(1, self._columns, values.index_select(1, self._positions).to(to.dtype))


class MaskDerivatives(Accumulated):
    """Per unit the sum over examples of a function of the derivative of its loss with respect to the unit's mask.

    The loss of an example is the weighted sum of all terms, and of all its positions where it has several: a mask on a
    unit acts on all of them. It is divided by what counts all the same. So the sum of squares estimates the curvature
    of the mean loss for positions that are independent given the input, as their products are zero on average.

    Batch normalization in training mode makes an example's loss depend on the others. Its derivative is then that of
    the loss of the whole batch with respect to a mask on this example's unit; in evaluation mode (frozen statistics)
    it is the example's alone.

    A layer that is called several times in a pass is followed each time. Passes in which no gradient is wanted, such
    as those of validation, leave no trace.
    """

    def __init__(
        self,
        network: nn.Module,
        groups: tuple[Group, ...],
        of: str,
        *,
        factor: float,
        fold: Callable[[Tensor], Tensor],
    ) -> None:
        """Put the hooks on a network.

        Args:
            network: The one that is trained.
            groups: Whose units are masked.
            of: What errors call the signal.
            factor: What the mean over examples is multiplied by.
            fold: What is summed over examples, of the derivatives; in place, as nobody else has them.

        Raises:
            BadInput: If a group has no consumer, or one that does not exist or cannot be followed.
        """
        super().__init__(groups, of, factor)
        self._fold = fold
        self._passes: list[_Pass] = []
        places: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
        first = 0
        for group in groups:
            if not group.consumers:
                raise BadInput(
                    f"{of} of group {group.name!r} needs a layer that computes from its units; there is none. "
                    "Protect this layer, or take a signal of the weights, such as magnitude_l2."
                )
            for consumer in group.consumers:
                positions, columns = places.setdefault((consumer.layer, consumer.axis), ([], []))
                for unit, its in enumerate(consumer.positions):
                    positions += its
                    columns += [first + unit] * len(its)
            first += group.units
        self._layers = {name for name, _ in places}
        try:
            self._hooks.append(network.register_forward_pre_hook(self._starter(network), with_kwargs=True))
            for (name, axis), (positions, columns) in places.items():
                layer = find_layer(network, name, parameter="consumer", of=of)
                if isinstance(layer, nn.MultiheadAttention):
                    raise self._not_one_input(name)
                hook = self._follower(name, layer, axis, _Columns(positions, columns))
                self._hooks.append(layer.register_forward_pre_hook(hook, with_kwargs=True))
        except BadInput:
            self.remove()
            raise

    def _step(self, scale: float) -> Tensor | None:
        total: Tensor | None = None
        for one in self._passes:
            if one.derivatives is not None:
                found = self._fold(one.derivatives.double().mul_(scale)).sum(0)
                total = found if total is None else total.add_(found)
        self._passes.clear()
        return total

    def _forget(self) -> None:
        self._passes.clear()

    # A copy of a network takes its hooks along, hence the check of who calls. They are functions, of which a copy is
    # the function itself: a method would be copied with all that it is bound to.

    def _starter(self, network: nn.Module) -> Any:
        def start(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if module is network and torch.is_grad_enabled():
                self._passes.append(_Pass(examples_of(inputs, named, self.of)))

        return start

    def _follower(self, name: str, layer: nn.Module, axis: int, columns: _Columns) -> Any:
        def follow(
            module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
            if module is not layer or not torch.is_grad_enabled() or not self._passes:
                return None
            every = (*inputs, *named.values())
            if len(every) != 1 or not isinstance(every[0], Tensor):
                raise self._not_one_input(name)
            values, one = every[0], self._passes[-1]
            self._check(name, values, axis, columns.least, one.examples)
            self._called.add(name)
            alias = values.view_as(values) if values.requires_grad else values.detach().requires_grad_()
            values = values.detach()
            version = values._version

            def take(gradient: Tensor) -> None:
                if values._version != version:
                    raise changed_in_place(name, self.of)
                self._take(one, values, gradient, axis, columns)

            alias.register_hook(take)  # type: ignore[no-untyped-call]
            return ((alias,), {}) if inputs else ((), dict.fromkeys(named, alias))

        return follow

    def _take(self, one: _Pass, values: Tensor, gradient: Tensor, axis: int, columns: _Columns) -> None:
        """Add the derivatives through one input to those of its pass."""
        if values.dtype in (torch.float16, torch.bfloat16):
            values, gradient = values.float(), gradient.float()
        # In this order the product is made where it lies in memory, whatever the layout: several times as fast as an
        # einsum, which copies images that lie channels last.
        products = values * gradient
        axis %= products.dim()
        others = [dimension for dimension in range(1, products.dim()) if dimension != axis]
        if others:
            products = products.sum(others)
        if one.derivatives is None:
            one.derivatives = products.new_zeros(one.examples, self._units)
        columns.add(products, one.derivatives)

    def _check(self, name: str, values: Tensor, axis: int, least: int, examples: int) -> None:
        """See that an input has examples along its first axis, and the units along the one that they should be."""
        if values.dim() < 2 or len(values) != examples:
            raise not_by_example(name, values, examples, self.of)
        if axis % values.dim() == 0 or values.shape[axis] < least:
            rule = f"of at least {least} positions along axis {axis}"
            raise must(f"input of the layer {name!r}", self.of, rule, tuple(values.shape), "Find the groups anew")

    def _not_one_input(self, name: str) -> BadInput:
        return BadInput(
            f"{self.of} cannot follow the inputs of the layer {name!r}, which takes several. "
            "Protect what it reads, or take a signal of the weights, such as magnitude_l2."
        )
