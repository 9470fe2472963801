"""What a search is after: the budget in the figures that the evidence will have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from attar.evidence.measure import labels_of
from attar.models.model import load_model
from attar.network.spec import Spec
from attar.recipes.read import from_document
from attar.recipes.search_pool import evaluator_of
from attar.recipes.start import open_run
from attar.recipes.students import prepare_teacher
from attar.recipes.winner import score_of
from attar.search.proposal import Proposal
from attar.training.progress import silent

MLP = "attar.network.architectures:mlp"


@pytest.mark.parametrize(("task", "choose_by"), [("regression", None), ("classification", "rmse")])
def test_a_loss_of_quality_is_that_of_the_report(
    task: str, choose_by: str | None, tmp_path: Path, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an error, and of what epochs are not chosen by: a hundredth of RMSE is no hundredth of its square."""
    monkeypatch.setattr("attar.search.meter.Meter.latency", lambda *_: 1.0)  # nothing of this is about time
    x = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
    y = x[:, 0] + x[:, 1] ** 2 if task == "regression" else (x[:, 0] > 0).astype("int64")
    parts = ["train"] * 60 + ["validation"] * 40 + ["test"] * 20
    np.savez(tmp_path / "data.npz", x=x, y=y, split=parts, task=task)
    arguments = {"inputs": 4, "classes": 1 if task == "regression" else 2, "hidden": [8]}
    recipe = from_document(
        {
            "name": "judged",
            "data": {"use": str(tmp_path / "data.npz")},
            "teacher": {"network": {"use": MLP, "arguments": arguments}, "training": {"epochs": 1}},
            "student": {"training": {"epochs": 1}, **({} if choose_by is None else {"choose_by": choose_by})},
            "search": {"proposals": 1},
            "budget": {"quality_loss": "10%"},
        }
    )
    proposal = Proposal(spec=Spec(MLP, {**arguments, "hidden": [3]}))
    with open_run(recipe, tmp_path / "run", "cpu", silent, workers=1) as context:
        prepared, validation = prepare_teacher(context), context.dataset.validation
        evaluator = evaluator_of(context, prepared)
        outcome = evaluator(proposal)
    of_task, labels, inputs = context.dataset.task, labels_of(validation), validation.floats()
    teacher = score_of(of_task, prepared.teacher.predict(inputs).numpy(), labels)
    folder = next((tmp_path / "run" / "nodes" / "search").glob(f"{proposal.key}*/model.safetensors"), None)
    assert folder is not None
    with torch.inference_mode():
        student = score_of(of_task, load_model(folder.parent).module.eval()(inputs).numpy(), labels)
    assert outcome.figures["score"] == pytest.approx(student, rel=1e-5)
    assert outcome.figures["quality_loss"] == pytest.approx(teacher - student, rel=1e-4, abs=1e-6)
    goal = evaluator.goal
    assert goal.teacher["quality_loss"] == pytest.approx(teacher, rel=1e-5)
    (limit,) = goal.limits
    if task == "regression":
        assert teacher < 0 and limit.at(teacher) == pytest.approx(0.1 * abs(teacher))
        assert not goal.beyond({"quality_loss": -0.099 * teacher}) and goal.beyond({"quality_loss": -0.101 * teacher})
