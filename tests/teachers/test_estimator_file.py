"""Estimators on disk, without pickle."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from attar.errors import BadInput, CorruptFile
from attar.teachers.digest import digest
from attar.teachers.estimator_checks import check_lightgbm, check_xgboost
from attar.teachers.estimator_file import BOOSTERS, TRUSTED, from_bytes, to_bytes
from attar.teachers.families import FAMILIES

DRAWS = np.random.default_rng(0)
ROWS = DRAWS.integers(0, 16, (60, 4)).astype(float)
LABELS = np.arange(60) % 3


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_family_comes_back_as_it_was(name, classes):
    family = FAMILIES[name]
    if not family.installed:
        pytest.skip(f"{family.package} is not installed")
    small = {"n_estimators": 3, "max_iter": 5} if name != "svm" else {}
    parameters = {key: small.get(key, value) for key, value in family.small[0].items()}
    nominal = np.array([False, False, True, True])
    rows, labels = ROWS.copy(), np.arange(60) % classes
    rows[0, 0] = rows[1, 2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = family.estimator(parameters, 0, nominal).fit(rows, labels)
    again = from_bytes(to_bytes(estimator), "it", boosters=True)
    np.testing.assert_array_equal(again.predict_proba(rows), estimator.predict_proba(rows))
    if name not in ("xgboost", "lightgbm"):  # which write themselves out anew
        assert digest(again) == digest(estimator)


def test_every_trusted_type_has_its_reason():
    known = {**TRUSTED, **BOOSTERS}
    assert all(reason for reason in known.values())
    packages = {name.split(".")[0] for name in known}
    assert packages == {"numpy", "collections", "sklearn", "xgboost", "lightgbm"}


def run_when_read(path: Path):
    """A file that would write another file, if what it names were called."""
    harmful = make_pipeline(FunctionTransformer(os.system, kw_args={"command": f"touch {path}"}), GaussianNB())
    return harmful, skops.io.dumps(harmful)


def test_what_would_run_is_neither_written_nor_read(tmp_path):
    harmful, data = run_when_read(tmp_path / "ran")
    with pytest.raises(BadInput, match=r"must be made of types known to be safe to read; got .*posix.system"):
        to_bytes(harmful)
    with pytest.raises(CorruptFile, match=r"it must be an estimator as it was saved; .*posix.system"):
        from_bytes(data, "it")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "spoil", [lambda data: b"", lambda data: data[:100], lambda data: data[:-40], lambda data: b"x" * 99]
)
def test_damaged_bytes(spoil):
    data = to_bytes(GaussianNB().fit(ROWS, LABELS))
    with pytest.raises(CorruptFile, match="Delete it and train it again"):
        from_bytes(spoil(data), "it")


def test_a_pickle_is_no_file(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    with pytest.raises(CorruptFile):
        from_bytes(pickle.dumps(Bomb()), "it")
    assert not (tmp_path / "ran").exists()


class TestModelsThatWouldCrash:
    """Written by hand: each would make compiled code read outside its arrays."""

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("children_left", 10**6),
            ("children_left", 0),
            ("children_right", -5),
            ("children_left", -1),
            ("feature", 7),
            ("feature", -9),
        ],
    )
    def test_tree(self, field, value):
        estimator = RandomForestClassifier(3, random_state=0).fit(ROWS, LABELS)
        getattr(estimator.estimators_[1].tree_, field)[0] = value
        with pytest.raises(CorruptFile, match="a tree points outside itself or outside the columns"):
            from_bytes(to_bytes(estimator), "it")

    def test_tree_of_more_columns_than_its_estimator(self):
        estimator = DecisionTreeClassifier(random_state=0).fit(ROWS, LABELS)
        estimator.n_features_in_ = 2
        with pytest.raises(CorruptFile, match="a tree has more columns than its estimator"):
            from_bytes(to_bytes(estimator), "it")

    def test_gradient_boosting_of_wider_trees(self):
        estimator = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(ROWS[:, :2], LABELS)
        estimator.estimators_[1, 0] = GradientBoostingClassifier(n_estimators=1).fit(ROWS, LABELS).estimators_[0, 0]
        with pytest.raises(CorruptFile, match="a tree has more columns than its estimator"):
            from_bytes(to_bytes(estimator), "it")

    @pytest.mark.parametrize(
        ("attribute", "value"),
        [
            ("_n_support", np.array([10**6, 1, 1], np.int32)),
            ("_n_support", np.array([-1, 1, 60], np.int32)),
            ("_dual_coef_", np.zeros((1, 3))),
            ("_intercept_", np.zeros(1)),
            ("support_vectors_", np.zeros((3, 4))),
            ("kernel", "precomputed"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_support_vectors(self, attribute, value):
        estimator = SVC().fit(ROWS, LABELS)
        from_bytes(to_bytes(estimator), "it")
        setattr(estimator, attribute, value)
        with pytest.raises(CorruptFile, match="a support vector machine's arrays do not fit together"):
            from_bytes(to_bytes(estimator), "it")

    def test_search_trees_are_not_written(self):
        with pytest.raises(BadInput, match="KDTree"):
            to_bytes(KNeighborsClassifier(algorithm="kd_tree").fit(ROWS, LABELS))

    @pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
    def test_boosters_are_read_only_where_asked_for(self, package):
        """Their own readers can be made to crash, before anything here could look at what they read."""
        data = to_bytes(FAMILIES[package].build({"n_estimators": 1}, 0).fit(ROWS, LABELS))
        with pytest.raises(BadInput, match=r"file of it must be of a model that is safe to read; .*boosters=True"):
            from_bytes(data, "it")
        assert from_bytes(data, "it", boosters=True).predict_proba(ROWS).shape == (60, 3)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("split_feature=1 0", "split_feature=1 2"),
            ("split_feature=1 0", "split_feature=-1 0"),
            ("left_child=1 -1", "left_child=2 -1"),
            ("left_child=1 -1", "left_child=0 -1"),
            ("left_child=1 -1", "left_child=1 -4"),
            ("right_child=-2 -3", "right_child=-2"),
            ("num_cat=0", "num_cat=1"),
        ],
    )
    def test_lightgbm(self, old, new):
        text = (
            "tree\nmax_feature_idx=1\n\nTree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=1 0\n"
            "left_child=1 -1\nright_child=-2 -3\n\n\nTree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=1\n\nend of trees\n"
        )

        class Says:
            """What a Booster says of itself."""

            def __init__(self, text):
                self.text = text

            def model_to_string(self, num_iteration):
                return self.text

        check_lightgbm(Says(text))
        assert old in text
        with pytest.raises(BadInput):
            check_lightgbm(Says(text.replace(old, new)))

    def test_xgboost(self):
        class Says:
            """What a Booster says of itself."""

            def __init__(self, feature):
                self.feature = feature

            def save_raw(self, form):
                tree = {
                    "left_children": [1, -1, -1],
                    "right_children": [2, -1, -1],
                    "split_indices": [self.feature, 0, 0],
                }
                trees = {"model": {"trees": [tree]}}
                text = {"learner": {"learner_model_param": {"num_feature": "3"}, "gradient_booster": trees}}
                return bytearray(json.dumps(text).encode())

        check_xgboost(Says(2))
        with pytest.raises(BadInput, match="outside the columns"):
            check_xgboost(Says(3))


def test_an_archive_that_would_grow_beyond_measure_is_refused() -> None:
    """64 MB of spaces in 65 kB."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 2**26 + b"{}")
    assert len(bomb.getvalue()) < 2**17
    with pytest.raises(CorruptFile, match=r"that are not: they would grow to 67108866 bytes, beyond 67108864"):
        from_bytes(bomb.getvalue(), "the model")
