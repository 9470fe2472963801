"""Each guard warns with its number where there is something to warn of, and is silent elsewhere."""

from __future__ import annotations

from typing import Any

import torch

from attar.data.split import Split
from attar.data.subset import subset_of
from attar.recipes.guards import lost_classes, nearly_one_hot, of_share, other_views, weak_teacher
from attar.recipes.schema.transfer import TransferSection
from attar.tasks.classification import Classification
from attar.tasks.labels import ABSENT


def test_a_weak_teacher() -> None:
    said = weak_teacher(0.89, [0.90, 0.92])
    assert said is not None and "89.00% against 91.00%" in said and "validation" in said
    assert weak_teacher(0.92, [0.90, 0.92]) is None
    assert weak_teacher(0.5, []) is None


def test_targets_that_are_nearly_one_hot_are_so_at_a_temperature() -> None:
    targets = torch.tensor([[12.0, 0.0, 0.0], [0.0, 12.0, 0.0]])
    said = nearly_one_hot(targets, 1.0)
    # exp(12) / (exp(12) + 2)
    assert said is not None and "temperature 1" in said and "100.00%" in said
    assert nearly_one_hot(targets, 4.0) is None


def test_other_views_are_told_by_what_the_teacher_says_of_them() -> None:
    heard = torch.tensor([[1.0, 0.0]])
    assert other_views(heard, heard + 3.0, 1.0) is None, "a constant is no difference"
    said = other_views(torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]]), 2.0)
    # KL((1/2, 1/2) || softmax(1, 0)) = log 2 - (log .7311 + log .2689) / -2 ...
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]).softmax(0)
    assert said is not None and f"{float((p * (p / q).log()).sum()):.3f} nats" in said


def test_classes_that_a_small_share_has_none_of_are_named() -> None:
    before = torch.tensor([0, 0, 1, 1, 2, ABSENT])
    said = lost_classes(before, torch.tensor([1]), ("ant", "bee", "cat", "dog"), 0.2)
    assert said is not None and "share = 0.2 keeps 1 training examples" in said
    assert "none of 2 of 3 classes: ant, cat." in said
    assert lost_classes(before, torch.tensor([2, 1, 0]), ("ant", "bee", "cat", "dog"), 0.5) is None


def test_classes_that_the_recipe_leaves_out_are_no_loss() -> None:
    train = Split(torch.zeros(90, 2), torch.arange(90) % 3, torch.arange(90), Classification(("ant", "bee", "cat")))

    def said(**settings: Any) -> str | None:
        transfer = TransferSection(**settings)
        part = subset_of(train, only=transfer.only, without=transfer.without, share=transfer.share)
        return of_share(transfer, train, part)

    lost = said(share=0.02)
    assert lost is not None and "keeps 2 training examples, and none of 1 of 3 classes" in lost
    one = said(share=0.02, without=["ant"])
    assert one is not None and "none of 1 of 2 classes" in one and "ant" not in one
    assert said(share=0.5) is None
    assert said(share=0.5, without=["ant"]) is None and said(only=["ant"]) is None
    assert of_share(TransferSection(), train, None) is None
    few = of_share(TransferSection(labeled_share=0.02), train, subset_of(train, share=0.02))
    assert few is not None and "transfer.labeled_share = 0.02 keeps 2" in few
