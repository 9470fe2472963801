"""Which epoch the loop returns, and when it stops."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_training import (
    HARD,
    SETTINGS,
    Recorder,
    Rows,
    holds,
    normal,
    of_shape,
    perceptron,
    rows_of,
    same,
    scores,
)
from torch import nn

from attar.errors import BadInput
from attar.training.fit import fit


def trained(metric: Any, **changes: Any) -> tuple[Any, Recorder]:
    recorder = Recorder()
    settings = replace(SETTINGS, epochs=6, checkpoint="best", **changes)
    fitted = fit(
        perceptron(), HARD, rows_of(), settings=settings, validation=rows_of(5), metric=metric, callbacks=[recorder]
    )
    return fitted, recorder


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
