"""Each guard warns with its number where there is something to warn of, and is silent elsewhere."""

from __future__ import annotations

import torch

from attar.recipes.guards import nearly_one_hot, other_views, weak_teacher


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
