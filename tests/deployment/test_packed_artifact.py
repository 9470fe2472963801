"""Quantized students as artifacts: the bytes of the files, and the outputs of the runtimes."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor, nn

from attar.deployment.artifact import Artifact, load
from attar.deployment.backends import RUNTIMES
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidates
from attar.deployment.deploy import deploy
from attar.deployment.packed.container import Content, read_packed, write_packed
from attar.deployment.refused import DeploymentError
from attar.errors import BadInput, CorruptFile
from attar.network.evaluating import evaluating
from attar.network.spec import Spec
from attar.ops.granularity import PerAxis, PerGroup
from attar.quantization.attach import dequantize
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn
from attar.quantization.quantize import quantize
from attar.tasks.classification import Classification

TASK = Classification(("ant", "bee", "cat", "dog", "eel"))
PACKED = "student.packed.safetensors"


@pytest.fixture(scope="module")
def quantized(trained: Any) -> nn.Module:
    """Codes of two bits, and inputs of eight; in training mode on purpose."""
    student = quantize(trained.student, weights=Codebook(3), activations=Affine(8), calibration=trained.inputs[:100])
    return student.train()


def deployed(student: nn.Module, candidate: Any, folder: Path, trained: Any, **changed: Any) -> Artifact:
    given = {"calibration": trained.inputs[:100], "spec": trained.spec, "example": trained.inputs[:1], **changed}
    return deploy(student, candidate, folder, task=TASK, **given)


@pytest.fixture(scope="module", params=["torch", "onnxruntime", "openvino"])
def built(request: pytest.FixtureRequest, quantized: nn.Module, trained: Any, tmp_path_factory: Any) -> Artifact:
    """The packed artifact of each runtime; the contracts share it."""
    folder = tmp_path_factory.mktemp("packed") / request.param
    return load(deployed(quantized, f"{request.param} packed", folder, trained).folder)


def logits_of(student: nn.Module, inputs: Tensor) -> np.ndarray:
    with evaluating(student):
        return student(inputs).numpy()


# -- packed ----------------------------------------------------------------------------------------------------------


def test_gives_the_outputs_of_the_quantized_student(built: Artifact, quantized: nn.Module, trained: Any) -> None:
    expected = logits_of(quantized, trained.inputs)
    differences = np.abs(built(trained.inputs) - expected).max(1)
    bound = 1e-3 * max(np.abs(expected).max(), 1)
    # A sum in another order may fall on the other side of a rounding of a layer's inputs.
    assert np.quantile(differences, 0.9) < bound
    assert differences.max() < 30 * bound
    assert_array_equal(built(trained.inputs).argmax(1), expected.argmax(1))


def test_the_network_is_the_trained_one_bit_for_bit(built: Artifact, quantized: nn.Module, trained: Any) -> None:
    assert_array_equal(logits_of(built.network(), trained.inputs), logits_of(quantized, trained.inputs))
    weights = dequantize(quantized).eval().state_dict()
    again = built.network().state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())


def test_size_is_that_of_the_one_file_there_is(built: Artifact) -> None:
    assert built.files == (PACKED,)
    assert {path.name for path in built.folder.iterdir()} == {PACKED, "manifest.json"}
    assert built.size_bytes == (built.folder / PACKED).stat().st_size


def test_says_that_it_is_expanded(built: Artifact) -> None:
    assert "(packed; float32 when opened)" in str(built)
    assert "neither memory nor time" in built.manifest["note"]
    assert built.manifest["format"] == 4
    assert built.candidate.precision == "packed"


def test_leaves_the_student_alone(built: Artifact, quantized: nn.Module, trained: Any) -> None:
    assert quantized.training
    assert logits_of(quantized, trained.inputs).shape == (200, 5)


def test_names_no_folder_of_the_machine_that_made_it(built: Artifact) -> None:
    packed = read_packed(built.folder / PACKED)
    for content in ((built.folder / PACKED).read_bytes(), packed.graph or b"", json.dumps(built.manifest).encode()):
        for private in (str(built.folder.parent), str(Path(torch.__file__).parent), "site-packages"):
            assert private.encode() not in content


def test_the_graph_has_no_weights(built: Artifact) -> None:
    graph = read_packed(built.folder / PACKED).graph
    assert (graph is None) == (built.manifest["runtime"] == "torch")
    if graph is not None:
        inside = sum(len(each.raw_data) for each in onnx.ModelProto.FromString(graph).graph.initializer)
        assert inside < 1000


def test_two_threads_and_one_row_alone(built: Artifact, trained: Any) -> None:
    run = built.open(threads=2)
    rows = trained.inputs[:8].numpy()
    assert_array_equal(np.concatenate([run(rows[i : i + 1]) for i in range(8)]).argmax(1), run(rows).argmax(1))


def test_a_graph_that_needs_another_tensor_is_told(built: Artifact, trained: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(built.folder, tmp_path / "broken")
    packed = read_packed(folder / PACKED)
    fewer = Content(dict(list(packed.codes.items())[1:]), packed.tensors, packed.graph)
    write_packed(fewer, folder / PACKED)
    broken = Artifact(folder, built.manifest)
    with pytest.raises(BadInput, match=r"needs the tensor '0.weight' .* which is not there|missing \['0.weight'\]"):
        broken(trained.inputs)


def test_a_damaged_file_is_told(built: Artifact, tmp_path: Path) -> None:
    folder = shutil.copytree(built.folder, tmp_path / "broken")
    complete = bytearray((folder / PACKED).read_bytes())
    complete[-5] ^= 1
    (folder / PACKED).write_bytes(bytes(complete))
    with pytest.raises(CorruptFile, match="its SHA-256 differs"):
        load(folder)
    (folder / PACKED).unlink()
    with pytest.raises(CorruptFile, match=r"student\.packed\.safetensors is missing"):
        load(folder)


def test_a_graph_that_is_missing_is_told(quantized: nn.Module, trained: Any, tmp_path: Path) -> None:
    built = deployed(quantized, "torch packed", tmp_path / "made", trained)
    other = Artifact(built.folder, {**built.manifest, "runtime": "onnxruntime"})
    with pytest.raises(CorruptFile, match="has no graph for onnxruntime"):
        other.open()


def test_floats_of_sixteen_bits_are_smaller_and_say_what_they_lose(
    quantized: nn.Module, trained: Any, tmp_path: Path
) -> None:
    complete = deployed(quantized, "torch packed", tmp_path / "whole", trained)
    half = Candidate("half", "torch", "packed", {"floats": "float16", "coder": "bits"})
    halved = load(deployed(quantized, half, tmp_path / "half", trained).folder)
    assert halved.size_bytes < complete.size_bytes
    assert 0 < halved.manifest["checked"]["largest_difference"] < 0.05 * 30
    assert complete.manifest["checked"]["largest_difference"] < 1e-3 * 30
    assert halved.candidate == half


def test_without_a_spec_other_runtimes_take_it(quantized: nn.Module, trained: Any, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="cannot be deployed to torch without a spec"):
        deployed(quantized, "torch packed", tmp_path / "made", trained, spec=None)


def test_the_same_student_gives_the_same_file(quantized: nn.Module, trained: Any, tmp_path: Path) -> None:
    one, other = (deployed(quantized, "torch packed", tmp_path / name, trained) for name in ("one", "other"))
    assert (one.folder / PACKED).read_bytes() == (other.folder / PACKED).read_bytes()


# -- candidates ------------------------------------------------------------------------------------------------------


def names(student: nn.Module | None, **given: Any) -> list[str]:
    return [candidate.name for candidate in candidates(int8=False, student=student, **given)]


def test_candidates_of_a_quantized_student(quantized: nn.Module, trained: Any) -> None:
    float_names = [f"{runtime} fp32" for runtime in RUNTIMES]
    assert names(None) == names(trained.student) == float_names
    assert set(names(quantized)) == {*float_names, "torch packed", "onnxruntime packed", "openvino packed"}
    assert names(quantized, runtimes=["torch"]) == ["torch fp32", "torch packed"]


@pytest.mark.parametrize(
    ("form", "few"),
    [
        (Ternary(), "w2"),
        (Uniform(2, PerAxis(0)), "w2"),
        (Affine(4, PerAxis(0), symmetric=True), "w4"),
        (Affine(3), "w4"),
        (DynamicFixedPoint(8), "w8"),
        (Uniform(4, PerGroup(32)), "w4"),
        (Uniform(4, PerGroup(48)), "w4"),
        (Uniform(2, PerGroup(32)), "w2"),
        # The operator has no fast kernel for blocks of 16 in 2 bits.
        (Uniform(2, PerGroup(16)), "w4"),
        (Uniform(4, PerGroup(24)), None),
        (Uniform(12), None),
        (PowerOfTwo(), None),
        (Codebook(2), None),
        (Ternary("learned"), None),
    ],
    ids=repr,
)
def test_few_bits_are_offered_where_the_operator_has_them(form: Any, few: str | None) -> None:
    student = quantize(nn.Sequential(nn.Linear(64, 20), nn.Linear(20, 5)), weights={"0": form})
    offered = [name for name in names(student, runtimes=["onnxruntime"]) if " w" in name]
    assert offered == ([] if few is None else [f"onnxruntime {few}"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Candidate("x", "torch", "w4"), "must be what torch can do; got 'w4'"),
        (lambda: Candidate("x", "onnxruntime", "w3"), "must be what onnxruntime can do; got 'w3'"),
        (lambda: Candidate("x", "torch", "packed", {"code": "bits"}), "got 'code'"),
        (lambda: Candidate("x", "onnxruntime", "w4", {"accuracy": 4}), "Did you mean 'accuracy_level'"),
        (lambda: Candidate("x", "onnxruntime", "w4", {"accuracy_level": 7}), "accuracy_level of .* one of 4, 1; got 7"),
        (lambda: Candidate("x", "torch", "packed", {"coder": "zip"}), "coder of .* one of smallest, bits; got 'zip'"),
    ],
)
def test_unknown_choices_are_refused(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


@pytest.mark.parametrize("candidate", ["torch packed", "onnxruntime w4"])
def test_a_student_that_is_not_quantized_is_refused(candidate: str, trained: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"student of deploy must be quantized for '{candidate}'"):
        deployed(trained.student, candidate, tmp_path / "made", trained)
    assert not list(tmp_path.iterdir())


def test_float_candidates_deploy_the_quantized_weights(quantized: nn.Module, trained: Any, tmp_path: Path) -> None:
    built = load(deployed(quantized, "torch fp32", tmp_path / "made", trained).folder)
    torch.testing.assert_close(
        torch.from_numpy(built(trained.inputs)),
        torch.from_numpy(logits_of(dequantize(quantized).eval(), trained.inputs)),
    )
    assert "without formats of activations" in built.manifest["note"]
    assert built.manifest["format"] == 4


# -- few bits --------------------------------------------------------------------------------------------------------

_MLP = Spec("attar.network.architectures:mlp", {"inputs": 64, "classes": 5, "hidden": [48]})


@pytest.fixture(scope="module")
def perceptron() -> nn.Module:
    torch.manual_seed(0)
    return _MLP.build().eval()


@pytest.fixture(scope="module")
def rows() -> Tensor:
    return torch.rand(100, 64, generator=torch.Generator().manual_seed(0))


def in_few_bits(student: nn.Module, candidate: Any, folder: Path, rows: Tensor) -> Artifact:
    return deploy(student, candidate, folder, task=TASK, example=rows[:1], calibration=rows, spec=_MLP)


FEW: list[Any] = [
    (Ternary(), "w2"),
    (Uniform(4, PerGroup(16)), "w4"),
    (Uniform(2, PerAxis(0)), "w2"),
    (Affine(4, PerAxis(0)), "w4"),
    (Wrpn(4), "w4"),
    (DoReFa(1), "w2"),
    (DynamicFixedPoint(8), "w8"),
]


@pytest.mark.parametrize(("form", "few"), FEW, ids=lambda value: value if isinstance(value, str) else repr(value))
def test_few_bits_are_exact_but_for_the_inputs_of_layers(
    form: Any, few: str, perceptron: nn.Module, rows: Tensor, tmp_path: Path
) -> None:
    student = quantize(perceptron, weights=form)
    expected = logits_of(student, rows)
    exact = Candidate("exact", "onnxruntime", few, {"accuracy_level": 1})
    built = load(in_few_bits(student, exact, tmp_path / "exact", rows).folder)
    largest = max(np.abs(expected).max(), 1e-3)
    assert np.abs(built(rows) - expected).max() < 1e-4 * largest
    graph = onnx.load(built.folder / "model.onnx").graph
    assert [node.op_type for node in graph.node].count("MatMulNBits") == 2
    assert not any(list(each.dims) == [48, 64] for each in graph.initializer), "no float weights"
    assert_array_equal(logits_of(built.network(), rows), expected)


@pytest.mark.parametrize(("form", "few"), [(Ternary(), "w2"), (Ternary(granularity=PerAxis(0)), "w4")], ids=repr)
def test_weights_that_are_all_zero_have_few_bits_too(
    form: Any, few: str, perceptron: nn.Module, rows: Tensor, tmp_path: Path
) -> None:
    dead = copy.deepcopy(perceptron)
    last = [layer for layer in dead.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight[:2] = 0
        if few == "w2":
            last.weight[:] = 0
    student = quantize(dead, weights=form)
    exact = Candidate("exact", "onnxruntime", few, {"accuracy_level": 1})
    built = load(in_few_bits(student, exact, tmp_path / "exact", rows).folder)
    np.testing.assert_allclose(built(rows), logits_of(student, rows), atol=1e-4)


def test_few_bits_with_rounded_inputs(perceptron: nn.Module, rows: Tensor, tmp_path: Path) -> None:
    student = quantize(perceptron, weights=Ternary(), activations=Affine(8), calibration=rows)
    built = load(in_few_bits(student, "onnxruntime w2", tmp_path / "made", rows).folder)
    expected = logits_of(student, rows)
    assert np.abs(built(rows) - expected).max() < 0.05 * max(np.abs(expected).max(), 1)
    assert built.files == ("model.onnx",)
    assert "MatMulNBits" in built.manifest["note"]
    assert built.size_bytes < 4 * (64 * 48 + 48 * 5) / 2
    assert_array_equal(logits_of(built.network(), rows), expected)


@pytest.mark.parametrize(
    ("form", "few", "message"),
    [
        (Uniform(4), "w2", "The 4 bits of '1.weight' do not fit into 2. Use w4"),
        (Uniform(12), "w8", "has 12 bits, and the operator at most 8"),
        (Codebook(2), "w4", "Codebook has no even steps"),
        (Uniform(4, PerGroup(24)), "w4", r"Groups of Uniform are no blocks of weights of one row of '1.weight'"),
    ],
    ids=repr,
)
def test_what_the_operator_cannot_do_is_refused(
    form: Any, few: str, message: str, perceptron: nn.Module, rows: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(DeploymentError, match=message):
        in_few_bits(quantize(perceptron, weights=form), f"onnxruntime {few}", tmp_path / "made", rows)
    assert not list(tmp_path.iterdir())


def test_convolutions_have_no_operator_of_few_bits(quantized: nn.Module, trained: Any, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"'0.weight' of layer '0' \(Conv2d\) cannot be executed with low-bit"):
        deployed(quantized, "onnxruntime w4", tmp_path / "made", trained)


def test_students_that_few_bits_change_too_much_are_refused(rows: Tensor, tmp_path: Path) -> None:
    # One input is so large that eight bits for its block leave nothing of the others.
    student = quantize(nn.Sequential(nn.Linear(64, 5, bias=False)), weights=Affine(4, PerAxis(0)))
    spoiled = rows.clone()
    spoiled[:, 0] = 1e5
    with torch.no_grad():
        student[0].parametrizations.weight.original[:, 0] = 0
    with pytest.raises(DeploymentError, match="It rounds too much for this student: choose another precision"):
        deploy(student, "onnxruntime w4", tmp_path / "made", task=TASK, example=spoiled[:1], calibration=spoiled)


# -- other layers ----------------------------------------------------------------------------------------------------


class Attentive(nn.Module):
    """Attention, a transposed convolution and products of sequences; a mask whose values are infinite on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.ConvTranspose1d(4, 4, 3, padding=1)
        self.embed = nn.Linear(8, 32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32, bias=False)
        self.head = nn.Linear(32, 5)
        self.register_buffer("mask", torch.full((4, 4), float("-inf")).triu(1))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.embed(self.spread(inputs))
        hidden = hidden + self.attention(hidden, hidden, hidden, need_weights=False, attn_mask=self.mask)[0]
        hidden = hidden + self.down(self.up(hidden).relu())
        logits: Tensor = self.head(hidden.mean(1))
        return logits


@pytest.fixture(scope="module")
def attentive() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return Attentive().eval(), torch.randn(64, 4, 8)


def test_attention_is_packed_for_other_runtimes(attentive: Any, tmp_path: Path) -> None:
    network, rows = attentive
    student = quantize(network, weights=Ternary())
    given = {"task": TASK, "example": rows[:1], "calibration": rows}
    built = load(deploy(student, "onnxruntime packed", tmp_path / "made", **given).folder)
    np.testing.assert_allclose(built(rows), logits_of(student, rows), atol=1e-5)
    assert_array_equal(logits_of(load(built.folder, network=Attentive()).network(), rows), logits_of(student, rows))


def test_few_bits_multiply_sequences(attentive: Any, tmp_path: Path) -> None:
    network, rows = attentive
    form = Affine(4, PerAxis(0), symmetric=True)
    weights = {"embed": Uniform(4, PerAxis(0)), "up": form, "down": form, "head": form}
    student = quantize(network, weights=weights, activations={"up": Affine(8)}, calibration=rows)
    exact = Candidate("exact", "onnxruntime", "w4", {"accuracy_level": 1})
    given = {"task": TASK, "example": rows[:1], "calibration": rows}
    built = load(deploy(student, exact, tmp_path / "made", **given).folder)
    assert np.quantile(np.abs(built(rows) - logits_of(student, rows)).max(1), 0.9) < 1e-4
    nodes = [node.op_type for node in onnx.load(built.folder / "model.onnx").graph.node]
    assert nodes.count("MatMulNBits") == 4
