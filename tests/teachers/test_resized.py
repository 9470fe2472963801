"""Teachers that want inputs of another size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.teachers import Ensemble, NetworkTeacher, Teacher
from attar.teachers.as_teacher import as_teacher
from attar.teachers.resized import Resize, ResizedTeacher
from attar.teachers.subset import SubsetTeacher

IMAGES = torch.rand(3, 2, 8, 6, generator=torch.Generator().manual_seed(1))


def teacher(height: int, width: int) -> NetworkTeacher:
    torch.manual_seed(0)
    return NetworkTeacher(nn.Sequential(nn.Flatten(), nn.Linear(2 * height * width, 4)), classes=4)


def test_the_teacher_sees_its_own_size():
    one = ResizedTeacher(teacher(4, 3), (4, 3))
    assert isinstance(one, Teacher) and one.classes == 4
    # Halving an image with the filter of twice the width weighs four pixels a side 1, 3, 3, 1; at the edge fewer.
    row = np.array([1.0, 3.0, 3.0, 1.0]) / 8
    small = Resize((4, 3))(IMAGES)
    expected = np.einsum("i,j,ncij->nc", row, row, IMAGES[:, :, 1:5, 1:5].numpy())
    np.testing.assert_allclose(small[:, :, 1, 1].numpy(), expected, atol=1e-6)
    torch.testing.assert_close(one.predict(IMAGES), one.teacher.predict(small))


def test_the_right_size_is_left_as_it_is():
    assert Resize((8, 6))(IMAGES) is IMAGES
    torch.testing.assert_close(ResizedTeacher(teacher(8, 6), (8, 6)).predict(IMAGES), teacher(8, 6).predict(IMAGES))
    assert ResizedTeacher(teacher(5, 5), 5).predict(IMAGES).shape == (3, 4)


def test_as_a_module_and_in_an_ensemble():
    one = ResizedTeacher(teacher(4, 3), (4, 3))
    ensemble = Ensemble([one, teacher(8, 6)])
    assert one.module is not None and ensemble.module is not None
    torch.testing.assert_close(one.module(IMAGES), one.predict(IMAGES))
    torch.testing.assert_close(ensemble.module(IMAGES), ensemble.predict(IMAGES))


def crop(images: Tensor) -> Tensor:
    return images[:, :, :4, :3]


def test_a_function_instead_of_a_size():
    one = ResizedTeacher(teacher(4, 3), crop)
    torch.testing.assert_close(one.predict(IMAGES), one.teacher.predict(IMAGES[:, :, :4, :3]))
    assert one.module is None
    with pytest.raises(BadInput, match="3 rows"):
        ResizedTeacher(teacher(4, 3), lambda images: images[:2]).predict(IMAGES)


def test_fingerprint_tells_changes_apart():
    inner = teacher(4, 3)
    prints = {
        inner.fingerprint(),
        ResizedTeacher(inner, (4, 3)).fingerprint(),
        ResizedTeacher(inner, (3, 4)).fingerprint(),
        ResizedTeacher(inner, crop).fingerprint(),
        ResizedTeacher(inner, torch.relu).fingerprint(),
    }
    assert len(prints) == 5
    assert ResizedTeacher(teacher(4, 3), (4, 3)).fingerprint() == ResizedTeacher(inner, (4, 3)).fingerprint()


def test_sizes_and_inputs_are_checked():
    with pytest.raises(BadInput, match="positive"):
        ResizedTeacher(teacher(4, 3), 0)
    with pytest.raises(BadInput, match="images"):
        ResizedTeacher(teacher(4, 3), (4, 3)).predict(torch.zeros(2, 24))


def test_as_teacher_makes_one():
    network = teacher(4, 3).module
    one = as_teacher(network, example=IMAGES[:1], size=(4, 3))
    assert isinstance(one, ResizedTeacher) and one.classes == 4
    torch.testing.assert_close(one.predict(IMAGES), ResizedTeacher(teacher(4, 3), (4, 3)).predict(IMAGES))
    named = ["ant", "bee", "cat", "dog", "eel"]
    part = as_teacher(network, classes=named, knows=["eel", "cat", "ant", "bee"], size=(4, 3))
    assert isinstance(part, SubsetTeacher) and part.known == (4, 2, 0, 1)
    torch.testing.assert_close(part.predict(IMAGES), one.predict(IMAGES))
    with pytest.raises(BadInput, match="names of all classes"):
        as_teacher(network, classes=5, knows=["ant", "bee", "cat", "dog"])
