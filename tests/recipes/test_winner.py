"""Who ships of a whole run, and what the first line says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from whole_runs import Document, accuracy_on, assert_same_weights, model_named, reused, run_of, weights_of

from attar.cli.table import models_table
from attar.data.datasets import load_npz
from attar.network.architectures import mlp
from attar.network.weights import read_tensors, save_weights
from attar.recipes.document import headline

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def misled(tiny: Document, tmp_path: Path) -> Document:
    """A recipe whose teacher says the same of everything, and whose baseline has the labels."""
    wrong = mlp(6, 3, [8])
    torch.nn.init.zeros_(list(wrong.parameters())[-2])
    with torch.no_grad():
        list(wrong.parameters())[-1].copy_(torch.tensor([5.0, 0.0, 0.0]))
    save_weights(wrong, tmp_path / "wrong.safetensors")
    tiny["teacher"] = {
        "network": {"use": "attar.network.architectures:mlp", "arguments": {"inputs": 6, "classes": 3, "hidden": [8]}},
        "weights": [str(tmp_path / "wrong.safetensors")],
    }
    tiny["objective"] = {"soft": {"use": "soft_targets"}}
    tiny["student"]["training"] |= {"epochs": 12}
    return tiny


def test_a_student_that_distillation_hurt_does_not_ship(tiny: Document, blobs: Path, tmp_path: Path) -> None:
    run = run_of(misled(tiny, tmp_path), tmp_path / "run")
    evidence = run.evidence
    assert evidence["winner"] == "baseline torch fp32"
    assert evidence["verdict"]["sentence"] == "distillation hurt"
    student, baseline = model_named(run, "torch fp32"), model_named(run, "baseline torch fp32")
    assert student["size_bytes"] == pytest.approx(baseline["size_bytes"], rel=0.02)
    assert student["refused"] == (
        "the same network trained without the teacher is at least as good on validation in this form"
    )
    assert baseline["refused"] is None and baseline["quality"]["accuracy"] > student["quality"]["accuracy"]
    assert accuracy_on(run, load_npz(blobs, validation=0.25)) == pytest.approx(baseline["quality"]["accuracy"])
    assert_same_weights(read_tensors(run.folder / "artifact" / "student.safetensors")[0], weights_of(run, "baseline/0"))
    assert run.met, "the baseline keeps the accuracy"
    first, second = evidence["alerts"]
    assert first.startswith("The teacher gives every validation example the same prediction, 'ant'")
    assert second.startswith(
        "On validation the teacher did not help: baseline torch fp32, the same network trained without it, has "
    )
    assert evidence["why"].startswith(f"{first} {second} baseline torch fp32 is the only candidate")
    assert headline(evidence).startswith(f"{first} {second} baseline torch fp32: ")
    assert str(run).count(second) == 1, "said once"
    again = run_of(tiny, tmp_path / "run")
    assert all(reused(again).values())


def test_a_student_at_chance_is_the_nearest_and_the_first_line_says_so(tiny: Document, tmp_path: Path) -> None:
    tiny["baseline"] = False
    tiny["student"]["training"] |= {"learning_rate": 1e-12, "epochs": 1}
    tiny["student"]["network"]["arguments"]["hidden"] = [1]
    tiny["budget"] |= {"quality_loss": "100%"}
    run = run_of(tiny, tmp_path / "run")
    evidence = run.evidence
    assert not run.met
    shipped = model_named(run, evidence["winner"])
    assert shipped["refused"] is not None
    first = evidence["alerts"][0]
    assert first.startswith("torch fp32 ") and ("same prediction" in first or "is at chance" in first)
    assert headline(evidence).startswith(first)
    assert evidence["alerts"][-1] == "No candidate is better than guessing; torch fp32 comes nearest."
    assert "Nearest, torch fp32: " in headline(evidence)
    table = models_table(evidence, 200)
    fates = list(table.columns[-1].cells)
    assert "nearest" in fates and "ships" not in fates


def test_what_was_asked_and_not_reached_is_said_and_the_artifact_is_there(
    tiny: Document, blobs: Path, tmp_path: Path
) -> None:
    tiny["budget"] |= {"bytes": "0.001x"}
    run = run_of(tiny, tmp_path / "run")
    assert (run.met, run.outcome, run.evidence["budget"]["outcome"]) == (False, "not met", "not met")
    assert [row["outcome"] for row in run.evidence["budget"]["limits"]] == [None, "not met"]
    assert re.search(
        r"No candidate is within the budget; .* comes nearest: .*B over the .*B \(0.001x", run.evidence["why"]
    )
    assert accuracy_on(run, load_npz(blobs, validation=0.25)) > 0.3


def test_int8_is_tried_and_told_with_what_it_costs(tiny: Document, tmp_path: Path) -> None:
    tiny["artifacts"] |= {"runtimes": ["onnxruntime"], "int8": True, "calibration": 32}
    tiny["baseline"] = False
    run = run_of(tiny, tmp_path / "run")
    grid = [model for model in run.evidence["models"] if model["precision"] == "int8"]
    assert len(grid) >= 2
    for model in grid:
        assert model["quality"]["examples"] == 40
        assert model["parity"]["top1_agreement"] > 0.5
    chosen = model_named(run, run.evidence["winner"])
    assert chosen["refused"] is None
    assert run.evidence["ratios"]["smaller"] > 0
    runtimes = {model["runtime"] for model in run.evidence["models"]}
    assert runtimes == {"onnxruntime"}
