"""The loss on where people looked, worked out by hand, and what it is for."""

from __future__ import annotations

import math

import pytest
import torch

from attar.errors import BadInput
from attar.tasks.classification import Classification
from attar.tasks.gaze import Gaze
from attar.training.batch import Batch
from attar.training.losses.fixations import Fixations
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.prepare import check_student, unsuited

LABELS = torch.tensor([[[2, 1], [-1, 1]], [[0, 0], [0, 0]], [[-1, -1], [-1, -1]]])
DENSITY = torch.tensor([0.5, 0.25, 0.125, 0.125])
BATCH = Batch(inputs=torch.zeros(3, 2), labels=LABELS)


def test_it_is_the_mean_over_the_fixations_of_each_image():
    output = DENSITY.log().expand(3, 4) + 5
    assert Fixations()(output, BATCH).tolist() == pytest.approx([math.log(2) * (1 / 2 + 2 / 4 + 3 / 4), 0, 0])


def test_its_gradient_is_the_density_less_the_shares_of_the_fixations():
    output = DENSITY.log().repeat(3, 1).double().requires_grad_()
    Fixations()(output, BATCH).sum().backward()
    assert output.grad is not None
    assert output.grad[0].tolist() == pytest.approx([0, 0, 0.125, -0.125], abs=1e-6)
    assert output.grad[1:].abs().max() == 0
    assert torch.autograd.gradcheck(lambda some: Fixations()(some, BATCH), output)


def test_half_precision_goes_in_and_float32_comes_out():
    found = Fixations()(DENSITY.log().expand(3, 4).bfloat16(), BATCH)
    assert found.dtype == torch.float32 and found[0] == pytest.approx(1.75 * math.log(2), rel=1e-2)


def test_it_is_for_gaze_and_what_is_for_classes_is_not():
    task = Gaze((2, 2))
    assert unsuited(Fixations(), task) is None and unsuited(SoftTargets(), task) is None
    use = 'Use what suits it: fixations against labels, soft_targets with temperature = "1.0" against a teacher.'
    assert unsuited(HardLabels(), task) == f"is for one class among several, and the task is gaze. {use}"
    found = unsuited(Fixations(), Classification(("a", "b")))
    assert found is not None and found.startswith("is for fixations, and the task is classification.")


def test_a_student_of_another_size_is_told():
    with pytest.raises(BadInput, match=r"outputs of shape \[3, 3\] for 3 rows, where \[3, 4\] is needed"):
        check_student(torch.nn.Linear(2, 3), BATCH, [Fixations()])
    check_student(torch.nn.Linear(2, 4), BATCH, [Fixations()])
    with pytest.raises(BadInput, match="labels of the batch must be present for Fixations; got none"):
        Fixations()(torch.zeros(1, 4), Batch(inputs=torch.zeros(1, 2)))
