"""Which values share a scale."""

import pytest
import torch

from attar.errors import BadInput
from attar.ops.granularity import PerAxis, PerGroup, PerTensor

SHAPES = [(), (1,), (5,), (8,), (3, 4), (2, 3, 2, 2), (0,), (0, 3), (3, 0)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("granularity", [PerTensor(), PerAxis(0), PerAxis(-1), PerGroup(4), PerGroup(100)], ids=repr)
def test_rows_hold_every_value_and_make_the_tensor_again(granularity, shape):
    tensor = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    rows = granularity.rows(tensor)
    assert len(rows) == granularity.groups(shape)
    assert torch.equal(granularity.from_rows(rows, shape), tensor)


def test_rows_are_what_their_names_say():
    tensor = torch.arange(6.0).reshape(2, 3)
    assert PerTensor().rows(tensor).tolist() == [[0, 1, 2, 3, 4, 5]]
    assert PerAxis(0).rows(tensor).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert PerAxis(1).rows(tensor).tolist() == [[0, 3], [1, 4], [2, 5]]
    # The last group is filled up with the last value.
    assert PerGroup(4).rows(tensor).tolist() == [[0, 1, 2, 3], [4, 5, 5, 5]]
    assert PerGroup(7).rows(tensor).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_groups_do_not_depend_on_the_layout():
    tensor = torch.randn(4, 3, 2, 2)
    last = tensor.to(memory_format=torch.channels_last)
    for granularity in (PerTensor(), PerAxis(0), PerGroup(5)):
        assert torch.equal(granularity.rows(last), granularity.rows(tensor))


def test_an_axis_beyond_the_last_is_refused():
    for axis in (2, -3):
        with pytest.raises(BadInput, match=r"axis of PerAxis must be an axis of a tensor of shape \(2, 3\)"):
            PerAxis(axis).rows(torch.zeros(2, 3))
