"""Ensembles that selection makes: as a scikit-learn classifier, and as a teacher."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from attar.errors import BadInput, CorruptFile
from attar.records import to_text
from attar.tables.columns import Columns
from attar.teachers import Ensemble, EstimatorTeacher, SelectedEnsemble, Teacher, as_teacher, select
from attar.teachers.ensemble_selection import EnsembleSelection

X, Y = make_blobs(300, 4, centers=3, cluster_std=5.0, random_state=0)
NAMES = np.array(["cat", "ant", "bee"])[Y]
FIT, HELD = slice(0, 150), slice(150, 300)
KINDS = [
    ("bayes", GaussianNB()),
    ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
    ("linear", LogisticRegression()),
]


def fitted(labels=NAMES, rows=X):
    return [(name, clone(kind).fit(rows[FIT], labels[FIT])) for name, kind in KINDS]


class TestEstimator:
    def test_is_what_select_says(self):
        members = fitted()
        ensemble = EnsembleSelection(members, max_steps=10, bags=4).fit(X[HELD], NAMES[HELD])
        said = np.stack([estimator.predict_proba(X[HELD]) for _, estimator in members])
        labels = np.array([["ant", "bee", "cat"].index(name) for name in NAMES[HELD]])
        selection = select(said, labels, max_steps=10, bags=4)
        np.testing.assert_array_equal(ensemble.weights_, selection.weights)
        assert ensemble.curve_ == selection.curve
        np.testing.assert_allclose(ensemble.predict_proba(X[HELD]), np.tensordot(selection.weights, said, 1))
        assert ensemble.selection_.names == ("bayes", "tree", "linear")
        assert ensemble.classes_.tolist() == ["ant", "bee", "cat"]

    def test_predicts_the_classes(self):
        ensemble = EnsembleSelection(fitted(), max_steps=5).fit(X[HELD], NAMES[HELD])
        assert set(ensemble.predict(X)) <= set(NAMES)
        assert ensemble.score(X[HELD], NAMES[HELD]) == np.mean(ensemble.predict(X[HELD]) == NAMES[HELD]) > 0.5

    def test_validation_rows_may_lack_a_class(self):
        rows = NAMES[HELD] != "bee"
        ensemble = EnsembleSelection(fitted(), max_steps=5).fit(X[HELD][rows], NAMES[HELD][rows])
        assert ensemble.predict_proba(X[:2]).shape == (2, 3)

    def test_parameters_as_scikit_learn_wants_them(self):
        given = EnsembleSelection([], metric="rmse", bags=3)
        assert given.get_params()["metric"] == "rmse"
        assert clone(given).set_params(bags=7).bags == 7
        with pytest.raises(NotFittedError):
            EnsembleSelection(fitted()).predict_proba(X)

    def test_clone_with_frozen_members(self):
        frozen = [(name, FrozenEstimator(estimator)) for name, estimator in fitted()]
        original = EnsembleSelection(frozen, max_steps=5)
        copied = clone(original).fit(X[HELD], NAMES[HELD])
        np.testing.assert_array_equal(copied.weights_, original.fit(X[HELD], NAMES[HELD]).weights_)

    def test_is_a_teacher(self):
        ensemble = EnsembleSelection(fitted(), max_steps=5).fit(X[HELD], NAMES[HELD])
        teacher = as_teacher(ensemble, classes=["cat", "ant", "bee"])
        said = teacher.predict(torch.from_numpy(X[:9]).double())
        np.testing.assert_allclose(said.exp(), ensemble.predict_proba(X[:9])[:, [2, 0, 1]], rtol=1e-4)

    def test_tables(self):
        frame = pd.DataFrame(X, columns=list("abcd"))
        members = [(name, clone(kind).fit(frame[:150], NAMES[FIT])) for name, kind in KINDS]
        assert EnsembleSelection(members, max_steps=3).fit(frame[150:], NAMES[HELD]).predict(frame).shape == (300,)

    def test_rules(self):
        with pytest.raises(BadInput, match="estimators of EnsembleSelection must be one or more"):
            EnsembleSelection([]).fit(X, Y)
        with pytest.raises(NotFittedError):
            EnsembleSelection([("bayes", GaussianNB())]).fit(X, Y)
        mixed = [*fitted(), ("numbers", GaussianNB().fit(X, Y))]
        with pytest.raises(BadInput, match=r"estimators of EnsembleSelection must be of the classes .*got 'numbers'"):
            EnsembleSelection(mixed).fit(X, NAMES)
        with pytest.raises(BadInput, match=r"y of EnsembleSelection.fit must be of the classes .*got \['dog'\]"):
            EnsembleSelection(fitted()).fit(X[:2], ["dog", "ant"])


def members(**settings):
    return [EstimatorTeacher(estimator, **settings) for _, estimator in fitted()]


INPUTS = torch.from_numpy(X).float()


class TestTeacher:
    def test_weighted_mean(self):
        ensemble = SelectedEnsemble(members(), [1, 1, 2])
        assert isinstance(ensemble, Teacher) and ensemble.weights == (0.25, 0.25, 0.5) and ensemble.classes == 3
        bayes, tree, linear = (estimator.predict_proba(INPUTS.double().numpy()) for _, estimator in fitted())
        np.testing.assert_allclose(ensemble.predict(INPUTS).exp(), bayes / 4 + tree / 4 + linear / 2, atol=1e-6)

    def test_agrees_with_the_general_ensemble(self):
        one, other = (kind(members(), weights=[1, 1, 2]) for kind in (SelectedEnsemble, Ensemble))
        torch.testing.assert_close(one.predict(INPUTS).exp(), other.predict(INPUTS).exp(), rtol=1e-4, atol=1e-6)

    def test_threads_and_pieces_change_nothing(self, monkeypatch):
        plain = SelectedEnsemble(members(), [1, 2, 3]).predict(INPUTS)
        assert torch.equal(SelectedEnsemble(members(), [1, 2, 3], threads=3).predict(INPUTS), plain)
        monkeypatch.setattr("attar.teachers.selected._AT_ONCE", 70)
        torch.testing.assert_close(SelectedEnsemble(members(), [1, 2, 3]).predict(INPUTS), plain)

    def test_no_rows(self):
        assert SelectedEnsemble(members(), [1, 2, 3]).predict(INPUTS[:0]).shape == (0, 3)

    def test_fingerprint(self):
        one = SelectedEnsemble(members(), [1, 2, 3]).fingerprint()
        assert SelectedEnsemble(members()[::-1], [6, 4, 2]).fingerprint() == one
        assert SelectedEnsemble(members(), [1, 2, 4]).fingerprint() != one

    def test_rules(self):
        with pytest.raises(BadInput, match="members of SelectedEnsemble must be one estimator or more"):
            SelectedEnsemble([], [])
        for weights in ([1, 2], [1, 2, 0], [1, 2, float("nan")]):
            with pytest.raises(BadInput, match="weights of SelectedEnsemble must be 3 positive numbers"):
                SelectedEnsemble(members(), weights)
        with pytest.raises(BadInput, match="names of SelectedEnsemble must be 3 different ones"):
            SelectedEnsemble(members(), [1, 1, 1], names=["a", "a", "b"])
        with pytest.raises(BadInput, match="threads of SelectedEnsemble must be at least 1"):
            SelectedEnsemble(members(), [1, 1, 1], threads=0)
        mixed = [*members(), EstimatorTeacher(GaussianNB().fit(X, Y))]
        with pytest.raises(BadInput, match="members of SelectedEnsemble must be of the same classes"):
            SelectedEnsemble(mixed, [1, 1, 1, 1])

    @pytest.mark.parametrize("columns", [None, Columns.infer(X.astype("float32"))], ids=["plain", "columns"])
    def test_saved_and_read(self, tmp_path, columns):
        ensemble = SelectedEnsemble(
            members(columns=columns, classes=["cat", "bee", "ant"]), [1, 2, 3], names=["a", "b", "c"]
        )
        again = SelectedEnsemble.load(ensemble.save(tmp_path / "it"))
        assert torch.equal(again.predict(INPUTS), ensemble.predict(INPUTS))
        assert again.fingerprint() == ensemble.fingerprint() and again.names == ("a", "b", "c")
        assert again.members[0].names == ("cat", "bee", "ant")
        with pytest.raises(BadInput, match=r"folder of SelectedEnsemble.save must be new or empty"):
            ensemble.save(tmp_path / "it")

    @pytest.mark.parametrize("harm", ["altered", "gone", "list", "outside", "weight"])
    def test_spoiled(self, tmp_path, harm):
        folder = SelectedEnsemble(members(), [1, 2, 3]).save(tmp_path / "it")
        member, about = folder / "member-0001.skops", folder / "ensemble.json"
        document = json.loads(about.read_text())
        if harm == "altered":
            member.write_bytes(member.read_bytes()[:-1] + b"x")
        elif harm == "gone":
            member.unlink()
        elif harm == "list":
            about.write_text("[]")
        else:
            document["members"][1] |= {"outside": {"file": "../it/member-0001.skops"}, "weight": {"weight": -1}}[harm]
            about.write_text(to_text(document))
        with pytest.raises(CorruptFile, match=r"must be as save wrote it|must hold a JSON object|No such file"):
            SelectedEnsemble.load(folder)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(BadInput, match="must be one that save wrote"):
            SelectedEnsemble.load(tmp_path)


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "/etc"])
def test_what_is_no_file_is_neither_read_nor_waited_for(tmp_path, place):
    folder = SelectedEnsemble(members(), [1, 2, 3]).save(tmp_path / "it")
    (folder / "member-0001.skops").unlink()
    os.mkfifo(tmp_path / "pipe")
    (folder / "member-0001.skops").symlink_to(tmp_path / place)
    with pytest.raises(CorruptFile, match=r"must be a file; it is a (device|pipe|folder)"):
        SelectedEnsemble.load(folder)
