"""Callbacks: what may watch a training, and change it, while it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import torch
from torch import nn

from attar.training.batch import Batch
from attar.training.results import Epoch

Edit = Callable[[nn.Module], object]
"""Changes the shape of a network in place, by names and shapes alone: what it does must not depend on the weights."""


@dataclass
class TrainState:
    """What a callback gets: where the training stands. It is valid until the hook returns.

    Attributes:
        model: The student as it is being trained; a callback may change its weights in place.
        optimizer: Its optimizer.
        epoch: Epoch under way, from 0.
        step: Optimizer steps taken since the beginning.
        steps_per_epoch: Steps in one epoch.
        batch: The examples of the step, in ``before_step`` and ``after_step``; those of this process alone.
        count: By how many examples (or positions), over all processes, the losses of the step were divided; 0 outside
            of a step. Times it, a gradient is the sum over the examples.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int
    step: int
    steps_per_epoch: int
    batch: Batch | None = None
    count: int = 0
    edits: list[Edit] = field(default_factory=list, repr=False)

    def rebuild(self, edit: Edit) -> None:
        """Ask for another shape of the student, which it gets at the end of the step, or of the hook outside of a step.

        The optimizer's state, the average of the weights and the best ones follow: the same edit is applied to copies
        of the student that hold them in place of its weights. Hence an edit picks, drops or moves weights; what is
        computed from them is done in place on ``model``. A layer whose outputs a loss term reads keeps its shape.

        A callback that asks for an edit must repeat it in its own `Callback.rebuild` when a training is resumed.

        Args:
            edit: Changes a network of the student's present shape in place.
        """
        self.edits.append(edit)


class Callback:
    """Something that is called from the loop: pruning, schedules, logging. Subclasses define the hooks that they use.

    Where several processes train, each of them calls its own callbacks, which must come to the same decisions.

    Attributes:
        observes: Whether it changes nothing and keeps nothing: a training goes on from a checkpoint with or without it.
    """

    observes: ClassVar[bool] = False

    def on_start(self, state: TrainState) -> None:
        """Before the first step, also of a resumed training, whose state is then complete."""

    def before_step(self, state: TrainState) -> None:
        """Between backward and the optimizer's step: every parameter's ``grad`` is there, not yet clipped."""

    def after_step(self, state: TrainState) -> None:
        """After each optimizer step, which ``state.step`` counts already."""

    def after_epoch(self, state: TrainState) -> None:
        """After each epoch, before validation."""

    def after_validation(self, state: TrainState, history: Sequence[Epoch]) -> None:
        """After each epoch, when it has been scored; ``history`` has an entry for each until then, with this one."""

    def after_rebuild(self, state: TrainState) -> None:
        """After the student got another shape in the middle of the training, before it is used again."""

    def rebuild(self, model: nn.Module) -> None:
        """Resume: bring a network of the shape that the student had at first into the shape that it had at last.

        It is called after `load_state_dict` and before the weights are loaded, and must repeat all edits that this
        callback has asked for; where several callbacks do so, in their order. It must not depend on the weights.
        """

    def state_dict(self) -> dict[str, Any]:
        """What must survive a crash: tensors and numbers, texts, lists, tuples and dicts."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state again."""


Hook = Callable[[TrainState], None]
AfterValidation = Callable[[TrainState, Sequence[Epoch]], None]


@dataclass(frozen=True)
class Hooks:
    """The hooks that some callbacks define, so that a hook which none defines costs nothing."""

    on_start: tuple[Hook, ...]
    before_step: tuple[Hook, ...]
    after_step: tuple[Hook, ...]
    after_epoch: tuple[Hook, ...]
    after_validation: tuple[AfterValidation, ...]
    after_rebuild: tuple[Hook, ...]
    rebuild: tuple[Edit, ...]

    @classmethod
    def of(cls, callbacks: Sequence[Callback]) -> Hooks:
        """Those of some callbacks, in their order."""

        def defined(name: str) -> tuple[Any, ...]:
            empty = getattr(Callback, name)
            return tuple(getattr(one, name) for one in callbacks if getattr(type(one), name) is not empty)

        return cls(**{one.name: defined(one.name) for one in fields(cls)})
