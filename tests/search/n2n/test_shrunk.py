"""What a network is expected to keep of its parameters when it is made narrower."""

from __future__ import annotations

import pytest
import torch

from attar.network.spec import Spec
from attar.search.n2n.describe import describe
from attar.search.n2n.shrunk import shrunk_share


def test_each_layer_keeps_the_geometric_mean_of_the_smallest_and_the_middle_multiplier() -> None:
    spec = Spec("attar.network.architectures:mlp", {"inputs": 10, "classes": 5, "hidden": [80, 40]})
    layers = describe(spec, torch.zeros(1, 10))
    # sqrt(.25 * .36) = .3: 24 and 12 units stay.
    kept, every = 24 * 11 + 12 * 25 + 5 * 13, 80 * 11 + 40 * 81 + 5 * 41
    assert shrunk_share(layers, [1.0, 0.25, 0.36]) == pytest.approx(kept / every)
    assert shrunk_share(layers, [1.0]) == 1.0


def test_a_network_that_is_large_for_its_classifier_keeps_more() -> None:
    """Channels go on both sides of a convolution, and on one side of a classifier."""

    def share(pools: list[int]) -> float:
        arguments = {"classes": 10, "widths": [32, 32, 32], "pools": pools, "hidden": [], "side": 16}
        layers = describe(Spec("attar.network.architectures:convnet", arguments), torch.zeros(1, 1, 16, 16))
        return shrunk_share(layers, [0.25])

    assert share([1, 2, 2]) < share([1, 1, 1]) < 0.25 * 1.1
