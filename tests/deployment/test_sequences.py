"""Sequences of tokens as artifacts: named inputs, every runtime, and what is no sequence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from attar import interpreter
from attar.deployment.artifact import Artifact, load
from attar.deployment.deploy import deploy
from attar.errors import BadInput, CorruptFile
from attar.evidence.memory import _measure
from attar.network.architectures import token_encoder
from attar.network.scaled_outputs import ScaledOutputs
from attar.network.spec import Spec
from attar.quantization.formats.affine import Affine
from attar.quantization.quantize import quantize
from attar.records import sealed
from attar.tables.tokens import Tokens
from attar.tasks.classification import Classification
from attar.tasks.regression import Regression
from attar.teachers.as_teacher import as_teacher

TOKENS = Tokens(length=6, vocabulary=9)
SPEC = Spec(
    "attar.network.architectures:token_mean", {"vocabulary": 9, "outputs": 2, "width": 4, "hidden": 4, "window": 3}
)


def sequences(count: int = 40) -> np.ndarray:
    draw = np.random.default_rng(0)
    return TOKENS.stacked(draw.integers(9, size=(count, 6)), np.arange(6) < draw.integers(1, 7, (count, 1)))


def student(spec: Spec = SPEC) -> nn.Module:
    torch.manual_seed(0)
    return spec.build().eval()


def deployed(folder: Path, how: str, network: nn.Module | None = None, **more: Any) -> Artifact:
    rows = torch.from_numpy(sequences())
    given: dict[str, Any] = {
        "spec": SPEC,
        "tokens": TOKENS,
        "calibration": rows,
        "task": Classification(("no", "yes")),
    } | more
    deploy(student() if network is None else network, how, folder, example=rows[:1], **given)
    return load(folder)


@pytest.mark.parametrize("how", ["torch", "onnxruntime", "openvino", "onnxruntime int8 u8", "openvino int8"])
def test_every_runtime_answers_as_the_student_does(how: str, tmp_path: Path) -> None:
    if "openvino" in how:
        pytest.importorskip("nncf" if "int8" in how else "openvino")
    artifact, rows = deployed(tmp_path / "artifact", how), sequences()
    expected = student()(torch.from_numpy(rows)).detach().numpy()
    assert_allclose(artifact(rows), expected, atol=0.1 if "int8" in how else 1e-5)
    # What stands in padding is of no account, in whatever runtime.
    other = rows.copy()
    other[:, 0] = np.where(rows[:, 1] == 1, rows[:, 0], 8 - rows[:, 0])
    assert_array_equal(artifact(other), artifact(rows))
    assert _measure(artifact.folder, 2, 1, ("attar",))["batch"] == 2


def test_an_encoder_is_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = token_encoder(9, 6, 2, width=8, heads=2).eval()
    artifact = deployed(tmp_path / "artifact", "onnxruntime", network, spec=None)
    expected = network(torch.from_numpy(sequences())).detach().numpy()
    assert_allclose(artifact(sequences()), expected, atol=1e-4)


def test_inputs_have_their_names(tmp_path: Path) -> None:
    artifact = deployed(tmp_path / "artifact", "onnxruntime")
    graph = onnx.load(str(artifact.folder / "model.onnx")).graph
    assert [value.name for value in graph.input] == ["ids", "mask"]
    assert {value.type.tensor_type.elem_type for value in graph.input} == {onnx.TensorProto.INT64}
    rows = sequences(3)
    ids, mask, expected = rows[:, 0], rows[:, 1], artifact(rows)
    assert_array_equal(artifact({"ids": ids, "mask": mask}), expected)
    assert_array_equal(artifact(ids=torch.from_numpy(ids), mask=torch.from_numpy(mask)), expected)
    assert_array_equal(artifact.predict(ids=ids, mask=mask), artifact.predict(rows))
    assert_array_equal(artifact(ids=[[1, 2]]), artifact(ids=[[1, 2, 8, 8]], mask=[[1, 1, 0, 0]]))
    assert artifact.predict_proba(ids=[[1, 2], [3]]).shape == (2, 2)
    # What a tokenizer of Hugging Face gives is a call as it is.
    tokens = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    assert_array_equal(artifact(tokens), expected)
    assert_array_equal(artifact(**tokens), expected)
    assert_array_equal(artifact(input_ids=[[1, 2]]), artifact(ids=[[1, 2]]))
    with pytest.raises(BadInput, match=r"^token_type_ids of artifact must be left out, or 0 everywhere; got others"):
        artifact(**tokens | {"token_type_ids": np.ones_like(ids)})
    with pytest.raises(BadInput, match=r"must be ids and mask, .+; got ids, words\. Call it as model\(ids=ids"):
        artifact(input_ids=ids, words=ids)


@pytest.mark.parametrize(
    ("inputs", "named", "said"),
    [
        (None, {"ids": [[9]]}, "ids of artifact must be from 0 to 8; got 9"),
        (None, {"ids": [[1] * 7]}, "ids of artifact must be at most 6 tokens long; got 7"),
        (None, {"ids": [[1]], "mask": [[0]]}, "mask of artifact must be 1 for at least one token"),
        (None, {"tokens": [[1]]}, "inputs of artifact must be ids and mask"),
        (None, {}, "inputs of artifact must be ids and mask"),
        (np.zeros((2, 2, 6), np.float32), {}, "got [2, 2, 6] float32"),
        (np.ones((2, 6), np.int64), {}, "got [2, 6] int64"),
    ],
)
def test_what_is_no_sequence_is_refused(inputs: Any, named: Any, said: str, tmp_path: Path) -> None:
    artifact = deployed(tmp_path / "artifact", "torch")
    with pytest.raises(BadInput) as caught:
        artifact(inputs, **named)
    assert said in str(caught.value)


def test_a_network_of_named_inputs_needs_no_wrapping(tmp_path: Path) -> None:
    network = student().network
    assert isinstance(network, nn.Module)
    artifact = deployed(tmp_path / "artifact", "onnxruntime", network, spec=None)
    assert_allclose(artifact(sequences()), student()(torch.from_numpy(sequences())).detach().numpy(), atol=1e-5)


def test_what_stands_before_other_layers_is_exported_too(tmp_path: Path) -> None:
    network = ScaledOutputs(student(), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])).eval()
    artifact = deployed(tmp_path / "artifact", "onnxruntime", network, spec=None, task=Regression(("no", "yes")))
    assert_allclose(artifact(sequences()), network(torch.from_numpy(sequences())).detach().numpy(), atol=1e-5)
    assert "forward" not in vars(network), "the network has its own forward again"


@pytest.mark.parametrize("how", ["torch packed", "onnxruntime packed"])
def test_a_quantized_student_is_packed(how: str, tmp_path: Path) -> None:
    network = quantize(student(), weights=Affine(bits=8))
    artifact = deployed(tmp_path / "artifact", how, network)
    assert_allclose(artifact(sequences()), network(torch.from_numpy(sequences())).detach().numpy(), atol=1e-3)


def test_tokens_must_be_described(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tokens of deploy must be given where example is int64"):
        deployed(tmp_path / "artifact", "onnxruntime", tokens=None)


def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    folder = deployed(tmp_path / "artifact", "torch").folder
    for tokens, said in (({"length": 5, "vocabulary": 9, "words": None}, "has sequences"), ({}, "cannot be read")):
        document = json.loads((folder / "manifest.json").read_text())
        document["input"]["tokens"] = tokens
        document.pop("sha256", None)
        (folder / "manifest.json").write_text(json.dumps(sealed(document)))
        with pytest.raises(CorruptFile, match=said):
            load(folder)


def test_an_onnx_file_of_named_inputs_teaches(tmp_path: Path) -> None:
    artifact, rows = deployed(tmp_path / "artifact", "onnxruntime"), torch.from_numpy(sequences())
    teacher = as_teacher(artifact.folder / "model.onnx", classes=2)
    assert_allclose(teacher.predict(rows).numpy(), artifact(rows.numpy()), atol=1e-6)


def test_a_module_of_named_inputs_teaches() -> None:
    class Given(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = student()

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
            return {"logits": self.inner(torch.stack((input_ids, attention_mask), 1))}

    rows = torch.from_numpy(sequences())
    assert_allclose(as_teacher(Given(), classes=2).predict(rows).numpy(), student()(rows).detach().numpy(), atol=1e-6)


def test_bare_processes_run_it(tmp_path: Path) -> None:
    import subprocess
    import sys

    artifact = deployed(tmp_path / "artifact", "onnxruntime")
    program = (
        "import sys, importlib.abc\n"
        "class Nothing(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if top not in sys.stdlib_module_names and top not in ('attar', 'numpy', 'onnxruntime'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "import attar\n"
        "print(attar.load(sys.argv[1]).predict(ids=[[1, 2, 3], [4]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(artifact.folder)],
        capture_output=True,
        text=True,
        env=interpreter.environment(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(artifact.predict(ids=[[1, 2, 3], [4]]))
