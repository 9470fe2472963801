"""Fisher information of single weights, added up over those of a unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.pruning.group import Group, Groups, Slot
from attar.pruning.importance.accumulated import Accumulated, changed_in_place, examples_of, not_by_example
from attar.pruning.importance.importance import some
from attar.pruning.importance.of_weights import per_unit
from attar.pruning.importance.squared_gradients import KNOWN, squared_gradients


@dataclass(frozen=True, kw_only=True)
class WeightFisher:
    r"""Half the mean over examples of squared weight times squared gradient, added up over all weights of a unit.

    :math:`\frac{1}{2N} \sum_{w \in k} w^2 \sum_n g_{nw}^2`, with the weights of unit k in all layers that have part of
    it: those that make it, normalize it, and compute from it. It is by how much the loss would rise if each weight went
    and none of them knew of the others; `GroupFisher` takes them together. Gradients are those of single examples,
    which takes several times as long as a step of training.

    References:
        Theis, Korshunova, Tejani, Huszar, *Faster gaze prediction with dense networks and Fisher pruning*, 2018,
        section 2.2, for single weights. arXiv:1801.05787
    """

    def start(self, network: nn.Module, groups: Groups, *, seed: int = 0) -> WeightDerivatives:
        """Put hooks on a network; see `Importance.start`."""
        return WeightDerivatives(network, some(groups, "weight_fisher"))


class WeightDerivatives(Accumulated):
    """Squared weights times the sums of their squared gradients over examples."""

    def __init__(self, network: nn.Module, groups: tuple[Group, ...]) -> None:
        """Put the hooks on a network.

        Args:
            network: The one that is trained.
            groups: Whose units are judged.

        Raises:
            BadInput: If a weight of a group belongs to no layer whose gradients can be had for each example, or to
                several layers.
        """
        super().__init__(groups, "weight_fisher", 0.5)
        layers, self._parameters = dict(network.named_modules()), dict(network.named_parameters())
        everywhere = [id(one) for _, one in network.named_parameters(remove_duplicate=False)]
        self._squares: dict[str, Tensor] = {}
        self._calls: dict[str, int] = {}
        self._asking, self._examples = False, 0
        buffers = dict(network.named_buffers())
        self._slots: list[tuple[int, Slot]] = []
        watched: dict[str, nn.Module] = {}
        first = 0
        for group in groups:
            for slot in group.slots:
                if slot.tensor in buffers:
                    continue
                owner = slot.tensor.rpartition(".")[0]
                parameter = self._parameters.get(slot.tensor)
                if parameter is None or everywhere.count(id(parameter)) > 1:
                    raise self._refused(group, slot.tensor, "it is shared by several layers, or computed from others")
                if not isinstance(layers[owner], KNOWN) or getattr(layers[owner], "max_norm", None) is not None:
                    raise self._refused(
                        group, slot.tensor, f"nothing is known of the gradients of {type(layers[owner]).__name__}"
                    )
                watched[owner] = layers[owner]
                self._slots.append((first, slot))
            first += group.units
        self._layers = set(watched)
        self._hooks.append(network.register_forward_pre_hook(self._starter(network), with_kwargs=True))
        for name, layer in watched.items():
            self._hooks.append(layer.register_forward_hook(self._follower(name, layer), with_kwargs=True))

    def _step(self, scale: float) -> Tensor | None:
        if not self._squares:
            return None
        weighed: dict[str, Tensor] = {}
        for name, squares in self._squares.items():
            weighed[name] = self._parameters[name].detach().double().square().mul_(squares).mul_(scale**2)
        total: Tensor | None = None
        for first, slot in self._slots:
            if slot.tensor in weighed:
                found = per_unit(weighed[slot.tensor], slot)
                if total is None:
                    total = found.new_zeros(self._units)
                total[first : first + len(found)] += found
        self._squares.clear()
        return total

    def _forget(self) -> None:
        self._squares.clear()

    def _starter(self, network: nn.Module) -> Any:
        def start(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if module is network:
                self._calls.clear()
                self._examples = examples_of(inputs, named, self.of)

        return start

    def _follower(self, name: str, layer: nn.Module) -> Any:
        def follow(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            if module is not layer or self._asking or not torch.is_grad_enabled():
                return
            if not output.requires_grad:
                raise BadInput(
                    f"weight_fisher cannot judge the layer {name!r}, in which nothing learns. Let it learn, protect "
                    "it, or choose group_fisher."
                )
            self._called.add(name)
            self._calls[name] = self._calls.get(name, 0) + 1
            if self._calls[name] > 1:
                raise BadInput(
                    f"weight_fisher cannot judge the layer {name!r}, which runs several times in a pass, as each "
                    "example's gradient is the sum of all of them. Protect it, or choose group_fisher."
                )
            if len(inputs) + len(named) != 1:
                raise BadInput(
                    f"weight_fisher cannot follow the inputs of the layer {name!r}, which takes several. Protect it, "
                    "or choose group_fisher."
                )
            if len(output) != self._examples:
                raise not_by_example(name, output, self._examples, self.of)
            values = next(iter((*inputs, *named.values()))).detach()
            version = values._version

            def take(gradient: Tensor) -> None:
                if values._version != version:
                    raise changed_in_place(name, self.of)
                self._asking = True
                try:
                    self._add(name, squared_gradients(layer, values, gradient))
                finally:
                    self._asking = False

            # What follows may work in place: the gradient that a hook gets is that of the output as it is now.
            output.register_hook(take)

        return follow

    def _add(self, layer: str, squares: Mapping[str, Tensor]) -> None:
        for own, value in squares.items():
            name = f"{layer}.{own}" if layer else own
            if name in self._parameters:
                self._squares[name] = self._squares[name] + value if name in self._squares else value

    def _refused(self, group: Group, tensor: str, why: str) -> BadInput:
        return BadInput(
            f"weight_fisher of group {group.name!r} cannot have the gradient of each example for {tensor!r}, as {why}. "
            "Protect this layer, or choose group_fisher."
        )
