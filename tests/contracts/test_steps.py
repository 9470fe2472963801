"""What every step must keep, whatever it does. A new step is one row in `STEPS_MADE`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from attar.data.split import Dataset, Split
from attar.data.transfer_set import Live
from attar.data.views import UNCHANGED
from attar.evidence.panel import Table
from attar.evidence.panel_json import from_json, to_json
from attar.models.model import Model, load_model, save_model
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.pipeline.nodes import Nodes
from attar.pipeline.runner import run_steps
from attar.pipeline.step import Step, TeacherTools, Tools
from attar.pipeline.steps import STEPS
from attar.pruning.edit import Prune
from attar.tasks.classification import Classification
from attar.teachers.teacher import NetworkTeacher
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

MLP = Spec("attar.network.architectures:mlp", {"inputs": 6, "classes": 3, "hidden": [8]})
OBJECTIVE = Objective({"soft": Term(loss=SoftTargets(temperature=2.0)), "hard": Term(loss=HardLabels())})
TRAINING = Training(epochs=2, batch_size=8, learning_rate=0.1)

STEPS_MADE: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "distill": ({}, {"freeze_bn_stats": True}),
    "prune": ({"to": {"macs": "0.6x"}, "every": 2}, {"to": {"parameters": "0.5x"}, "every": 2}),
    "sparsify": ({"sparsity": 0.5, "every": 2}, {"sparsity": 0.7, "every": 2}),
    "quantize": ({"weights": {"use": "uniform", "bits": 2}}, {"weights": {"use": "uniform", "bits": 3}}),
    "correct": ({"classes": ["bee"]}, {"classes": ["ant"]}),
}
"""Of every step, the table of one and of another."""

every_step = pytest.mark.parametrize("use", STEPS_MADE)


def split(rows: int, seed: int) -> Split:
    drawn = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 6, generator=drawn)
    return Split(inputs, (inputs[:, :3].argmax(1)).long(), torch.arange(rows), Classification(("ant", "bee", "cat")))


DATA = Dataset("rows", split(24, 0), split(12, 1), split(12, 2), "drawn here")


def fresh(seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(MLP.build().eval(), MLP)


def tools(teacher: bool = True) -> Tools:
    network = NetworkTeacher(fresh(7).module, classes=3)
    given = TeacherTools(key={"fingerprint": network.fingerprint()}, targets=Live(network))
    return Tools(dataset=DATA, dataset_key="rows", views=UNCHANGED, teacher=given if teacher else None)


def step_of(use: str, which: int = 0) -> Step:
    return STEPS[use].model_validate({"use": use, **STEPS_MADE[use][which]}).completed(OBJECTIVE, TRAINING)


def key_of(step: Step, folder: Path, model: Callable[[], Model] = fresh, used: Tools | None = None) -> str:
    return run_steps([step], model(), used or tools(), Nodes(folder), name="student/0").model.key


def test_every_step_has_a_row() -> None:
    assert STEPS_MADE.keys() == STEPS.keys()
    for use, kind in STEPS.items():
        assert kind.model_fields["use"].default == use
        assert kind.__module__ == f"attar.pipeline.steps.{use}"


@every_step
def test_a_step_cannot_be_changed_and_is_its_own_table(use: str) -> None:
    step = STEPS[use].model_validate({"use": use, **STEPS_MADE[use][0]})
    with pytest.raises(ValidationError):
        step.use = "other"
    table = step.model_dump(exclude_none=True)
    assert STEPS[use].model_validate(table) == step
    assert all(field.description for name, field in STEPS[use].model_fields.items() if name != "use")


@every_step
def test_the_check_foresees_the_spec_and_trains_nothing(use: str) -> None:
    spec = step_of(use).check(MLP, DATA)
    made = step_of(use).run(fresh(), tools())
    assert spec == made.model.spec.without_edits(Prune)  # what goes, only a training tells


@every_step
def test_a_step_gives_the_same_each_time_and_leaves_the_model_alone(use: str) -> None:
    model = fresh()
    before = digest(model.module)
    one, other = (step_of(use).run(model, tools()) for _ in range(2))
    assert digest(model.module) == before
    assert digest(one.model.module) == digest(other.model.module)
    assert one.facts == other.facts and "score" in one.facts


@every_step
def test_what_a_step_made_is_rebuilt_from_its_spec(use: str, tmp_path: Path) -> None:
    made = step_of(use).run(fresh(), tools()).model
    save_model(made, tmp_path)
    again = load_model(tmp_path)
    assert again.spec == made.spec
    rows = DATA.validation.floats()
    torch.testing.assert_close(again.module(rows), made.module.eval()(rows), rtol=0, atol=0)


@every_step
def test_the_key_follows_from_fields_tools_model_and_version(
    use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of(step_of(use), tmp_path)
    assert key_of(step_of(use), tmp_path / "again") == key
    other = Model(fresh().module, replace(MLP, arguments={**MLP.arguments, "hidden": [9]}))
    changed = {
        "fields": key_of(step_of(use, 1), tmp_path),
        "seed": key_of(step_of(use), tmp_path, used=replace(tools(), seed=1)),
        "data": key_of(step_of(use), tmp_path, used=replace(tools(), dataset_key="others")),
        "model": key_of(step_of(use), tmp_path, lambda: replace(other, module=other.spec.build().eval())),
    }
    monkeypatch.setattr(STEPS[use], "version", 99)
    changed["version"] = key_of(step_of(use), tmp_path)
    assert len({key, *changed.values()}) == len(changed) + 1, changed


@every_step
def test_a_baseline_does_the_same_steps_without_the_teacher(use: str, tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    step = step_of(use)
    student = run_steps([step], fresh(), tools(), nodes, name="student/0", shared="baseline/0")
    baseline = run_steps([step], fresh(), tools(teacher=False), nodes, name="baseline/0")
    assert (student.model.key == baseline.model.key) == (not step.needs_teacher(tools()))
    assert baseline.model.spec == student.model.spec


@every_step
def test_what_a_step_shows_fits_its_columns(use: str, tmp_path: Path) -> None:
    steps = [step_of("distill"), step_of(use)]
    made = run_steps(steps, fresh(), tools(), Nodes(tmp_path), name="student/0")
    for panel in steps[1].panels(made.earlier[-1], made):
        assert panel.title and panel.blocks
        tables = [block for block in panel.blocks if isinstance(block, Table)]
        assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
        document = json.loads(json.dumps(to_json([panel])))
        assert to_json(from_json(document, "the evidence")) == document
