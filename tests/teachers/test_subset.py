"""Teachers that know some of the classes, alone and in an ensemble."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.teachers import Ensemble, NetworkTeacher
from attar.teachers.subset import SubsetTeacher

NAMES = ["ant", "bee", "cat", "dog"]
INPUTS = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))


def teacher(seed: int, classes: int) -> NetworkTeacher:
    torch.manual_seed(seed)
    return NetworkTeacher(nn.Linear(3, classes), classes=classes)


def part(seed: int, *knows: str) -> SubsetTeacher:
    return SubsetTeacher(teacher(seed, len(knows)), knows=knows, names=NAMES)


def test_members_that_know_parts_together_know_all():
    one, other = part(0, "cat", "ant"), part(1, "bee", "dog", "cat")
    ensemble = Ensemble([one, other])
    assert ensemble.classes == 4 and ensemble.known == ((2, 0), (1, 3, 2)) and ensemble.module is None
    said = ensemble.predict(INPUTS)
    # Two members that share one class can both be followed to the letter.
    torch.testing.assert_close(said[:, [2, 0]].softmax(1), one.predict(INPUTS).softmax(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said[:, [1, 3, 2]].softmax(1), other.predict(INPUTS).softmax(1), atol=1e-5, rtol=1e-4)


def test_a_subset_of_all_classes_changes_nothing_but_their_order():
    one, other = teacher(0, 4), teacher(1, 4)
    reordered = SubsetTeacher(other, knows=["dog", "cat", "bee", "ant"], names=NAMES)
    said = Ensemble([one, reordered], weights=[2, 1]).predict(INPUTS)
    expected = one.predict(INPUTS).softmax(1) * 2 / 3 + other.predict(INPUTS).softmax(1).flip(1) / 3
    torch.testing.assert_close(said.exp(), expected)


def test_a_member_that_knows_all_stands_beside_one_that_does_not():
    said = Ensemble([teacher(0, 4), part(1, "ant", "bee")]).predict(INPUTS)
    assert said.shape == (5, 4)
    # What the part does not know keeps the ratios that the whole gives it.
    torch.testing.assert_close(
        said[:, 2] - said[:, 3], (lambda z: z[:, 2] - z[:, 3])(teacher(0, 4).predict(INPUTS)), atol=1e-4, rtol=1e-4
    )


def test_fingerprint_tells_the_classes_apart():
    inner = teacher(0, 2)
    prints = {
        inner.fingerprint(),
        SubsetTeacher(inner, knows=["ant", "bee"], names=NAMES).fingerprint(),
        SubsetTeacher(inner, knows=["bee", "ant"], names=NAMES).fingerprint(),
        SubsetTeacher(inner, knows=["ant", "bee"], names=["ant", "bee", "cow"]).fingerprint(),
    }
    assert len(prints) == 4


@pytest.mark.parametrize("mean", ["logits", "geometric"])
def test_other_means_refuse_parts(mean):
    with pytest.raises(BadInput, match=f"'probabilities'.*{mean}"):
        Ensemble([part(0, "ant", "bee"), part(1, "bee", "cat", "dog")], mean)


def test_classes_that_are_missing_or_apart_are_named():
    with pytest.raises(BadInput, match="'dog'"):
        Ensemble([part(0, "ant", "bee"), part(1, "bee", "cat")])
    with pytest.raises(BadInput, match=r"\['ant', 'bee'\], \['cat', 'dog'\]"):
        Ensemble([part(0, "ant", "bee"), part(1, "cat", "dog")])
    with pytest.raises(BadInput, match="same classes"):
        Ensemble([part(0, "ant", "bee"), SubsetTeacher(teacher(0, 2), knows=["x", "y"], names=["x", "y", "z"])])
    with pytest.raises(BadInput, match="as many classes"):
        Ensemble([part(0, "ant", "bee"), teacher(0, 5)])


def test_names_are_checked():
    with pytest.raises(BadInput, match="'ant'"):
        part(0, "antt", "bee")
    with pytest.raises(BadInput, match="each of the 2 logits"):
        SubsetTeacher(teacher(0, 2), knows=["ant"], names=NAMES)
    with pytest.raises(BadInput, match="none twice"):
        SubsetTeacher(teacher(0, 2), knows=["ant", "ant"], names=NAMES)
