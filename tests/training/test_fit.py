"""The loop: one place that divides, and nothing of the caller's changed."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_training import (
    APPRENTICE,
    BOTH,
    HARD,
    SETTINGS,
    Recorder,
    Rows,
    labels_of,
    normal,
    of_shape,
    once,
    perceptron,
    rows_of,
    same,
    weights,
)
from torch import Tensor, nn

from attar.errors import BadInput, Diverged
from attar.network.weights import digest
from attar.training.batch import Batch
from attar.training.callbacks import TrainState
from attar.training.fit import fit
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.schedule import Ramp
from attar.training.settings import Training

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


def test_no_data_is_refused():
    with pytest.raises(BadInput, match="data of fit must be not empty; got 0"):
        fit(perceptron(), HARD, Rows(torch.zeros(0, 4)))


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
