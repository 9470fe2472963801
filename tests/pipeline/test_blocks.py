"""A store labelled by blocks, whoever makes them, is bit for bit that of one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from attar.data.datasets import load
from attar.data.split import Split
from attar.data.store import label
from attar.data.store.filling import Found
from attar.data.store.labelling import Labelling
from attar.data.store.manifest import MANIFEST, Shard
from attar.data.views import Views
from attar.network.architectures import mlp
from attar.pipeline.blocks import LabelBlocks, blocks_by, make_block, shard_of
from attar.pipeline.nodes import Nodes
from attar.pipeline.worker import Job
from attar.pipeline.workers import Workers
from attar.teachers.teacher import NetworkTeacher
from attar.training.progress import silent

VIEWS = Views(count=2, shift=1)


def bytes_of(folder: Path) -> Mapping[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def split() -> Split:
    return load("digits").train.rows(slice(0, 250))


@pytest.fixture
def teacher() -> NetworkTeacher:
    torch.manual_seed(0)
    return NetworkTeacher(mlp(inputs=64, hidden=[32], classes=10), classes=10)


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"views": VIEWS, "rows_per_shard": 100, "batch_size": 30, "temperature": 4.0}


def job(shard: Shard) -> Job:
    return Job(shard.name, "nowhere:nothing", {"view": shard.view, "number": shard.number}, shard.rows)


@pytest.mark.parametrize("ahead", [0, 2, 6], ids=["nobody", "two blocks", "all blocks"])
def test_the_store_is_the_same_whoever_makes_its_blocks(
    teacher: NetworkTeacher, split: Split, settings: dict[str, Any], tmp_path: Path, ahead: int
) -> None:
    label(teacher, split, tmp_path / "alone", **settings)
    nodes, asked = Nodes(tmp_path / "blocks"), list[str]()

    def share(labelling: Labelling, missing: list[Shard]) -> Found:
        assert [(one.view, one.rows) for one in missing] == [(view, n) for view in (0, 1) for n in (100, 100, 50)]
        for shard in missing[:ahead]:  # the last ones would do as well
            LabelBlocks(labelling)(job(shard).arguments, {}, nodes, None, silent)
        asked.extend(shard.name for shard in missing[ahead:])
        return blocks_by(Workers(1), labelling, missing, nodes, job, silent, worthwhile=0.0)

    label(teacher, split, tmp_path / "shared", share=share, **settings)
    assert bytes_of(tmp_path / "shared") == bytes_of(tmp_path / "alone")
    assert len(asked) == 6 - ahead == sum(not node.reused for node in nodes.done) - ahead


def test_a_store_that_was_begun_goes_on_with_what_is_missing(
    teacher: NetworkTeacher, split: Split, settings: dict[str, Any], tmp_path: Path
) -> None:
    label(teacher, split, tmp_path / "store", **settings)
    before = bytes_of(tmp_path / "store")
    (tmp_path / "store" / "shard-001-00001.parquet").unlink()

    def share(labelling: Labelling, missing: list[Shard]) -> Found:
        assert [(one.view, one.number) for one in missing] == [(1, 1)]
        return lambda shard: labelling.block(shard)

    label(teacher, split, tmp_path / "store", share=share, **settings)
    after = bytes_of(tmp_path / "store")
    assert {**after, MANIFEST: b""} == {**before, MANIFEST: b""}  # which names the shards as they were written


def test_few_examples_start_nobody(
    teacher: NetworkTeacher, split: Split, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "do", lambda *_: pytest.fail("somebody was started"))
    labelling = Labelling.of(teacher, split, **settings)
    shards, nodes = list(labelling.manifest.shards()), Nodes(tmp_path)
    found = blocks_by(Workers(), labelling, shards, nodes, job, silent, worthwhile=60.0)
    assert [found(shard) is None for shard in shards] == [False] + [True] * 5  # by one it was seen


def test_blocks_of_other_settings_are_not_taken(
    teacher: NetworkTeacher, split: Split, settings: dict[str, Any], tmp_path: Path
) -> None:
    nodes = Nodes(tmp_path)
    for changed in (
        {},
        {"temperature": 2.0},
        {"rows_per_shard": 90},
        {"top_k": 3},
        {"dtype": "int8"},
        {"batch_size": 7},
    ):
        labelling = Labelling.of(teacher, split, **{**settings, **changed})
        assert not make_block(nodes, labelling, shard_of(labelling, {"view": 0, "number": 0}), silent).reused
