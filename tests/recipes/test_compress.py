"""Whole runs: what they leave, that the evidence is true of the artifact, and code of the user's own."""

from __future__ import annotations

import copy
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from whole_runs import Document, accuracy_on, assert_same_weights, model_named, reused, run_of, weights_of

from attar.data.datasets import load_npz
from attar.data.store import Targets
from attar.deployment.artifact import load
from attar.errors import BadInput
from attar.network.architectures import mlp
from attar.network.weights import read_tensors, save_weights
from attar.recipes.compress import compress, label
from attar.recipes.read import from_document, read

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def test_the_artifact_decides_as_the_evidence_says(tiny: Document, blobs: Path, tmp_path: Path) -> None:
    run = run_of(tiny, tmp_path / "run")
    dataset = load_npz(blobs, validation=0.25)
    winner = model_named(run, run.evidence["winner"])
    assert winner["quality"]["examples"] == len(dataset.test) == 40
    assert winner["quality"]["accuracy"] == pytest.approx(accuracy_on(run, dataset), abs=1e-9)
    assert run.artifact.classes == dataset.classes == ("ant", "bee", "cat")
    names = run.predict(dataset.test.floats())
    assert dataset.test.labels is not None
    right = np.mean([name == dataset.classes[label] for name, label in zip(names, dataset.test.labels, strict=True)])
    assert winner["quality"]["accuracy"] == pytest.approx(right)
    assert winner["size_bytes"] == run.artifact.size_bytes


def test_a_run_leaves_all_its_documents_and_they_agree(tiny: Document, tmp_path: Path) -> None:
    run = run_of(tiny, tmp_path / "run")
    assert {path.name for path in run.folder.iterdir()} == {
        "artifact",
        "environment.json",
        "evidence.json",
        "log.txt",
        "recipe.toml",
        "nodes",
        "report.html",
    }
    evidence = json.loads((run.folder / "evidence.json").read_text(encoding="utf-8"))
    assert evidence["winner"] == run.evidence["winner"]
    resolved = tomllib.loads((run.folder / "recipe.toml").read_text(encoding="utf-8"))
    assert resolved == evidence["recipe"]
    assert from_document(resolved) == from_document(tiny)
    assert not list(run.folder.rglob(".*")), "no lock, nothing unfinished"
    assert not list(run.folder.rglob("checkpoint.safetensors"))
    assert run.met
    assert str(run.report) in str(run)
    environment = (run.folder / "environment.json").read_text(encoding="utf-8")
    assert str(Path.home()) not in environment


def test_the_resolved_recipe_gives_the_same_weights_again(tiny: Document, tmp_path: Path) -> None:
    first = run_of(tiny, tmp_path / "one")
    again = compress(read(tmp_path / "one" / "recipe.toml"), tmp_path / "two")
    for stage in ("teacher/0", "student/0", "baseline/0"):
        assert_same_weights(weights_of(first, stage), weights_of(again, stage))


def test_training_leaves_the_callers_randomness_and_threads_alone(tiny: Document, tmp_path: Path) -> None:
    tiny["threads"] = 1
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    run_of(tiny, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_label_does_the_first_part_of_compress(tiny: Document, tmp_path: Path) -> None:
    targets = label(from_document(tiny), tmp_path / "run")
    assert isinstance(targets, Targets)
    assert len(targets) == 120  # of 200: 40 for test, a quarter of the rest for validation
    found = reused(run_of(tiny, tmp_path / "run"))
    assert found["teacher/0"] and found["targets"] and not found["student/0"]


def test_label_refuses_what_stores_nothing(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"cached": False}
    with pytest.raises(
        BadInput, match=r"transfer\.cached of the recipe must be true where targets are to be stored; got False"
    ):
        label(from_document(tiny), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_label_gives_the_targets_of_the_unchanged_examples(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"views": {"count": 3, "noise": 0.1}, "label_views": False}
    assert label(from_document(tiny), tmp_path / "run").views == 1


def test_without_a_baseline_the_evidence_says_that_nothing_is_known(tiny: Document, tmp_path: Path) -> None:
    tiny["baseline"] = False
    run = run_of(tiny, tmp_path / "run")
    assert (run.evidence["baseline"], run.evidence["verdict"]) == (False, None)
    seeds = run.evidence["seeds"]
    assert seeds["baseline"] == [] and seeds["gap_closed"] is None
    assert len(seeds["student"]) == 1 and 0 <= seeds["student"][0] <= 1
    assert any("No baseline was trained" in warning for warning in run.evidence["warnings"])
    assert not any(model["kind"] == "baseline" for model in run.evidence["models"])
    assert "baseline/0" not in reused(run)


def test_only_the_largest_targets_may_be_stored(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"top_k": 2}
    run = run_of(tiny, tmp_path / "run")
    assert run.evidence["targets"]["kind"] == "top-k"
    tiny["transfer"] = {"top_k": 3}
    with pytest.raises(BadInput, match=r"transfer\.top_k of the recipe must be below 3, the classes; got 3"):
        run_of(tiny, tmp_path / "other")


def test_several_seeds_give_a_spread_and_the_best_on_validation_ships(tiny: Document, tmp_path: Path) -> None:
    tiny["student"]["seeds"] = 2
    run = run_of(tiny, tmp_path / "run")
    seeds = run.evidence["seeds"]
    assert len(seeds["student"]) == len(seeds["baseline"]) == 2
    assert set(run.evidence["curves"]) == {"teacher/0", "student/0", "student/1", "baseline/0", "baseline/1"}
    one, other = weights_of(run, "student/0"), weights_of(run, "student/1")
    assert any(not torch.equal(one[name], other[name]) for name in one)
    scores = [max(entry["score"] for entry in run.evidence["curves"][f"student/{index}"]) for index in (0, 1)]
    best = f"student/{scores.index(max(scores))}"
    baselines = [max(entry["score"] for entry in run.evidence["curves"][f"baseline/{index}"]) for index in (0, 1)]
    if max(baselines) >= max(scores):
        best = f"baseline/{baselines.index(max(baselines))}"
    assert run.evidence["winner"] == ("baseline torch fp32" if best.startswith("baseline") else "torch fp32")
    assert_same_weights(read_tensors(run.folder / "artifact" / "student.safetensors")[0], weights_of(run, best))
    assert run.evidence["verdict"]["seeds"] == 2


OWN = """
import numpy as np
from torch import nn


def data():
    draws = np.random.default_rng(1)
    y = np.arange(150) % 3
    return draws.normal(size=(3, 6))[y].astype("float32") + 0.1 * draws.normal(size=(150, 6)).astype("float32"), y


def network(width):
    return nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3))
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "my_models.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "code")
    yield "my_models"
    sys.modules.pop("my_models", None)


def test_data_and_networks_may_be_functions_of_the_users(tiny: Document, own_module: str, tmp_path: Path) -> None:
    tiny["data"] = {"use": f"{own_module}:data"}
    for section, width in (("teacher", 16), ("student", 4)):
        tiny[section]["network"] = {"use": f"{own_module}:network", "arguments": {"width": width}}
    with pytest.raises(BadInput, match=rf"data\.use of the recipe names '{own_module}:data', which is not run"):
        run_of(tiny, tmp_path / "run")
    run = compress(tiny, tmp_path / "run", allow=[own_module])
    assert run.evidence["allow"] == ["attar", own_module]
    assert f"allow=['attar', '{own_module}']" in run.evidence["how_to_load"]
    rows = np.zeros((2, 6), dtype="float32")
    assert run.artifact(rows).shape == (2, 3)
    with pytest.raises(BadInput, match=f"pass allow=\\['{own_module}'\\]"):
        load(run.folder / "artifact")
    assert load(run.folder / "artifact", allow=["attar", own_module])(rows).shape == (2, 3)


def test_a_recipe_is_not_changed_by_its_run(tiny: Document, tmp_path: Path) -> None:
    recipe = from_document(tiny)
    before = copy.deepcopy(recipe.document())
    compress(recipe, tmp_path / "run")
    assert recipe.document() == before


def test_terms_may_read_hidden_layers_of_one_teacher_or_of_a_member(tiny: Document, tmp_path: Path) -> None:
    layers = {"student_layer": "2", "teacher_layer": "2"}
    tiny["objective"]["hint"] = {"use": "hidden_match", **layers}
    run = run_of(tiny, tmp_path / "one")
    assert all(entry["terms"]["hint"] > 0 for entry in run.evidence["curves"]["student/0"])
    assert set(weights_of(run, "student/0")) == {"1.weight", "1.bias", "3.weight", "3.bias"}, "no projector is left"
    tiny["teacher"]["members"] = 2
    with pytest.raises(BadInput, match=r"networks\.0"):
        run_of(tiny, tmp_path / "two")
    tiny["objective"]["hint"]["teacher_layer"] = "networks.1.2"
    run_of(tiny, tmp_path / "two")


def test_a_layer_that_is_not_there_is_said_before_anything_is_trained(tiny: Document, tmp_path: Path) -> None:
    tiny["objective"]["hint"] = {"use": "attention_maps", "student_layer": "2", "teacher_layer": "21"}
    with pytest.raises(BadInput, match="teacher_layer"):
        run_of(tiny, tmp_path / "run")
    assert not (tmp_path / "run" / "nodes").exists()


def test_what_a_section_names_wrongly_is_told_by_the_keys_of_the_recipe(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"only": ["ant", "bees"]}
    with pytest.raises(BadInput, match=r"transfer\..*bees"):
        run_of(tiny, tmp_path / "run")
    tiny["transfer"] = {}
    network = tiny["teacher"]["network"]
    save_weights(mlp(6, 3, hidden=(24,)), tmp_path / "w.safetensors")
    one = {"network": network, "weights": str(tmp_path / "w.safetensors"), "classes": ["ant", "bee", "dog"]}
    tiny["teacher"] = {"each": [one]}
    with pytest.raises(BadInput, match=r"teacher\.each\.0 .*dog"):
        run_of(tiny, tmp_path / "run")
