"""A student that starts as its teacher: the same network with its weights, which the steps then change."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from attar.errors import BadInput
from attar.network.weights import save_weights
from attar.recipes.read import from_document
from attar.recipes.start import open_run
from attar.recipes.students import train_all
from attar.recipes.teachers import first_model
from attar.training import fit as fitting

Document = dict[str, Any]
QUANTIZE: Document = {"use": "quantize", "weights": {"use": "uniform", "bits": 8, "granularity": "tensor"}}

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture
def started(tiny: Document) -> Document:
    document = copy.deepcopy(tiny)
    document["teacher"].pop("members", None)
    document["student"] = {"start": "teacher", "steps": [QUANTIZE]}
    return document


def test_it_has_the_weights_that_its_teacher_learned_and_so_has_the_baseline(started: Document, tmp_path: Path) -> None:
    with open_run(from_document(started), tmp_path / "run", "cpu", fitting.silent) as context:
        trainings = train_all(context)
    teacher = trainings.members[0].network.state_dict()
    for trained in (trainings.student, trainings.baseline):
        assert trained is not None
        assert trained.model.spec.reference == started["teacher"]["network"]["use"]
        state = trained.network.state_dict()
        biases = [name for name in teacher if name.endswith("bias")]
        assert biases and all(torch.equal(state[name], teacher[name]) for name in biases)


def test_it_has_weights_that_are_given(started: Document, tmp_path: Path) -> None:
    network = from_document(started).student.network.spec().build()
    save_weights(network, tmp_path / "given.safetensors")
    started["teacher"]["weights"] = [str(tmp_path / "given.safetensors")]
    with open_run(from_document(started), tmp_path / "run", "cpu", fitting.silent) as context:
        first = first_model(context, seed=5)
    given = network.state_dict()
    assert all(torch.equal(tensor, given[name]) for name, tensor in first.module.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": {"members": 2}}, "needs a teacher that is one frozen network"),
        ({"teacher": {"learns": True}}, "needs a teacher that is one frozen network"),
        (
            {"student": {"network": {"use": "attar.network.architectures:mlp", "arguments": {"inputs": 9}}}},
            "student.network must be the teacher's where student.start",
        ),
    ],
)
def test_what_is_no_start_is_told(started: Document, change: Document, message: str) -> None:
    for table, values in change.items():
        started[table] |= values
    with pytest.raises(BadInput, match=message):
        from_document(started)
