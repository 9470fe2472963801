"""Terms on hidden layers: closed forms, projectors, and what they refuse."""

import numpy as np
import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.training.batch import Batch
from attar.training.features import Features, Projects, ReadsLayers
from attar.training.losses.features import AttentionMaps, HiddenMatch

LAYERS = {"student_layer": "a", "teacher_layer": "b"}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loss_of(term: HiddenMatch | AttentionMaps, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    batch = Batch(inputs=torch.zeros(len(student), 1), features=Features(student, teacher))
    return term(torch.zeros(len(student), 3), batch)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (5, 2, 2)])
def test_hidden_match_is_the_mean_of_squares(shape):
    student, teacher = normal(6, *shape), normal(6, *shape, seed=1)
    losses = loss_of(HiddenMatch(**LAYERS), student, teacher)
    expected = [np.mean((s - t) ** 2) for s, t in zip(student.numpy(), teacher.numpy(), strict=True)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5)


def test_maps_of_two_sizes_are_compared_at_the_smaller_one():
    # Averages 1 and 3 of the halves against 0 and 1: squares 1 and 4.
    student = torch.tensor([[[[0.0, 2.0, 3.0, 3.0]]]])
    losses = loss_of(HiddenMatch(**LAYERS), student, torch.tensor([[[[0.0, 1.0]]]]))
    assert losses.tolist() == [2.5]
    losses = loss_of(HiddenMatch(**LAYERS), torch.tensor([[[[0.0, 1.0]]]]), student)
    assert losses.tolist() == [2.5]


@pytest.mark.parametrize(
    ("shape", "kind"), [((4,), nn.Linear), ((3, 4), nn.Linear), ((4, 6, 6), nn.Conv2d), ((4, 2, 2, 2), nn.Conv3d)]
)
def test_a_projector_brings_the_students_width_to_the_teachers(shape, kind):
    student = normal(2, *shape)
    wider = tuple(7 if size == 4 else size for size in shape)
    projector = HiddenMatch(**LAYERS).projector(student, normal(2, *wider))
    assert type(projector) is kind and projector(student).shape == (2, *wider)
    assert HiddenMatch(**LAYERS).projector(student, student) is None


def test_a_width_that_nobody_projected_is_refused():
    with pytest.raises(BadInput, match="student features of HiddenMatch must be as wide as the teacher's"):
        loss_of(HiddenMatch(**LAYERS), normal(2, 4), normal(2, 5))


def test_attention_looks_at_places_and_not_at_strength_or_width():
    student = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    teacher = torch.zeros(1, 3, 2, 2)
    teacher[0, :, 0, 0] = 5
    assert loss_of(AttentionMaps(**LAYERS), student, teacher).tolist() == [0.0]
    teacher = teacher.flip(-1)
    # Unit maps at two places: squares 1, 1, 0, 0.
    assert loss_of(AttentionMaps(**LAYERS), student, teacher).item() == pytest.approx(0.5, rel=1e-6)


def test_attention_of_a_larger_map_is_that_of_its_averages():
    student, teacher = normal(3, 2, 4, 4), normal(3, 5, 2, 2, seed=1)
    small = nn.functional.avg_pool2d(student, 2)
    torch.testing.assert_close(
        loss_of(AttentionMaps(**LAYERS), student, teacher), loss_of(AttentionMaps(**LAYERS), small, teacher)
    )


def test_they_say_that_they_read_layers():
    assert isinstance(HiddenMatch(**LAYERS), ReadsLayers) and isinstance(HiddenMatch(**LAYERS), Projects)
    assert isinstance(AttentionMaps(**LAYERS), ReadsLayers) and not isinstance(AttentionMaps(**LAYERS), Projects)


@pytest.mark.parametrize("term", [HiddenMatch, AttentionMaps])
@pytest.mark.parametrize("name", ["student_layer", "teacher_layer"])
def test_a_layer_needs_a_name(term, name):
    with pytest.raises(BadInput, match=f"{name} of {term.__name__} must be the name of a layer; got ''"):
        term(**{**LAYERS, name: ""})


@pytest.mark.parametrize("power", [0.0, 0.99, 100.0, float("nan")])
def test_the_power_has_bounds(power):
    with pytest.raises(BadInput, match="power of AttentionMaps"):
        AttentionMaps(**LAYERS, power=power)


def test_features_are_cut_and_moved_with_their_batch():
    batch = Batch(inputs=torch.zeros(4, 1), features=Features(normal(4, 2), normal(4, 3)))
    part = batch.rows(1, 3)
    assert part.features is not None
    assert torch.equal(part.features.student, normal(4, 2)[1:3]) and torch.equal(
        part.features.teacher, normal(4, 3)[1:3]
    )
    moved = batch.to(torch.device("meta")).features
    assert moved is not None and moved.student.device.type == moved.teacher.device.type == "meta"
