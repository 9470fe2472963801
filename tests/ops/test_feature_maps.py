"""Features made comparable: sizes, channels, attention by hand and by loops."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from attar.errors import BadInput
from attar.ops.feature_maps import attention, channels_axis, same_size


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_channels_are_second_in_maps_and_last_elsewhere():
    assert [channels_axis(torch.zeros(*[2] * axes)) for axes in (2, 3, 4, 5)] == [-1, -1, 1, 1]
    for axes in (1, 6):
        with pytest.raises(BadInput, match="features of a hidden layer"):
            channels_axis(torch.zeros(*[2] * axes))


def test_the_larger_map_is_averaged_along_each_axis():
    one, other = normal(2, 3, 4, 2), normal(2, 5, 2, 6, seed=1)
    a, b = same_size(one, other)
    assert a.shape == (2, 3, 2, 2) and b.shape == (2, 5, 2, 2)
    # Halves of four rows, thirds of six columns.
    torch.testing.assert_close(a[..., 0, 0], (one[..., 0, 0] + one[..., 1, 0]) / 2)
    torch.testing.assert_close(b[..., 1, 1], other[..., 1, 3:].mean(-1))


def test_equal_sizes_are_left_alone():
    for one, other in [(normal(2, 3, 4, 4), normal(2, 5, 4, 4)), (normal(2, 3), normal(2, 9)), (normal(2, 3, 4),) * 2]:
        a, b = same_size(one, other)
        assert a is one and b is other


def test_volumes_are_averaged_too():
    a, _ = same_size(normal(2, 3, 4, 4, 4), normal(2, 3, 2, 2, 2))
    torch.testing.assert_close(a, functional.avg_pool3d(normal(2, 3, 4, 4, 4), 2))


@pytest.mark.parametrize(("one", "other"), [((2, 3), (2, 3, 4, 4)), ((2, 3, 4), (2, 5, 4)), ((2, 3, 4), (2, 3, 4, 4))])
def test_kinds_that_differ_are_refused(one, other):
    with pytest.raises(BadInput, match=r"the teacher's features of a hidden layer must be of the kind"):
        same_size(torch.zeros(one), torch.zeros(other))


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
def test_attention_is_that_of_loops(power):
    maps = normal(3, 4, 2, 5).double()
    found = attention(maps, power=power)
    for row, each in enumerate(maps.numpy()):
        strength = np.array([[sum(abs(c[i, j]) ** power for c in each) for j in range(5)] for i in range(2)]).ravel()
        expected = strength / math.sqrt((strength**2).sum())
        np.testing.assert_allclose(found[row].numpy(), expected, rtol=1e-12)
    # Tokens have their features last.
    torch.testing.assert_close(attention(maps.flatten(2).transpose(1, 2), power=power), found)


def test_a_silent_layer_has_no_attention_and_a_finite_gradient():
    maps = torch.zeros(2, 3, 2, 2, requires_grad=True)
    found = attention(maps)
    assert (found == 0).all()
    assert torch.autograd.grad(found.sum(), maps)[0].isfinite().all()


def test_attention_needs_positions_and_a_power():
    with pytest.raises(BadInput, match="features of attention must be maps or sequences"):
        attention(torch.zeros(2, 3))
    for power in (0.5, math.nan):
        with pytest.raises(BadInput, match="power of attention must be at least 1"):
            attention(torch.zeros(2, 3, 4), power=power)
