"""Models come back from their files: the same outputs, the same state, the same spec, whatever was done to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from attar.errors import BadInput, CorruptFile
from attar.models.model import MODEL, Model, load_model, save_model
from attar.network.shift_bias import shift_bias
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.ops.granularity import PerAxis, PerGroup, PerTensor
from attar.quantization.attach import dequantize
from attar.quantization.edit import Quantize
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.named import FORMATS
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn
from attar.quantization.quantize import quantize
from attar.quantization.sharing import share_codebook_

ROWS = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))

NETWORKS = {
    "mlp": Spec("attar.network.architectures:mlp", {"inputs": 16, "classes": 3, "hidden": [5]}),
    "standardized": Spec("attar.network.architectures:mlp", {"inputs": 16, "classes": 3, "hidden": [3]}, [0.5], [0.3]),
    "convnet": Spec("attar.network.architectures:convnet", {"classes": 3, "widths": [4]}),
    "without a last bias": Spec("tests_own_networks:biasless"),
}


@pytest.fixture(autouse=True)
def own_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
from torch import nn

def biasless():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))
"""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tests_own_networks.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "code")


Change = Callable[[Model], Model]


def quantized(shared: bool = False, **given: Any) -> Change:
    """What a step that quantizes does: formats instead of those that there are."""

    def change(model: Model) -> Model:
        network = model.module
        if any(isinstance(edit, Quantize) for edit in model.spec.edits):
            network = dequantize(network, leave="float")
        network = quantize(network, calibration=ROWS, **given)
        network = share_codebook_(network) if shared else network
        return Model(network, model.spec.with_edit(Quantize.of(network)))

    return change


def shifted(model: Model) -> Model:
    network, edit = shift_bias(model.module.eval(), torch.tensor([0.0, 1.5, -0.5]), ROWS[:1])
    return Model(network, model.spec.with_edit(edit))


def trained(model: Model) -> Model:
    """Every parameter and every buffer is moved, as training would."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter += 0.01 * torch.randn(parameter.shape)
    model.module.train()(ROWS)
    return model


WEIGHTS: dict[str, Any] = {
    "uniform": Uniform(3),
    "uniform by chance": Uniform(3, PerGroup(7), rounding="stochastic"),
    "codebook": Codebook(2),
    "codebook of weights": Codebook(levels=5, init="kmeans", trains="both"),
    "codebook that stays": Codebook(2, trains="weights"),
    "ternary": Ternary(),
    "ternary, learned": Ternary(scale="learned", granularity=PerAxis(0)),
    "power_of_two": PowerOfTwo(),
    "fixed_point": DynamicFixedPoint(6),
    "affine": Affine(4, PerAxis(0)),
    "wrpn": Wrpn(4),
    "dorefa": DoReFa(3),
}
INPUTS: dict[str, Any] = {
    "affine": Affine(8),
    "percentile": Affine(8, range="percentile", percentile=99.0),
    "clipped": Clipped(4),
    "clipped, measured": Clipped(4, range="max"),
    "fixed_point": DynamicFixedPoint(8),
    "fixed_point, fixed": DynamicFixedPoint(8, fraction=4),
}
LISTS: dict[str, list[Change]] = {
    "none": [],
    **{f"weights {name}": [quantized(weights=form)] for name, form in WEIGHTS.items()},
    **{f"inputs {name}": [quantized(weights=Ternary(), activations=form)] for name, form in INPUTS.items()},
    "inputs alone": [quantized(activations=Affine(8))],
    "everything": [quantized(weights=Codebook(2, granularity=PerTensor()), tensors="all")],
    "patterns": [quantized(weights={"*.weight": Uniform(2)}, activations=Affine(8), skip=["first"])],
    "twice": [quantized(weights=Codebook(2), activations=Affine(8)), trained, quantized(weights=Ternary())],
    "shared": [quantized(weights=Codebook(2, granularity=PerTensor()), shared=True)],
    "shared, that stay": [quantized(weights=Codebook(2, trains="weights"), shared=True)],
    "shifted": [shifted],
    "shifted, then quantized": [shifted, quantized(weights=Uniform(4), activations=Affine(8))],
    "shifted, then all quantized": [shifted, quantized(weights=Uniform(4), tensors="all")],
    "quantized, then shifted": [quantized(weights=Codebook(3), activations=Affine(8)), trained, shifted],
    "quantized, shifted, quantized": [
        quantized(weights=Codebook(3)),
        shifted,
        trained,
        quantized(weights=Ternary(scale="learned")),
    ],
}


def outputs(network: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = network.eval()(ROWS)
    return found


@pytest.mark.parametrize("changes", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_a_model_comes_back_as_it_was(spec: Spec, changes: list[Change], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Model(spec.build().train(), spec)
    for change in [trained, *changes, trained]:
        model = change(model)
    model = Model(model.module, model.spec, [{"epoch": 1, "loss": float("nan")}], "a key")
    expected = outputs(model.module)
    save_model(model, tmp_path / "model")
    torch.manual_seed(9)
    again = load_model(tmp_path / "model", allow=("attar", "tests_own_networks"))
    assert torch.equal(outputs(again.module), expected)
    assert digest(again.module) == digest(model.module)
    assert list(again.module.state_dict()) == list(model.module.state_dict())
    assert json.dumps(again.spec.to_json()) == json.dumps(model.spec.to_json())
    assert again.spec == model.spec
    assert again.key == "a key" and json.dumps(again.history) == json.dumps(model.history)
    assert not any(part.training for part in again.module.modules())
    learning = {name: parameter.requires_grad for name, parameter in model.module.named_parameters()}
    # A shared codebook is one parameter, under its first name; what learned before the edit learns after it.
    assert {name: parameter.requires_grad for name, parameter in again.module.named_parameters()} == learning


def test_every_format_of_weights_is_among_them() -> None:
    forms = {type(form) for form in (*WEIGHTS.values(), *INPUTS.values())}
    assert forms == set(FORMATS.values())


def test_the_last_quantize_counts() -> None:
    spec = NETWORKS["mlp"]
    model = quantized(weights=Ternary())(shifted(quantized(weights=Codebook(2))(Model(spec.build(), spec))))
    assert [type(edit).__name__ for edit in model.spec.edits] == ["ShiftBias", "Quantize"]
    assert {type(form) for form in model.spec.edits[1].weights.values()} == {Ternary}  # type: ignore[attr-defined]


# -- files that are not what was written -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spec = NETWORKS["mlp"]
    save_model(quantized(weights=Codebook(2))(Model(spec.build(), spec)), tmp_path)
    return tmp_path


def test_a_function_of_others_is_not_called(tmp_path: Path) -> None:
    spec = NETWORKS["without a last bias"]
    save_model(Model(spec.build(), spec), tmp_path)
    with pytest.raises(BadInput, match=r"must be a function of attar; got 'tests_own_networks:biasless'"):
        load_model(tmp_path)


@pytest.mark.parametrize("damage", ["weights", "header", "no header"])
def test_what_was_changed_is_told(folder: Path, damage: str) -> None:
    tensors = load_file(folder / MODEL)
    with safe_open(folder / MODEL, framework="pt") as file:
        header = json.loads(file.metadata()["attar"])
    if damage == "weights":
        tensors["1.bias"] = tensors["1.bias"] + 1e-6
    elif damage == "header":
        header["key"] = "another"
    metadata = None if damage == "no header" else {"attar": json.dumps(header)}
    save_file(tensors, folder / MODEL, metadata=metadata)
    match = {"weights": "has other weights than were written", "header": "differs", "no header": "has no 'checksum'"}
    with pytest.raises(CorruptFile, match=match[damage]):
        load_model(folder)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="existing safetensors file"):
        load_model(tmp_path)
