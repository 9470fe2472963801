"""Relations: by hand, by loops, and what neither a shift nor a turn changes."""

import itertools
import math

import numpy as np
import pytest
import torch

from attar.ops.relations import angles, huber, relative_distances


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_distances_are_those_of_loops():
    x = points(7, 3)
    x[4] = x[2]  # A distance of 0 does not enter the mean.
    found = relative_distances(x)
    loops = np.array([[math.dist(a, b) for b in x.tolist()] for a in x.tolist()])
    np.testing.assert_allclose(found.numpy(), loops / loops[loops > 0].mean(), rtol=1e-12)


def test_angles_are_those_of_loops():
    x = points(6, 4)
    found = angles(x).numpy()
    for i, j, k in itertools.product(range(6), repeat=3):
        if i in (j, k):
            assert found[i, j, k] == 0
            continue
        one, other = (x[j] - x[i]).numpy(), (x[k] - x[i]).numpy()
        expected = one @ other / math.sqrt((one @ one) * (other @ other))
        assert found[i, j, k] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("relations", [relative_distances, angles])
def test_a_shift_a_turn_and_a_scale_change_nothing(relations):
    x = points(8, 5)
    turn, _ = torch.linalg.qr(points(5, 5, seed=1))
    torch.testing.assert_close(relations(3 * (x @ turn) + points(5, seed=2)), relations(x))


@pytest.mark.parametrize("relations", [relative_distances, angles])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_examples_have_few_relations(relations, count):
    found = relations(points(count, 3))
    assert found.isfinite().all()
    if count < 2:
        assert (found == 0).all()


@pytest.mark.parametrize("relations", [relative_distances, angles])
def test_coincident_examples_give_finite_gradients(relations):
    x = torch.zeros(5, 3)
    x[3:] = 1e4
    x.requires_grad_()
    found = relations(x)
    weights = points(*found.shape).float()
    assert found.isfinite().all()
    assert torch.autograd.grad((found * weights).sum(), x)[0].isfinite().all()


def test_close_examples_far_from_the_origin_keep_their_distances():
    # By way of products, float32 would lose all of this.
    x = torch.tensor([[10000.0], [10000.25], [10000.75]])
    torch.testing.assert_close(relative_distances(x)[0], torch.tensor([0.0, 0.5, 1.5]))


def test_huber_by_hand():
    student = torch.tensor([0.0, 0.5, -0.5, 1.0, 3.0, -3.0])
    torch.testing.assert_close(huber(student, torch.zeros(6)), torch.tensor([0.0, 0.125, 0.125, 0.5, 2.5, 2.5]))
