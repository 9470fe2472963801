"""Students of every common kind, in every runtime, against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from attar.deployment.export import DeploymentError, to_onnx, to_openvino
from attar.deployment.runtimes import open_onnxruntime, open_openvino
from attar.network.architectures import mlp, resnet
from attar.network.evaluating import evaluating
from attar.network.standardize import Standardize


class Attention(nn.Module):
    """Rows of a picture as positions, through a transformer layer, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(inputs.squeeze(1)).mean(1))
        return logits


class Dot(nn.Module):
    """Scaled dot-product attention by its function."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        mixed = functional.scaled_dot_product_attention(inputs, inputs, inputs)
        logits: Tensor = self.head(mixed.flatten(1))
        return logits


class Recurrent(nn.Module):
    """Rows of a picture as steps; the last state decides."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.head = nn.Linear(6, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        states, _ = self.lstm(inputs.squeeze(1))
        logits: Tensor = self.head(states[:, -1])
        return logits


STUDENTS = {
    "mlp": lambda: mlp(64, 5, [16]),
    "resnet": lambda: resnet(5, [4, 8]),
    "separable": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.Hardswish(),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 5),
    ),
    "standardized": lambda: Standardize(mlp(64, 5, [8]), mean=0.5, std=0.25),
    "parametrized": lambda: nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(64, 5))),
    "attention": Attention,
    "dot product": Dot,
    "lstm": Recurrent,
    "transposed": lambda: nn.Sequential(
        nn.ConvTranspose2d(1, 3, 2, stride=2),
        nn.GELU(),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.LayerNorm(48),
        nn.Linear(48, 5),
    ),
}


@pytest.mark.parametrize("name", STUDENTS)
def test_equals_torch_in_every_runtime(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = STUDENTS[name]()
    rows = torch.rand(64, 1, 8, 8)
    student(rows)  # gives batch normalization statistics of its own
    with evaluating(student):
        expected = student(rows).numpy()
    to_onnx(student, rows[:1], tmp_path / "m.onnx")
    to_openvino(tmp_path / "m.onnx", tmp_path / "m.xml")
    for run in (open_onnxruntime(tmp_path / "m.onnx"), open_openvino(tmp_path / "m.xml")):
        for count in (64, 1, 64):
            assert_allclose(run(rows[:count].numpy()), expected[:count], atol=1e-5, rtol=1e-4)


def test_one_self_contained_file_with_named_ends(tmp_path: Path) -> None:
    to_onnx(mlp(64, 5, [16]), torch.zeros(1, 1, 8, 8), tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    graph = onnx.load(tmp_path / "m.onnx").graph
    ((into,), (out,)) = graph.input, graph.output
    assert (into.name, out.name) == ("input", "logits")
    assert into.type.tensor_type.shape.dim[0].dim_param
    assert [dim.dim_value for dim in into.type.tensor_type.shape.dim[1:]] == [1, 8, 8]
    assert out.type.tensor_type.shape.dim[0].dim_param


def test_a_file_is_hardly_larger_than_its_weights(tmp_path: Path) -> None:
    student = mlp(64, 5, [256, 256])
    to_onnx(student, torch.zeros(1, 64), tmp_path / "m.onnx")
    weights = 4 * sum(parameter.numel() for parameter in student.parameters())
    assert weights < (tmp_path / "m.onnx").stat().st_size < weights + 2000


def test_values_of_the_example_do_not_matter(tmp_path: Path) -> None:
    student = mlp(64, 5, [16])
    to_onnx(student, torch.zeros(1, 64), tmp_path / "a.onnx")
    to_onnx(student, torch.rand(1, 64), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_training_student_is_exported_as_it_evaluates(tmp_path: Path) -> None:
    student = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.9))
    student(torch.randn(32, 4))
    to_onnx(student, torch.zeros(1, 4), tmp_path / "m.onnx")
    assert student.training
    rows = torch.randn(3, 4)
    with torch.no_grad():
        expected = student.eval()(rows).numpy()
    assert_allclose(open_onnxruntime(tmp_path / "m.onnx")(rows.numpy()), expected, atol=1e-6)


class TwoOutputs(nn.Module):
    """Gives its features beside its logits."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return inputs[:, :5], inputs * 2


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="TwoOutputs cannot be deployed to ONNX"):
        to_onnx(TwoOutputs(), torch.zeros(1, 64), tmp_path / "m.onnx")


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    class Fixed(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs[:, :5] + torch.randn(len(inputs), 5)

    with pytest.raises(DeploymentError, match="batch dimension of 'input' is not free"):
        to_onnx(Fixed(), torch.zeros(1, 64), tmp_path / "m.onnx")


def test_what_a_graph_computes_does_not_depend_on_the_threads(tmp_path: Path) -> None:
    to_onnx(resnet(5, [4, 8]), torch.zeros(1, 1, 8, 8), tmp_path / "m.onnx")
    rows = np.random.default_rng(0).random((16, 1, 8, 8), np.float32)
    one, two = (open_onnxruntime(tmp_path / "m.onnx", threads)(rows) for threads in (1, 2))
    assert_allclose(one, two, atol=1e-6)
