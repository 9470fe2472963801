"""How benchmarks/golden.py names figures and compares them, on documents made by hand; its runs take minutes."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "benchmarks" / "golden.py"


@pytest.fixture(scope="module")
def golden() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("golden", GOLDEN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_elements_go_by_their_name_where_all_have_one(golden: types.ModuleType) -> None:
    document = {
        "models": [{"name": "torch fp32", "size_bytes": 3}, {"name": "teacher", "size_bytes": 9}],
        "tried": [{"name": "same", "p": 0.5}, {"name": "same", "p": 1.0}],
        "curves": {"student/0": [{"loss": 0.25}]},
        "selection": None,
        "drawn": [],
    }
    assert dict(golden.flat(document)) == {
        "models[torch fp32].name": "torch fp32",
        "models[torch fp32].size_bytes": 3,
        "models[teacher].name": "teacher",
        "models[teacher].size_bytes": 9,
        "tried[0].name": "same",
        "tried[0].p": 0.5,
        "tried[1].name": "same",
        "tried[1].p": 1.0,
        "curves.student/0[0].loss": 0.25,
        "selection": None,
        "drawn": [],
    }


def test_times_and_prose_are_left_out_and_sentences_counted(golden: types.ModuleType) -> None:
    evidence: dict[str, Any] = {
        "recipe": {"name": "digits"},
        "created": "today",
        "why": "It is the smallest.",
        "warnings": ["One.", "Two."],
        "verdict": {"sentence": "better", "difference": 0.5},
        "models": [
            {"name": "a", "latency": {"1": {"median_ms": 2.0}}, "refused": None, "peak_memory_bytes": 1, "macs": 7},
            {"name": "b", "latency": {}, "refused": "It guesses.", "peak_memory_bytes": None, "macs": 8},
        ],
        "ratios": {"smaller": 2.0, "faster_batch1": {"ratio": 3.0}, "faster_batch64": None},
        "targets": {"rows": 5, "seconds": 1.5},
        "selection": {"library_seconds": 2.0, "models": [{"name": "svm", "seconds": 0.25, "weight": 2}]},
        "specialists": {"seconds_per_1000": {"inference": 1.0}, "training_seconds": 4.0, "examples": 3},
    }
    assert golden.figures(evidence) == {
        "warnings.count": 2,
        "verdict.difference": 0.5,
        "models[a].name": "a",
        "models[a].refused.count": 0,
        "models[a].macs": 7,
        "models[b].name": "b",
        "models[b].refused.count": 1,
        "models[b].macs": 8,
        "ratios.smaller": 2.0,
        "targets.rows": 5,
        "selection.models[svm].name": "svm",
        "selection.models[svm].weight": 2,
        "specialists.examples": 3,
    }


NAMES = {"control": "baseline", "distil": "distill", "keep.loss": "budget.loss"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("digits.curves.control/0/3-distil[0].loss", "digits.curves.baseline/0/3-distill[0].loss"),
        ("control_log.distilled.uncontrol", "control_log.distilled.uncontrol"),
        ("keep.loss", "budget.loss"),
        ("student.training.keep", "student.training.keep"),
    ],
)
def test_words_are_renamed_where_they_stand_alone(golden: types.ModuleType, old: str, new: str) -> None:
    assert golden.renamed(old, NAMES) == new
    assert golden.renamed(new, NAMES) == new


def test_what_is_renamed_is_no_difference(golden: types.ModuleType) -> None:
    old = {"seeds.control[0]": 0.5, "models[a].kind": "control"}
    new = {"seeds.baseline[0]": 0.5, "models[a].kind": "baseline"}
    assert golden.differences(old, new, NAMES) == golden.differences(new, old, NAMES) == []
    assert [one.what for one in golden.differences(old, new, {})] == ["missing", "different", "new"]
    with pytest.raises(SystemExit, match=r"two figures the name seeds\.baseline\[0\]"):
        golden.differences({**old, **new}, new, NAMES)


def test_each_difference_is_told(golden: types.ModuleType) -> None:
    found = golden.differences(
        {"a": 1, "b": 0.5, "c": "x", "d": None}, {"b": 0.5000000001, "c": "x", "d": None, "e": 2}
    )
    assert [str(one) for one in found] == [
        "missing   a: 1",
        "different b: 0.5 -> 0.5000000001",
        "new       e: 2",
    ]
    assert [one.what for one in golden.differences({"a": 1}, {"a": True})] == ["different"]


def test_comparing_files_ends_with_the_number_of_those_not_expected(
    golden: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps({"a.size": 1, "b.size": 2}), encoding="utf-8")
    new.write_text(json.dumps({"a.size": 3, "b.size": 4}), encoding="utf-8")
    assert golden.compare(old, old) == 0
    assert golden.compare(old, new) == 2
    monkeypatch.setattr(golden, "EXPECTED", {r"a\..*": "one byte for its version"})
    capsys.readouterr()
    assert golden.compare(old, new) == 1
    assert "expected: different a.size: 1 -> 3 (one byte for its version)" in capsys.readouterr().out


def test_changes_are_said_in_the_old_and_the_new_way(golden: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "RENAMED", NAMES)
    assert list(golden.spellings("keep.loss=1")) == ["keep.loss=1", "budget.loss=1"]
    assert list(golden.spellings(("control=false", "steps=['x']"))) == [
        "control=false",
        "baseline=false",
        "steps=['x']",
    ]


@pytest.mark.parametrize(
    "name", ["digits", "points", "absent", "glyphs", "letter", "specialists", "scheme-a", "scheme-c"]
)
def test_the_changes_of_every_run_are_understood(golden: types.ModuleType, name: str) -> None:
    recipe, changes = golden.RECIPES[name]
    assert golden.understood(recipe, changes).name == recipe
    with pytest.raises(SystemExit, match=r"takes no spelling of 'student\.sedes=1'"):
        golden.understood(recipe, ["student.sedes=1"])
