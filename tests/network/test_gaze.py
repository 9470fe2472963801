"""The network of gaze: a density whatever it sees, what smooths and centers it, and what pruning leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.architectures import gaze_network
from attar.network.gaze import Blur, CenterBias
from attar.pruning.edit import prune
from attar.pruning.groups import find_groups
from attar.tasks.metrics.gaze import center_bias

KINDS = ("vgg", "densenet")


def images(count: int = 2, height: int = 24, width: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def network(backbone: str, **more: object) -> nn.Module:
    torch.manual_seed(0)
    return gaze_network((12, 16), widths=[4, 6], backbone=backbone, depth=2, readout=[5], **more).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", KINDS)
def test_it_gives_a_density_over_the_pixels_of_images_of_any_size(backbone: str):
    for size in ((24, 32), (12, 16), (17, 40)):
        output = network(backbone)(images(2, *size))
        assert output.shape == (2, 12 * 16)
        torch.testing.assert_close(output.exp().sum(1), torch.ones(2))


@pytest.mark.parametrize("backbone", KINDS)
def test_every_weight_learns(backbone: str):
    model = network(backbone).train()
    output = model(images(4))
    (-output[torch.arange(4), torch.tensor([3, 50, 80, 190])]).sum().backward()
    for name, weight in model.named_parameters():
        # A number added to the one map changes no density.
        assert weight.grad is not None and (name == "readout.2.bias") == bool(weight.grad.abs().max() < 1e-5), name


def test_it_begins_with_the_center_bias_of_the_metrics_where_the_readout_says_nothing():
    model = network("vgg", spread=(0.2, 0.3))
    last = model.readout[-1]
    nn.init.zeros_(last.weight)
    expected = center_bias((12, 16), (0.5, 0.5, 0.2, 0.3))
    np.testing.assert_allclose(model(images(1))[0].detach().numpy(), expected, atol=1e-5)
    with torch.no_grad():
        model.center.weight_of_rows.zero_(), model.center.weight_of_columns.zero_()
    torch.testing.assert_close(model(images(1)), torch.full((1, 192), -math.log(192)))


def test_the_blur_is_a_gaussian_that_keeps_sums_and_borders():
    one = torch.zeros(1, 1, 21, 31)
    one[..., 10, 15] = 1
    blurred = Blur(1.5)(one)[0, 0]
    assert float(blurred.sum()) == pytest.approx(1)
    assert float(blurred[10, 17] / blurred[10, 15]) == pytest.approx(math.exp(-0.5 * (2 / 1.5) ** 2))
    assert float(blurred[13, 17] / blurred[10, 15]) == pytest.approx(math.exp(-0.5 * 13 / 1.5**2))
    torch.testing.assert_close(Blur(2.0)(torch.full((1, 1, 9, 9), 3.0)), torch.full((1, 1, 9, 9), 3.0))
    assert Blur(0.0)(one) is one
    assert not list(Blur(1.5).parameters())


def test_the_center_bias_is_learned_down_and_across():
    bias = CenterBias((3, 5), (0.25, 0.5))
    assert sorted(name for name, _ in bias.named_parameters()) == ["weight_of_columns", "weight_of_rows"]
    added = bias(torch.zeros(1, 1, 3, 5))[0, 0]
    assert added[1, 2] == 0
    assert float(added[0, 4].detach()) == pytest.approx(-0.5 * ((1 / 3 / 0.25) ** 2 + (0.4 / 0.5) ** 2))


@pytest.mark.parametrize("backbone", KINDS)
def test_pruning_finds_its_channels_and_leaves_what_smooths_and_centers(backbone: str):
    model = network(backbone)
    groups = find_groups(model, images(1))
    found = {name for group in groups.groups for name in group.producers}
    assert "features.0" in found and "readout.0" in found
    assert all(name.startswith(("features", "readout")) for name in found)
    assert groups.untouched == {"readout.2": "its units are outputs of the network"}
    # A slim one is the one with masks, and gives densities of the same size.
    group = next(one for one in groups.groups if one.name == "readout.0")
    last = model.readout[2].weight
    slim = prune(model, groups, {group.name: [1, 3]}).apply(network(backbone))
    with torch.no_grad():
        last[:, [1, 3]] = 0
    torch.testing.assert_close(slim(images()), model(images()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": []}, "widths of gaze_network must be not empty"),
        ({"widths": [8, 0]}, "widths of gaze_network must be whole numbers of at least 1"),
        ({"size": (12,)}, "size of gaze_network must be height and width"),
        ({"backbone": "vg"}, "backbone of gaze_network must be one that there is; got 'vg'. Did you mean 'vgg'"),
        ({"blur": -1.0}, "blur of gaze_network must be a share of the longer side"),
        ({"spread": (0.0, 1.0)}, "spread of gaze_network must be two standard deviations above 0"),
    ],
)
def test_what_is_no_network_is_told(changes: dict[str, object], message: str):
    with pytest.raises(BadInput, match=message):
        gaze_network(**{"size": (12, 16), **changes})  # type: ignore[arg-type]
