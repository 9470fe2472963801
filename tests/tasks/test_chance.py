"""What is better than a constant answer, and than guessing, where examples have scores."""

import numpy as np
import pytest

from attar.tasks.intervals import mean_interval, wilson
from attar.tasks.multilabel import MultiLabel

TASK = MultiLabel(("a", "b", "c"))


def labels_of(rows: int) -> np.ndarray:
    return (np.random.default_rng(0).random((rows, 3)) < [0.6, 0.3, 0.1]).astype(np.int64)


def test_a_model_that_is_right_more_often_than_a_constant_is_no_chance():
    labels = labels_of(200)
    said = np.where(np.random.default_rng(1).random(labels.shape) < 0.9, labels, 1 - labels)
    assert TASK.chance(said - 0.5, labels, "validation").sentence is None


def test_random_answers_are_chance():
    labels = labels_of(200)
    guesses = [np.random.default_rng(seed).permutation(labels) for seed in range(40)]
    assert sum(TASK.chance(one - 0.5, labels, "test").guessing for one in guesses) >= 34


def test_one_answer_for_all_is_named():
    labels = labels_of(60)
    found = TASK.chance(np.tile([1.0, -1.0, -1.0], (60, 1)), labels, "test")
    assert found.guessing and found.sentence is not None
    assert found.sentence.startswith("gives every test example the same prediction (F1 0.")


def test_where_all_examples_are_alike_there_is_nothing_to_tell_apart():
    assert TASK.chance(np.ones((5, 3)), np.ones((5, 3), np.int64), "test").sentence is None


def test_the_interval_of_right_and_wrong_is_nearly_that_of_a_share():
    found, share = mean_interval(np.repeat([1.0, 0.0], [160, 40])), wilson(160, 200)
    assert found == pytest.approx(share, abs=2e-3)
    assert mean_interval(np.ones(20)) == wilson(20, 20) and mean_interval(np.zeros(20)) == wilson(0, 20)


def test_the_interval_of_a_mean_holds_its_level():
    draw = np.random.default_rng(0)
    inside = 0
    for _ in range(600):
        low, high = mean_interval(draw.beta(8, 2, 50))
        inside += low <= 0.8 <= high
    assert inside >= 0.93 * 600
