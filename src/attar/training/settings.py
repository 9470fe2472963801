"""How a training goes, apart from what is minimized: its settings, and the optimizer and schedule that they name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim import lr_scheduler

from attar.errors import must
from attar.training.checked import check_types, named

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@named
@dataclass(frozen=True, kw_only=True)
class Training:
    """How a training goes, apart from what is minimized.

    Attributes:
        epochs: Passes over the transfer set.
        batch_size: Examples per step at most; an epoch is cut into even steps, so that none is tiny.
        micro_batch_size: Examples per forward pass at most, in even pieces; smaller than ``batch_size`` saves memory
            and changes nothing else (but batch normalization, which sees one piece at a time).
        optimizer: Name of the optimizer.
        learning_rate: Its peak value.
        momentum: Of ``sgd``, with Nesterov's correction.
        weight_decay: L2 penalty of ``sgd``, decoupled in ``adamw``.
        schedule: How the learning rate moves over the training, updated every step.
        warmup_epochs: Linear rise from nothing at the beginning (``one_cycle`` has its own rise).
        milestones: Epochs at which ``multistep`` multiplies the learning rate by 0.1, each after the one before.
        max_gradient_norm: Longer gradients are shortened to it; None leaves them.
        max_norm: Longer weight vectors into one unit are shortened to it after every step; None leaves them (Srivastava
            et al., *Dropout*, 2014, section 5.1).
        ema_decay: Keep an exponential moving average of the weights and return that; None for none.
        patience: Stop after so many epochs without a better validation score; None trains to the end.
        checkpoint: Which weights are returned: the ``best`` on validation, or the ``last``.
        precision: ``32-true``, or ``bf16-mixed`` where the device has it.
        seed: Order of the examples, dropout.
        checkpoint_seconds: Time between checkpoints.
    """

    epochs: int = 10
    batch_size: int = 128
    micro_batch_size: int | None = None
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle", "cosine", "multistep"] = "cosine"
    warmup_epochs: float = 0.0
    milestones: Sequence[int] = ()
    max_gradient_norm: float | None = None
    max_norm: float | None = None
    ema_decay: float | None = None
    patience: int | None = None
    checkpoint: Literal["best", "last"] = "best"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    seed: int = 0
    checkpoint_seconds: float = 15.0

    def __post_init__(self) -> None:
        check_types(self)
        positive = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        for name in ("micro_batch_size", "max_gradient_norm", "max_norm", "patience"):
            if getattr(self, name) is not None:
                positive[name] = getattr(self, name)
        for name, value in positive.items():
            if not (value > 0 and math.isfinite(value)):
                rule = "greater than 0 and finite" if value == math.inf else "greater than 0"
                raise must(name, "Training", rule, value, "Give a positive number or leave the key out")
        for name in ("weight_decay", "warmup_epochs", "checkpoint_seconds", "seed"):
            if not getattr(self, name) >= 0:
                raise must(name, "Training", "at least 0", getattr(self, name), "Leave the key out for its default")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                rule = f"at most {most:,}, beyond which no training ends well"
                raise must(name, "Training", rule, getattr(self, name), f"{_USUAL[name]} is usual")
        if not 0 <= self.momentum < 1:
            raise must("momentum", "Training", "from 0 up to but not 1", self.momentum, "0.9 is usual")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise must("ema_decay", "Training", "between 0 and 1", self.ema_decay, "0.99 to 0.9999 is usual")
        if self.warmup_epochs >= self.epochs:
            raise must(
                "warmup_epochs", "Training", f"less than epochs ({self.epochs})", self.warmup_epochs, "Warm up for less"
            )
        if self.schedule == "one_cycle" and self.warmup_epochs:
            rule = "0 for one_cycle, which has its own rise"
            raise must("warmup_epochs", "Training", rule, self.warmup_epochs, "Leave it out")
        if self.schedule == "multistep" and not self.milestones:
            raise must(
                "milestones",
                "Training",
                "given for the multistep schedule",
                (),
                "Name the epochs, for example [80, 120]",
            )
        rising = all(one < after for one, after in itertools.pairwise(self.milestones))
        if not rising or any(one < 1 for one in self.milestones):
            rule = "epochs from 1 on, each after the one before"
            raise must("milestones", "Training", rule, list(self.milestones), "Sort them, each once")


_MOST = {"epochs": 1_000_000, "batch_size": 100_000_000, "learning_rate": 10_000, "weight_decay": 10_000}
"""Far beyond all that is of use: what is larger is a slip of the keyboard."""

_USUAL = {
    "epochs": "10 to 300",
    "batch_size": "32 to 1024",
    "learning_rate": "0.0001 to 0.5",
    "weight_decay": "0 to 0.1",
}


def settings_optimizer(settings: Training) -> MakeOptimizer:
    """The optimizer that the settings name, as a function of the parameters."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        nesterov = settings.momentum > 0
        return lambda p: torch.optim.SGD(p, rate, momentum=settings.momentum, nesterov=nesterov, weight_decay=decay)
    if settings.optimizer == "adam":
        return lambda p: torch.optim.Adam(p, rate, weight_decay=decay)
    return lambda p: torch.optim.AdamW(p, rate, weight_decay=decay)


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: Training, steps_per_epoch: int
) -> lr_scheduler.LRScheduler | None:
    """The learning-rate schedule that the settings name, to be stepped after every optimizer step; None if constant."""
    total = settings.epochs * steps_per_epoch
    warmup = round(settings.warmup_epochs * steps_per_epoch)
    if settings.schedule == "one_cycle":
        # Only of SGD: Adam's first beta stays.
        cycle = optimizer.param_groups[0].get("momentum", 0) > 0
        # A fifth of the way up, and at least one step: torch divides by the length of the rise.
        rise_share = max(0.2, 2 / (total + 1))
        return lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=total + 1, pct_start=rise_share, cycle_momentum=cycle
        )
    if settings.schedule == "constant" and not warmup:
        return None
    main: lr_scheduler.LRScheduler
    if settings.schedule == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(total - warmup, 1))
    elif settings.schedule == "multistep":
        steps = [round(epoch * steps_per_epoch) - warmup for epoch in settings.milestones]
        main = lr_scheduler.LambdaLR(optimizer, lambda step: 0.1 ** sum(step >= milestone for milestone in steps))
    else:
        main = lr_scheduler.ConstantLR(optimizer, factor=1.0)
    if not warmup:
        return main
    rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return lr_scheduler.SequentialLR(optimizer, [rise, main], milestones=[warmup])
