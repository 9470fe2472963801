"""Networks of several named inputs as networks of one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attar.network.architectures import token_encoder, token_mean
from attar.network.named import Named, taking_one
from attar.network.spec import Spec


class Counted(nn.Module):
    """Ids plus ten times the mask, summed."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return (ids + 10 * mask).sum(1, keepdim=True)


class Bert(nn.Module):
    """Names as libraries of language models have them, in another order and among others."""

    def forward(self, attention_mask: Tensor | None = None, input_ids: Tensor | None = None, more: None = None) -> Any:
        assert input_ids is not None and attention_mask is not None
        return {"logits": (input_ids - attention_mask).float()}


ROWS = torch.tensor([[[1, 2, 3], [1, 1, 0]]])


def test_inputs_reach_a_network_by_their_names() -> None:
    assert taking_one(Counted())(ROWS).tolist() == [[26]]
    assert taking_one(Bert())(ROWS)["logits"].tolist() == [[0.0, 1.0, 3.0]]


def test_a_network_of_one_input_stays_itself() -> None:
    for network in (nn.Linear(2, 1), Named(Counted(), ("ids", "mask")), nn.TransformerEncoderLayer(4, 1)):
        assert taking_one(network) is network


def test_a_spec_builds_a_network_that_takes_one() -> None:
    assert isinstance(Spec("attar.network.architectures:token_mean", {"vocabulary": 5, "outputs": 2}).build(), Named)


@pytest.fixture(params=["token_mean", "token_encoder"])
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    if request.param == "token_mean":
        return token_mean(9, 3, window=3).eval()
    return token_encoder(9, 6, 3, width=8, heads=2).eval()


def test_outputs_do_not_depend_on_what_stands_in_padding(network: nn.Module) -> None:
    ids = torch.randint(9, (5, 6))
    mask = (torch.arange(6) < torch.tensor([[1], [2], [3], [5], [6]])).long()
    other = torch.where(mask == 1, ids, torch.randint(9, ids.shape))
    assert not torch.equal(ids, other)
    first, second = (network(torch.stack((one, mask), 1)) for one in (ids, other))
    assert torch.equal(first, second)
    assert first.shape == (5, 3) and bool(first.isfinite().all())


def test_outputs_depend_on_each_token_that_counts(network: nn.Module) -> None:
    row = torch.stack((torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([1, 1, 1, 1, 0, 0])))[None]
    before = network(row)
    for place in range(4):
        other = row.clone()
        other[0, 0, place] = 8
        assert not torch.allclose(network(other), before), place


def test_order_counts_where_tokens_are_seen_together(network: nn.Module) -> None:
    row = torch.stack((torch.tensor([1, 2, 3, 4, 5, 6]), torch.ones(6, dtype=torch.int64)))[None]
    turned = torch.stack((row[0, 0].flip(0), row[0, 1]))[None]
    assert not torch.allclose(network(row), network(turned))


def test_gradients_reach_all_weights(network: nn.Module) -> None:
    rows = torch.stack((torch.randint(9, (32, 6)), torch.ones(32, 6, dtype=torch.int64)), 1)
    network(rows).square().sum().backward()
    assert all(one.grad is not None and bool(one.grad.abs().sum() > 0) for one in network.parameters())
