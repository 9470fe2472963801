"""A mimic of a teacher of several labels: in scikit-learn's form and as an artifact, whatever form its teacher has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, is_classifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

from attar.errors import BadInput
from attar.estimators.labels import as_labels, as_values
from attar.estimators.mimic import Mimic
from attar.teachers.teacher import NetworkTeacher

SMALL: dict[str, Any] = {
    "hidden": (8,),
    "rows": 300,
    "p": 0.5,
    "s": 1.0,
    "steps": 100,
    "batch_size": 64,
    "learning_rate": 0.03,
    "random_state": 0,
}
X = np.random.default_rng(0).normal(size=(80, 2))
Y = np.stack([X[:, 0] > 0, X[:, 1] > 0.5, X.sum(axis=1) > 0], axis=1).astype(int)

TEACHERS: dict[str, Any] = {
    "list of probabilities": MultiOutputClassifier(LogisticRegression()),
    "list of a forest": RandomForestClassifier(5, random_state=0),
    "array": OneVsRestClassifier(LogisticRegression()),
    "sigmoids": MLPClassifier((8,), solver="lbfgs", max_iter=20, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), OneVsRestClassifier(GaussianNB())),
}


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("name", TEACHERS)
def test_says_what_its_teacher_says_of_each_label(name: str) -> None:
    mimic = Mimic(TEACHERS[name], **SMALL).fit(X, Y)
    assert is_classifier(mimic)
    predicted, probabilities = mimic.predict(X), mimic.predict_proba(X)
    assert predicted.dtype == Y.dtype
    assert predicted.shape == probabilities.shape == Y.shape
    np.testing.assert_array_equal(predicted, probabilities > 0.5)
    assert (predicted == mimic.teacher_.predict(X)).mean() > 0.85
    assert mimic.score(X, Y) == (predicted == Y).all(axis=1).mean()
    assert [one.tolist() for one in mimic.classes_] == [[0, 1]] * 3
    assert set(mimic.report_.fidelity) == {"agreement", "rmse"}
    assert set(mimic.report_.mimic) == {"f1", "accuracy", "rmse"}
    assert mimic.report_.judged_by == "teacher"


@pytest.fixture(scope="module")
def mimic() -> Mimic:
    return Mimic(OneVsRestClassifier(LogisticRegression()), **SMALL).fit(X, Y)


def test_scorers_of_scikit_learn_read_it(mimic: Mimic) -> None:
    # Of two labels too, whose probabilities look like those of two classes.
    two = Mimic(OneVsRestClassifier(LogisticRegression()), **SMALL).fit(X, Y[:, :2])
    for one, labels in ((mimic, Y), (two, Y[:, :2])):
        assert get_scorer("roc_auc")(one, X, labels) > 0.9
        assert get_scorer("f1_micro")(one, X, labels) > 0.8


def test_forms_of_labels_mean_the_same(mimic: Mimic) -> None:
    named = pd.DataFrame({"warm": Y[:, 0], "loud": Y[:, 1].astype(bool), "wide": Y[:, 2].astype(np.int8)})
    for given in (Y.astype(float), csr_array(Y), named):
        again = Mimic(OneVsRestClassifier(LogisticRegression()), **SMALL).fit(X, given)
        np.testing.assert_array_equal(again.predict_proba(X), mimic.predict_proba(X))


def test_artifact_says_the_same_and_knows_the_names(tmp_path: Path) -> None:
    rows = pd.DataFrame(X.astype(np.float32), columns=["left", "right"])
    labels = pd.DataFrame(Y, columns=["warm", "loud", "wide"])
    mimic = Mimic(RandomForestClassifier(5, random_state=0), **SMALL).fit(rows, labels)
    artifact = mimic.save(tmp_path / "labels")
    assert artifact.classes == ("warm", "loud", "wide")
    logits = artifact(rows)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), mimic.predict_proba(rows), rtol=0, atol=1e-5)


def test_labels_judge_a_teacher_that_is_fitted() -> None:
    teacher = RandomForestClassifier(5, random_state=0).fit(X[:40], Y[:40])
    alone, judged = Mimic(teacher, **SMALL).fit(X[40:]), Mimic(teacher, **SMALL).fit(X[40:], Y[40:])
    assert (alone.report_.judged_by, judged.report_.judged_by) == ("teacher", "truth")
    assert alone.report_.mimic is None
    assert judged.report_.teacher["f1"] > 0.5


def test_a_teacher_of_tensors() -> None:
    network = torch.nn.Linear(2, 3)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 4.0]]))
        network.bias.zero_()
    mimic = Mimic(NetworkTeacher(network, classes=3, output="log_odds"), **SMALL).fit(X)
    expected = np.stack([X[:, 0] > 0, X[:, 1] > 0, X.sum(axis=1) > 0], axis=1)
    assert (mimic.predict(X) == expected).mean() > 0.9


@pytest.mark.parametrize(
    ("teacher", "labels", "message"),
    [
        (RandomForestClassifier(2), Y + 1, r"y of Mimic.fit has 3 columns, .* must be 1 or 0; got .*2.* in row \d+"),
        (RandomForestClassifier(2), np.where(Y == 1, "yes", "no"), "must be 1 or 0; got .* in row 0, column 0"),
        (
            LogisticRegression().fit(X, Y[:, 0]),
            Y,
            "y of Mimic.fit is of 3 labels, and the teacher, a LogisticRegression, tells classes of one label",
        ),
        (
            RandomForestClassifier(2).fit(X, Y),
            Y[:, 0],
            "y of Mimic.fit is of one label, and the teacher, a RandomForestClassifier, tells several labels",
        ),
        (
            RandomForestClassifier(2).fit(X, Y),
            Y[:, :2],
            "y of Mimic.fit has 2 columns, and the teacher, a RandomForestClassifier, tells 3 labels",
        ),
    ],
    ids=["numbers", "words", "teacher of classes", "teacher of labels", "another count"],
)
def test_labels_that_do_not_fit(teacher: Any, labels: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Mimic(teacher, **SMALL).fit(X, labels)


def _checks() -> list[tuple[BaseEstimator, Callable[[BaseEstimator], None]]]:
    """Those of scikit-learn that are about several labels; others do not see them."""
    mimic = Mimic(DecisionTreeClassifier(random_state=0), **SMALL)
    assert get_tags(mimic).classifier_tags.multi_label
    found = [(one, check) for one, check in estimator_checks_generator(mimic) if "multilabel" in str(check)]
    assert found
    return found


def test_checks_of_scikit_learn() -> None:
    for estimator, check in _checks():
        check(estimator)


CLASSES = np.where(X[:, 0] > 0, 1, 0)


@pytest.mark.parametrize(
    ("given", "classes", "dtype"),
    [
        (CLASSES.astype(object), [0, 1], "int64"),
        (np.array([bool(one) if row % 2 else one for row, one in enumerate(CLASSES)], object), [0, 1], "int64"),
        ((CLASSES == 1).astype(object), [False, True], "bool"),
        (np.array([float(one) if row % 2 else one for row, one in enumerate(CLASSES)], object), [0.0, 1.0], "float64"),
        (pd.Series(CLASSES, dtype="Int64"), [0, 1], "int64"),
        (pd.DataFrame({"y": pd.array(CLASSES, dtype="UInt8")}), [0, 1], "uint8"),
        (pd.Series(CLASSES == 1, dtype="boolean"), [False, True], "bool"),
        (pd.Series(CLASSES, dtype="int64[pyarrow]", index=range(len(CLASSES), 0, -1)), [0, 1], "int64"),
        (np.array([np.str_(one) if row % 2 else str(one) for row, one in enumerate(CLASSES)], object), ["0", "1"], "O"),
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_classes_keep_their_type(given: Any, classes: list[Any], dtype: str) -> None:
    labels = as_labels(given, X)
    assert np.unique(labels).tolist() == classes and labels.dtype == dtype
    assert (labels.astype(float) == CLASSES).all()


def test_classes_that_are_masked_are_missing() -> None:
    with pytest.raises(BadInput, match="must be the class of every row; got None in row 2"):
        as_labels(np.ma.array(CLASSES, mask=np.arange(len(CLASSES)) == 2), X)
    with pytest.raises(BadInput, match="got nan in row 2"):
        as_values(np.ma.array(CLASSES * 1.0, mask=np.arange(len(CLASSES)) == 2), X, several=False)
