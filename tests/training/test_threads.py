"""How many threads a training gets: a rule on the network and the batch, and the caller's number given back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attar.training import threads
from attar.training.threads import threads_for, using_threads


@pytest.fixture
def two() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two")
def test_a_small_network_gets_one_thread_and_a_large_one_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    network, example = nn.Linear(100, 10), torch.zeros(1, 100)
    monkeypatch.setattr(threads, "ONE_THREAD_BELOW", 1000 * 64)
    assert threads_for(network, example=example, batch_size=63) == 1
    assert threads_for(network, example=example, batch_size=64) == 2
    assert threads_for(network, network, example=example, batch_size=32) == 2, "all that run in a step count"


@pytest.mark.usefixtures("two")
def test_threads_are_given_back_whatever_happens() -> None:
    with pytest.raises(RuntimeError, match="on the way"), using_threads(1):
        assert torch.get_num_threads() == 1
        raise RuntimeError("on the way")
    assert torch.get_num_threads() == 2
