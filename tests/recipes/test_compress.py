"""Whole runs: what reuses what, where teachers may come from, and that the evidence is true of the artifact."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from attar.cli.table import models_table
from attar.data.datasets import Dataset, load_npz
from attar.data.store import Targets
from attar.deployment.artifact import load
from attar.deployment.export import to_onnx
from attar.errors import BadInput, CorruptFile
from attar.evidence.machine import machine
from attar.network.architectures import convnet, mlp
from attar.network.weights import load_weights, read_tensors, save_weights
from attar.recipes.compress import Run, compress, label
from attar.recipes.contenders import deploy_candidates
from attar.recipes.context import data_of
from attar.recipes.document import headline
from attar.recipes.folder import opened
from attar.recipes.read import from_document, read
from attar.recipes.transfer_examples import without_synthesis
from attar.tasks.labels import ABSENT
from attar.training import fit as fitting
from attar.training.progress import silent

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the page out, which takes as long as all the rest and has tests of its own."""
    monkeypatch.setattr("attar.report.page.render", lambda _, path: path.write_text("a page", encoding="utf-8"))


def run_of(document: Document, out: Path) -> Run:
    return compress(from_document(document), out)


def reused(run: Run) -> dict[str, bool]:
    """Which stages of a run were found done."""
    return {stage["name"]: stage["reused"] for stage in run.evidence["stages"] if stage["name"] != "data"}


def weights_of(run: Run, stage: str) -> dict[str, torch.Tensor]:
    (file,) = run.folder.glob(f"nodes/{stage}-*/model.safetensors")
    return read_tensors(file)[0]


def assert_same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def model_named(run: Run, name: str) -> dict[str, Any]:
    return next(model for model in run.evidence["models"] if model["name"] == name)


def accuracy_on(run: Run, dataset: Dataset) -> float:
    """Of the artifact, loaded as a user loads it."""
    assert dataset.test.labels is not None
    logits = load(run.folder / "artifact")(dataset.test.floats())
    return float((logits.argmax(1) == dataset.test.labels.numpy()).mean())


# -- what a run leaves -------------------------------------------------------------------------------------------------


def test_the_artifact_decides_as_the_evidence_says(tiny: Document, blobs: Path, tmp_path: Path) -> None:
    run = run_of(tiny, tmp_path / "run")
    dataset = load_npz(blobs, validation=0.25)
    winner = model_named(run, run.evidence["winner"])
    assert winner["quality"]["examples"] == len(dataset.test) == 40
    assert winner["quality"]["accuracy"] == pytest.approx(accuracy_on(run, dataset), abs=1e-9)
    assert run.artifact.classes == dataset.classes == ("ant", "bee", "cat")
    names = run.artifact.predict_classes(dataset.test.floats())
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


# -- reuse -------------------------------------------------------------------------------------------------------------


def test_a_second_run_finds_everything_and_says_the_same(tiny: Document, tmp_path: Path) -> None:
    first = run_of(tiny, tmp_path / "run")
    second = run_of(tiny, tmp_path / "run")
    assert not any(reused(first).values())
    assert all(reused(second).values())
    changing = ("created", "stages", "machine", "panels")  # panels say how long a step took
    one, other = ({key: value for key, value in run.evidence.items() if key not in changing} for run in (first, second))
    assert one == other


def test_changed_settings_reuse_what_they_do_not_concern(tiny: Document, tmp_path: Path) -> None:
    run_of(tiny, tmp_path / "run")
    tiny["student"]["training"]["epochs"] = 5
    assert {name for name, found in reused(run_of(tiny, tmp_path / "run")).items() if found} == {
        "teacher/0",
        "targets",
    }
    tiny["objective"]["soft"]["temperature"] = 3.0
    found = reused(run_of(tiny, tmp_path / "run"))
    assert found["teacher/0"] and found["targets"] and found["baseline/0"] and not found["student/0"]
    tiny["teacher"]["members"] = 2
    found = reused(run_of(tiny, tmp_path / "run"))
    assert found["teacher/0"] and found["baseline/0"]
    assert not (found["teacher/1"] or found["targets"] or found["student/0"])
    tiny["budget"]["quality_loss"] = "50%"  # only the choice
    assert all(reused(run_of(tiny, tmp_path / "run")).values())


def test_what_another_machine_measured_is_measured_again(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(tiny, tmp_path / "run")
    other = {**machine(), "cpu": "another processor"}
    monkeypatch.setattr("attar.recipes.contenders.machine", lambda: other)
    found = reused(run_of(tiny, tmp_path / "run"))
    assert [name for name, again in found.items() if not again] == ["measure"]


def test_of_two_runs_with_other_settings_all_files_are_those_of_the_last_to_finish(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first is at work, so that the recipe in the folder is the second's for a while."""
    first, second = from_document(tiny), from_document({**copy.deepcopy(tiny), "seed": 7})

    def meanwhile(*arguments: Any) -> Any:
        with opened(tmp_path / "run", second):
            return deploy_candidates(*arguments)

    monkeypatch.setattr("attar.recipes.compress.deploy_candidates", meanwhile)
    run = compress(first, tmp_path / "run")
    assert tomllib.loads((run.folder / "recipe.toml").read_text(encoding="utf-8"))["seed"] == first.seed
    assert "A run with other settings is using" in (run.folder / "log.txt").read_text(encoding="utf-8")


def test_changed_data_in_the_same_file_are_noticed(
    tiny: Document, arrays: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays())
    tiny["data"]["use"] = str(path)
    run_of(tiny, tmp_path / "run")
    changed = arrays()
    changed["x"][0, 0] += 1
    np.savez(path, **changed)
    assert not any(reused(run_of(tiny, tmp_path / "run")).values())


def test_a_killed_training_continues_to_the_weights_of_an_undisturbed_one(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny["student"]["training"]["checkpoint_seconds"] = 0.0
    undisturbed = run_of(tiny, tmp_path / "whole")
    original, calls = fitting._Run._step, iter(range(1000))

    def dies(self: Any, rows: torch.Tensor) -> None:
        # The teacher takes 4 epochs of 4 steps; this is inside of the student's second epoch.
        if next(calls) == 16 + 6:
            raise KeyboardInterrupt
        original(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "_step", dies)
        with pytest.raises(KeyboardInterrupt):
            run_of(tiny, tmp_path / "killed")
    assert list((tmp_path / "killed").glob("nodes/student/*/checkpoint.safetensors"))
    resumed = run_of(tiny, tmp_path / "killed")
    assert reused(resumed)["teacher/0"]
    assert_same_weights(weights_of(undisturbed, "student/0"), weights_of(resumed, "student/0"))


def test_a_truncated_checkpoint_is_named_and_deleting_it_goes_on(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny["teacher"]["training"]["checkpoint_seconds"] = 0.0
    original, calls = fitting._Run._step, iter(range(1000))

    def dies(self: Any, rows: torch.Tensor) -> None:
        if next(calls) == 5:
            raise KeyboardInterrupt
        original(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "_step", dies)
        with pytest.raises(KeyboardInterrupt):
            run_of(tiny, tmp_path / "run")
    (checkpoint,) = (tmp_path / "run").rglob("checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(CorruptFile, match=r"checkpoint\.safetensors is not a whole safetensors file"):
        run_of(tiny, tmp_path / "run")
    checkpoint.unlink()
    assert run_of(tiny, tmp_path / "run").met


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


# -- teachers ----------------------------------------------------------------------------------------------------------


def test_cached_and_live_teachers_give_the_same_training(tiny: Document, tmp_path: Path) -> None:
    """With views that move: the store and the live teacher must see the same pixels."""
    tiny["transfer"] = {"views": {"count": 3, "noise": 0.1}}
    tiny["teacher"]["members"] = 2
    cached = run_of(tiny, tmp_path / "cached")
    tiny["transfer"]["cached"] = False
    live = run_of(tiny, tmp_path / "live")
    assert cached.evidence["targets"]["views"] == 3
    assert live.evidence["targets"] is None
    stored, asked = weights_of(cached, "student/0"), weights_of(live, "student/0")
    start = mlp(6, 3, [4]).state_dict()
    assert any(not torch.allclose(stored[name], start[name]) for name in start)
    for name, tensor in stored.items():
        # The teacher runs in batches of another size, whose float32 sums may round to the other float16.
        torch.testing.assert_close(asked[name], tensor, rtol=1e-3, atol=1e-3)


def test_views_of_the_student_change_its_training(tiny: Document, tmp_path: Path) -> None:
    plain = run_of(tiny, tmp_path / "plain")
    tiny["transfer"] = {"views": {"count": 2, "noise": 0.3}}
    moved = run_of(tiny, tmp_path / "moved")
    one, other = weights_of(plain, "student/0"), weights_of(moved, "student/0")
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def teacher(tmp_path: Path) -> nn.Module:
    torch.manual_seed(3)
    network = mlp(6, 3, [24]).eval()
    save_weights(network, tmp_path / "teacher.safetensors")
    return network


def test_a_teacher_may_come_as_weights(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    tiny["teacher"]["weights"] = [str(tmp_path / "teacher.safetensors")]
    run = run_of(tiny, tmp_path / "run")
    assert "teacher/0" not in reused(run)  # nothing to train
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    assert dataset.test.labels is not None
    with torch.no_grad():
        said = teacher(dataset.test.floats())
    expected = float((said.argmax(1) == dataset.test.labels).float().mean())
    assert model_named(run, "teacher torch")["quality"]["accuracy"] == pytest.approx(expected)
    stored = Targets.open(next(run.folder.glob("nodes/targets-*")) / "store")
    with torch.no_grad():
        logits = teacher(dataset.train.floats())
    centered = logits - logits.mean(1, keepdim=True)
    torch.testing.assert_close(stored(None, torch.arange(len(stored)), 0), centered, rtol=2e-3, atol=2e-3)


def test_other_weights_in_the_same_file_are_noticed(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    tiny["teacher"]["weights"] = [str(tmp_path / "teacher.safetensors")]
    run_of(tiny, tmp_path / "run")
    save_weights(mlp(6, 3, [24]), tmp_path / "teacher.safetensors")
    found = reused(run_of(tiny, tmp_path / "run"))
    assert not found["targets"] and not found["student/0"] and found["baseline/0"]


def test_other_arguments_beside_the_same_weights_are_noticed(tiny: Document, tmp_path: Path) -> None:
    torch.manual_seed(3)
    save_weights(convnet(3, [4, 4, 4]), tmp_path / "teacher.safetensors")
    random = np.random.default_rng(3)
    images, labels = random.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "images.npz", x=images, y=labels)
    tiny["data"]["use"] = str(tmp_path / "images.npz")
    tiny["student"]["network"]["arguments"] = {"inputs": 64, "classes": 3, "hidden": [4]}
    answers = []
    for strides in ([1, 2, 1], [1, 1, 2]):  # the weights have the same shapes whatever these are
        tiny["teacher"] = {
            "network": {
                "use": "attar.network.architectures:convnet",
                "arguments": {"classes": 3, "widths": [4, 4, 4], "strides": strides},
            },
            "weights": [str(tmp_path / "teacher.safetensors")],
        }
        targets = label(from_document(tiny), tmp_path / "run")
        answers.append(targets(None, torch.arange(len(targets)), 0))
    assert not answers[0].equal(answers[1])


def test_members_that_are_averaged_in_another_way_are_another_file(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"] |= {"members": 2}
    tiny["artifacts"]["runtimes"] = ["onnxruntime"]
    for mean in ("probabilities", "geometric"):
        tiny["teacher"]["mean"] = mean
        run = run_of(tiny, tmp_path / "run")
    assert len(list((run.folder / "nodes" / "artifacts").glob("teacher-onnxruntime-*"))) == 2


def test_statistics_of_the_teacher_and_of_the_student(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    """The weights are of the network behind the statistics; raw inputs go into the artifact."""
    mean, std = [0.5, 0.0, 0.1, 0.2, 0.3, 0.4], [2.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    tiny["teacher"] |= {"weights": [str(tmp_path / "teacher.safetensors")]}
    for section in ("teacher", "student"):
        tiny[section]["network"] |= {"mean": mean, "std": std}
    tiny["baseline"] = False
    run = run_of(tiny, tmp_path / "run")
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    rows = dataset.test.floats()
    with torch.no_grad():
        said = teacher((rows - torch.tensor(mean)) / torch.tensor(std))
    assert dataset.test.labels is not None
    expected = float((said.argmax(1) == dataset.test.labels).float().mean())
    assert model_named(run, "teacher torch")["quality"]["accuracy"] == pytest.approx(expected)
    trained = mlp(6, 3, [4])
    trained.load_state_dict(
        {k.removeprefix("network."): v for k, v in weights_of(run, "student/0").items() if k.startswith("network.")}
    )
    with torch.no_grad():
        by_hand = trained.eval()((rows - torch.tensor(mean)) / torch.tensor(std))
    np.testing.assert_allclose(run.artifact(rows), by_hand.numpy(), rtol=1e-4, atol=1e-5)


def test_an_onnx_teacher_may_have_any_names_end_in_a_softmax_and_have_its_weights_beside_it(
    tiny: Document, teacher: nn.Module, tmp_path: Path
) -> None:
    to_onnx(nn.Sequential(teacher, nn.Softmax(1)), torch.zeros(1, 6), tmp_path / "plain.onnx")
    model = onnx.load(tmp_path / "plain.onnx")
    names = {"input": "x.1", "logits": "softmax_7"}
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    path = tmp_path / "named.onnx"
    onnx.save(model, path, save_as_external_data=True, location="named.onnx.data", size_threshold=0)
    tiny["teacher"] = {"onnx": [str(path)]}
    run = run_of(tiny, tmp_path / "run")
    measured = model_named(run, "teacher onnxruntime")
    assert measured["size_bytes"] == path.stat().st_size + path.with_name("named.onnx.data").stat().st_size
    assert any("gives probabilities, and not logits" in text for text in run.evidence["warnings"])
    blobs = load_npz(tiny["data"]["use"], validation=0.25).train
    with torch.no_grad():
        right = teacher.eval()(blobs.floats()).softmax(1)
    store = next((tmp_path / "run").glob("**/store"))
    said = Targets.open(store)
    torch.testing.assert_close(said(None, torch.arange(len(said)), 0).softmax(1), right, rtol=0, atol=2e-3)


def test_a_teacher_may_come_as_an_onnx_file(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    to_onnx(teacher, torch.zeros(1, 6), tmp_path / "teacher.onnx")
    tiny["teacher"] = {"onnx": [str(tmp_path / "teacher.onnx")]}
    run = run_of(tiny, tmp_path / "run")
    measured = model_named(run, "teacher onnxruntime")
    assert measured["size_bytes"] == (tmp_path / "teacher.onnx").stat().st_size
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    assert dataset.test.labels is not None
    with torch.no_grad():
        expected = float((teacher(dataset.test.floats()).argmax(1) == dataset.test.labels).float().mean())
    assert measured["quality"]["accuracy"] == pytest.approx(expected)
    # The student runs in torch, its teacher does not: no ratio between two runtimes is made up.
    assert run.evidence["ratios"]["smaller"] is None
    assert run.evidence["ratios"]["faster_batch1"] is None


@pytest.mark.parametrize("detach", [True, False])
def test_a_teacher_may_learn_beside_the_student(tiny: Document, tmp_path: Path, detach: bool) -> None:
    tiny["teacher"] |= {"learns": True, "detach": detach}
    tiny["objective"]["its"] = {"use": "hard_labels", "of": "teacher"}
    run = run_of(tiny, tmp_path / "run")
    (file,) = run.folder.glob("nodes/student/0-*/teacher.safetensors")
    learned = load_weights(mlp(6, 3, [24]), file).eval()
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    assert dataset.test.labels is not None
    with torch.no_grad():
        accuracy = float((learned(dataset.test.floats()).argmax(1) == dataset.test.labels).float().mean())
    assert model_named(run, "teacher torch")["quality"]["accuracy"] == pytest.approx(accuracy)
    assert accuracy > 0.5  # it did learn: chance is a third
    assert run.evidence["targets"] is None
    assert set(run.evidence["curves"]["student/0"][0]["terms"]) == {"soft", "hard", "its"}
    assert all(reused(run_of(tiny, tmp_path / "run")).values())


def test_a_learning_teacher_begins_at_its_weights_and_other_weights_are_noticed(
    tiny: Document, teacher: nn.Module, tmp_path: Path
) -> None:
    weights = tmp_path / "teacher.safetensors"
    tiny["teacher"] |= {"learns": True, "weights": [str(weights)]}
    tiny["objective"]["its"] = {"use": "hard_labels", "of": "teacher"}
    tiny["student"]["training"] |= {"epochs": 1, "learning_rate": 1e-9}
    run = run_of(tiny, tmp_path / "run")
    (file,) = run.folder.glob("nodes/student/0-*/teacher.safetensors")
    for name, tensor in read_tensors(file)[0].items():
        torch.testing.assert_close(tensor, teacher.state_dict()[name], rtol=0, atol=1e-6)
    save_weights(mlp(6, 3, [24]), weights)
    assert not reused(run_of(tiny, tmp_path / "run"))["student/0"]


# -- choices -----------------------------------------------------------------------------------------------------------


def test_without_a_baseline_the_evidence_says_that_nothing_is_known(tiny: Document, tmp_path: Path) -> None:
    tiny["baseline"] = False
    run = run_of(tiny, tmp_path / "run")
    assert (run.evidence["baseline"], run.evidence["verdict"], run.evidence["seeds"]) == (False, None, None)
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


# -- who ships --------------------------------------------------------------------------------------------------------


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
    assert student["refused"] == ("baseline torch fp32, trained without the teacher, is at least as good on validation")
    assert baseline["refused"] is None and baseline["quality"]["accuracy"] > student["quality"]["accuracy"]
    assert accuracy_on(run, load_npz(blobs, validation=0.25)) == pytest.approx(baseline["quality"]["accuracy"])
    assert_same_weights(read_tensors(run.folder / "artifact" / "student.safetensors")[0], weights_of(run, "baseline/0"))
    assert run.met, "the baseline keeps the accuracy"
    first, second = evidence["alerts"]
    assert first.startswith("The teacher gives every validation example the same prediction, 'ant'")
    assert second.startswith("The teacher did not help: baseline torch fp32, the same network trained without it, has ")
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


# -- the user's own code -----------------------------------------------------------------------------------------------

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


def test_a_damaged_artifact_of_a_stage_is_named_and_deleting_its_folder_mends_it(
    tiny: Document, tmp_path: Path
) -> None:
    run_of(tiny, tmp_path / "run")
    (folder,) = (tmp_path / "run").glob("nodes/artifacts/torch-fp32-*")
    weights = folder / "artifact" / "student.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CorruptFile, match=r"student\.safetensors is missing or not what was written"):
        run_of(tiny, tmp_path / "run")
    shutil.rmtree(folder)
    assert run_of(tiny, tmp_path / "run").met


def test_a_recipe_is_not_changed_by_its_run(tiny: Document, tmp_path: Path) -> None:
    recipe = from_document(tiny)
    before = copy.deepcopy(recipe.document())
    compress(recipe, tmp_path / "run")
    assert recipe.document() == before


def test_a_class_that_the_transfer_set_lacks_is_shifted_on_validation(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"without": ["cat"]}
    tiny["student"] |= {"seeds": 2, "steps": [{"use": "distill"}, {"use": "correct"}]}
    run = run_of(tiny, tmp_path / "run")
    found = run.evidence["bias_correction"]
    assert found["classes"] == ["cat"] and len(found["students"]) == len(found["baselines"]) == 2
    assert run.evidence["seeds"]["student"] == found["student"]["after"]
    assert run.evidence["seeds"]["baseline"] == found["baseline"]["after"]
    for one in (*found["students"], *found["baselines"]):
        assert one["validation_after"] >= one["validation_before"]
    # Baselines never heard of the class: unshifted, one that trained for long finds none of its examples.
    assert min(found["baseline"]["absent_before"]) < 0.5
    assert run.evidence["examples"] and all(one["label"] != "cat" for one in run.evidence["examples"])
    assert load(run.folder / "artifact", allow=["attar"]).classes == ("ant", "bee", "cat")


def test_a_shift_needs_a_class_that_is_absent(tiny: Document, tmp_path: Path) -> None:
    tiny["student"]["steps"] = [{"use": "distill"}, {"use": "correct"}]
    with pytest.raises(BadInput, match="correct of the recipe is for classes that the transfer set lacks"):
        run_of(tiny, tmp_path / "run")


def test_a_share_of_the_examples_is_another_transfer_set_for_student_and_baseline(
    tiny: Document, tmp_path: Path
) -> None:
    whole = run_of(tiny, tmp_path / "run")
    tiny["transfer"] = {"share": 0.5}
    half = run_of(tiny, tmp_path / "run")
    assert reused(half) | {"measure": False} == {
        "teacher/0": True, "targets": False, "student/0": False, "baseline/0": False, "measure": False,
    } | {name: False for name in reused(half) if name.startswith("artifacts/") and "teacher" not in name} | {
        name: True for name in reused(half) if name.startswith("artifacts/teacher")
    }  # fmt: skip
    assert half.evidence["targets"]["rows"] == round(whole.evidence["targets"]["rows"] / 2)


def test_few_labels_are_few_for_student_and_baseline_and_the_student_imitates_on_all(
    tiny: Document, tmp_path: Path
) -> None:
    tiny["transfer"] = {"labeled_share": 0.25}
    recipe = from_document(tiny)
    train = data_of(recipe, silent).train
    part = without_synthesis(recipe, data_of(recipe, silent))
    assert part.transfer is not None and part.labeled is not None and train.labels is not None
    assert torch.equal(part.transfer.ids, train.ids) and torch.equal(part.transfer.inputs, train.inputs)
    known = part.transfer.labels != ABSENT
    assert int(known.sum()) == len(part.labeled) == round(0.25 * len(train))
    assert set(part.transfer.ids[known].tolist()) == set(part.labeled.ids.tolist())
    assert torch.equal(part.transfer.labels[known], train.labels[known])
    whole = run_of({**tiny, "transfer": {}}, tmp_path / "run")
    few = run_of(tiny, tmp_path / "run")
    assert few.evidence["targets"]["rows"] == whole.evidence["targets"]["rows"]
    ends = [few.evidence["curves"][name][-1]["epoch"] for name in ("baseline/0", "student/0")]
    assert ends[0] >= 3 * ends[1], "as many steps for the one as for the other"


def test_inputs_without_labels_are_imitated_too(tiny: Document, blobs: Path, tmp_path: Path) -> None:
    with np.load(blobs) as arrays:
        np.savez(tmp_path / "more.npz", x=arrays["x"][:30] + 1)
    tiny["transfer"] = {"unlabeled": str(tmp_path / "more.npz")}
    run = run_of(tiny, tmp_path / "run")
    plain = run.evidence["task"]["train"]
    assert run.evidence["targets"]["rows"] == plain + 30
    np.savez(tmp_path / "more.npz", x=np.zeros((3, 2), np.float32))
    with pytest.raises(BadInput, match=r"transfer\.unlabeled .*\[n, 6\] float32.*\(3, 2\) float32"):
        run_of(tiny, tmp_path / "run")
    np.savez(tmp_path / "more.npz", y=np.zeros(3))
    with pytest.raises(CorruptFile, match="array x"):
        run_of(tiny, tmp_path / "run")
    tiny["transfer"] = {"unlabeled": str(tmp_path / "none.npz")}
    with pytest.raises(BadInput, match="existing file"):
        run_of(tiny, tmp_path / "run")


def test_labels_of_the_unchanged_examples_are_warned_of(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"views": {"count": 3, "noise": 3.0}, "label_views": False}
    run = run_of(tiny, tmp_path / "stored")
    assert run.evidence["targets"]["views"] == 1
    assert any("see different views" in text and " nats" in text for text in run.evidence["warnings"])
    tiny["transfer"]["cached"] = False
    live = run_of(tiny, tmp_path / "live")
    assert_same_weights(weights_of(run, "student/0"), weights_of(live, "student/0"))
    tiny["transfer"] = {"views": {"count": 3, "noise": 3.0}}
    same = run_of(tiny, tmp_path / "same")
    assert not any("see different views" in text for text in same.evidence["warnings"])


def test_a_teacher_that_is_worse_than_the_baseline_is_warned_of(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"]["training"] |= {"epochs": 1, "learning_rate": 1e-6}
    run = run_of(tiny, tmp_path / "run")
    assert any("not better than the baseline on validation" in text for text in run.evidence["warnings"])


def test_members_may_have_more_or_fewer_votes(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"] |= {"members": 2, "votes": [1, 0.001]}
    run = run_of(tiny, tmp_path / "run")
    tiny["teacher"] |= {"members": 1}
    del tiny["teacher"]["votes"]
    alone = run_of(tiny, tmp_path / "alone")
    both, one = run.evidence["seeds"]["teacher"], alone.evidence["seeds"]["teacher"]
    assert both == pytest.approx(one, abs=0.03)
    tiny["teacher"] |= {"members": 2, "votes": [1]}
    with pytest.raises(BadInput, match="votes must be one for each of the 2 members"):
        run_of(tiny, tmp_path / "run")


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


def test_members_are_labelled_apart_and_merged_and_a_new_one_is_asked_alone(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"]["members"] = 2
    whole = run_of(tiny, tmp_path / "whole")
    tiny["transfer"] = {"per_teacher": True}
    apart = run_of(tiny, tmp_path / "apart")
    stores = [Targets.open(next(run.folder.glob("nodes/targets-*/store"))) for run in (whole, apart)]
    rows = torch.arange(len(stores[0]))
    assert stores[0].fingerprints == stores[1].fingerprints
    torch.testing.assert_close(stores[0](None, rows, 0), stores[1](None, rows, 0), rtol=0, atol=5e-3)
    tiny["teacher"]["members"] = 3
    more = reused(run_of(tiny, tmp_path / "apart"))
    of = {name: found for name, found in more.items() if name.startswith("targets")}
    assert of == {"targets-of/0": True, "targets-of/1": True, "targets-of/2": False, "targets": False}


def test_six_members_labelled_apart_are_the_teacher_that_was_asked_for(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"] |= {"members": 6}
    tiny["transfer"] = {"per_teacher": True}
    run_of(tiny, tmp_path / "run")


def test_models_that_differ_in_size_and_classes_are_one_teacher(tiny: Document, tmp_path: Path) -> None:
    """One model knows all classes and looks at a quarter of the pixels, another tells two classes apart."""
    draws = np.random.default_rng(3)
    y = np.arange(240) % 3
    x = np.zeros((240, 1, 8, 8), np.float32)
    for number, (row, column) in enumerate([(0, 0), (0, 4), (4, 0)]):
        x[y == number, 0, row : row + 4, column : column + 4] = 1.0
    x += draws.normal(scale=1.0, size=x.shape).astype("float32")
    np.savez(tmp_path / "squares.npz", x=x, y=y, classes=np.array(["ant", "bee", "cat"]))
    whole, pair = mlp(16, 3, hidden=()), mlp(64, 2, hidden=())
    with torch.no_grad():  # each looks at the square of its class
        for layer, side, classes in ((whole[-1], 4, (0, 1, 2)), (pair[-1], 8, (2, 1))):
            weight = torch.zeros(len(classes), side, side)
            for place, number in enumerate(classes):
                half = side // 2
                row, column = half * (number == 2), half * (number == 1)
                weight[place, row : row + half, column : column + half] = 8 / half**2
            layer.weight.copy_(weight.flatten(1))
            layer.bias.zero_()
    for name, network in (("whole", whole), ("pair", pair)):
        save_weights(network, tmp_path / f"{name}.safetensors")

    def network(inputs: int, classes: int) -> Document:
        arguments = {"inputs": inputs, "classes": classes, "hidden": []}
        return {"use": "attar.network.architectures:mlp", "arguments": arguments}

    tiny["data"]["use"] = str(tmp_path / "squares.npz")
    tiny["student"]["network"]["arguments"]["inputs"] = 64
    first = {"network": network(16, 3), "weights": str(tmp_path / "whole.safetensors"), "size": [4, 4]}
    second = {
        "network": network(64, 2),
        "weights": str(tmp_path / "pair.safetensors"),
        "classes": ["cat", "bee"],
        "vote": 2.0,
    }
    tiny["teacher"] = {"each": [first, second]}
    both = run_of(tiny, tmp_path / "both")
    tiny["teacher"] = {"each": [first]}
    alone = run_of(tiny, tmp_path / "alone")
    assert both.evidence["seeds"]["teacher"] > 0.85 and alone.evidence["seeds"]["teacher"] > 0.85
    stores = [Targets.open(next(run.folder.glob("nodes/targets-*/store"))) for run in (both, alone)]
    one, other = (store(None, torch.arange(len(store)), 0) for store in stores)
    assert isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
    assert not torch.allclose(one.softmax(1)[:, 1:], other.softmax(1)[:, 1:], atol=0.05)
    # The second says nothing of ants against the rest.
    torch.testing.assert_close(one.softmax(1)[:, 0], other.softmax(1)[:, 0], atol=2e-3, rtol=0)
    tiny["teacher"] = {"each": [second]}
    with pytest.raises(BadInput, match="ant"):
        run_of(tiny, tmp_path / "pair")
    del first["size"]
    tiny["teacher"] = {"each": [first]}
    with pytest.raises(BadInput, match=r"teacher\.each\.0 .*Set size"):
        run_of(tiny, tmp_path / "size")
    tiny["teacher"] = {"each": [{"network": network(64, 3)}]}
    with pytest.raises(BadInput, match="give network with weights, or onnx"):
        run_of(tiny, tmp_path / "none")


def test_label_gives_the_targets_of_the_unchanged_examples(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"views": {"count": 3, "noise": 0.1}, "label_views": False}
    assert label(from_document(tiny), tmp_path / "run").views == 1


def test_members_in_another_order_are_another_guide(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"]["members"] = 2
    run_of(tiny, tmp_path / "trained")
    files = [next((tmp_path / "trained").glob(f"nodes/teacher/{index}-*/model.safetensors")) for index in (0, 1)]
    tiny["objective"]["hint"] = {"use": "hidden_match", "student_layer": "2", "teacher_layer": "networks.0.2"}
    tiny["teacher"] = {"network": tiny["teacher"]["network"], "weights": [str(file) for file in files]}
    run_of(tiny, tmp_path / "run")
    tiny["teacher"]["weights"].reverse()
    again = reused(run_of(tiny, tmp_path / "run"))
    assert not again["student/0"] and again["baseline/0"]


def test_a_shift_is_judged_as_the_recipe_chooses(tiny: Document, tmp_path: Path) -> None:
    tiny["transfer"] = {"without": ["cat"]}
    tiny["student"] |= {"seeds": 2, "choose_by": "log_loss", "steps": [{"use": "distill"}, {"use": "correct"}]}
    found = run_of(tiny, tmp_path / "run").evidence["bias_correction"]["students"]
    assert all(0 <= one["validation_before"] <= one["validation_after"] <= 1 for one in found)


@pytest.mark.parametrize("how", ["words", "npy", "empty", "truncated"])
def test_files_of_inputs_that_are_none_are_said(how: str, tiny: Document, blobs: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.npz"
    if how == "words":
        np.savez(path, x=np.array(["a", "b"]))
    elif how == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros((3, 6), np.float32))
    else:
        path.write_bytes(b"" if how == "empty" else blobs.read_bytes()[:200])
    tiny["transfer"] = {"unlabeled": str(path)}
    with pytest.raises(BadInput, match=r"more\.npz|transfer\.unlabeled"):
        run_of(tiny, tmp_path / "run")
    assert not list((tmp_path / "run").glob("nodes/*"))


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
