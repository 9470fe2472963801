"""Libraries of models on disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from attar.errors import BadInput, CorruptFile, MissingExtra, StaleStore
from attar.records import to_text
from attar.tables.columns import Columns
from attar.teachers import SelectedEnsemble, Teacher, select
from attar.teachers.build_library import _wanted, build_library
from attar.teachers.families import FAMILIES, Family
from attar.teachers.library import Library

DRAWS = np.random.default_rng(0)
ROWS = DRAWS.integers(0, 16, (90, 4)).astype(float)
LABELS = np.where(ROWS[:, 0] + ROWS[:, 1] > 15, "yes", "no")
TRAIN, VALIDATION = (ROWS[:60], LABELS[:60]), (ROWS[60:], LABELS[60:])
TRUTH = (VALIDATION[1] == "yes").astype(int)
FEW = {
    "tree": [{"criterion": "gini", "min_samples_leaf": 1}, {"criterion": "gini", "min_samples_leaf": 5}],
    "naive_bayes": [{"of": "normal"}],
    "neighbors": [{"n_neighbors": 3}],
}


def build(folder, *, families=FEW, jobs=1, **changes):
    settings = {"X": TRAIN[0], "y": TRAIN[1], "X_val": VALIDATION[0], **changes}
    return build_library(folder=folder, families=families, jobs=jobs, **settings)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library") / "built")


@pytest.fixture
def copied(built, tmp_path):
    shutil.copytree(built.folder, tmp_path / "copied")
    return tmp_path / "copied"


def trained_anew(folder, **changes):
    """What a second build trains, and the library."""
    seen = []

    @contextmanager
    def progress(title, total):
        yield seen.append

    library = build(folder, progress=progress, **changes)
    return sum(seen[1:]), library


def test_holds_what_was_asked_for(built):
    assert built.names == (
        "naive_bayes,of=normal",
        "neighbors,n_neighbors=3",
        "tree,criterion=gini,min_samples_leaf=1",
        "tree,criterion=gini,min_samples_leaf=5",
    )
    assert len(built) == 4 and built.classes == ("no", "yes")
    assert built.predictions.shape == (4, 30, 2) and isinstance(built.predictions, np.memmap)
    assert all(model.seconds >= 0 for model in built.models)
    assert built.sizes == tuple((built.folder / name / "model.skops").stat().st_size for name in built.names)


def test_kept_predictions_are_those_of_the_kept_models(built):
    for name, said in zip(built.names, built.predictions, strict=True):
        np.testing.assert_array_equal(said, built.load(name).predict_proba(VALIDATION[0]).astype(np.float32))


def test_scores(built):
    scores = built.scores("accuracy", TRUTH)
    assert list(scores) == list(built.names)
    tree = built.load(built.names[2])
    assert scores[built.names[2]] == np.mean(tree.predict(VALIDATION[0]) == TRUTH)


def test_opened_again(built):
    again = Library.open(built.folder)
    assert again.models == built.models
    np.testing.assert_array_equal(again.predictions, built.predictions)


def test_built_again_trains_nothing(copied, built):
    anew, library = trained_anew(copied)
    assert anew == 0 and library.models == built.models


def test_same_seed_same_library(built, tmp_path):
    again = build(tmp_path / "again")
    np.testing.assert_array_equal(again.predictions, built.predictions)
    assert [m.name for m in again.models] == [m.name for m in built.models]
    families = {"forest": [{"n_estimators": 2}]}
    one, other = (build(tmp_path / str(seed), families=families, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one.predictions, other.predictions)


def test_processes_train_the_same(built, tmp_path):
    np.testing.assert_array_equal(build(tmp_path / "two", jobs=2).predictions, built.predictions)


def test_larger_library_keeps_the_smaller_one(copied, built):
    more = {**FEW, "tree": [*FEW["tree"], {"criterion": "entropy"}]}
    anew, library = trained_anew(copied, families=more)
    assert anew == 1 and len(library) == 5


@pytest.mark.parametrize("file", ["model.skops", "predictions.npy", "done.json"])
@pytest.mark.parametrize("harm", ["gone", "truncated", "altered", "empty"])
def test_spoiled_model_is_trained_again(copied, built, file, harm):
    path = copied / built.names[2] / file
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        middle = len(data) // 2
        spoiled = {
            "truncated": data[:middle],
            "altered": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        }
        path.write_bytes(spoiled.get(harm, b""))
    if file == "done.json" and harm == "altered":
        path.write_bytes(data.replace(b'"min_samples_leaf": 1', b'"min_samples_leaf": 2'))
    assert len(Library.open(copied)) == 3
    anew, library = trained_anew(copied)
    assert anew == 1
    np.testing.assert_array_equal(library.predictions, built.predictions)


def test_model_of_other_data_does_not_count(copied, built):
    path = copied / built.names[0] / "done.json"
    path.write_text(to_text({**json.loads(path.read_text()), "data": "0" * 64}))
    assert trained_anew(copied)[0] == 1


def test_altered_after_it_was_opened(copied, built):
    library = Library.open(copied)
    path = copied / built.names[0] / "model.skops"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFile, match=r"missing or altered\. Build the library again"):
        library.load(built.names[0])


def test_killed(tmp_path, built):
    """Killed for good while the third model is written: the first two stay, and the whole comes to the same."""
    code = """
import ast, os, signal, sys
import numpy as np
from attar.teachers import build_library as library
write, count = library.write_file, 0
def kill(path, data):
    global count
    count += path.name == "model.skops"
    if count == 3:
        path.write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, data)
library.write_file = kill
saved = np.load(sys.argv[1])
library.build_library(saved["x"], saved["y"], saved["v"], sys.argv[2], families=ast.literal_eval(sys.argv[3]), jobs=1)
"""
    np.savez(tmp_path / "data.npz", x=TRAIN[0], y=TRAIN[1], v=VALIDATION[0])
    arguments = [sys.executable, "-c", code, tmp_path / "data.npz", tmp_path / "killed", repr(FEW)]
    assert subprocess.run(arguments, capture_output=True).returncode == -9
    assert len(Library.open(tmp_path / "killed")) == 2
    anew, library = trained_anew(tmp_path / "killed")
    assert anew == 2
    np.testing.assert_array_equal(library.predictions, built.predictions)


def test_other_data_is_an_error(copied):
    with pytest.raises(StaleStore, match="has changed in: data"):
        build(copied, X=TRAIN[0] + 1)
    with pytest.raises(StaleStore, match="has changed in: seed"):
        build(copied, seed=1)
    with pytest.raises(StaleStore, match="has changed in: classes"):
        build(copied, y=np.where(TRAIN[1] == "yes", "oui", "non"))


def test_other_folder_is_an_error(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadInput, match=r"must be empty, new or written by build_library; got .*thesis"):
        build(tmp_path)
    with pytest.raises(BadInput, match="must be one that build_library wrote"):
        Library.open(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", to_text({"format": 9, "classes": [], "rows": 1, "data": "", "seed": 0})]
)
def test_spoiled_library_file(copied, text):
    (copied / "library.json").write_text(text)
    with pytest.raises(CorruptFile, match=r"library\.json.*Delete the folder"):
        Library.open(copied)


def test_categories_become_columns_and_missing_ones_are_filled(tmp_path):
    rows = ROWS.copy()
    rows[:, 3] = np.arange(90) % 3
    rows[0, 0] = rows[1, 3] = rows[70, 3] = np.nan
    rows[71, 3] = 7  # a category that training never saw
    nominal = np.array([False, False, False, True])
    library = build(tmp_path / "it", X=rows[:60], X_val=rows[60:], nominal=nominal, families={"logistic": [{"C": 1.0}]})
    model = library.load(library.names[0])
    assert model.named_steps["model"].n_features_in_ == 3 + 4, "three numbers; 0, 1, 2 and missing"


class TestEnsemble:
    def test_teacher_from_selection_to_disk_and_back(self, built, tmp_path):
        selection = select(built.predictions, TRUTH, names=built.names, max_steps=10)
        columns = Columns.infer(TRAIN[0])
        ensemble = built.ensemble(selection, columns=columns)
        assert isinstance(ensemble, Teacher) and ensemble.classes == 2
        assert dict(zip(ensemble.names, ensemble.weights, strict=True)) == pytest.approx(selection.chosen)
        inputs = torch.from_numpy(VALIDATION[0]).float()
        said = ensemble.predict(inputs)
        expected = np.tensordot(selection.weights, built.predictions.astype(float), 1)
        np.testing.assert_allclose(said.exp(), expected, atol=1e-5)

        again = SelectedEnsemble.load(ensemble.save(tmp_path / "saved"))
        torch.testing.assert_close(again.predict(inputs), said, rtol=0, atol=0)
        assert again.fingerprint() == ensemble.fingerprint()
        assert again.names == ensemble.names and again.weights == ensemble.weights
        files = sum(path.stat().st_size for path in (tmp_path / "saved").glob("*.skops"))
        assert abs(ensemble.size_bytes - files) < 0.01 * files, "but for the ids of objects in memory"

    def test_of_another_library(self, built):
        with pytest.raises(BadInput, match=r"must be of this library's models; got .*Pass names=library.names"):
            built.ensemble(select(built.predictions, TRUTH))


def test_every_family_says_the_same_twice(tmp_path):
    """Each family trained with its first settings, in small: the second library is the first, number for number."""
    tiny = {}
    for name, family in FAMILIES.items():
        if family.installed:
            small = {"n_estimators": 3}
            tiny[name] = [{key: small.get(key, value) for key, value in family.small[0].items()}]
    one, other = (build(tmp_path / each, families=tiny) for each in "ab")
    np.testing.assert_array_equal(one.predictions, other.predictions)
    assert len(one) == len(tiny)
    assert all(np.allclose(said.sum(1), 1, atol=1e-5) for said in one.predictions)


class TestGrids:
    def test_names_tell_all_settings_apart(self):
        for size in ("small", "full"):
            total = sum(len(f.small) + (len(f.full) if size == "full" else 0) for f in FAMILIES.values() if f.installed)
            assert len(_wanted(None, size)) == total

    def test_full_holds_small(self):
        assert set(_wanted(None, "small")) < set(_wanted(None, "full"))

    @pytest.mark.parametrize("name", FAMILIES)
    def test_every_setting_makes_an_estimator(self, name):
        family = FAMILIES[name]
        if not family.installed:
            pytest.skip(f"{family.package} is not installed")
        for parameters in (*family.small, *family.full):
            made = family.estimator(parameters, 1, np.array([False, True]))
            assert made.named_steps["model"].get_params()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "ful"}, "size of build_library must be 'small' or 'full'.*Did you mean 'full'"),
        ({"families": ["svn"]}, "families of build_library must be known ones; .*Did you mean 'svm'"),
        ({"families": []}, "families of build_library must be at least one"),
        ({"families": {"tree": [{"criterion": "../up"}]}}, "parameters of build_library must be numbers, words"),
        ({"jobs": 0}, "jobs of build_library must be at least 1"),
        ({"X": TRAIN[0][:, :3]}, r"X_val of build_library must be \[rows, 3\]"),
        ({"X": TRAIN[0][0]}, r"X of build_library must be \[rows, columns\]"),
        ({"X": np.full((60, 4), np.inf)}, "X of build_library must be finite"),
        ({"X": [["a"] * 4] * 60}, r"X of build_library must be a matrix of numbers.*Columns\.encode"),
        ({"y": TRAIN[1][:5]}, "y of build_library must be 60 classes"),
        ({"y": np.zeros(60)}, "y of build_library must be 60 classes; got float64"),
        ({"y": np.zeros(60, int)}, "y of build_library must be of at least two classes"),
        ({"nominal": [True]}, "nominal of build_library must be 4 bools"),
        ({"nominal": [0, 0, 0, 1]}, "nominal of build_library must be 4 bools"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_rules(tmp_path, changes, message):
    with pytest.raises(BadInput, match=message):
        build(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_package_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(
        FAMILIES, "absent", Family(build=lambda given, seed: None, small=({},), package="no_such_package")
    )
    assert "absent" not in _wanted(None, "small")
    with pytest.raises(MissingExtra, match="needs the package 'no_such_package'"):
        build(tmp_path / "new", families=["absent"])


def test_unknown_names(built):
    with pytest.raises(BadInput, match=r"name of Library.load must be a model of the library"):
        built.load("tree")
    with pytest.raises(BadInput, match=r"metric of Library.scores must be a known metric"):
        built.scores("acuracy", TRUTH)
