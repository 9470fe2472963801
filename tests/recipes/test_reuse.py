"""What a run finds again: of itself, of one with other settings, and after a crash or damage."""

from __future__ import annotations

import copy
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from whole_runs import Document, assert_same_weights, reused, run_of, weights_of

from attar.errors import CorruptFile
from attar.evidence.machine import machine
from attar.recipes.compress import compress
from attar.recipes.contenders import deploy_candidates
from attar.recipes.folder import opened
from attar.recipes.read import from_document
from attar.training import fit as fitting

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def test_a_second_run_finds_everything_and_says_the_same(tiny: Document, tmp_path: Path) -> None:
    first = run_of(tiny, tmp_path / "run")
    second = run_of(tiny, tmp_path / "run")
    assert not any(reused(first).values())
    assert all(reused(second).values())
    changing = ("created", "stages", "machine", "panels")  # panels say how long a step took
    one, other = ({key: value for key, value in run.evidence.items() if key not in changing} for run in (first, second))
    assert one == other


def test_changed_settings_reuse_what_they_do_not_concern(tiny: Document, tmp_path: Path) -> None:
    run_of(tiny, tmp_path / "run")
    tiny["student"]["training"]["epochs"] = 5
    assert {name for name, found in reused(run_of(tiny, tmp_path / "run")).items() if found} == {
        "teacher/0",
        "targets",
    }
    tiny["objective"]["soft"]["temperature"] = 3.0
    found = reused(run_of(tiny, tmp_path / "run"))
    assert found["teacher/0"] and found["targets"] and found["baseline/0"] and not found["student/0"]
    tiny["teacher"]["members"] = 2
    found = reused(run_of(tiny, tmp_path / "run"))
    assert found["teacher/0"] and found["baseline/0"]
    assert not (found["teacher/1"] or found["targets"] or found["student/0"])
    tiny["budget"]["quality_loss"] = "50%"  # only the choice
    assert all(reused(run_of(tiny, tmp_path / "run")).values())


def test_what_another_machine_measured_is_measured_again(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(tiny, tmp_path / "run")
    other = {**machine(), "cpu": "another processor"}
    monkeypatch.setattr("attar.recipes.measured.machine", lambda: other)
    found = reused(run_of(tiny, tmp_path / "run"))
    assert [name for name, again in found.items() if not again] == ["measure"]


def test_of_two_runs_with_other_settings_all_files_are_those_of_the_last_to_finish(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first is at work, so that the recipe in the folder is the second's for a while."""
    first, second = from_document(tiny), from_document({**copy.deepcopy(tiny), "seed": 7})

    def meanwhile(*arguments: Any) -> Any:
        with opened(tmp_path / "run", second):
            return deploy_candidates(*arguments)

    monkeypatch.setattr("attar.recipes.compress.deploy_candidates", meanwhile)
    run = compress(first, tmp_path / "run")
    assert tomllib.loads((run.folder / "recipe.toml").read_text(encoding="utf-8"))["seed"] == first.seed
    assert "A run with other settings is using" in (run.folder / "log.txt").read_text(encoding="utf-8")


def test_changed_data_in_the_same_file_are_noticed(
    tiny: Document, arrays: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays())
    tiny["data"]["use"] = str(path)
    run_of(tiny, tmp_path / "run")
    changed = arrays()
    changed["x"][0, 0] += 1
    np.savez(path, **changed)
    assert not any(reused(run_of(tiny, tmp_path / "run")).values())


def test_a_killed_training_continues_to_the_weights_of_an_undisturbed_one(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny["student"]["training"]["checkpoint_seconds"] = 0.0
    undisturbed = run_of(tiny, tmp_path / "whole")
    original, calls = fitting._Run._step, iter(range(1000))

    def dies(self: Any, rows: torch.Tensor) -> None:
        # The teacher takes 4 epochs of 4 steps; this is inside of the student's second epoch.
        if next(calls) == 16 + 6:
            raise KeyboardInterrupt
        original(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "_step", dies)
        with pytest.raises(KeyboardInterrupt):
            run_of(tiny, tmp_path / "killed")
    assert list((tmp_path / "killed").glob("nodes/student/*/checkpoint.safetensors"))
    resumed = run_of(tiny, tmp_path / "killed")
    assert reused(resumed)["teacher/0"]
    assert_same_weights(weights_of(undisturbed, "student/0"), weights_of(resumed, "student/0"))


def test_a_truncated_checkpoint_is_named_and_deleting_it_goes_on(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny["teacher"]["training"]["checkpoint_seconds"] = 0.0
    original, calls = fitting._Run._step, iter(range(1000))

    def dies(self: Any, rows: torch.Tensor) -> None:
        if next(calls) == 5:
            raise KeyboardInterrupt
        original(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "_step", dies)
        with pytest.raises(KeyboardInterrupt):
            run_of(tiny, tmp_path / "run")
    (checkpoint,) = (tmp_path / "run").rglob("checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(CorruptFile, match=r"checkpoint\.safetensors is not a whole safetensors file"):
        run_of(tiny, tmp_path / "run")
    checkpoint.unlink()
    assert run_of(tiny, tmp_path / "run").met


def test_a_damaged_artifact_of_a_stage_is_named_and_deleting_its_folder_mends_it(
    tiny: Document, tmp_path: Path
) -> None:
    run_of(tiny, tmp_path / "run")
    (folder,) = (tmp_path / "run").glob("nodes/artifacts/torch-fp32-*")
    weights = folder / "artifact" / "student.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CorruptFile, match=r"student\.safetensors is missing or not what was written"):
        run_of(tiny, tmp_path / "run")
    shutil.rmtree(folder)
    assert run_of(tiny, tmp_path / "run").met
