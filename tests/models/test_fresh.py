"""Untrained models: weights from a seed, and the caller's random state as it was."""

from __future__ import annotations

import torch

from attar.models.fresh import fresh
from attar.network.spec import Spec
from attar.network.weights import digest

SPEC = Spec("attar.network.architectures:mlp", {"inputs": 2, "classes": 2})


def test_the_seed_says_which_weights_and_nothing_else_changes() -> None:
    before = torch.random.get_rng_state()
    first = fresh(SPEC, 3)
    torch.testing.assert_close(torch.random.get_rng_state(), before)
    assert digest(first.module) == digest(fresh(SPEC, 3).module) != digest(fresh(SPEC, 4).module)
    assert first.spec == SPEC


def test_values_come_out_in_their_units_and_the_spec_says_so() -> None:
    model = fresh(SPEC, 3, torch.tensor([[1.0, 50.0], [3.0, 50.0]]))
    inputs = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    expected = fresh(SPEC, 3).module(inputs) + torch.tensor([2.0, 50.0])  # deviations of 1, and none
    torch.testing.assert_close(model.module(inputs), expected)
    rebuilt = model.spec.build()
    rebuilt.load_state_dict(model.module.state_dict())
    torch.testing.assert_close(rebuilt(inputs), expected)
