"""Single weights: which go, and which names find them."""

import pytest
import torch
from torch import nn

from attar.errors import BadInput, NothingMatched
from attar.pruning.elements import smallest, weights_of


@pytest.mark.parametrize("over", ["layer", "network"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.65, 1.0])
def test_the_share_that_is_asked_for_goes_and_none_of_it_is_larger_than_what_stays(share: float, over: str) -> None:
    draws = torch.Generator().manual_seed(0)
    weights = {"a": torch.randn(7, 3, generator=draws), "b": 10 * torch.randn(4, 5, generator=draws)}
    masks = smallest(weights, share, over)  # type: ignore[arg-type]
    assert {name: mask.shape for name, mask in masks.items()} == {name: one.shape for name, one in weights.items()}
    gone = {name: weights[name][mask].abs() for name, mask in masks.items()}
    left = {name: weights[name][~mask].abs() for name, mask in masks.items()}
    if over == "layer":
        assert [len(gone["a"]), len(gone["b"])] == [round(share * 21), round(share * 20)]
    else:
        assert len(gone["a"]) + len(gone["b"]) == round(share * 41)
        gone, left = ({"all": torch.cat(list(one.values()))} for one in (gone, left))
    for name in gone:
        if len(gone[name]) and len(left[name]):
            assert gone[name].max() <= left[name].min()


def test_what_is_gone_goes_first_and_of_equals_the_first() -> None:
    weights = {"a": torch.tensor([[0.0, 3.0], [0.0, 0.0]])}
    assert smallest(weights, 0.25)["a"].tolist() == [[True, False], [False, False]]
    gone = {"a": torch.tensor([[False, False], [False, True]])}
    assert smallest(weights, 0.25, gone=gone)["a"].tolist() == [[False, False], [False, True]]


def test_weights_are_found_by_names_patterns_and_places() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 3), nn.Linear(3, 2))
    assert list(weights_of(network)) == ["0.weight", "2.weight", "3.weight"]
    for skip in (["first", "last"], ["0", "3.weight"], ["[03]"]):
        assert list(weights_of(network, skip)) == ["2.weight"]
    with pytest.raises(NothingMatched, match=r"skip must fit a layer with weights; '1' fits none"):
        weights_of(network, ["1"])
    with pytest.raises(NothingMatched, match="No weights are left of 3 tensors with weights"):
        weights_of(network, ["*"])
    network[3].weight = nn.Parameter(torch.zeros(2, 3))
    network.append(nn.Linear(3, 2))
    network[4].weight = network[3].weight
    assert list(weights_of(network)) == ["0.weight", "2.weight", "3.weight"], "tied weights are there once"


def test_factors_of_channels_and_positions_are_no_weights() -> None:
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 3)), nn.LayerNorm([4, 2, 2]))
    network.append(nn.Conv2d(4, 1, 1)).register_parameter("scale", nn.Parameter(torch.ones(4, 1, 1)))
    assert list(weights_of(network)) == ["0.parametrizations.weight.original1", "2.weight"]


def test_a_share_is_one() -> None:
    with pytest.raises(BadInput, match=r"share of smallest must be from 0 to 1; got 90\."):
        smallest({}, 90.0)
