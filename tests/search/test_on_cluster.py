"""What of a search goes to workers of a cluster; with a cluster: tests/recipes/test_ray.py."""

from __future__ import annotations

import pickle
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
from attar.search.on_cluster import Train
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
