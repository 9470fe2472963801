"""Trainings done at once by worker processes give what they give one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from attar.errors import BadInput, Diverged
from attar.network.weights import read_tensors
from attar.pipeline.worker import Job
from attar.pipeline.workers import Workers
from attar.recipes.compress import Run, compress
from attar.recipes.context import Context
from attar.recipes.parallel import train_at_once
from attar.recipes.read import from_document
from attar.recipes.start import open_run
from attar.training.progress import silent

Document = dict[str, Any]


@pytest.fixture
def document(tiny: Document) -> Document:
    tiny["teacher"] |= {"members": 2}
    tiny["student"] |= {"seeds": 2}
    return tiny


def weights(run: Run) -> dict[str, Any]:
    """Every trained model's tensors, by the name of its node."""
    files = sorted((run.folder / "nodes").rglob("model.safetensors"))
    return {str(file.relative_to(run.folder).parent)[:-13]: read_tensors(file)[0] for file in files}


def figures(run: Run) -> list[Any]:
    return [(one["name"], one.get("quality"), one.get("validation")) for one in run.evidence["models"]]


@pytest.mark.usefixtures("hurried")
def test_workers_train_the_same_networks(document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    do = Workers.do

    def noted(self: Workers, jobs: list[Job], *rest: Any) -> None:
        asked.append([job.name for job in (*jobs, *rest[-1])])
        do(self, jobs, *rest)

    monkeypatch.setattr(Workers, "do", noted)
    alone = compress(from_document(document), tmp_path / "alone", workers=1)
    assert not asked
    together = compress(from_document(document), tmp_path / "together", workers=2)
    first, second = asked
    assert first == ["teacher/0", "teacher/1", "baseline/0", "baseline/1"]
    # Teachers may be over before a worker was there for the baselines: then these are asked for beside the students.
    assert second[:2] == ["student/0", "student/1"] and set(second[2:]) <= {"baseline/0", "baseline/1"}
    one, other = weights(alone), weights(together)
    assert one.keys() == other.keys() and len(one) == 6
    assert all(one[name][key].equal(other[name][key]) for name in one for key in one[name])
    assert figures(alone) == figures(together)
    assert not any(stage["reused"] for stage in together.evidence["stages"])
    compress(from_document(document), tmp_path / "together", workers=2)
    assert len(asked) == 2, "what is there needs no worker"


def test_what_a_worker_cannot_do_is_told_where_it_was_asked_for(document: Document, tmp_path: Path) -> None:
    document["teacher"]["training"] |= {"learning_rate": 1e4, "epochs": 20}
    with pytest.raises(Diverged, match="at step"):
        compress(from_document(document), tmp_path / "run", workers=2)


def test_short_trainings_are_not_worth_a_process(
    document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "do", lambda *_: pytest.fail("started a process"))
    compress(from_document(document), tmp_path / "run")


@pytest.mark.parametrize("reads", [False, True], ids=["stored targets alone", "layers of the teacher"])
def test_the_teacher_counts_where_it_runs_beside_a_student(
    document: Document, reads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reads:
        layers = {"student_layer": "2", "teacher_layer": "networks.0.2"}
        document["objective"]["hint"] = {"use": "hidden_match", **layers}
    counted: list[int] = []

    def thread_count(self: Context, networks: Sequence[nn.Module], batch_size: int) -> int:
        counted.append(len(networks))
        return 2

    monkeypatch.setattr(Context, "thread_count", thread_count)
    with open_run(from_document(document), tmp_path / "run", "cpu", silent, workers=2) as context:
        train_at_once(context, ("teacher",), lambda *_: pytest.fail("it would get two threads"))
        train_at_once(context, ("student",), lambda *_: pytest.fail("it would get two threads"))
    assert counted == [1, 3 if reads else 1]


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_at_all_is_refused(document: Document, tmp_path: Path, workers: int) -> None:
    with pytest.raises(BadInput, match=f"workers of a run must be at least 1; got {workers}"):
        compress(from_document(document), tmp_path / "run", workers=workers)
