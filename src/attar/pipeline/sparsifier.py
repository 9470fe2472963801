"""What sets single weights to zero while a network is trained, and keeps them there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attar.pipeline.pruner import Plan
from attar.pruning.elements import Over, smallest, weights_of
from attar.training.callbacks import Callback, TrainState

log = logging.getLogger(__name__)


class Sparsifier(Callback):
    """Weights of least magnitude become zero on a schedule; what is zero gets no gradient, and so stays zero.

    The optimizer's state, averaged weights and the best ones follow: they are zero at the same places.

    Attributes:
        masks: Where weights are gone, by the name of the tensor.
        course: One plain entry for each time that weights went.
    """

    def __init__(self, plan: Plan, over: Over, skip: Sequence[str] = ()) -> None:
        """Begin with all weights.

        Args:
            plan: When weights go, and which share of them is left then.
            over: Where weights are compared.
            skip: Names or patterns of what keeps all its weights.
        """
        self.plan, self.over, self.skip = plan, over, tuple(skip)
        self.masks: dict[str, Tensor] = {}
        self.course: list[dict[str, Any]] = []

    def before_step(self, state: TrainState) -> None:
        """No gradient, no momentum, no step."""
        for name, parameter in state.model.named_parameters() if self.masks else ():
            if name in self.masks and parameter.grad is not None:
                self.masks[name] = mask = self.masks[name].to(parameter.device)
                parameter.grad.masked_fill_(mask, 0.0)

    def after_step(self, state: TrainState) -> None:
        """Let weights go, where it is time."""
        if len(self.course) == len(self.plan.steps) or state.step != self.plan.steps[len(self.course)]:
            return
        share = 1 - self.plan.costs[len(self.course)]
        self.masks = smallest(weights_of(state.model, self.skip), share, self.over, self.masks or None)
        self.course.append({"step": state.step, "share": share})
        log.info("step %d: %.2f%% of the weights are zero", state.step, 100 * share)
        state.rebuild(zeroing(self.masks))

    def state_dict(self) -> dict[str, Any]:
        """What is zero."""
        return {"masks": dict(self.masks), "course": [dict(one) for one in self.course]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state again."""
        self.masks = dict(state["masks"])
        self.course = [dict(one) for one in state["course"]]


def zeroing(masks: Mapping[str, Tensor]) -> Callable[[nn.Module], None]:
    """An edit that sets weights to zero, or whatever stands in their place.

    Args:
        masks: By the names of parameters, bool, true where a weight goes.
    """
    fixed = dict(masks)

    @torch.no_grad()
    def edit(network: nn.Module) -> None:
        for name, parameter in network.named_parameters():
            if name in fixed:
                parameter.masked_fill_(fixed[name].to(parameter.device), 0.0)

    return edit
