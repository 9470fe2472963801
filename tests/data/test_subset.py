"""Parts of a split: the classes keep their numbers, the rows their ids."""

from __future__ import annotations

import pytest
import torch

from attar.data.split import Split
from attar.data.subset import absent_classes, joined, subset_of
from attar.errors import BadInput, NothingMatched
from attar.tasks.classification import Classification
from attar.tasks.labels import ABSENT

CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def split() -> Split:
    labels = torch.tensor([0, 1, 2] * 100)
    return Split(torch.arange(300.0)[:, None], labels, torch.arange(1000, 1300), Classification(CLASSES))


def test_classes_are_left_out_or_kept_alone(split: Split) -> None:
    without, only = subset_of(split, without=["bee"]), subset_of(split, only=["ant", "cat"])
    assert torch.equal(without.ids, only.ids) and len(only) == 200
    assert only.labels is not None and split.labels is not None
    assert only.labels.unique().tolist() == [0, 2] and only.classes == CLASSES
    assert torch.equal(only.inputs[:, 0] + 1000, only.ids.float()), "rows and ids stay together"
    assert absent_classes(only) == [1] and absent_classes(split) == []


def test_a_share_keeps_the_classes_shares_and_grows(split: Split) -> None:
    few, more = subset_of(split, share=0.03, seed=5), subset_of(split, share=0.3, seed=5)
    assert few.labels is not None and torch.bincount(few.labels).tolist() == [3, 3, 3]
    assert len(more) == 90 and set(few.ids.tolist()) <= set(more.ids.tolist())
    assert set(subset_of(split, share=0.03, seed=6).ids.tolist()) != set(few.ids.tolist())


def test_joined_examples_have_no_label_and_new_ids(split: Split) -> None:
    both = joined(split, torch.full((2, 1), 7.0))
    assert len(both) == 302 and both.labels is not None
    assert both.labels[300:].tolist() == [ABSENT, ABSENT] and both.ids[300:].tolist() == [1300, 1301]
    assert len(joined(split, torch.full((2, 1), 7.0), original=False)) == 2


def test_what_cannot_be_kept_is_said(split: Split) -> None:
    with pytest.raises(NothingMatched, match="Did you mean 'bee'"):
        subset_of(split, without=["be"])
    with pytest.raises(NothingMatched, match=r"without = \['ant', 'bee', 'cat'\] of the examples leaves none"):
        subset_of(split, without=CLASSES)
    with pytest.raises(BadInput, match=r"share .*at most 1; got 1\.5"):
        subset_of(split, share=1.5)
    with pytest.raises(BadInput, match="are both given"):
        subset_of(split, only=["ant"], without=["bee"])
    unlabeled = Split(split.inputs, None, split.ids, Classification(CLASSES))
    with pytest.raises(BadInput, match="the examples have no labels"):
        subset_of(unlabeled, only=["ant"])
    with pytest.raises(BadInput, match="Name the classes"):
        absent_classes(unlabeled)
    assert len(subset_of(unlabeled, share=0.5)) == 150
