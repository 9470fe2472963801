"""The program that runs an artifact without Attar, in a process that finds neither Attar nor torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attar.deployment.artifact import Artifact
from attar.deployment.deploy import deploy
from attar.deployment.snippet import without_attar
from attar.named_inputs import NamedInputs
from attar.network.spec import Spec
from attar.network.unpacked import Unpacked
from attar.tables.columns import Columns
from attar.tables.tokens import Tokens
from attar.tasks.classification import Classification
from attar.tasks.dense import Dense
from attar.tasks.multilabel import MultiLabel
from attar.tasks.regression import Regression

NOWHERE = """
import importlib.abc, sys

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in (*sys.stdlib_module_names, "numpy", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Nothing())
"""


def printed(artifact: Artifact) -> str:
    """What the program prints, run beside the artifact where NumPy and ONNX Runtime are all there is."""
    program = without_attar(artifact)
    assert program is not None
    command = [sys.executable, "-I", "-c", NOWHERE + program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=artifact.folder.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("how", ["onnxruntime fp32", "onnxruntime int8 u8 reduced"])
def test_the_class_of_an_image_is_what_attar_says(how: str, trained: Any, tmp_path: Path) -> None:
    names = ("ant", "bee", 'c"at\n', "dög", "eel")
    given = {"example": trained.inputs[:1], "calibration": trained.inputs[:100], "spec": trained.spec, "scale": 255}
    artifact = deploy(trained.student, how, tmp_path / "artifact", task=Classification(names), **given)
    assert "uint8 numbers divided by 255" in (without_attar(artifact) or "")
    assert printed(artifact) == str(artifact.predict(np.zeros((1, 1, 8, 8), np.float32)).tolist())


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (Regression(("a", "b")), lambda values: values),
        (MultiLabel(("a", "b")), lambda odds: odds > 0),
        (Dense(("a", "b"), size=(4, 4)), lambda maps: maps.argmax(axis=1)),
    ],
    ids=["values", "labels", "maps"],
)
def test_other_outputs_are_what_attar_gives(task: Any, answer: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    maps = isinstance(task, Dense)
    network = nn.Conv2d(1, 2, 3, padding=1) if maps else nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    rows = torch.rand(4, 1, 4, 4)
    artifact = deploy(network.eval(), "onnxruntime", tmp_path / "artifact", task=task, example=rows[:1])
    assert printed(artifact) == str(answer(artifact(np.zeros((1, 1, 4, 4), np.float32))))


def test_rows_of_a_table(tmp_path: Path) -> None:
    columns = Columns.infer({"color": ["red", "blue"] * 4, "age": [1.5, 2.5] * 4})
    spec = Spec("attar.network.architectures:tabular", {"columns": columns.to_json(), "outputs": 2, "hidden": [8]})
    rows = torch.tensor([[0.0, 1.5], [1.0, 2.5]])
    given = {"example": rows[:1], "task": Classification(("no", "yes")), "spec": spec, "columns": columns}
    artifact = deploy(spec.build().eval(), "onnxruntime", tmp_path / "artifact", **given)
    assert "names as their places in the categories" in (without_attar(artifact) or "")
    assert printed(artifact) == str(artifact.predict(np.zeros((1, 2), np.float32)).tolist())


def test_sequences_of_tokens(tmp_path: Path) -> None:
    tokens = Tokens(length=6, vocabulary=9)
    spec = Spec("attar.network.architectures:token_mean", {"vocabulary": 9, "outputs": 2, "width": 4, "hidden": 4})
    rows = torch.stack([torch.ones(2, 6, dtype=torch.int64), torch.ones(2, 6, dtype=torch.int64)], 1)
    given = {"example": rows[:1], "task": Classification(("no", "yes")), "spec": spec, "tokens": tokens}
    artifact = deploy(spec.build().eval(), "onnxruntime", tmp_path / "artifact", **given)
    zeros = np.zeros((1, 6), np.int64)
    assert printed(artifact) == str(artifact.predict(ids=zeros, mask=zeros + 1).tolist())


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(9, 4), nn.Linear(5, 2)

    def forward(self, ids: Tensor, age: Tensor) -> Tensor:
        output: Tensor = self.out(torch.cat([self.words(ids).mean(1), age.unsqueeze(1)], 1))
        return output


def test_several_inputs_by_their_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = {"ids": np.array([[1, 2, 3]]), "age": np.array([0.5], np.float32)}
    named, rows = NamedInputs.of(inputs, "a test")
    given = {"example": torch.from_numpy(rows), "task": Classification(("no", "yes")), "named": named}
    artifact = deploy(Unpacked(Two().eval(), named), "onnxruntime", tmp_path / "artifact", **given)
    zeros = {name: np.zeros_like(one) for name, one in inputs.items()}
    assert printed(artifact) == str(artifact.predict(zeros).tolist())


def test_what_only_attar_reads_has_none(trained: Any, tmp_path: Path) -> None:
    given = {"example": trained.inputs[:1], "task": Classification(("a", "b", "c", "d", "e")), "spec": trained.spec}
    assert without_attar(deploy(trained.student, "torch", tmp_path / "artifact", **given)) is None


def test_openvino_runs_its_files_without_attar(trained: Any, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO, which the extra installs")
    given = {"example": trained.inputs[:1], "task": Classification(("a", "b", "c", "d", "e")), "spec": trained.spec}
    artifact = deploy(trained.student, "openvino", tmp_path / "artifact", **given)
    program = without_attar(artifact)
    assert program is not None and "attar" not in program
    command = [sys.executable, "-I", "-c", f"import sys; sys.modules['attar'] = None\n{program}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == str(artifact.predict(np.zeros((1, 1, 8, 8), np.float32)).tolist()), done.stderr
