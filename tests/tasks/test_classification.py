"""Classification: its figures against hand-worked values, scikit-learn and slow loops; and what chance is.

A constant answer and guesses are seen, a model of rare classes is not taken for one, and errors are rare.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.tasks.classification import Classification, ClassQuality, _by_guessing
from attar.tasks.intervals import wilson
from attar.tasks.metrics.classification import BINS

CLASSES = ("ant", "bee", "cat")
TASK, YES = Classification(CLASSES), Classification(("no", "yes"))


def answers(told: list[int] | np.ndarray, count: int = 3) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[np.asarray(told)]


def test_one_answer_for_everything_is_named() -> None:
    labels = np.arange(30) % 3
    found = TASK.chance(answers([1] * 30), labels, "validation")
    assert found.guessing
    assert found.sentence == "gives every validation example the same prediction, 'bee' (33.3%)"


def test_guesses_are_at_chance_with_both_figures() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    found = TASK.chance(answers(rng.permutation(labels)), labels, "test")
    assert found.guessing and found.sentence is not None
    assert found.sentence.startswith("is at chance: ")
    assert found.sentence.endswith("of 200 test examples are right, and always predicting 'ant' gives 50.0%")


def test_what_is_learned_is_better_than_chance() -> None:
    labels = np.arange(60) % 3
    told = np.where(np.arange(60) < 36, labels, (labels + 1) % 3)
    assert TASK.chance(answers(told), labels, "validation").sentence is None
    unknown = np.concatenate([labels, [-1, -1]])
    assert TASK.chance(answers([*told, 0, 0]), unknown, "validation").sentence is None


def test_a_model_of_a_rare_class_may_be_no_better_than_none_and_yet_not_guess() -> None:
    # 10 of 1000 are rare; the model finds 8 of them and raises 8 false alarms: 990 right, as without any answer.
    labels = np.zeros(1000, int)
    labels[:10] = 1
    told = np.zeros(1000, int)
    told[:8] = 1
    told[500:508] = 1
    found = YES.chance(answers(told, 2), labels, "validation")
    assert not found.guessing
    assert found.sentence == (
        "is not measurably better than a constant: 99.0% of 1,000 validation examples are right, and always predicting "
        "'no' gives 99.0%"
    )


def test_one_class_alone_says_nothing() -> None:
    assert TASK.chance(answers([0, 0]), np.array([0, 0]), "validation").sentence is None


def test_guessing_is_a_random_permutation() -> None:
    labels, told = np.repeat([0, 1, 2], [50, 30, 20]), np.repeat([0, 1, 2], [20, 20, 60])
    rng = np.random.default_rng(1)
    right = [int((rng.permutation(told) == labels).sum()) for _ in range(4000)]
    limit = _by_guessing(np.bincount(told).astype(float), np.bincount(labels).astype(float))
    assert limit == pytest.approx(np.mean(right) + 1.645 * np.std(right), abs=0.3)


def test_guesses_are_rarely_taken_for_knowledge() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 10, 200)
    task = Classification(tuple(map(str, range(10))))
    taken = sum(task.chance(answers(rng.integers(0, 10, 200), 10), labels, "test").sentence is None for _ in range(300))
    assert taken <= scipy.stats.binom.ppf(0.999, 300, 0.05)


# --- quality


def test_quality_equals_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, size=(500, 3)).astype(np.float32), rng.integers(0, 3, 500)
    result = TASK.quality(logits, labels)
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    assert result.examples == 500
    assert result.accuracy == sklearn.metrics.accuracy_score(labels, logits.argmax(1))
    assert result.log_loss == pytest.approx(sklearn.metrics.log_loss(labels, probabilities), rel=1e-9)
    recalls = sklearn.metrics.recall_score(labels, logits.argmax(1), average=None)
    assert [one.accuracy for one in result.per_class.values()] == pytest.approx(recalls)
    assert [one.examples for one in result.per_class.values()] == np.bincount(labels).tolist()
    assert list(result.per_class) == list(CLASSES)
    assert result.interval == wilson(round(result.accuracy * 500), 500)


def test_rmse_hand_worked_for_two_classes_is_that_of_the_positive_one():
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]))
    labels = np.array([0, 0, -1])
    expected = np.sqrt((0.1**2 + 0.6**2) / 2)
    assert YES.quality(logits, labels).rmse == pytest.approx(expected, rel=1e-9)


def test_calibration_error_hand_worked():
    # Confidence 0.8 four times, right three times: gap 0.05. Confidence 0.6 once, wrong: gap 0.6. Weights 4/5 and 1/5.
    confidence = np.array([0.8, 0.8, 0.8, 0.8, 0.6])
    logits = np.log(np.stack([confidence, 1 - confidence], axis=1))
    result = YES.quality(logits, np.array([0, 0, 0, 1, 1]))
    assert result.calibration_error == pytest.approx(0.8 * 0.05 + 0.2 * 0.6, rel=1e-9)


def test_calibration_error_equals_a_loop_over_bins():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 2, size=(400, 3)), rng.integers(0, 3, 400)
    probabilities = scipy.special.softmax(logits, axis=1)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0.0
    for index in range(BINS):
        inside = (confidence > index / BINS) & (confidence <= (index + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert TASK.quality(logits, labels).calibration_error == pytest.approx(expected, rel=1e-9)


def test_certain_and_right_is_perfect_even_at_extreme_logits():
    result = TASK.quality(np.diag([1e4, 1e4, 1e4]), np.arange(3))
    assert (result.accuracy, result.log_loss, result.calibration_error) == (1.0, 0.0, 0.0)
    assert result.interval[1] == 1.0


def test_certain_and_wrong_stays_finite():
    result = TASK.quality(np.array([[1e4, -1e4, 0.0]]), np.array([1]))
    assert (result.accuracy, result.log_loss, result.calibration_error) == (0.0, 2e4, 1.0)


logits_and_labels = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)


@given(logits_and_labels, st.floats(-100, 100))
def test_shifting_logits_changes_nothing(example, shift):
    # Multiples of 1/256 are shifted without rounding, so that no tie and no bin is decided by it.
    logits, labels = np.round(np.array(example[0]) * 256) / 256, np.array(example[1])
    first, second = TASK.quality(logits, labels), TASK.quality(logits + np.round(shift), labels)
    assert first.accuracy == second.accuracy
    assert first.log_loss == pytest.approx(second.log_loss, abs=1e-9)


@given(logits_and_labels)
def test_unknown_labels_are_left_out(example):
    logits, labels = np.array(example[0]), np.array(example[1])
    more = np.concatenate([logits, np.full((4, 3), np.nan)])
    assert TASK.quality(more, np.concatenate([labels, np.full(4, -1)])) == TASK.quality(logits, labels)
    assert TASK.scores(more, np.concatenate([labels, np.full(4, -1)])).tolist() == TASK.scores(logits, labels).tolist()


def test_class_without_examples_has_no_accuracy():
    result = TASK.quality(np.eye(3)[:2], np.array([0, 1]))
    assert result.per_class["cat"] == ClassQuality(0, None)


@pytest.mark.parametrize(
    ("logits", "labels", "classes", "match"),
    [
        (np.zeros((2, 3)), np.array([0, 3]), CLASSES, "labels of quality must be from 0 to 2, or -1"),
        (np.zeros((2, 3)), np.array([0, -2]), CLASSES, "labels of quality must be from 0 to 2, or -1"),
        (np.zeros((2, 3)), np.array([0]), CLASSES, r"must be \[n, 3\] and \[n\]"),
        (np.zeros((2, 4)), np.array([0, 1]), CLASSES, r"must be \[n, 3\] and \[n\]"),
        (np.zeros((2, 3)), np.array([-1, -1]), CLASSES, "known for at least one example"),
        (np.zeros((0, 3)), np.zeros(0, np.int64), CLASSES, "known for at least one example"),
        (np.zeros((1, 2)), np.array([0]), ("same", "same"), "different names"),
        (np.array([[0.0, 1.0, 2.0], [0.0, np.nan, 0.0]]), np.array([-1, 1]), CLASSES, "finite; got row 1"),
    ],
)
def test_quality_refuses(logits, labels, classes, match):
    with pytest.raises(BadInput, match=match):
        Classification(classes).quality(logits, labels)


def test_scores_refuse_other_shapes():
    with pytest.raises(BadInput, match="logits and labels of quality"):
        TASK.scores(np.zeros((3, 2)), np.zeros(2, np.int64))
