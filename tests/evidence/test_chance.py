"""Chance: a constant answer and guesses are seen, a model of rare classes is not taken for one, and errors are rare."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from attar.evidence.chance import _by_guessing, chance

NAMES = ("ant", "bee", "cat")


def answers(given: list[int] | np.ndarray, count: int = 3) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[np.asarray(given)]


def test_one_answer_for_everything_is_named() -> None:
    labels = np.arange(30) % 3
    found = chance(answers([1] * 30), labels, NAMES, "validation")
    assert found.guessing
    assert found.sentence == "gives every validation example the same prediction, 'bee' (33.3%)"


def test_guesses_are_at_chance_with_both_figures() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    found = chance(answers(rng.permutation(labels)), labels, NAMES, "test")
    assert found.guessing and found.sentence is not None
    assert found.sentence.startswith("is at chance: ")
    assert found.sentence.endswith("of 200 test examples are right, and always predicting 'ant' gives 50.0%")


def test_what_is_learned_is_better_than_chance() -> None:
    labels = np.arange(60) % 3
    given = np.where(np.arange(60) < 36, labels, (labels + 1) % 3)
    assert chance(answers(given), labels, NAMES, "validation").sentence is None
    unknown = np.concatenate([labels, [-1, -1]])
    assert chance(answers([*given, 0, 0]), unknown, NAMES, "validation").sentence is None


def test_a_model_of_a_rare_class_may_be_no_better_than_none_and_yet_not_guess() -> None:
    # 10 of 1000 are rare; the model finds 8 of them and raises 8 false alarms: 990 right, as without any answer.
    labels = np.zeros(1000, int)
    labels[:10] = 1
    given = np.zeros(1000, int)
    given[:8] = 1
    given[500:508] = 1
    found = chance(answers(given, 2), labels, ("no", "yes"), "validation")
    assert not found.guessing
    assert found.sentence == (
        "is not measurably better than a constant: 99.0% of 1,000 validation examples are right, and always predicting "
        "'no' gives 99.0%"
    )


def test_one_class_alone_says_nothing() -> None:
    assert chance(answers([0, 0]), np.array([0, 0]), NAMES, "validation").sentence is None


def test_guessing_is_a_random_permutation() -> None:
    labels, given = np.repeat([0, 1, 2], [50, 30, 20]), np.repeat([0, 1, 2], [20, 20, 60])
    rng = np.random.default_rng(1)
    right = [int((rng.permutation(given) == labels).sum()) for _ in range(4000)]
    limit = _by_guessing(np.bincount(given).astype(float), np.bincount(labels).astype(float))
    assert limit == pytest.approx(np.mean(right) + 1.645 * np.std(right), abs=0.3)


def test_guesses_are_rarely_taken_for_knowledge() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 10, 200)
    names = tuple(map(str, range(10)))
    taken = sum(
        chance(answers(rng.integers(0, 10, 200), 10), labels, names, "test").sentence is None for _ in range(300)
    )
    assert taken <= scipy.stats.binom.ppf(0.999, 300, 0.05)
