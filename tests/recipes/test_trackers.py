"""A run with trackers: the same run, and its curves elsewhere, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from whole_runs import Document, run_of

from attar.errors import BadInput, MissingExtra
from attar.recipes.read import from_document, read
from attar.tracking.tensorboard import TensorBoard

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def curve(folder: Path, training: str, name: str) -> dict[int, float]:
    read = EventAccumulator(str(folder / "tensorboard" / training)).Reload()
    return {one.step: pytest.approx(one.value, rel=1e-5) for one in read.Scalars(name)}


def test_a_run_is_the_same_with_a_tracker_and_what_was_done_before_is_written_too(
    tiny: Document, tmp_path: Path
) -> None:
    first = run_of(tiny, tmp_path / "run")
    assert "track" not in first.evidence["recipe"] and not (tmp_path / "run" / "tensorboard").exists()
    run = run_of({**tiny, "track": ["tensorboard"], "baseline": False}, tmp_path / "run")
    trainings = [stage for stage in run.evidence["stages"] if stage["name"] in ("teacher/0", "student/0")]
    assert len(trainings) == 2 and all(stage["reused"] for stage in trainings)
    for name in ("teacher/0", "student/0"):
        history = run.evidence["curves"][name]
        assert {one["epoch"]: one["loss"] for one in history} == curve(run.folder, name, "loss")
        assert {one["epoch"]: one["validation_accuracy"] for one in history} == curve(
            run.folder, name, "validation_accuracy"
        )
    winner = next(one for one in run.evidence["models"] if one["name"] == run.evidence["winner"])
    assert curve(run.folder, "shipped", "test_accuracy") == {0: winner["quality"]["accuracy"]}
    assert curve(run.folder, "shipped", "size_bytes") == {0: winner["size_bytes"]}


def test_a_tracker_that_fails_leaves_a_run_and_a_warning(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, *_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TensorBoard, "_write", full)
    run = run_of({**tiny, "track": "tensorboard"}, tmp_path / "run")
    (warning,) = [one for one in run.evidence["warnings"] if "TensorBoard" in one]
    assert "No space left on device" in warning and run.artifact.size_bytes > 0


def test_a_missing_package_is_told_before_anything_is_done(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.tracking.mlflow.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'attar\[mlflow\]'"):
        run_of({**tiny, "track": ["mlflow"]}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_name_is_a_list_of_one(tiny_file: Path) -> None:
    assert read(tiny_file, ["track=tensorboard"]).track == ["tensorboard"]
    with pytest.raises(BadInput, match="track"):
        from_document({**read(tiny_file).document(), "track": ["wandb"]})
