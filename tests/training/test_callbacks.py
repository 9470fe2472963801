"""Callbacks: when each hook is called, what it sees, and a student whose shape changes in the middle of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import Killed, killed_at
from torch import Tensor, nn

from attar.errors import BadInput
from attar.training.batch import Batch
from attar.training.callbacks import Callback, Hooks, TrainState
from attar.training.fit import fit
from attar.training.job import check_kinds
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.results import Epoch
from attar.training.settings import Training

SETTINGS = Training(epochs=4, batch_size=5, learning_rate=0.1, schedule="constant", checkpoint="last")
BOTH = Objective({"soft": Term(loss=SoftTargets()), "hard": Term(loss=HardLabels(), weight=0.5)})
HARD = Objective({"hard": Term(loss=HardLabels())})


class Rows:
    def __init__(self, count: int = 15, seed: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(count, 4, generator=draw)
        self.labels = torch.randint(3, (count,), generator=draw)
        self.targets = torch.randn(count, 3, generator=draw)

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        return Batch(self.inputs[rows], self.labels[rows], self.targets[rows], rows)


def perceptron(hidden: int = 6, seed: int = 1) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, 3))


def select(model: nn.Module, units: list[int]) -> None:
    """Leave a perceptron some of its hidden units."""
    assert isinstance(model, nn.Sequential)
    first, last = model[0], model[2]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    first.weight, first.bias = nn.Parameter(first.weight[units].detach()), nn.Parameter(first.bias[units].detach())
    last.weight = nn.Parameter(last.weight[:, units].detach())
    first.out_features = last.in_features = len(units)


class Remover(Callback):
    """Removes hidden units: after some steps, those of the smallest weights (a choice that is part of its state)."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps
        self.selected: list[list[int]] = []

    def after_step(self, state: TrainState) -> None:
        if state.step in self.steps:
            sizes = state.model[0].weight.detach().norm(dim=1)  # type: ignore[index]
            units = sorted(sizes.argsort(descending=True)[:-1].tolist())
            self.selected.append(units)
            state.rebuild(lambda model: select(model, units))

    def rebuild(self, model: nn.Module) -> None:
        for units in self.selected:
            select(model, units)

    def state_dict(self) -> dict[str, Any]:
        return {"selected": self.selected}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.selected = state["selected"]


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


# -- the hooks ---------------------------------------------------------------------------------------------------------


class Log(Callback):
    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int, int]] = []

    def on_start(self, state: TrainState) -> None:
        self.calls.append(("start", state.epoch, state.step, state.count))

    def before_step(self, state: TrainState) -> None:
        self.calls.append(("before", state.epoch, state.step, state.count))

    def after_step(self, state: TrainState) -> None:
        self.calls.append(("after", state.epoch, state.step, state.count))

    def after_epoch(self, state: TrainState) -> None:
        self.calls.append(("epoch", state.epoch, state.step, state.count))

    def after_validation(self, state: TrainState, history: Sequence[Epoch]) -> None:
        assert [one.epoch for one in history] == [*range(state.epoch + 1)]
        self.calls.append(("scored", state.epoch, state.step, state.count))


def test_each_hook_has_its_time():
    log = Log()
    fit(perceptron(), HARD, Rows(7), settings=replace(SETTINGS, epochs=2), callbacks=[log])
    assert log.calls == [
        ("start", 0, 0, 0),
        *(("before", 0, 0, 4), ("after", 0, 1, 4), ("before", 0, 1, 3), ("after", 0, 2, 3), ("epoch", 0, 2, 0)),
        ("scored", 0, 2, 0),
        *(("before", 1, 2, 4), ("after", 1, 3, 4), ("before", 1, 3, 3), ("after", 1, 4, 3), ("epoch", 1, 4, 0)),
        ("scored", 1, 4, 0),
    ]


def test_hooks_that_nobody_defines_are_not_called():
    class Late(Callback):
        def after_epoch(self, state: TrainState) -> None:
            pass

    hooks = Hooks.of([Late(), Callback(), Log()])
    assert [len(each) for each in vars(hooks).values()] == [1, 1, 1, 2, 1, 0, 0]


@pytest.mark.parametrize("micro", [None, 2])
def test_before_step_sees_gradients_and_batch(micro):
    seen: list[tuple[dict[str, Tensor], dict[str, Tensor], Batch, int]] = []

    class Watch(Callback):
        def before_step(self, state: TrainState) -> None:
            gradients = {name: one.grad.clone() for name, one in state.model.named_parameters()}
            assert state.batch is not None
            seen.append((gradients, state_of(state.model), state.batch, state.count))

    settings = replace(SETTINGS, epochs=1, micro_batch_size=micro, max_gradient_norm=1e-3)
    fit(perceptron(), BOTH, Rows(), settings=settings, callbacks=[Watch()])
    assert len(seen) == 3
    for gradients, weights, batch, count in seen:
        student = perceptron()
        student.load_state_dict(weights)
        output = student(batch.inputs)
        loss = SoftTargets()(output, batch).sum() + 0.5 * HardLabels()(output, batch).sum()
        (loss / count).backward()
        assert count == len(batch) == 5
        for name, parameter in student.named_parameters():  # not clipped yet
            torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-7)


def test_a_gradient_that_before_step_changes_is_the_one_that_counts():
    class Frozen(Callback):
        def before_step(self, state: TrainState) -> None:
            state.model[0].weight.grad.zero_()  # type: ignore[index]

    fitted = fit(perceptron(), HARD, Rows(), settings=SETTINGS, callbacks=[Frozen()]).model
    assert torch.equal(fitted[0].weight, perceptron()[0].weight)
    assert not torch.equal(fitted[2].weight, perceptron()[2].weight)


def test_what_is_no_callback_is_refused():
    class Other:
        def after_step(self, state: TrainState) -> None:
            pass

    for given in ([Other()], Log()):
        with pytest.raises(BadInput, match=r"callbacks of fit must be a list of .*Callback.*Derive the class from it"):
            check_kinds(perceptron(), HARD, Rows(), None, None, None, None, given)


# -- another shape -----------------------------------------------------------------------------------------------------


def by_hand(units: list[int], at: int, steps: list[Tensor], data: Rows, momentum: float, ema: float | None) -> Any:
    """Nesterov's momentum in plain tensors; after a step, hidden units, their momentum and their average go."""
    weights = [parameter.detach().clone() for parameter in perceptron().parameters()]
    buffers: list[Tensor | None] = [None] * 4
    average: list[Tensor] | None = None
    for number, rows in enumerate(steps, 1):
        batch = data.batch(rows, 0)
        leaves = [weight.requires_grad_(True) for weight in weights]
        hidden = torch.tanh(batch.inputs @ leaves[0].T + leaves[1])
        output = hidden @ leaves[2].T + leaves[3]
        loss = (SoftTargets()(output, batch).sum() + 0.5 * HardLabels()(output, batch).sum()) / len(rows)
        gradients = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            for place, gradient in enumerate(gradients):
                before = buffers[place]
                buffer = gradient.clone() if before is None else momentum * before + gradient
                buffers[place] = buffer
                weights[place] = leaves[place].detach() - 0.1 * (gradient + momentum * buffer)
        if ema is not None:
            new = [weight.clone() for weight in weights]
            average = new if average is None else [ema * a + (1 - ema) * n for a, n in zip(average, new, strict=True)]
        if number == at:

            def cut(of: list[Any]) -> list[Any]:
                return [of[0][units], of[1][units], of[2][:, units], of[3]]

            weights, buffers = cut(weights), cut(buffers)
            average = None if average is None else cut(average)
    return weights if average is None else average


def order(data: Rows, epoch: int) -> list[Tensor]:
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(epoch))
    return list(rows.tensor_split(3))


@pytest.mark.parametrize("ema", [None, 0.5])
def test_momentum_and_average_follow_a_removed_unit(ema):
    data, remover = Rows(), Remover(4)
    settings = replace(SETTINGS, epochs=3, ema_decay=ema)
    fitted = fit(perceptron(), BOTH, data, settings=settings, callbacks=[remover]).model
    (units,) = remover.selected
    assert len(units) == 5
    steps = [rows for epoch in range(3) for rows in order(data, epoch)]
    expected = by_hand(units, 4, steps, data, 0.9, ema)
    for mine, theirs in zip(fitted.parameters(), expected, strict=True):
        torch.testing.assert_close(mine.detach(), theirs, rtol=1e-4, atol=1e-6)


def test_the_best_weights_follow_and_are_scored_anew():
    # Epochs 0 and 1, then, without the unit, the weights of epoch 0 again, then epochs 2 and 3.
    scores = iter([5.0, 1.0, 3.0, 2.0, 2.5])

    def metric(output: Tensor, batch: Batch) -> Tensor:
        return torch.full((len(batch),), next(scores))

    states: list[dict[str, Tensor]] = []

    class Watch(Remover):
        def after_epoch(self, state: TrainState) -> None:
            states.append(state_of(state.model))

    watch = Watch(5)
    settings = replace(SETTINGS, checkpoint="best")
    fitted = fit(perceptron(), HARD, Rows(), settings=settings, validation=Rows(3), metric=metric, callbacks=[watch])
    (units,) = watch.selected
    assert fitted.best_epoch == 0
    assert torch.equal(fitted.model[0].weight, states[0]["0.weight"][units])
    assert torch.equal(fitted.model[2].weight, states[0]["2.weight"][:, units])
    assert [entry.score for entry in fitted.history] == [5.0, 1.0, 2.0, 2.5]
    assert fitted.score == 3.0


def test_patience_begins_anew_with_another_shape():
    scores = iter([9.0, 1.0, 0.9, 1.1, 1.0, 1.0, 1.0, 1.0])

    def metric(output: Tensor, batch: Batch) -> Tensor:
        return torch.full((len(batch),), next(scores))

    settings = replace(SETTINGS, epochs=6, patience=2, checkpoint="best")
    remover = Remover(6)
    fitted = fit(perceptron(), HARD, Rows(), settings=settings, validation=Rows(3), metric=metric, callbacks=[remover])
    # Epochs: 9.0; then 1.0 in the new shape, where the old best has 0.9; then 1.1, 1.0, 1.0.
    assert fitted.stopped_early and len(fitted.history) == 5
    assert fitted.best_epoch == 2 and fitted.score == pytest.approx(1.1)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("kill", [2, 6, 7, 11])
def test_a_training_that_was_killed_goes_on_in_its_shape(tmp_path: Path, optimizer, kill):
    settings = replace(
        SETTINGS, optimizer=optimizer, checkpoint="best", ema_decay=0.7, checkpoint_seconds=0.0, schedule="one_cycle"
    )

    def run(path: Path | None, **more: Any) -> Any:
        remover = Remover(2, 6, 9)
        return fit(
            perceptron(),
            BOTH,
            Rows(),
            settings=settings,
            validation=Rows(9, seed=2),
            callbacks=[remover],
            checkpoint_file=path,
            **more,
        )

    unbroken = run(None)
    assert unbroken.model[0].out_features == 3
    with pytest.raises(Killed):
        run(tmp_path / "it", progress=killed_at(kill))
    assert (tmp_path / "it").exists()
    resumed = run(tmp_path / "it")
    assert same(resumed.model, unbroken.model)
    assert resumed.history == unbroken.history and resumed.score == unbroken.score


def test_a_callback_that_does_not_rebuild_is_refused(tmp_path: Path):
    class Forgetful(Remover):
        def rebuild(self, model: nn.Module) -> None:
            pass

    settings = replace(SETTINGS, checkpoint_seconds=0.0)

    def run(**more: Any) -> Any:
        callbacks = [Forgetful(2)]
        return fit(
            perceptron(), HARD, Rows(), settings=settings, callbacks=callbacks, checkpoint_file=tmp_path / "it", **more
        )

    with pytest.raises(Killed):
        run(progress=killed_at(5))
    with pytest.raises(BadInput, match=r"weights in .* have other shapes .* Let their rebuild\(\) repeat every edit"):
        run()


def test_a_shape_asked_for_before_a_step_comes_after_it():
    sizes: list[int] = []

    class Early(Callback):
        def before_step(self, state: TrainState) -> None:
            if state.step == 1:
                state.rebuild(lambda model: select(model, [0, 2]))

        def after_step(self, state: TrainState) -> None:
            sizes.append(len(state.model[0].weight))  # type: ignore[index]

    fitted = fit(perceptron(), HARD, Rows(), settings=SETTINGS, callbacks=[Early()]).model
    assert sizes[:3] == [6, 6, 2] and len(fitted[0].weight) == 2


def test_a_new_parameter_is_trained_and_a_removed_one_forgotten():
    class Grows(Callback):
        def after_step(self, state: TrainState) -> None:
            if state.step == 2:
                state.rebuild(grow)

    def grow(model: nn.Module) -> None:
        assert isinstance(model, nn.Sequential) and isinstance(model[0], nn.Linear)
        model[0].bias = None
        model.append(nn.Linear(3, 3, bias=False))
        with torch.no_grad():
            model[3].weight.copy_(torch.eye(3))

    fitted = fit(perceptron(), HARD, Rows(), settings=SETTINGS, callbacks=[Grows()]).model
    assert list(fitted.state_dict()) == ["0.weight", "2.weight", "2.bias", "3.weight"]
    assert not torch.equal(fitted[3].weight, torch.eye(3))
