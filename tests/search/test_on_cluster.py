"""What of a search goes to workers of a cluster; with a cluster: tests/recipes/test_ray.py."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_search import evaluator, perceptron

from attar.data.transfer_set import Live
from attar.errors import BadInput
from attar.models.model import MODEL, save_model
from attar.network.weights import read_tensors
from attar.pipeline.nodes import Nodes
from attar.pipeline.step import TeacherTools
from attar.pipeline.worker import Job, WorkerEnded
from attar.search.on_cluster import Train, _Here
from attar.teachers.teacher import NetworkTeacher
from attar.training.progress import silent


def test_a_proposal_that_is_trained_elsewhere_is_the_one_that_is_trained_here(tmp_path: Path) -> None:
    own, here, proposal = evaluator(tmp_path / "run"), evaluator(tmp_path / "here"), perceptron(8, epochs=2)
    assert own.untrained(proposal) is None and own.found(proposal) is None, "it is measured, and has to be trained"
    train = pickle.loads(pickle.dumps(Train.of(own)))
    given = {MODEL: save_model(own.first(proposal), tmp_path / "first").read_bytes()}
    elsewhere = Nodes(tmp_path / "elsewhere")
    train({"proposal": proposal.to_json()}, given, elsewhere, None, silent)
    own.nodes.take_in(elsewhere.packed())
    found, wanted = own.untrained(proposal), here(proposal)
    assert found is not None and found.state == wanted.state == "trained" and own.found(proposal) == found
    assert found.seconds > 0 and found.figures["score"] == wanted.figures["score"]
    one, other = (read_tensors(next((tmp_path / name).rglob(MODEL)))[0] for name in ("run", "here"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_beyond_the_budget_or_broken_leaves_this_machine_untrained(tmp_path: Path) -> None:
    own = evaluator(tmp_path)
    states = [None if one is None else one.state for one in map(own.untrained, (perceptron(400), perceptron(-1)))]
    assert states == ["over_budget", "failed"]


def test_a_teacher_that_is_asked_live_stays_where_it_is(tmp_path: Path) -> None:
    own = evaluator(tmp_path)
    teacher = TeacherTools(key={}, targets=Live(NetworkTeacher(torch.nn.Flatten(), classes=64)))
    with pytest.raises(
        BadInput, match=r"^transfer\.cached must be true for a search on a Ray cluster: workers get the"
    ):
        Train.of(replace(own, tools=replace(own.tools, teacher=teacher)))


class _Beginning:
    """A process that is killed while it begins: as soon as it is there, whoever asked has gone."""

    def __init__(self) -> None:
        self.killed, self.did = threading.Event(), list[Job]()
        self.thread = threading.Thread(target=_Beginning.gone, daemon=True)
        self.thread.start()
        self.thread.join(0.2)

    gone: Callable[[], None]

    @property
    def alive(self) -> bool:
        return not self.killed.is_set()

    def ready(self) -> None:
        if self.killed.wait(5):
            raise WorkerEnded

    def do(self, job: Job, advance: Callable[[int], None]) -> str | None:
        self.did.append(job)
        return None

    def kill(self) -> None:
        self.killed.set()

    def end(self) -> None:
        self.kill()


def test_one_that_nobody_wants_any_more_is_killed_also_while_its_process_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("attar.search.on_cluster.WorkerProcess", _Beginning)
    here, job, wanted = _Here(), Job("one", "a:b", {}, 1), [True]

    def gone() -> None:
        wanted[0] = False
        here.kill("me")

    monkeypatch.setattr(_Beginning, "gone", staticmethod(gone), raising=False)
    with pytest.raises(WorkerEnded):
        here.do(job, "me", lambda: wanted[0])
    first = here._worker
    assert isinstance(first, _Beginning) and not first.did
    with pytest.raises(WorkerEnded):
        here.do(job, "me", lambda: False)
    assert here._worker is first, "none is started for one that nobody wants"
    monkeypatch.setattr(_Beginning, "gone", staticmethod(lambda: here.kill("me")))
    monkeypatch.setattr(_Beginning, "ready", lambda _: None)
    assert here.do(job, "other", lambda: True) is None, "it is not the one that is killed"
    second = here._worker
    assert isinstance(second, _Beginning) and second.alive and second.did == [job]
    here.kill("other")
    assert second.alive, "it does nothing for anybody"
    here.end()
    assert not second.alive
