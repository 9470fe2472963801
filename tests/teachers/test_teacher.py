"""The teacher that is one network, and making teachers of what users have."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.teachers import Ensemble, NetworkTeacher, Teacher, as_teacher


def network(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), activation(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 3)
    )


def pictures(count: int = 5) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_predicts_the_logits_of_the_network_in_eval_mode():
    module = network()
    expected = copy.deepcopy(module).eval()(pictures())
    same_layout = copy.deepcopy(module).eval().to(memory_format=torch.channels_last)(pictures())
    said = NetworkTeacher(module, classes=3).predict(pictures())
    assert torch.equal(said, same_layout)
    torch.testing.assert_close(said, expected)


def test_is_frozen():
    teacher = NetworkTeacher(network(), classes=3)
    before = copy.deepcopy(teacher.module.state_dict())
    teacher.module.train()  # As somebody does who trains with the same module.
    one, other = teacher.predict(pictures()), teacher.predict(pictures())
    assert torch.equal(one, other), "dropout was active"
    assert not one.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.module.parameters())
    after = teacher.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "a buffer or weight moved"


def test_is_a_teacher():
    assert isinstance(NetworkTeacher(network(), classes=3), Teacher)


def test_counts_classes_on_an_example():
    assert NetworkTeacher(network(), example=pictures(1)).classes == 3


def test_standardizes():
    module = network()
    plain = NetworkTeacher(module, classes=3).predict((pictures() - 0.5) / 0.25)
    teacher = NetworkTeacher(module, classes=3, mean=0.5, std=[0.25])
    torch.testing.assert_close(teacher.predict(pictures()), plain)
    torch.testing.assert_close(teacher.module(pictures()), plain)


def test_gives_float32_whatever_the_network_computes_in():
    teacher = NetworkTeacher(nn.Sequential(nn.Linear(2, 3), _Doubled()), classes=3)
    assert teacher.predict(torch.zeros(1, 2)).dtype == torch.float32


class _Doubled(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.double()


def test_fingerprint_tells_weights_buffers_statistics_and_layers_apart():
    moved, buffered = network(), network()
    with torch.no_grad():
        moved[0].weight[0, 0, 0, 0] += 1e-6
    buffered[1].running_mean[0] += 1e-6
    prints = [
        NetworkTeacher(network(), classes=3).fingerprint(),
        NetworkTeacher(moved, classes=3).fingerprint(),
        NetworkTeacher(buffered, classes=3).fingerprint(),
        NetworkTeacher(network(nn.GELU), classes=3).fingerprint(),
        NetworkTeacher(network(), classes=3, mean=0.0, std=1.0).fingerprint(),
        NetworkTeacher(network(), classes=3, mean=0.0, std=2.0).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)
    assert prints[0] == NetworkTeacher(copy.deepcopy(network()), classes=3).fingerprint()


def test_fingerprint_is_not_changed_by_predicting():
    teacher = NetworkTeacher(network(), classes=3)
    before = teacher.fingerprint()
    teacher.predict(pictures())
    assert teacher.fingerprint() == before


class _Gives(nn.Module):
    """A network that gives what it is told to."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, inputs: Tensor) -> object:
        return self.output


@pytest.mark.parametrize(
    ("output", "got"),
    [
        (torch.zeros(2, 4), r"got \[2, 4\]"),
        (torch.zeros(1, 3), r"got \[1, 3\]"),
        (torch.zeros(2), r"got \[2\]"),
        (torch.zeros(2, 3, 1), r"got \[2, 3, 1\]"),
        ((torch.zeros(2, 3),), "got 'tuple'"),
    ],
    ids=["classes", "batch", "rank 1", "rank 3", "no tensor"],
)
def test_wrong_output(output, got):
    teacher = NetworkTeacher(_Gives(output), classes=3)
    with pytest.raises(BadInput, match=r"output of NetworkTeacher\(_Gives\) must be a tensor \[2, 3\]; " + got):
        teacher.predict(torch.zeros(2, 5))


def test_classes_that_contradict_the_example():
    with pytest.raises(BadInput, match=r"must be a tensor \[1, 10\]; got \[1, 3\]"):
        NetworkTeacher(network(), classes=10, example=pictures(1))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "classes of NetworkTeacher must be known, or an example given; got 'neither'"),
        ({"example": pictures(0)}, "an empty example"),
        ({"classes": 0}, "classes of NetworkTeacher must be at least 1"),
        ({"classes": 3, "mean": 0.5}, "mean and std of NetworkTeacher must be given together"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(BadInput, match=match):
        NetworkTeacher(network(), **arguments)


class _Anything:
    """A teacher that inherits from nothing."""

    classes = 3

    def predict(self, inputs: Tensor) -> Tensor:
        return torch.zeros(len(inputs), 3)

    def fingerprint(self) -> str:
        return "zeros"


def test_as_teacher():
    anything = _Anything()
    assert as_teacher(anything) is anything
    assert isinstance(as_teacher(network(), classes=3), NetworkTeacher)
    both = as_teacher([network(), anything], classes=3)
    assert isinstance(both, Ensemble) and both.classes == 3 and both.members[1] is anything


@pytest.mark.parametrize("given", ["teacher.pt", 7, lambda inputs: inputs, None], ids=str)
def test_as_teacher_of_something_else(given):
    with pytest.raises(BadInput, match="teacher of as_teacher must be a module"):
        as_teacher(given)


def test_as_teacher_of_a_missing_onnx_file(tmp_path):
    with pytest.raises(BadInput, match="path of OnnxTeacher must be an existing ONNX file"):
        as_teacher(tmp_path / "gone.onnx")
