"""Values in units behind a network that learns standardized ones, rebuilt from its spec."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.models.model import Model, load_model, save_model
from attar.models.rebuild import edits_from_json
from attar.network.architectures import mlp
from attar.network.scaled_outputs import ScaledOutputs, ScaleOutputs, center_and_scale, scaled_to
from attar.network.spec import Spec

VALUES = torch.tensor([[1.0, 10.0], [3.0, math.nan], [5.0, 10.0]])


def test_center_and_scale_by_hand():
    center, scale = center_and_scale(VALUES)
    assert center.tolist() == [3.0, 10.0]
    assert scale.tolist() == pytest.approx([math.sqrt(8 / 3), 1.0])


def test_outputs_are_in_units():
    network = scaled_to(nn.Identity(), VALUES)
    torch.testing.assert_close(network(torch.tensor([[0.0, 2.0]])), torch.tensor([[3.0, 12.0]]))


def test_one_number_is_not_stretched_to_several_values():
    scaled = ScaledOutputs(nn.Linear(2, 1), torch.zeros(3), torch.ones(3))
    with pytest.raises(
        BadInput, match=r"^output of the network must be \[batch, 3\], one for each value; got \(4, 1\)"
    ):
        scaled(torch.zeros(4, 2))


def test_a_value_that_is_known_nowhere_is_told():
    with pytest.raises(BadInput, match="values of center_and_scale must be known for at least one example"):
        center_and_scale(torch.full((3, 1), math.nan))


def test_it_comes_back_from_its_spec(tmp_path: Path):
    spec = Spec("attar.network.architectures:mlp", {"inputs": 4, "classes": 2, "hidden": [3]}).with_edit(
        ScaleOutputs(2)
    )
    network = scaled_to(mlp(4, 2, [3]), VALUES).eval()
    save_model(Model(network, spec), tmp_path)
    again = load_model(tmp_path).module
    assert isinstance(again, ScaledOutputs)
    inputs = torch.randn(5, 4)
    assert torch.equal(again(inputs), network(inputs))


@pytest.mark.parametrize("outputs", [0, -1, 10**9, "2", True, None])
def test_what_is_no_edit_is_told(outputs: object):
    with pytest.raises(BadInput, match="a number of outputs and nothing else"):
        edits_from_json([{"use": "scale_outputs", "outputs": outputs}])


def test_what_varies_by_rounding_alone_does_not_vary() -> None:
    one = torch.tensor(1000.0)
    values = torch.stack([one, torch.nextafter(one, one + 1), one])[:, None]
    assert center_and_scale(values)[1].tolist() == [1.0]
    assert center_and_scale(values * torch.tensor([[1.0], [1.0], [1.1]]))[1].item() > 40


def test_a_spread_that_float32_cannot_divide_by_is_told():
    with pytest.raises(BadInput, match=r"of a standard deviation of at least 1.2e-38, or 0; got 1e-40. Multiply them"):
        center_and_scale(torch.tensor([[1e-40], [-1e-40]]))
    assert center_and_scale(torch.zeros(2, 1))[1].tolist() == [1.0]
