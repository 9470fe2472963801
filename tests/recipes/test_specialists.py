"""A recipe whose teacher is a generalist with specialists."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attar.data.datasets import load_npz
from attar.errors import BadInput
from attar.network.architectures import mlp
from attar.network.weights import save_weights
from attar.recipes.compress import compress, label
from attar.recipes.networks import network_of
from attar.recipes.plan import plan
from attar.recipes.read import from_document

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried")

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")


@pytest.fixture
def document(tiny: Document, arrays: Callable[..., dict[str, Any]], tmp_path: Path) -> Document:
    made = arrays(360, NAMES)
    np.savez(tmp_path / "six.npz", **made)
    for role in ("teacher", "student"):
        tiny[role]["network"]["arguments"]["classes"] = len(NAMES)
    tiny["data"]["use"] = str(tmp_path / "six.npz")
    tiny["teacher"]["specialists"] = {"clusters": 2, "training": {"epochs": 2, "batch_size": 32}}
    tiny["baseline"] = False
    return tiny


def test_a_run_with_specialists_labels_with_all_of_them_and_tells_of_them(document: Document, tmp_path: Path) -> None:
    run = compress(from_document(document), tmp_path / "run")
    said = run.evidence["specialists"]
    data = load_npz(Path(document["data"]["use"]), validation=0.25)
    assert said["specialists"] == 2 and said["classes_covered"] == len(NAMES)
    assert sorted(name for one in said["each"] for name in one["classes"]) == sorted(NAMES)
    teacher = next(model for model in run.evidence["models"] if model["kind"] == "teacher")
    assert (teacher["runtime"], teacher["precision"]) == ("python", "as it is")
    assert said["overall"]["with_specialists"] == pytest.approx(teacher["quality"]["accuracy"])
    assert said["overall"]["examples"] == len(data.test)
    assert [one["specialists"] for one in said["by_coverage"]] == [1]
    assert said["conditional"] == said["overall"]  # the sets divide all classes
    assert len(said["validation"]) == 1 + 3 * 4
    chosen = said["inference"]
    best = max(one["accuracy"] for one in said["validation"][1:])
    (entry,) = [
        one for one in said["validation"] if (one["correction"], one["top"]) == (chosen["correction"], chosen["top"])
    ]
    assert entry["accuracy"] == best
    assert teacher["validation"]["accuracy"] == pytest.approx(best)
    assert set(said["seconds_per_1000"]) == {"inference", "generalist", "predict", "threads"}
    json.dumps(said)

    again = compress(from_document(document), tmp_path / "run")
    reused = {stage["name"]: stage["reused"] for stage in again.evidence["stages"] if stage["name"] != "data"}
    assert reused.keys() >= {"specialists", "inference", "targets", "teacher/0"} and all(reused.values())
    for key in ("overall", "by_coverage", "each", "inference"):
        assert again.evidence["specialists"][key] == said[key]


def test_sets_may_overlap_and_leave_classes_out_and_settings_need_not_be_chosen(
    document: Document, tmp_path: Path
) -> None:
    document["teacher"]["specialists"] |= {"correction": "exact", "top": 2, "sets": [["ant", "cat"], ["cat", "fox"]]}
    del document["teacher"]["specialists"]["clusters"]
    said = compress(from_document(document), tmp_path / "run").evidence["specialists"]
    assert len(said["validation"]) == 2
    counts = {one["specialists"]: one for one in said["by_coverage"]}
    assert {number: one["classes"] for number, one in counts.items()} == {0: 3, 1: 2, 2: 1}
    assert sum(one["examples"] for one in counts.values()) == said["overall"]["examples"]
    assert said["conditional"]["examples"] == counts[1]["examples"] + counts[2]["examples"]


def test_another_top_finds_the_trained_specialists_and_labels_anew(document: Document, tmp_path: Path) -> None:
    document["teacher"]["specialists"] |= {"correction": "none", "top": 1}
    one = label(from_document(document), tmp_path / "run")
    document["teacher"]["specialists"]["top"] = 3
    other = label(from_document(document), tmp_path / "run")
    assert len(list((tmp_path / "run" / "nodes").glob("specialists-*"))) == 1
    assert len(list((tmp_path / "run" / "nodes").glob("targets-*"))) == 2
    rows = torch.arange(len(one))
    assert not torch.equal(one(torch.empty(0), rows, 0), other(torch.empty(0), rows, 0))


def test_a_generalist_with_given_weights(document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = from_document(document)
    assert recipe.teacher.network is not None
    save_weights(network_of(recipe.teacher.network, 3), tmp_path / "weights.safetensors")
    document["teacher"]["weights"] = [str(tmp_path / "weights.safetensors")]
    label(from_document(document), tmp_path / "run")
    names = {folder.name.rpartition("-")[0] for folder in (tmp_path / "run" / "nodes").iterdir()}
    assert "specialists" in names and "teacher" not in names

    @functools.wraps(mlp)  # by which it counts as the module's own
    def other(**arguments: Any) -> nn.Module:
        network = mlp(**arguments)
        for name, layer in list(network.named_modules()):
            if isinstance(layer, nn.ReLU):
                network.set_submodule(name, nn.Tanh())
        return network

    monkeypatch.setattr("attar.network.architectures.mlp", other)
    label(from_document(document), tmp_path / "run")
    assert len(list((tmp_path / "run" / "nodes").glob("specialists-*"))) == 2, "another network with these weights"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clusters": None}, "clusters, or the sets"),
        ({"sets": [["ant"]]}, "not both"),
        ({"clusters": None, "sets": [["ant"]], "set_size": 2}, "set_size"),
        ({"correction": "exakt"}, "exact"),
        ({"special_fraction": 1.0}, "less than 1"),
        ({"training": {"seed": 3}}, "seed"),
    ],
)
def test_what_a_recipe_may_not_say(document: Document, change: Document, said: str) -> None:
    section = document["teacher"]["specialists"] | change
    document["teacher"]["specialists"] = {key: value for key, value in section.items() if value is not None}
    with pytest.raises(BadInput, match=said):
        from_document(document)


def test_only_one_network_has_specialists(document: Document) -> None:
    document["teacher"]["members"] = 2
    with pytest.raises(BadInput, match="specialists need one network"):
        from_document(document)


def test_an_unknown_class_is_named(document: Document, tmp_path: Path) -> None:
    document["teacher"]["specialists"] = {"sets": [["ant", "foks"]]}
    with pytest.raises(BadInput, match=r"teacher\.specialists\.sets.*foks.*fox"):
        label(from_document(document), tmp_path / "run")


@pytest.mark.parametrize("change", [{"clusters": 7}, {"set_size": 6}, {"top": 7}])
def test_sets_that_cannot_be_are_refused_by_the_plan(document: Document, change: Document) -> None:
    assert plan(from_document(document)).specialist_steps > 0
    document["teacher"]["specialists"] |= change
    with pytest.raises(BadInput, match=rf"teacher\.specialists\.{next(iter(change))} .*6 classes"):
        plan(from_document(document))
