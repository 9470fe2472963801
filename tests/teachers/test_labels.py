"""Estimators of several labels as teachers, in each form in which scikit-learn gives their probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from attar.errors import BadInput
from attar.tables.columns import Columns
from attar.tasks.multilabel import MultiLabel
from attar.teachers import Ensemble, LabelsTeacher, as_teacher
from attar.teachers.labels import gives_labels
from attar.teachers.teacher import check_target

MATRIX = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
LABELS = (MATRIX > [0.0, 0.5, -0.5]).astype(int)
INPUTS = torch.from_numpy(MATRIX)

LISTS: dict[str, Any] = {
    "forest": RandomForestClassifier(5, random_state=0),
    "neighbors": KNeighborsClassifier(),
    "outputs": MultiOutputClassifier(GaussianNB()),
}
ARRAYS: dict[str, Any] = {
    "one vs rest": OneVsRestClassifier(LogisticRegression()),
    "perceptron": MLPClassifier((4,), solver="lbfgs", max_iter=30, random_state=0),
    "chain": ClassifierChain(LogisticRegression()),
}


def _logits(probabilities: np.ndarray) -> torch.Tensor:
    return torch.logit(torch.from_numpy(probabilities), eps=1e-7).float()


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("name", [*LISTS, *ARRAYS])
def test_log_odds_of_each_label(name: str) -> None:
    estimator = (LISTS | ARRAYS)[name].fit(MATRIX, LABELS)
    teacher = as_teacher(estimator, classes=3)
    assert isinstance(teacher, LabelsTeacher)
    check_target(teacher, MultiLabel(("a", "b", "c")))
    given = estimator.predict_proba(MATRIX.astype(np.float64))  # as it is asked
    expected = np.stack([one[:, 1] for one in given], axis=1) if name in LISTS else given
    torch.testing.assert_close(teacher.predict(INPUTS), _logits(expected))
    np.testing.assert_array_equal((teacher.predict(INPUTS) > 0).numpy(), expected > 0.5)


def test_columns_come_back_from_their_codes() -> None:
    rows = np.array([["a"], ["b"], ["c"], ["b"]], dtype=object)
    columns = Columns.infer(rows)

    class Letters:
        classes_ = [np.array([0, 1])] * 2

        def predict_proba(self, given: np.ndarray) -> list[np.ndarray]:
            holds = np.stack([given[:, 0] == "b", given[:, 0] != "a"], axis=1)
            return [np.stack([1.0 - one, one], axis=1) for one in holds.T]

    found = LabelsTeacher(Letters(), columns=columns).predict(torch.from_numpy(columns.encode(rows)).float())
    assert (found > 0).tolist() == [[False, False], [True, True], [False, True], [True, True]]


def test_a_label_that_never_varied_is_what_it_always_was() -> None:
    labels = np.stack([LABELS[:, 0], np.ones(60, int), np.zeros(60, int)], axis=1)
    found = LabelsTeacher(RandomForestClassifier(2, random_state=0).fit(MATRIX, labels)).predict(INPUTS).sigmoid()
    torch.testing.assert_close(found[:, 1:], torch.tensor([1.0, 0.0]).expand(60, 2), atol=1e-6, rtol=0)


def test_margins_count_as_log_odds() -> None:
    estimator = OneVsRestClassifier(LinearSVC()).fit(MATRIX, LABELS)
    found = LabelsTeacher(estimator).predict(INPUTS)
    torch.testing.assert_close(found, torch.from_numpy(estimator.decision_function(MATRIX)).float())


def test_what_one_says_of_itself() -> None:
    assert not gives_labels(LogisticRegression().fit(MATRIX, LABELS[:, 0]))
    assert not gives_labels(OneVsRestClassifier(LogisticRegression()).fit(MATRIX, LABELS.sum(1)))
    assert not gives_labels(MLPClassifier((2,), max_iter=1, solver="sgd").set_params(tol=1e9, n_iter_no_change=1))


def test_of_several_of_them_the_mean() -> None:
    one, other = (RandomForestClassifier(3, random_state=seed).fit(MATRIX, LABELS) for seed in (0, 1))
    mean = Ensemble([LabelsTeacher(one), LabelsTeacher(other)])
    assert mean.predict(INPUTS).shape == (60, 3)
    assert LabelsTeacher(one).fingerprint() != LabelsTeacher(other).fingerprint()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelsTeacher(RandomForestClassifier()), "must be fitted; got 'RandomForestClassifier'"),
        (
            lambda: LabelsTeacher(MultiOutputClassifier(LinearSVC()).fit(MATRIX, LABELS)),
            "must be one with predict_proba or decision_function; got 'MultiOutputClassifier'",
        ),
        (
            lambda: LabelsTeacher(KNeighborsClassifier().fit(MATRIX, LABELS), labels=2),
            r"labels of LabelsTeacher\(KNeighborsClassifier\) must be 2, one for each column of labels; got 3 of them",
        ),
        (
            lambda: LabelsTeacher(KNeighborsClassifier().fit(MATRIX, LABELS + LABELS[:, :1])),
            "tells 2 classes of its target 0 apart, 0, 2, and a label is 0 or 1",
        ),
        (
            lambda: as_teacher(GaussianNB().fit(MATRIX, LABELS.sum(1)), classes=3, output="log_odds").predict(INPUTS),
            r"output of LabelsTeacher\(GaussianNB\) must be \[60, 3\], a number for each label; got \[60, 4\]",
        ),
    ],
    ids=["unfitted", "without probabilities", "count", "classes", "one label"],
)
def test_what_is_no_teacher_of_labels(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


def test_no_probabilities() -> None:
    class Says:
        classes_ = [np.array([0, 1])] * 2

        def predict_proba(self, given: np.ndarray) -> list[np.ndarray]:
            return [np.tile([1.5, -0.5], (len(given), 1))] * 2

    with pytest.raises(BadInput, match=r"output of LabelsTeacher\(Says\) must be probabilities, also for row 0"):
        LabelsTeacher(Says()).predict(INPUTS)
