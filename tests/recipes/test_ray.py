"""A run on a Ray cluster of two nodes, which are two sets of processes on this machine."""

from __future__ import annotations

import tempfile
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from attar.data.datasets import load
from attar.data.store import label
from attar.data.store.filling import Found
from attar.data.store.labelling import Labelling
from attar.data.store.manifest import Shard
from attar.data.views import Views
from attar.errors import BadInput
from attar.network.architectures import mlp
from attar.pipeline.blocks import LabelBlocks, blocks_by
from attar.pipeline.cluster import Cluster
from attar.pipeline.cluster_worker import ClusterWorker
from attar.pipeline.nodes import Nodes
from attar.pipeline.turns import Turns
from attar.pipeline.worker import Job
from attar.pipeline.workers import Workers
from attar.recipes.compress import Run, compress
from attar.search.evaluate import Evaluator
from attar.teachers.teacher import NetworkTeacher
from attar.training.progress import silent

ray = pytest.importorskip("ray")

Document = dict[str, Any]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster of two nodes of one core each, which leaves nothing behind."""
    from ray.cluster_utils import Cluster as Nodes

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,  # short: sockets lie in it
    ):
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_TMPDIR", folder)
        cluster = Nodes(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        try:
            cluster.add_node(**node)
            yield cluster.address
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def searching(tiny_file: Path) -> Document:
    """A search of three students, two of which are small enough to be trained, and one of these afresh."""
    document = tomllib.loads(tiny_file.read_text(encoding="utf-8"))
    del document["student"]["network"]
    arguments = {"inputs": 6, "classes": 3, "hidden": [[2], [4], [99]]}
    space = {"use": "attar.network.architectures:mlp", "arguments": arguments}
    document["search"] = {"strategy": "grid", "proposals": 3, "epochs": 1, "finalists": 1, "seeds": 1, "space": space}
    document["budget"] |= {"bytes": "4 kB", "prefer": "bytes"}
    return document


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attar.report.page.render", lambda _, path: path.write_text("a page", encoding="utf-8"))


def told(run: Run) -> list[Any]:
    """The trials of a run, less what a clock says."""
    clocks = ("latency", "seconds")

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(one) for key, one in value.items() if key not in clocks}
        return [plain(one) for one in value] if isinstance(value, list) else value

    return [plain(run.evidence["search"][part]) for part in ("trials", "finalists")]


@pytest.mark.slow
@pytest.mark.usefixtures("hurried", "undrawn")
def test_a_search_gives_the_trials_of_one_process_though_a_worker_dies(
    address: str, searching: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alone = compress(searching, tmp_path / "alone", workers=1)
    do, asked = ClusterWorker.do, list[str]()

    def dies_once(self: ClusterWorker, job: Job, advance: Callable[[int], None]) -> str | None:
        asked.append(job.name)
        if len(asked) == 1:
            self.kill()
        return do(self, job, advance)

    def here(*_: Any) -> None:
        raise AssertionError("nothing is trained by the process that asks")

    monkeypatch.setattr(ClusterWorker, "do", dies_once)
    monkeypatch.setattr(Evaluator, "__call__", here)
    there = compress(searching, tmp_path / "there", ray=address, workers=1)
    assert told(there) == told(alone)
    assert {one["state"] for one in there.evidence["search"]["trials"]} == {"trained", "over_budget"}
    times = sorted(map(asked.count, {*asked}))
    assert times == [1, 1, 2], "two students, one of them again, and the finalist afresh; the third is too large"
    assert f"a worker did not finish {asked[0]}: the process that worked on it ended" in (
        there.folder / "log.txt"
    ).read_text(encoding="utf-8")
    assert not ray.is_initialized(), "it lets go of the cluster"


def test_blocks_that_are_made_on_the_cluster_are_those_of_one_process(address: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    split, settings = load("digits").train.rows(slice(0, 90)), {"views": Views(count=2, shift=1), "rows_per_shard": 50}
    teacher = NetworkTeacher(mlp(inputs=64, hidden=[32], classes=10), classes=10)
    label(teacher, split, tmp_path / "alone", **settings)
    nodes = Nodes(tmp_path / "blocks")

    def share(labelling: Labelling, missing: list[Shard]) -> Found:
        def job(shard: Shard) -> Job:
            return Job(shard.name, "", {"view": shard.view, "number": shard.number}, shard.rows)

        steps: list[int] = []
        worker = ClusterWorker(cluster.sent(LabelBlocks(labelling)), nodes, Turns(tmp_path / "times"))
        worker.ready()
        assert [worker.do(job(shard), steps.append) for shard in missing] == [None] * 4 and sum(steps) == 180
        raised = worker.do(Job("none", "", {"view": 9, "number": 9}, 1), steps.append)
        assert raised is not None and raised.startswith("StopIteration")
        worker.end()
        return blocks_by(Workers(1), labelling, missing, nodes, job, silent, worthwhile=0.0)

    with Cluster(address) as cluster:
        assert cluster.count == 2
        label(teacher, split, tmp_path / "there", share=share, **settings)
        with pytest.raises(BadInput, match=r"^What workers need cannot be sent to a Ray cluster: .*Leave out --ray"):
            cluster.sent(_Unsent())
    stores = [{one.name: one.read_bytes() for one in (tmp_path / name).iterdir()} for name in ("alone", "there")]
    assert stores[0] == stores[1] and all(node.reused for node in nodes.done)


class _Unsent:
    """A task that cannot be pickled."""

    def __reduce__(self) -> str:
        raise TypeError("it is bound to this process")

    def __call__(self, *_: Any) -> None:
        raise AssertionError("it is not sent")


def test_a_cluster_trains_on_cpus(searching: Document, tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"^device of a run with a Ray cluster must be cpu; got 'cuda'\. Leave one of the"
    ):
        compress(searching, tmp_path / "run", ray="auto", device="cuda")
