"""The loop: one place that divides, exact resume, and nothing of the caller's changed."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput, CorruptFile, Diverged
from attar.network.weights import digest, read_tensors
from attar.training.batch import Batch
from attar.training.callbacks import Callback, TrainState
from attar.training.checkpoint import load_state, save_state
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.schedule import Ramp
from attar.training.settings import Training, make_schedule, settings_optimizer

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
SETTINGS = Training(epochs=2, batch_size=4, momentum=0.0, schedule="constant", checkpoint="last")
"""Three steps an epoch on eleven examples."""


def once(value: float) -> Any:
    """A term that is one number for every example, and of which the gradient is zero."""
    return lambda output, batch: output.sum(-1) * 0 + value


# -- one place that divides --------------------------------------------------------------------------------------------

TERMS = {
    "soft_targets": Term(loss=SoftTargets(temperature=3.0)),
    "hard_labels": Term(loss=HardLabels(smoothing=0.1)),
    "centered_logits": Term(loss=CenteredLogits(), weight=2.0),
    "custom": Term(loss=lambda output, batch: output.square().mean(-1)),
}
SHAPES = {
    "examples": ((11,), None),
    "masked examples": ((11,), (11,)),
    "positions": ((11, 3), None),
    "masked positions": ((11, 3), (11, 3)),
    "positions of masked examples": ((11, 3), (11,)),
}


def of_shape(shape: tuple[int, ...], mask: tuple[int, ...] | None) -> Rows:
    draw = torch.Generator().manual_seed(3)
    return Rows(
        normal(*shape, 4, dtype=torch.float64),
        labels_of(*shape),
        normal(*shape, 3, seed=2, dtype=torch.float64),
        None if mask is None else torch.rand(mask, generator=draw) < 0.4,
    )


def by_hand(network: nn.Module, objective: Objective, data: Rows, rate: float) -> dict[str, Tensor]:
    """The weights after one step down the gradient of the mean over all that counts, in one big batch."""
    batch = data.batch(torch.arange(len(data)), 0)
    output = network(batch.inputs)
    total = torch.zeros((), dtype=torch.float64)
    for term in objective.at(0.0):
        losses = term.loss(output, batch)
        counted = losses if batch.mask is None else losses[batch.mask]
        total = total + term.weight * counted.sum() / counted.numel()
    gradients = torch.autograd.grad(total, list(network.parameters()))
    return {
        name: (parameter - rate * gradient).detach()
        for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True)
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("terms", [*([name] for name in TERMS), list(TERMS)], ids="+".join)
def test_micro_batches_give_the_gradient_of_the_big_batch(terms, shape):
    data, network = of_shape(*shape), perceptron().double()
    objective = Objective({name: TERMS[name] for name in terms})
    expected = by_hand(network, objective, data, rate=0.5)
    one_batch = replace(SETTINGS, epochs=1, batch_size=11, learning_rate=0.5)
    # 3, 4 and 4 examples; a micro-batch larger than the batch; all at once.
    for size in (4, 64, None):
        fitted = fit(network, objective, data, settings=replace(one_batch, micro_batch_size=size))
        assert fitted.steps == 1
        for name, value in fitted.model.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-14)


def test_the_history_has_the_means_over_what_counts():
    data, network = of_shape((11, 3), (11, 3)), perceptron().double()
    objective = Objective({name: TERMS[name] for name in ("soft_targets", "centered_logits")})
    # Nothing moves at such a rate, so that the three steps see one network.
    frozen = replace(SETTINGS, epochs=1, micro_batch_size=2, learning_rate=1e-30)
    (entry,) = fit(network, objective, data, settings=frozen).history
    batch = data.batch(torch.arange(11), 0)
    assert batch.mask is not None
    means = {
        name: term.loss(network(batch.inputs), batch)[batch.mask].mean().detach().item()
        for name, term in objective.terms.items()
    }
    assert entry.terms == pytest.approx(means, rel=1e-5)
    assert entry.loss == pytest.approx(means["soft_targets"] + 2 * means["centered_logits"], rel=1e-5)


def test_examples_without_a_label_cost_nothing_but_count():
    data = of_shape((11,), None)
    assert data.labels is not None
    data.labels[[1, 4, 5]] = -1
    network = perceptron().double()
    expected = by_hand(network, HARD, data, rate=0.5)
    fitted = fit(network, HARD, data, settings=replace(SETTINGS, epochs=1, batch_size=11, learning_rate=0.5))
    for name, value in fitted.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-14)
    known = torch.tensor([row for row in range(11) if row not in (1, 4, 5)])
    part = Rows(data.inputs[known], data.labels[known])
    alone = by_hand(network, HARD, part, rate=0.5)
    start = network.state_dict()
    for name, value in fitted.model.state_dict().items():
        torch.testing.assert_close(value - start[name], (alone[name] - start[name]) * 8 / 11)


def test_a_step_in_which_nothing_counts_changes_nothing():
    data = rows_of()
    data.mask = torch.zeros(11, dtype=torch.bool)
    network = perceptron()
    fitted = fit(network, BOTH, data, settings=SETTINGS)
    assert same(fitted.model, network) and fitted.history[0].loss == 0


def test_a_mask_of_positions_needs_losses_of_positions():
    data = of_shape((11, 3), (11, 3))
    objective = Objective({"pooled": Term(loss=lambda output, batch: output.mean((1, 2)))})
    with pytest.raises(BadInput, match=r"loss of term 'pooled' .* one value per position \(4, 3\); got \(4,\)"):
        fit(perceptron().double(), objective, data, settings=SETTINGS)


@pytest.mark.parametrize("loss", [lambda output, batch: output.mean(), lambda output, batch: output.sum(0)])
def test_a_reduced_loss_is_refused(loss):
    with pytest.raises(BadInput, match="loss of term 'mine' of the objective must be one value per example"):
        fit(perceptron(), Objective({"mine": Term(loss=loss)}), rows_of(), settings=SETTINGS)


SCRIPT = """
import sys
from contextlib import contextmanager
from pathlib import Path
import torch
from torch import nn
from attar.errors import BadInput
from attar.network.weights import save_weights
from attar.training.batch import Batch
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

class Rows:
    def __init__(self, count, classes=3):
        draw = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(count, 4, generator=draw, dtype=torch.float64)
        self.targets = torch.randn(count, 3, generator=draw, dtype=torch.float64)
        self.labels = self.targets.argmax(-1)
        # Unequal shares of what counts: everything that does is in the first half.
        self.mask = torch.rand(count, generator=draw) < 0.6
    def __len__(self):
        return len(self.inputs)
    def batch(self, rows, epoch):
        return Batch(self.inputs[rows], self.labels[rows], self.targets[rows], rows, self.mask[rows])

def network(*middle):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Linear(6, 3)).double()

processes, folder = int(sys.argv[1]), Path(sys.argv[2])
fabric = make_fabric()
assert fabric.world_size == processes
objective = Objective({"soft": Term(loss=SoftTargets()), "hard": Term(loss=HardLabels(), weight=0.5)})
settings = Training(
    epochs=4, batch_size=7, micro_batch_size=2, learning_rate=0.1, checkpoint="last", max_gradient_norm=0.5
)
fitted = fit(network(), objective, Rows(20), settings=settings, fabric=fabric, validation=Rows(9))
seen = [entry.to_json() for entry in fitted.history]
# Batch norm sees each process's own examples, so that the scores differ unless one process speaks for all; they must
# all stop in the same epoch, or those that go on wait for ever.
early = Training(epochs=12, batch_size=7, learning_rate=1.0, patience=1)
stopped = fit(network(nn.BatchNorm1d(6)), objective, Rows(20), settings=early, fabric=fabric, validation=Rows(9))
scores = [entry.score for entry in stopped.history]
# Each drops other units; the first one writes the checkpoint, and all continue from it.
@contextmanager
def killed(title, total):
    calls = iter(range(6))
    def advance(steps):
        if next(calls, None) is None:
            raise KeyboardInterrupt
    yield advance

dropping = Training(epochs=3, batch_size=7, learning_rate=0.1, ema_decay=0.5, checkpoint_seconds=0)
def resumable(file, **more):
    student = network(nn.BatchNorm1d(6), nn.Dropout(0.5))
    return fit(student, objective, Rows(20), settings=dropping, validation=Rows(9), checkpoint_file=file, **more)

unbroken = resumable(None).model.state_dict()
file = folder / f"checkpoint-{processes}"
try:
    resumable(file, progress=killed)
except KeyboardInterrupt:
    resumed = resumable(file).model.state_dict()
alike = all(torch.equal(resumed[name], value) for name, value in unbroken.items())
refused = ""
try:
    fit(network(), objective, Rows(1), fabric=fabric)
except BadInput as error:
    refused = str(error)
save_weights(fitted.model, folder / f"{processes}-{fabric.global_rank}.safetensors",
             {"history": seen, "scores": scores, "refused": refused, "alike": alike})
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    script = tmp_path / "training.py"
    script.write_text(SCRIPT)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    runs = [
        subprocess.Popen(
            [sys.executable, *launcher, str(script), str(count), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for launcher, count in (([], 1), (torchrun, 2))
    ]
    try:
        for run in runs:
            seen, _ = run.communicate(timeout=90)
            assert run.returncode == 0, seen
    finally:
        for run in runs:
            run.kill()
    one, first, second = (read_tensors(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    for name, value in one[0].items():
        torch.testing.assert_close(first[0][name], value, rtol=1e-9, atol=1e-12)
        assert torch.equal(first[0][name], second[0][name])
    assert first[1]["history"] == second[1]["history"]
    for mine, theirs in zip(one[1]["history"], first[1]["history"], strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5) and mine["score"] == theirs["score"]
    assert first[1]["scores"] == second[1]["scores"]
    assert one[1]["alike"] and first[1]["alike"] and second[1]["alike"]
    assert one[1]["refused"] == ""
    assert "at least one example for each of the 2 processes" in first[1]["refused"]


# -- order of the examples ---------------------------------------------------------------------------------------------


def asked(settings: Training, seed: int = 1, objective: Objective = HARD) -> list[tuple[int, tuple[int, ...]]]:
    data = rows_of()
    fit(perceptron(seed), objective, data, settings=settings)
    return data.asked


def test_every_example_is_seen_once_an_epoch_in_even_steps():
    seen = asked(replace(SETTINGS, epochs=3))
    for epoch in range(3):
        steps = [rows for at, rows in seen if at == epoch]
        assert sorted(itertools.chain(*steps)) == list(range(11))
        assert [len(rows) for rows in steps] == [4, 4, 3]


def test_no_step_is_tiny():
    # Nine examples in steps of at most four: three of three, and not a last one of one.
    data = rows_of(9)
    fit(perceptron(), HARD, data, settings=replace(SETTINGS, epochs=1))
    assert [len(rows) for _, rows in data.asked] == [3, 3, 3]


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seen: list[tuple[int, tuple[int, ...]]], epoch: int) -> list[int]:
        return list(itertools.chain(*(rows for at, rows in seen if at == epoch)))

    first = asked(SETTINGS)
    other = asked(replace(SETTINGS, batch_size=5, learning_rate=0.01, epochs=5, optimizer="adam"), 9, BOTH)
    assert order(first, 0) == order(other, 0) and order(first, 1) == order(other, 1)
    assert order(first, 0) != order(first, 1)
    assert order(asked(replace(SETTINGS, seed=1)), 0) != order(first, 0)


# -- nothing of the caller's is changed --------------------------------------------------------------------------------


def test_the_callers_random_state_is_left_alone():
    # Python's own generator is left out: the type hook of the tests draws from it.
    torch.manual_seed(11)
    np.random.seed(11)
    expected = torch.rand(3), np.random.rand()
    student = perceptron(dropout=0.5)
    torch.manual_seed(11)
    np.random.seed(11)
    fit(student, BOTH, rows_of(), settings=SETTINGS, validation=rows_of(5, seed=1))
    assert torch.equal(torch.rand(3), expected[0]) and np.random.rand() == expected[1]


def test_the_callers_random_state_does_not_matter():
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(fit(perceptron(dropout=0.5), BOTH, rows_of(), settings=SETTINGS))
    assert same(results[0].model, results[1].model) and results[0].history == results[1].history
    other = fit(perceptron(dropout=0.5), BOTH, rows_of(), settings=replace(SETTINGS, seed=1))
    assert not same(results[0].model, other.model)


def test_the_callers_student_and_teacher_are_left_alone():
    student, teacher = perceptron(batch_norm=True), perceptron(2, batch_norm=True)
    student.eval()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    before = digest(student), digest(teacher)
    objective = Objective({"soft": Term(loss=SoftTargets()), "own": Term(loss=HardLabels(), of="teacher")})
    fitted = fit(student, objective, rows_of(), settings=SETTINGS, teacher=teacher)
    assert (digest(student), digest(teacher)) == before
    assert not any(module.training for module in student.modules()) and teacher.training
    assert all(parameter.grad is None for parameter in (*student.parameters(), *teacher.parameters()))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert fitted.model is not student and not same(fitted.model, student)
    assert fitted.teacher is not None and not same(fitted.teacher, teacher)
    assert not fitted.model.training and not fitted.teacher.training


def test_frozen_parts_of_the_student_stay_frozen():
    student = perceptron()
    student[0].requires_grad_(False)
    fitted = fit(student, HARD, rows_of(), settings=replace(SETTINGS, optimizer="adamw", weight_decay=0.1))
    assert same(fitted.model[0], student[0]) and not same(fitted.model[-1], student[-1])


def test_a_student_that_is_frozen_altogether_is_refused():
    with pytest.raises(BadInput, match="student of fit must be a module with a parameter that requires a gradient"):
        fit(perceptron().requires_grad_(False), HARD, rows_of(), settings=SETTINGS)


def test_convolutions_come_back_in_the_usual_layout():
    def network() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(12, 3))

    data = Rows(normal(6, 2, 2, 2), labels_of(6))
    fitted = fit(network(), HARD, data, settings=SETTINGS)
    assert all(parameter.is_contiguous() for parameter in fitted.model.parameters())
    output = network()(data.inputs)
    assert not torch.equal(fitted.model(data.inputs), output) and output.shape == (6, 3)


# -- the objective over the epochs -------------------------------------------------------------------------------------


def test_terms_come_and_go_and_ramp():
    still = replace(SETTINGS, epochs=3, batch_size=6, learning_rate=1e-30)
    objective = Objective(
        {
            "falling": Term(loss=once(1.0), weight=Ramp(start=1.0, end=0.0, epochs=2.0)),
            "late": Term(loss=once(10.0), start_epoch=1, end_epoch=2),
        }
    )
    history = fit(perceptron(), objective, rows_of(12), settings=still).history
    # Two steps an epoch: weights 1 and 3/4, then 1/2 and 1/4, then 0.
    assert [entry.loss for entry in history] == pytest.approx([0.875, 0.375 + 10, 0.0])
    assert [dict(entry.terms) for entry in history] == [
        {"falling": 1.0},
        {"falling": 1.0, "late": 10.0},
        {"falling": 1.0},
    ]


def test_a_term_outside_its_epochs_does_not_pull():
    late = Objective({"hard": Term(loss=HardLabels()), "soft": Term(loss=SoftTargets(), start_epoch=1)})
    ending, alone = Recorder(), Recorder()
    fit(perceptron(), late, rows_of(), settings=SETTINGS, callbacks=[ending])
    fit(perceptron(), HARD, rows_of(), settings=SETTINGS, callbacks=[alone])
    for step, (mine, its) in enumerate(zip(ending.after_steps, alone.after_steps, strict=True)):
        assert all(torch.equal(mine[name], its[name]) for name in mine) == (step < 3)


def test_a_temperature_on_a_schedule_is_followed():
    def last(temperature: Any) -> dict[str, Tensor]:
        objective = Objective({"soft": Term(loss=SoftTargets(temperature=temperature))})
        return weights(
            fit(perceptron(), objective, rows_of(), settings=replace(SETTINGS, epochs=1, batch_size=11)).model
        )

    moving = last(Ramp(start=2.0, end=9.0, epochs=5.0))
    assert all(torch.equal(moving[name], value) for name, value in last(2.0).items())
    assert not all(torch.equal(moving[name], value) for name, value in last(9.0).items())


def test_a_term_may_be_called_loss():
    objective = Objective({"loss": Term(loss=once(1.0)), "other": Term(loss=once(5.0), weight=2.0)})
    (entry,) = fit(perceptron(), objective, rows_of(), settings=replace(SETTINGS, epochs=1)).history
    assert entry.loss == pytest.approx(11.0) and dict(entry.terms) == pytest.approx({"loss": 1.0, "other": 5.0})


# -- a teacher that learns beside the student --------------------------------------------------------------------------

APPRENTICE = {"hard": Term(loss=HardLabels()), "soft": Term(loss=SoftTargets())}


def beside(detach: bool, **terms: Term) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Student and teacher after, and the teacher before, three steps."""
    teacher = perceptron(2, batch_norm=True)
    settings = replace(SETTINGS, epochs=1)
    objective = Objective({**APPRENTICE, **terms})
    fitted = fit(perceptron(), objective, rows_of(), settings=settings, teacher=teacher, detach_teacher=detach)
    assert fitted.teacher is not None
    return fitted.model, fitted.teacher, teacher


def test_with_detach_the_students_terms_leave_the_teacher_alone():
    _, after, before = beside(True)
    for (name, mine), its in zip(after.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, its), name
    # Its batch norm is in training all the same.
    assert int(after[1].num_batches_tracked) == 3
    assert not torch.equal(after[1].running_mean, before[1].running_mean)


def test_without_detach_they_pull_it_too():
    _, after, before = beside(False)
    for (name, mine), its in zip(after.named_parameters(), before.parameters(), strict=True):
        # A constant before batch norm has no influence, and so no gradient but rounding.
        assert name == "0.bias" or not torch.equal(mine, its), name


def test_the_teachers_own_term_trains_it_and_not_the_student():
    own = Term(loss=HardLabels(), of="teacher")
    _, teacher, before = beside(True, own=own)
    assert not torch.equal(teacher[-1].weight, before[-1].weight)
    alone = fit(before, HARD, rows_of(), settings=replace(SETTINGS, epochs=1)).model
    assert same(teacher, alone)
    # A heavier term of the teacher's changes the student through the targets alone: not before the second step.
    recorders = Recorder(), Recorder()
    for weight, recorder in zip((1.0, 50.0), recorders, strict=True):
        objective = Objective({**APPRENTICE, "own": replace(own, weight=weight)})
        fit(perceptron(), objective, rows_of(), settings=SETTINGS, teacher=before, callbacks=[recorder])
    pairs = [
        all(torch.equal(one[name], other[name]) for name in one)
        for one, other in zip(recorders[0].after_steps, recorders[1].after_steps, strict=True)
    ]
    assert pairs[0] and not any(pairs[1:])


def test_its_output_is_the_target():
    data, teacher = rows_of(), perceptron(2)
    data.targets = None
    settings = replace(SETTINGS, epochs=1, batch_size=11)
    soft = Objective({"soft": Term(loss=SoftTargets())})
    learning = fit(perceptron(), soft, data, settings=settings, teacher=teacher)
    data.targets = teacher(data.inputs).detach()
    torch.testing.assert_close(weights(learning.model), weights(fit(perceptron(), soft, data, settings=settings).model))


def test_a_term_of_a_teacher_needs_a_teacher():
    objective = Objective({"own": Term(loss=HardLabels(), of="teacher")})
    with pytest.raises(BadInput, match=r"of of term 'own' must be 'student' .*Pass teacher= to fit\."):
        fit(perceptron(), objective, rows_of(), settings=SETTINGS)


# -- divergence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_step_and_term(value):
    objective = Objective({"hard": Term(loss=HardLabels()), "bad": Term(loss=once(value), start_epoch=1)})
    with pytest.raises(Diverged, match=rf"loss term 'bad' became {value} at step 3 \(epoch 1\)\. Lower learning_rate"):
        fit(perceptron(), objective, rows_of(), settings=SETTINGS)


@pytest.mark.parametrize("longest", [None, 1.0])
def test_a_gradient_that_is_not_finite_is_no_success(longest):
    # The root has no finite slope at 0: value 0, gradient NaN. The step is the last one, so that no loss would show it.
    steep = Term(loss=lambda output, batch: (output - output.detach()).abs().sqrt().sum(-1))
    settings = replace(SETTINGS, epochs=1, batch_size=11, max_gradient_norm=longest)
    with pytest.raises(Diverged, match=r"(gradient|weights) .* step 0 \(epoch 0\)\. Lower learning_rate"):
        fit(perceptron(), Objective({"steep": steep}), rows_of(), settings=settings)


def test_weights_that_overflow_are_no_success():
    def steep(output: torch.Tensor, batch: Batch) -> torch.Tensor:
        return HardLabels()(output, batch) * 1e38

    with pytest.raises(Diverged):
        fit(perceptron(), Objective({"steep": Term(loss=steep)}), rows_of(), settings=replace(SETTINGS, epochs=4))


# -- choosing an epoch -------------------------------------------------------------------------------------------------


def scores(*values: float) -> Any:
    """A metric that gives these scores, epoch by epoch."""
    left = iter(values)
    return lambda output, batch: torch.full((len(batch),), next(left))


def trained(metric: Any, **changes: Any) -> tuple[Any, Recorder]:
    recorder = Recorder()
    settings = replace(SETTINGS, epochs=6, checkpoint="best", **changes)
    fitted = fit(
        perceptron(), HARD, rows_of(), settings=settings, validation=rows_of(5), metric=metric, callbacks=[recorder]
    )
    return fitted, recorder


def holds(module: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_the_best_epoch_is_returned_and_the_first_of_equals():
    fitted, recorder = trained(scores(0.1, 0.7, 0.3, 0.7, 0.2, 0.6))
    assert (fitted.best_epoch, len(fitted.history), fitted.stopped_early) == (1, 6, False)
    assert fitted.score == pytest.approx(0.7) and fitted.steps == 18
    assert holds(fitted.model, recorder.after_epochs[1]) and not holds(fitted.model, recorder.after_epochs[5])
    assert [entry.score for entry in fitted.history] == pytest.approx([0.1, 0.7, 0.3, 0.7, 0.2, 0.6])


def test_the_last_epoch_is_returned_if_asked_for():
    recorder = Recorder()
    settings = replace(SETTINGS, epochs=3, checkpoint="last")
    metric = scores(0.1, 0.7, 0.3)
    fitted = fit(
        perceptron(), HARD, rows_of(), settings=settings, validation=rows_of(5), metric=metric, callbacks=[recorder]
    )
    assert fitted.best_epoch == 2 and fitted.score == pytest.approx(0.3)
    assert holds(fitted.model, recorder.after_epochs[2])


def test_without_validation_it_is_the_last():
    fitted = fit(perceptron(), HARD, rows_of(), settings=replace(SETTINGS, checkpoint="best"))
    assert fitted.best_epoch == 1 and fitted.score is None
    assert str(fitted) == "2 epochs, 6 steps, best epoch 1 (no validation)"


def test_patience_ends_a_training():
    fitted, recorder = trained(scores(0.1, 0.5, 0.5, 0.4), patience=2)
    assert fitted.stopped_early and len(fitted.history) == 4 and fitted.best_epoch == 1
    assert holds(fitted.model, recorder.after_epochs[1])
    assert str(fitted) == "4 epochs, 12 steps, best epoch 1 (validation 0.5000)"


def test_patience_begins_anew_with_every_better_score():
    fitted, _ = trained(scores(0.1, 0.0, 0.2, 0.1, 0.3, 0.1), patience=2)
    assert not fitted.stopped_early and len(fitted.history) == 6 and fitted.best_epoch == 4


def test_patience_needs_validation():
    with pytest.raises(BadInput, match=r"patience of Training must be .* validation.*; got 3"):
        fit(perceptron(), HARD, rows_of(), settings=replace(SETTINGS, patience=3))


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(BadInput, match=r"score .* must be finite; got nan"):
        trained(scores(math.nan))


def test_validation_must_not_be_empty():
    with pytest.raises(BadInput, match="validation of fit must be not empty; got 0"):
        fit(perceptron(), HARD, rows_of(), settings=SETTINGS, validation=Rows(torch.zeros(0, 4)))


def test_accuracy_is_the_share_of_right_answers():
    data, network = rows_of(), nn.Sequential(nn.Linear(4, 3, bias=False))
    # The network that made the labels: right everywhere but where a label is missing.
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0, 0, 0, 1], [0, 2, 0, 1], [0, 0, 2, 1]]))
    assert data.labels is not None
    data.labels[[0, 3]] = -1
    settings = replace(SETTINGS, epochs=1, learning_rate=1e-30)
    fitted = fit(network, HARD, rows_of(), settings=settings, validation=data)
    assert fitted.score == pytest.approx(9 / 11)


@pytest.mark.parametrize("mask", [None, (11, 3)])
def test_the_accuracy_of_positions_is_a_share_too(mask):
    data, network = of_shape((11, 3), mask), perceptron().double()
    settings = replace(SETTINGS, epochs=1, learning_rate=1e-30)
    fitted = fit(network, HARD, of_shape((11, 3), None), settings=settings, validation=data)
    right = network(data.inputs).argmax(-1) == data.labels
    assert fitted.score == pytest.approx(float((right if data.mask is None else right[data.mask]).double().mean()))


def test_accuracy_needs_labels():
    with pytest.raises(BadInput, match="labels of the validation data must be present"):
        fit(perceptron(), HARD, rows_of(), settings=SETTINGS, validation=Rows(normal(3, 4)))


def test_validation_leaves_no_trace_in_the_training():
    network = perceptron(dropout=0.5, batch_norm=True)
    with_it = fit(network, HARD, rows_of(), settings=SETTINGS, validation=rows_of(700, seed=4))
    assert same(with_it.model, fit(network, HARD, rows_of(), settings=SETTINGS).model)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_the_average_of_the_weights_is_returned():
    recorder = Recorder()
    settings = replace(SETTINGS, ema_decay=0.75)
    fitted = fit(perceptron(), HARD, rows_of(), settings=settings, callbacks=[recorder])
    expected = recorder.after_steps[0]
    for state in recorder.after_steps[1:]:
        expected = {name: 0.75 * expected[name] + 0.25 * state[name] for name in state}
    torch.testing.assert_close(weights(fitted.model), expected)
    assert not holds(fitted.model, recorder.after_steps[-1])


def test_long_gradients_are_shortened():
    network = perceptron()
    settings = replace(SETTINGS, epochs=1, batch_size=11, learning_rate=1.0, max_gradient_norm=0.01)
    fitted = fit(network, BOTH, rows_of(), settings=settings)
    moved = torch.cat(
        [(mine - its).flatten() for mine, its in zip(fitted.model.parameters(), network.parameters(), strict=True)]
    )
    assert moved.detach().norm().item() == pytest.approx(0.01, rel=1e-3)


def test_another_optimizer_may_be_given():
    network = perceptron()
    settings = replace(SETTINGS, epochs=1, batch_size=11)
    fitted = fit(network, HARD, rows_of(), settings=settings, make_optimizer=lambda p: torch.optim.Rprop(p, lr=0.01))
    for mine, its in zip(fitted.model.parameters(), network.parameters(), strict=True):
        # Its first step is the same length in every direction that has a slope.
        torch.testing.assert_close((mine - its).abs(), torch.full_like(mine, 0.01))


@pytest.mark.parametrize("optimizer", [torch.optim.Adagrad, torch.optim.Adam, torch.optim.SGD])
def test_any_optimizer_goes_with_one_cycle(optimizer):
    settings = replace(SETTINGS, schedule="one_cycle", momentum=0.9)
    fitted = fit(perceptron(), HARD, rows_of(), settings=settings, make_optimizer=lambda p: optimizer(p, lr=0.01))
    assert fitted.steps == 6


def rates(settings: Training, steps_per_epoch: int) -> list[float]:
    """The learning rate of each step."""
    optimizer = settings_optimizer(settings)([nn.Parameter(torch.zeros(1))])
    schedule = make_schedule(optimizer, settings, steps_per_epoch)
    seen = []
    for _ in range(settings.epochs * steps_per_epoch):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if schedule is not None:
            schedule.step()
    return seen


@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "multistep"])
def test_the_learning_rate_follows_its_formula(schedule, warmup):
    settings = Training(
        epochs=6, learning_rate=0.2, schedule=schedule, warmup_epochs=warmup / 4, milestones=(3, 5), optimizer="adamw"
    )
    shapes = {
        "constant": lambda step: 1.0,
        "cosine": lambda step: (1 + math.cos(math.pi * (step - warmup) / (24 - warmup))) / 2,
        "multistep": lambda step: 0.1 ** ((step >= 12) + (step >= 20)),
    }
    expected = [0.2 * ((step + 1) / (warmup + 1) if step < warmup else shapes[schedule](step)) for step in range(24)]
    assert rates(settings, 4) == pytest.approx(expected)


def test_one_cycle_rises_for_a_fifth_and_falls():
    seen = rates(Training(epochs=10, learning_rate=0.2, schedule="one_cycle"), 5)
    top = seen.index(max(seen))
    assert seen[top] == pytest.approx(0.2, rel=0.01) and 8 <= top <= 11
    assert seen[: top + 1] == sorted(seen[: top + 1]) and seen[top:] == sorted(seen[top:], reverse=True)
    assert seen[0] == pytest.approx(0.2 / 25) and seen[-1] < 0.002


@pytest.mark.parametrize("schedule", ["constant", "one_cycle", "cosine", "multistep"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_training_of_one_step_an_epoch_goes_as_well(schedule, epochs):
    settings = replace(SETTINGS, epochs=epochs, batch_size=99, schedule=schedule, milestones=(1,))
    fitted = fit(perceptron(), HARD, rows_of(), settings=settings)
    assert fitted.steps == epochs and math.isfinite(fitted.history[-1].loss)
    assert not same(fitted.model, perceptron())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_learns(optimizer):
    settings = Training(epochs=10, batch_size=10, optimizer=optimizer, learning_rate=0.1, weight_decay=1e-4)
    fitted = fit(perceptron(), BOTH, rows_of(40), settings=settings, validation=rows_of(60, seed=1))
    assert fitted.history[-1].loss < fitted.history[0].loss / 2
    assert fitted.score is not None and fitted.score > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs of Training must be greater than 0; got 0"),
        ({"batch_size": -1}, "batch_size of Training must be greater than 0; got -1"),
        ({"learning_rate": math.nan}, "learning_rate of Training must be greater than 0; got nan"),
        ({"learning_rate": math.inf}, "learning_rate of Training must be .*; got inf"),
        ({"micro_batch_size": 0}, "micro_batch_size of Training must be greater than 0; got 0"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm of Training must be greater than 0; got 0.0"),
        ({"patience": 0}, "patience of Training must be greater than 0; got 0"),
        ({"weight_decay": -0.1}, "weight_decay of Training must be at least 0; got -0.1"),
        ({"warmup_epochs": math.nan}, "warmup_epochs of Training must be at least 0; got nan"),
        ({"momentum": 1.0}, "momentum of Training must be from 0 up to but not 1; got 1.0"),
        ({"ema_decay": 1.0}, "ema_decay of Training must be between 0 and 1; got 1.0"),
        ({"epochs": 3, "warmup_epochs": 3.0}, r"warmup_epochs of Training must be less than epochs \(3\); got 3.0"),
        (
            {"schedule": "one_cycle", "warmup_epochs": 1.0},
            r"warmup_epochs of Training must be 0 .*one_cycle.*; got 1.0",
        ),
        ({"schedule": "multistep"}, "milestones of Training must be given for the multistep schedule"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(BadInput, match=message):
        Training(**changes)


@pytest.mark.parametrize(
    ("name", "value", "offer"),
    [
        ("optimizer", "adamx", "Did you mean 'adam' or 'adamw'"),
        ("schedule", "linear", "Choose from 'constant', 'cosine', 'multistep', 'one_cycle'"),
        ("checkpoint", "first", "Choose from 'best', 'last'"),
        ("precision", "16", "Choose from '32-true', 'bf16-mixed'|Did you mean"),
    ],
)
def test_names_that_do_not_exist_are_refused(name, value, offer):
    # Past the type hook of the tests, which users do not have.
    settings = Training()
    object.__setattr__(settings, name, value)
    with pytest.raises(BadInput, match=rf"{name} of Training must be one of.*; got '{value}'\. ({offer})"):
        settings.__post_init__()


def test_no_data_is_refused():
    with pytest.raises(BadInput, match="data of fit must be not empty; got 0"):
        fit(perceptron(), HARD, Rows(torch.zeros(0, 4)))


# -- devices -----------------------------------------------------------------------------------------------------------


def test_bf16_is_refused_on_a_cpu_without_it(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(BadInput, match="precision of Training must be 32-true on this CPU, which has no bf16; got"):
        fit(perceptron(), HARD, rows_of(), settings=replace(SETTINGS, precision="bf16-mixed"))


def test_bf16_trains_float32_weights(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    seen = []
    loss = HardLabels()

    def watched(output: Tensor, batch: Batch) -> Tensor:
        seen.append(output.dtype)
        return loss(output, batch)

    settings = replace(SETTINGS, precision="bf16-mixed", micro_batch_size=2)
    fitted = fit(perceptron(), Objective({"hard": Term(loss=watched)}), rows_of(), settings=settings)
    reference = fit(perceptron(), HARD, rows_of(), settings=SETTINGS)
    assert {parameter.dtype for parameter in fitted.model.parameters()} == {torch.float32}
    assert not same(fitted.model, reference.model)
    torch.testing.assert_close(weights(fitted.model), weights(reference.model), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("device", ["tpu", "", "cuda", "cuda:0", "cpu:1", "gpu"])
def test_a_device_that_is_not_there_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match=rf"device of the run must be .*; got '{device}'"):
        make_fabric(device)


@pytest.mark.parametrize("device", ["cuda:2", "cuda:-1", "cuda:x"])
def test_a_gpu_that_is_not_there_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadInput, match=f"device of the run must be below cuda:2; got '{device}'"):
        make_fabric(device)


# -- surviving a crash -------------------------------------------------------------------------------------------------


def convolutions() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(2, 5, 3, padding=1, bias=False),
            nn.BatchNorm2d(5),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(5, 3),
        )


COURSES = {
    "sgd, cosine": {},
    "sgd, one cycle": {"schedule": "one_cycle"},
    "sgd, multistep, warm-up": {"schedule": "multistep", "milestones": (2, 3), "warmup_epochs": 1.5},
    "sgd, cosine, warm-up, clipped": {"warmup_epochs": 2.0, "max_gradient_norm": 0.5},
    "sgd, averaged": {"ema_decay": 0.8},
    "adamw, one cycle, averaged": {"optimizer": "adamw", "schedule": "one_cycle", "ema_decay": 0.9},
    "adamw, constant, warm-up": {"optimizer": "adamw", "schedule": "constant", "warmup_epochs": 1.0},
    "adam, micro-batches, last": {"optimizer": "adam", "micro_batch_size": 3, "checkpoint": "last"},
    "early stopping": {"learning_rate": 1e-3, "patience": 2},
}
RAMPED = Objective(
    {
        "soft": Term(
            loss=SoftTargets(temperature=Ramp(start=8.0, end=2.0, epochs=3.0)),
            weight=Ramp(start=0.0, end=1.0, epochs=2.0, shape="cosine"),
        ),
        "hard": Term(loss=HardLabels(), end_epoch=3),
        "centered": Term(loss=CenteredLogits(), start_epoch=1),
    }
)


def go_on(path: Path | None, settings: Training, network: nn.Module, data: Rows, stop: int | None = None) -> Any:
    recorder = Recorder()
    watch = {} if stop is None else {"progress": killed_at(stop)}
    fitted = fit(
        network,
        RAMPED,
        data,
        settings=settings,
        validation=data,
        callbacks=[recorder],
        checkpoint_file=path,
        **watch,
    )
    return fitted, recorder.calls


WITH_CONVOLUTIONS = ("sgd, cosine", "adamw, one cycle, averaged", "adam, micro-batches, last")


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "perceptron") for name in COURSES), *((name, "convolutions") for name in WITH_CONVOLUTIONS)],
)
def test_a_killed_training_ends_with_the_same_weights(name, kind, tmp_path):
    settings = Training(
        **{"epochs": 4, "batch_size": 4, "learning_rate": 0.05, "weight_decay": 0.01, **COURSES[name]},
        checkpoint_seconds=0.0,
    )
    data, network = rows_of(), perceptron(dropout=0.3, batch_norm=True)
    if kind == "convolutions":
        data.inputs, network = normal(11, 2, 3, 3), convolutions()
    unbroken, calls = go_on(None, settings, network, data)
    total = unbroken.steps
    # In the middle of epochs and at their ends; the first kill comes before any checkpoint.
    stops = sorted({1, 3, *random.Random(name + kind).sample(range(4, total), 3)})
    path = tmp_path / "checkpoint.safetensors"
    for stop in stops:
        with pytest.raises(Killed):
            go_on(path, settings, network, data, stop)
        assert path.exists() == (stop > 1)
    resumed, again = go_on(path, settings, network, data)
    assert same(resumed.model, unbroken.model)
    assert resumed.history == unbroken.history
    assert (resumed.best_epoch, resumed.score, resumed.steps) == (unbroken.best_epoch, unbroken.score, total)
    assert resumed.stopped_early == unbroken.stopped_early == (name == "early stopping")
    assert again == calls


def test_a_training_killed_in_validation_goes_on(tmp_path):
    path = tmp_path / "checkpoint"
    settings = replace(SETTINGS, epochs=3, checkpoint_seconds=0.0)

    def run(metric: Any, checkpoint: Path | None) -> Any:
        return fit(
            perceptron(dropout=0.3),
            HARD,
            rows_of(),
            settings=settings,
            validation=rows_of(5),
            metric=metric,
            checkpoint_file=checkpoint,
        )

    def dies(output: Tensor, batch: Batch) -> Tensor:
        if not path.with_suffix(".second").exists():
            path.with_suffix(".second").touch()
            return torch.zeros(len(batch))
        raise Killed

    with pytest.raises(Killed):
        run(dies, path)
    unbroken, resumed = run(scores(0, 0.5, 0.25), None), run(scores(0.5, 0.25), path)
    assert same(resumed.model, unbroken.model) and resumed.history == unbroken.history


def test_a_teacher_that_learns_survives_too(tmp_path):
    def run(checkpoint: Path | None, **watch: Any) -> Any:
        return fit(
            perceptron(dropout=0.3),
            Objective({**APPRENTICE, "own": Term(loss=HardLabels(), of="teacher")}),
            rows_of(),
            settings=replace(SETTINGS, optimizer="adamw", checkpoint_seconds=0.0, ema_decay=0.5),
            teacher=perceptron(2, dropout=0.3, batch_norm=True),
            checkpoint_file=checkpoint,
            **watch,
        )

    with pytest.raises(Killed):
        run(tmp_path / "it", progress=killed_at(4))
    resumed, unbroken = run(tmp_path / "it"), run(None)
    assert same(resumed.model, unbroken.model) and same(resumed.teacher, unbroken.teacher)


def test_a_finished_training_is_found_again(tmp_path):
    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    first = fit(perceptron(), HARD, rows_of(), settings=settings, checkpoint_file=tmp_path / "it")
    data = rows_of()
    again = fit(perceptron(), HARD, data, settings=settings, checkpoint_file=tmp_path / "it")
    assert same(first.model, again.model) and first.history == again.history and data.asked == []


def test_checkpoints_are_written_by_the_clock(tmp_path):
    fit(
        perceptron(),
        HARD,
        rows_of(),
        settings=replace(SETTINGS, checkpoint_seconds=1e9),
        checkpoint_file=tmp_path / "it",
    )
    assert list(tmp_path.iterdir()) == []


def test_progress_sees_every_step(tmp_path):
    seen: list[int] = []
    named: list[tuple[str, int]] = []

    @contextmanager
    def watch(title: str, total: int) -> Iterator[Callable[[int], None]]:
        named.append((title, total))
        yield seen.append

    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    fit(perceptron(), HARD, rows_of(), settings=settings, progress=watch, title="student/0")
    assert named == [("student/0", 6)] and sum(seen) == 6 and max(seen) == 1
    with pytest.raises(Killed):
        fit(perceptron(), HARD, rows_of(), settings=settings, progress=killed_at(5), checkpoint_file=tmp_path / "it")
    seen.clear()
    fit(perceptron(), HARD, rows_of(), settings=settings, progress=watch, checkpoint_file=tmp_path / "it")
    assert sum(seen) == 6 and seen[0] == 4


def test_callbacks_are_called_after_each_step_and_epoch():
    recorder = Recorder()
    fit(perceptron(), HARD, rows_of(), settings=replace(SETTINGS, learning_rate=0.5), callbacks=[recorder, Recorder()])
    assert recorder.calls == {"step": 6, "epoch": 2}
    assert recorder.states == [(0, 1, 3), (0, 2, 3), (0, 3, 3), (1, 4, 3), (1, 5, 3), (1, 6, 3)]
    assert recorder.rates == [0.5] * 6


def test_a_callback_may_change_the_network():
    class Pruner(Recorder):
        def after_step(self, state: TrainState) -> None:
            with torch.no_grad():
                state.model[0].weight[0] = 0

    fitted = fit(perceptron(), HARD, rows_of(), settings=SETTINGS, callbacks=[Pruner()])
    assert not fitted.model[0].weight[0].any() and fitted.model[0].weight[1].all()


def interrupted(path: Path, **changes: Any) -> None:
    with pytest.raises(Killed):
        begin(path, progress=killed_at(5), **changes)


def begin(path: Path, **changes: Any) -> Any:
    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    arguments = {"student": perceptron(), "objective": BOTH, "data": rows_of(), "settings": settings, **changes}
    return fit(**arguments, checkpoint_file=path)


OTHER = {
    "settings": {"settings": replace(SETTINGS, learning_rate=0.2)},
    "objective": {"objective": HARD},
    "examples": {"data": rows_of(12)},
    "network": {"student": nn.Linear(4, 3)},
    "teacher": {"teacher": perceptron(2), "detach_teacher": False},
    "optimizer": {"make_optimizer": lambda p: torch.optim.AdamW(p, lr=0.1)},
    "callbacks": {"callbacks": [Recorder()]},
}


@pytest.mark.parametrize("what", OTHER)
def test_the_checkpoint_of_another_training_is_refused(what, tmp_path):
    path = tmp_path / "it"
    interrupted(path)
    names = "network|teacher" if what == "teacher" else what
    with pytest.raises(
        BadInput, match=rf"({names}) of the checkpoint of .*it must be what this training has; got"
    ) as seen:
        begin(path, **OTHER[what])
    assert "Delete it" in str(seen.value)
    assert begin(path).steps == 6


def test_how_often_it_is_written_does_not_make_another_training(tmp_path):
    interrupted(tmp_path / "it")
    assert begin(tmp_path / "it", settings=replace(SETTINGS, checkpoint_seconds=99.0)).steps == 6


class Margin:
    """A loss of the user's own, without a repr: its address must not make it another one."""

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        return output.logsumexp(-1)


def test_a_loss_of_the_users_own_is_known_again(tmp_path):
    interrupted(tmp_path / "it", objective=Objective({"mine": Term(loss=Margin()), "hard": Term(loss=HardLabels())}))
    again = Objective({"mine": Term(loss=Margin()), "hard": Term(loss=HardLabels())})
    assert begin(tmp_path / "it", objective=again).steps == 6


def test_a_function_of_the_users_own_is_known_again(tmp_path):
    def make() -> Any:
        def margin(output: Tensor, batch: Batch) -> Tensor:
            return output.logsumexp(-1)

        return margin

    interrupted(tmp_path / "it", objective=Objective({"mine": Term(loss=make())}))
    assert begin(tmp_path / "it", objective=Objective({"mine": Term(loss=make())})).steps == 6
    with pytest.raises(BadInput, match="objective of the checkpoint"):
        begin(tmp_path / "it", objective=Objective({"mine": Term(loss=once(1.0))}))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_checkpoint_says_what_to_do(share, tmp_path):
    path = tmp_path / "it"
    interrupted(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptFile, match=rf"{path.name} is not .* Delete it"):
        begin(path)
    path.unlink()
    assert begin(path).steps == 6


def test_an_altered_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "it"
    interrupted(path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptFile, match="Delete it"):
        begin(path)


@pytest.mark.parametrize("state", [{"a": 1}, [1, 2], None, {"identity": 3}])
def test_a_file_that_is_no_checkpoint_is_noticed(state, tmp_path):
    save_state(state, tmp_path / "it")
    with pytest.raises(CorruptFile, match=r"it is not a checkpoint of a training.* Delete it"):
        begin(tmp_path / "it")


def test_the_checkpoint_is_no_larger_than_it_must_be(tmp_path):
    interrupted(tmp_path / "it")
    state = load_state(tmp_path / "it")
    assert state["loop"]["step"] == 4 and state["loop"]["step_in_epoch"] == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "it"]
    assert asdict(SETTINGS)["checkpoint"] == "last"
