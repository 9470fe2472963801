"""A little task, a perceptron, and trainings that are watched or killed: what tests of the loop share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attar.training.batch import Batch
from attar.training.callbacks import Callback, TrainState
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class Killed(Exception):
    """Stands for the end of the process."""


class Rows:
    """A source of batches from tensors that remembers what was asked of it."""

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor | None = None,
        targets: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        self.inputs, self.labels, self.targets, self.mask = inputs, labels, targets, mask
        self.asked: list[tuple[int, tuple[int, ...]]] = []

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        self.asked.append((epoch, tuple(rows.tolist())))
        parts = {name: getattr(self, name) for name in ("inputs", "labels", "targets", "mask")}
        return Batch(ids=rows, **{name: part[rows] for name, part in parts.items() if part is not None})


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers that leave the global generator alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels_of(*shape: int, classes: int = 3, seed: int = 5) -> Tensor:
    """Class numbers that leave the global generator alone."""
    return torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(seed))


def rows_of(examples: int = 11, seed: int = 0) -> Rows:
    """A little task with labels and targets: 4 values in, 3 classes."""
    inputs = normal(examples, 4, seed=seed)
    targets = 2 * inputs[:, :3] + inputs[:, 3:]
    return Rows(inputs, targets.argmax(-1), targets)


def of_shape(shape: tuple[int, ...], mask: tuple[int, ...] | None) -> Rows:
    draw = torch.Generator().manual_seed(3)
    return Rows(
        normal(*shape, 4, dtype=torch.float64),
        labels_of(*shape),
        normal(*shape, 3, seed=2, dtype=torch.float64),
        None if mask is None else torch.rand(mask, generator=draw) < 0.4,
    )


def perceptron(seed: int = 1, dropout: float = 0.0, batch_norm: bool = False) -> nn.Module:
    """4 values in, 3 logits out; positions may stand between batch and values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        middle = [nn.BatchNorm1d(6)] if batch_norm else []
        return nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Dropout(dropout), nn.Linear(6, 3))


def weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether all parameters and buffers are equal to the last bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def holds(module: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


class Recorder(Callback):
    """A callback that stores the weights after each step and epoch, and counts its calls in its state."""

    def __init__(self) -> None:
        self.after_steps: list[dict[str, Tensor]] = []
        self.after_epochs: list[dict[str, Tensor]] = []
        self.rates: list[float] = []
        self.states: list[tuple[int, int, int]] = []
        self.calls = {"step": 0, "epoch": 0}

    def after_step(self, state: TrainState) -> None:
        self.after_steps.append(weights(state.model))
        self.rates.append(float(state.optimizer.param_groups[0]["lr"]))
        self.states.append((state.epoch, state.step, state.steps_per_epoch))
        self.calls["step"] += 1

    def after_epoch(self, state: TrainState) -> None:
        self.after_epochs.append(weights(state.model))
        self.calls["epoch"] += 1

    def state_dict(self) -> dict[str, Any]:
        return {"calls": dict(self.calls), "last": torch.tensor([self.calls["step"]])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert int(state["last"]) == state["calls"]["step"]
        self.calls = dict(state["calls"])


def killed_at(step: int) -> Watch:
    """A progress that ends the process right after a step, before its checkpoint is written."""

    @contextmanager
    def watch(title: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            if done == step and steps == 1:
                raise Killed

        yield advance

    return watch


HARD = Objective({"hard": Term(loss=HardLabels())})


BOTH = Objective({"soft": Term(loss=SoftTargets(), weight=0.9), "hard": Term(loss=HardLabels(), weight=0.1)})


APPRENTICE = {"hard": Term(loss=HardLabels()), "soft": Term(loss=SoftTargets())}


SETTINGS = Training(epochs=2, batch_size=4, momentum=0.0, schedule="constant", checkpoint="last")
"""Three steps an epoch on eleven examples."""


def once(value: float) -> Any:
    """A term that is one number for every example, and of which the gradient is zero."""
    return lambda output, batch: output.sum(-1) * 0 + value


def scores(*values: float) -> Any:
    """A metric that gives these scores, epoch by epoch."""
    left = iter(values)
    return lambda output, batch: torch.full((len(batch),), next(left))
