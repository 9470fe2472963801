"""Settings of a training: optimizers, schedules, averages, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from small_training import (
    BOTH,
    HARD,
    SETTINGS,
    Recorder,
    holds,
    perceptron,
    rows_of,
    same,
    weights,
)
from torch import nn

from attar.errors import BadInput
from attar.training.fit import fit
from attar.training.settings import Training, make_schedule, settings_optimizer


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
