"""Specs that come with files: what they may name, and that a hostile one costs a sentence and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from attar.errors import AttarError, BadInput
from attar.models.rebuild import EDITS, MOST_EDITS, edits_from_json, rebuild, spec_from_json
from attar.named_inputs import NamedInput, NamedInputs
from attar.network.scaled_outputs import ScaleOutputs
from attar.network.shift_bias import ShiftBias
from attar.network.spec import Edit, Spec
from attar.network.unpacked import UnpackInputs
from attar.network.weights import save_weights
from attar.ops.granularity import PerGroup, PerTensor
from attar.pruning.edit import Prune
from attar.pruning.resize import Resize
from attar.quantization.edit import Quantize
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform

MLP = Spec("attar.network.architectures:mlp", {"inputs": 4, "classes": 3, "hidden": [5]})
QUANTIZE = Quantize(
    {"1.weight": Codebook(bits=2, granularity=PerTensor()), "3.weight": Codebook(bits=2, granularity=PerTensor())},
    {"3": Affine(8)},
    (("1.weight", "3.weight"),),
)
EDITED = MLP.with_edit(QUANTIZE).with_edit(ShiftBias("3"))


# -- documents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", [MLP, Spec(MLP.reference, MLP.arguments, [0.5], [0.25]), Spec("attar.network.architectures:resnet"), EDITED]
)
def test_a_spec_survives_json(spec):
    assert spec_from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize("statistics", [{"mean": [0.5]}, {"std": [0.5]}])
def test_half_of_the_statistics_is_refused(statistics):
    with pytest.raises(BadInput, match="mean and std of the spec must be given together"):
        spec_from_json(MLP.to_json() | statistics)


@pytest.mark.parametrize(
    "reference", ["evil:run", "os:system", "attar_evil:run", "builtins:eval", ".attar:x", ":attar"]
)
def test_a_file_cannot_choose_what_runs(reference, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemError('this was run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match=r"network of the file must be a function of attar; got '.*'\. If you trust it"):
        spec_from_json({"reference": reference, "arguments": {}})
    assert "evil" not in sys.modules


def test_what_is_allowed_is_said_in_full():
    document = {"reference": "mine.nets:small", "arguments": {}}
    assert spec_from_json(document, allow=["attar", "mine"]).reference == "mine.nets:small"
    with pytest.raises(BadInput, match="must be a function of no package"):
        spec_from_json(document, allow=())


@pytest.mark.parametrize("document", [{}, {"reference": 3}, {"reference": "attar.a:b", "arguments": [1]}])
def test_what_is_no_spec_is_refused(document):
    with pytest.raises(BadInput, match="spec of the file must be a reference and its arguments; got"):
        spec_from_json(document)


@pytest.mark.parametrize("reference", ["attar.network.references:resolve", "attar.cli:main", "attarx.network:make"])
def test_a_file_may_name_the_architectures_of_attar_and_nothing_else_of_it(reference: str) -> None:
    with pytest.raises(BadInput, match="must be a function of attar"):
        spec_from_json({"reference": reference, "arguments": {}})
    assert spec_from_json({"reference": "attar.network.architectures:mlp", "arguments": {}}).arguments == {}


def test_the_names_of_edits_are_those_that_they_write() -> None:
    unpack = UnpackInputs(NamedInputs((NamedInput("x", (2,), "float32"),)))
    examples: list[Any] = [Prune(), Quantize(), Resize(), ShiftBias(""), ScaleOutputs(1), unpack]
    assert {example.to_json()["use"]: type(example) for example in examples} == dict(EDITS)
    assert all(isinstance(example, Edit) for example in examples)


def edited(change: Any) -> Any:
    """The document of `EDITED`, changed."""
    document = json.loads(json.dumps(EDITED.to_json()))
    change(document["edits"])
    return document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[0].update(use="prone"), r"must be a known kind of edit; got 'prone'\. Did you mean 'prune'"),
        (lambda e: e[1].pop("use"), "must be a known kind of edit; got"),
        (lambda e: e.append(3), "must be a known kind of edit; got 3"),
        (lambda e: e[0].pop("inputs"), "edit 'quantize' of the spec: quantize of the spec must be formats of weights"),
        (lambda e: e[0].update(more=1), "must be formats of weights and inputs by name"),
        (lambda e: e[0].update(weights=[]), "must be formats of weights and inputs by name"),
        (lambda e: e[0].update(shared=3), "must be formats of weights and inputs by name"),
        (lambda e: e[0].update(shared=[["1.weight"]]), "must be formats of weights and inputs by name"),
        (lambda e: e[0].update(shared=[["1.weight", {}]]), "must be formats of weights and inputs by name"),
        (lambda e: e[0].update(shared=[["1.weight", "5.weight"]]), "lists of different tensors with the same codebook"),
        (lambda e: e[0].update(shared=[["1.weight", "1.weight"]]), "lists of different tensors with the same codebook"),
        (lambda e: e[0]["weights"]["1.weight"].update(bits=3), "lists of different tensors with the same codebook"),
        (lambda e: e[0]["weights"]["1.weight"].update(bits=10**9), "bits of Codebook must be"),
        (lambda e: e[0]["weights"]["1.weight"].update(use="clipped"), "must be known"),
        (lambda e: e[0]["weights"].update({"1.weight": {"use": "clipped"}}), "one that is made for weights; got"),
        (lambda e: e[0]["weights"].update({"1.weight": 4}), "a format of quantize must be a table; got 4"),
        (lambda e: e[0]["inputs"].update({"3": {"use": "ternary"}}), "one that is made for activations; got"),
        (lambda e: e[1].update(layer=3), "shift_bias of the spec must be the name of a layer and nothing else"),
        (lambda e: e[1].update(values=[1.0]), "shift_bias of the spec must be the name of a layer and nothing else"),
    ],
)  # fmt: skip
def test_edits_of_another_form_are_told_in_a_sentence(change: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        spec_from_json(edited(change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("edits", [3, None, {"use": "quantize"}, [QUANTIZE.to_json()] * (MOST_EDITS + 1)])
def test_edits_are_a_list_of_so_many(edits: Any) -> None:
    with pytest.raises(BadInput, match=f"edits of the spec must be a list of at most {MOST_EDITS}; got"):
        edits_from_json(edits)


# -- networks ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_weights(EDITED.build(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([Quantize({"7.weight": Uniform()})], "weights of Quantize must be names of the network's parameters; got"),
        ([Quantize({"1": Uniform()})], "weights of Quantize must be names of the network's parameters; got '1'"),
        ([Quantize(inputs={"7": Affine()})], "inputs of Quantize must be names of the network's layers; got '7'"),
        ([ShiftBias("7")], "layer of ShiftBias must be the name of a layer that can have biases; got '7'"),
        ([ShiftBias("")], "layer of ShiftBias must be the name of a layer that can have biases; got ''"),
        ([QUANTIZE, QUANTIZE], "network of Quantize must be one without formats; got one that has some"),
        ([], r"weights of .* must have the network's tensor names; missing"),
        ([Quantize({"1.weight": Codebook(bits=16), "3.weight": Codebook(bits=2)}, {"3": Affine()})], "shape"),
        ([Quantize({"1.weight": Ternary(granularity=PerGroup(1), scale="learned")})], "tensor names"),
    ],
)
def test_edits_that_the_network_or_the_weights_do_not_fit_are_told(edits: Any, message: str, path: Path) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        rebuild(Spec(MLP.reference, MLP.arguments, edits=tuple(edits)), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"inputs": 10**9, "classes": 10**9},
        {"inputs": 4, "classes": 3, "hidden": [5] * 10**5},
        {"inputs": "four", "classes": 3},
        {"inputs": -4, "classes": 3},
    ],
)
def test_nothing_is_allocated_for_a_network_of_another_size(
    arguments: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spec, "build", lambda _: pytest.fail("it was built with memory"))
    with pytest.raises(AttarError) as caught:
        rebuild(Spec(MLP.reference, arguments, edits=EDITED.edits), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("reference", "arguments"), [("allowed_networks:small", {}), (MLP.reference, MLP.arguments)])
def test_what_edits_of_a_file_ask_for_is_compared_before_it_gets_memory(
    reference: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def small():\n    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))\n"
    (tmp_path / "allowed_networks.py").write_text(f"from torch import nn\n\n\n{code}")
    monkeypatch.syspath_prepend(tmp_path)
    spec = Spec(reference, arguments)
    smaller = spec.with_edit(Resize(removed=("1",), numbers={"3.in_features": 4}, shapes={"3.weight": (3, 4)}))
    save_weights(smaller.build(), tmp_path / "weights.safetensors")
    assert len(rebuild(smaller, tmp_path / "weights.safetensors").state_dict()) == 2
    huge = spec.with_edit(Resize(removed=("1",), shapes={"3.weight": (2**24, 2**24)}))
    with pytest.raises(BadInput, match=r"must be of shape \(16777216, 16777216\); got \(3, 4\)"):
        rebuild(huge, tmp_path / "weights.safetensors")


def test_tied_weights_get_no_format(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    with pytest.raises(BadInput, match=r"names of parameters that one layer has alone; got '1\.weight'"):
        Quantize({"1.weight": Uniform()}).apply(tied)


def test_what_building_draws_is_drawn_from_the_seed_and_not_from_the_callers(path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    rebuild(EDITED, path)
    assert torch.equal(torch.rand(1), expected)
