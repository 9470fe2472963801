"""Students of every common kind, in every runtime, against torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from attar.deployment.backends.onnxruntime import open_onnxruntime
from attar.deployment.backends.openvino import open_openvino, to_openvino
from attar.deployment.export import to_onnx
from attar.deployment.refused import DeploymentError
from attar.network.architectures import depthwise_net, mlp, resnet
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
    "depthwise": lambda: depthwise_net(5, [4, 8, 8], strides=[1, 2, 1]),
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


class Several(nn.Module):
    """Gives its features beside its logits."""

    def __init__(self, give: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.give = give

    def forward(self, inputs: Tensor) -> object:
        return self.give(inputs[:, :5], inputs * 2)


@pytest.mark.parametrize(
    "give",
    [
        lambda logits, features: (logits, features),
        lambda logits, features: {"features": features, "logits": logits},
        lambda logits, features: logits.double(),
    ],
    ids=["tuple", "mapping", "float64"],
)
def test_the_logits_of_several_outputs_are_what_a_graph_gives(
    tmp_path: Path, give: Callable[[Tensor, Tensor], object]
) -> None:
    rows = torch.rand(3, 64, generator=torch.Generator().manual_seed(0))
    to_onnx(Several(give), rows[:1], tmp_path / "m.onnx")
    assert_array_equal(open_onnxruntime(tmp_path / "m.onnx")(rows.numpy()), rows[:, :5].numpy())


class Starred(nn.Module):
    """A forward that takes whatever comes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, *inputs: Tensor, **others: Tensor) -> Tensor:
        logits: Tensor = self.layer(inputs[0])
        return logits


def test_a_forward_of_any_arguments_is_written(tmp_path: Path) -> None:
    student, rows = Starred().eval(), torch.randn(3, 2)
    to_onnx(student, rows[:1], tmp_path / "model.onnx")
    answers = open_onnxruntime(tmp_path / "model.onnx")(rows.numpy())
    assert_allclose(answers, student(rows).detach().numpy(), atol=1e-6)


def test_outputs_without_logits_are_refused(tmp_path: Path) -> None:
    network = Several(lambda logits, features: {"scores": logits, "features": features})
    with pytest.raises(DeploymentError, match=r"Several cannot be deployed to ONNX: .* without an entry 'logits'"):
        to_onnx(network, torch.zeros(1, 64), tmp_path / "m.onnx")


FIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "len": lambda inputs: inputs[:, :5] + torch.zeros(len(inputs), 5),
    "a loop": lambda inputs: torch.stack([row[:5] for row in inputs]),
    "view": lambda inputs: inputs.view(2, 64)[:, :5],
}


class Does(nn.Module):
    def __init__(self, what: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.what = what

    def forward(self, inputs: Tensor) -> Tensor:
        return self.what(inputs)


@pytest.mark.parametrize("way", FIXED)
def test_a_fixed_batch_is_refused(tmp_path: Path, way: str) -> None:
    with pytest.raises(DeploymentError, match=r"batch dimension of 'input' is not free\. Use x\.shape\[0\]: len\(x\)"):
        to_onnx(Does(FIXED[way]), torch.zeros(1, 64), tmp_path / "m.onnx")


def test_a_branch_on_values_is_refused_with_its_line(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs[:, :5] if inputs.sum() > 0 else inputs[:, 5:10]

    match = r"branches on the values .* \(line \d+ of test_export\.py: return inputs.*\)\. Compute both .* torch\.where"
    with pytest.raises(DeploymentError, match=match):
        to_onnx(Branching(), torch.zeros(1, 64), tmp_path / "m.onnx")


def test_an_operation_without_an_onnx_form_is_named(tmp_path: Path) -> None:
    match = r"there is no ONNX form of the operation aten\.adaptive_max_pool2d\. Choose"
    with pytest.raises(DeploymentError, match=match):
        to_onnx(
            Does(lambda x: nn.functional.adaptive_max_pool2d(x, 3).flatten(1)), torch.zeros(1, 1, 8, 8), tmp_path / "m"
        )


def test_what_a_graph_computes_does_not_depend_on_the_threads(tmp_path: Path) -> None:
    to_onnx(resnet(5, [4, 8]), torch.zeros(1, 1, 8, 8), tmp_path / "m.onnx")
    rows = np.random.default_rng(0).random((16, 1, 8, 8), np.float32)
    one, two = (open_onnxruntime(tmp_path / "m.onnx", threads)(rows) for threads in (1, 2))
    assert_allclose(one, two, atol=1e-6)
