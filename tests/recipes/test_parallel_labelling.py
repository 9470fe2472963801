"""Targets that worker processes label by blocks are those of one process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from attar.data.store.labelling import unshared
from attar.pipeline.worker import Job, WorkerProcess
from attar.pipeline.workers import Workers
from attar.recipes.parallel_labelling import shared
from attar.recipes.read import from_document
from attar.recipes.start import open_run
from attar.recipes.students import prepare_teacher
from attar.training.progress import silent

Document = dict[str, Any]


@pytest.fixture
def document(tiny: Document) -> Document:
    tiny["teacher"] |= {"members": 2}
    tiny["transfer"] = {"views": {"count": 2, "noise": 0.1}, "per_teacher": True}
    return tiny


def stores(document: Document, folder: Path, workers: int) -> dict[str, bytes]:
    """All files of the stores of a run, by their places in it."""
    with open_run(from_document(document), folder, "cpu", silent, workers=workers) as context:
        prepare_teacher(context)
    files = sorted((folder / "nodes").glob("targets*/**/store/*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_worker_processes_label_the_same(document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = stores(document, tmp_path / "alone", 1)
    asked: list[str] = []

    def by_another(self: Workers, jobs: Sequence[Job], *_: Any) -> None:
        asked.extend(job.name for job in jobs)
        for job in jobs:
            assert worker.do(job, lambda steps: None) is None

    worker = WorkerProcess()
    monkeypatch.setattr(Workers, "do", by_another)
    assert stores(document, tmp_path / "shared", 2) == alone and len(alone) == 9
    worker.end()
    places = [f"targets-of/{member}/shard-{view:03d}-00000.parquet" for member in (0, 1) for view in (0, 1)]
    assert asked == places
    assert not list((tmp_path / "shared").rglob("blocks")), "what was put into the store is nowhere else"


def test_several_threads_share_no_work(document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run(from_document(document), tmp_path, "cpu", silent, workers=2) as context:
        assert shared(context, "targets", tmp_path) is not unshared
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        assert shared(context, "targets", tmp_path) is unshared
