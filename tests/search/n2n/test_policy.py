"""Policies: their probabilities against enumeration and against draws, masks, and files."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from attar.errors import BadInput, CorruptFile
from attar.network.weights import read_tensors, write_tensors
from attar.search.n2n.policy import (
    KEEP,
    RemovalPolicy,
    ShrinkagePolicy,
    bounded,
    generator,
    load_policy,
    save_policy,
)

FEATURES = 7
Make = Callable[[int], RemovalPolicy | ShrinkagePolicy]


def _removal(seed: int = 0) -> RemovalPolicy:
    return RemovalPolicy(FEATURES, seed=seed)


def _shrinkage(seed: int = 0) -> ShrinkagePolicy:
    return ShrinkagePolicy(FEATURES, (0.25, 0.5, 0.5, 1.0), seed=seed)


BOTH = pytest.mark.parametrize("make", [_removal, _shrinkage])


def _features(layers: int, seed: int = 0) -> Tensor:
    return torch.rand(layers, FEATURES, dtype=torch.float64, generator=generator("features", seed))


def _sharpened(policy: RemovalPolicy | ShrinkagePolicy) -> RemovalPolicy | ShrinkagePolicy:
    """The same with larger weights: a fresh one thinks nearly the same of everything."""
    with torch.no_grad():
        for weights in policy.parameters():
            weights.mul_(6)
    return policy


def _all_actions(policy: RemovalPolicy | ShrinkagePolicy, mask: Tensor) -> Tensor:
    """Every sequence of actions that the mask allows."""
    choices, unchanged = (2, KEEP) if isinstance(policy, RemovalPolicy) else (4, 0)
    return torch.tensor(list(itertools.product(*(range(choices) if free else [unchanged] for free in mask.tolist()))))


@BOTH
@pytest.mark.parametrize("mask", [[True, True, True], [True, False, True, True], [False, False]])
def test_probabilities_of_all_actions_add_up_to_1(make: Make, mask: list[bool]) -> None:
    policy, allowed = _sharpened(make(0)), torch.tensor(mask)
    actions = _all_actions(policy, allowed)
    log_probs = policy.evaluate(_features(len(mask)), allowed, actions).log_probs
    assert log_probs.shape == actions.shape
    assert not log_probs[:, ~allowed].any()
    torch.testing.assert_close(log_probs.sum(-1).exp().sum(), torch.tensor(1.0, dtype=torch.float64))


@BOTH
def test_actions_are_drawn_as_often_as_they_are_probable(make: Make) -> None:
    policy, mask, draws = _sharpened(make(0)), torch.tensor([True, False, True]), 20_000
    features = _features(3)
    drawn = policy.sample(features, mask, draws, generator("draws"))
    every = _all_actions(policy, mask)
    probable = policy.evaluate(features, mask, every).log_probs.detach().sum(-1).exp()
    share = torch.stack([(drawn == actions).all(-1).double().mean() for actions in every])
    assert float(share.sum()) == pytest.approx(1)  # none but those
    assert float(probable.max() / probable.min()) > 3  # draws that take all alike would be seen
    assert (share - probable).abs().max() < 4 * (0.25 / draws) ** 0.5


@BOTH
def test_entropy_is_that_of_what_an_action_is_drawn_from(make: Make) -> None:
    policy, mask = _sharpened(make(0)), torch.tensor([True])
    features, actions = _features(1), _all_actions(policy, mask)
    found = policy.evaluate(features, mask, actions)
    expected = -(found.log_probs.exp() * found.log_probs).sum()
    torch.testing.assert_close(found.entropies[:, 0], expected.expand(len(actions)))
    assert not policy.evaluate(features, ~mask, actions).entropies.any()


def test_a_layer_is_removed_with_a_look_at_all_others() -> None:
    policy, mask = _removal(), torch.ones(4, dtype=torch.bool)
    features = _features(4)
    actions = torch.full((1, 4), KEEP)
    before = policy.evaluate(features, mask, actions).log_probs
    for changed, seen in ((0, 3), (3, 0)):
        other = features.clone()
        other[changed] += 1
        assert not torch.equal(policy.evaluate(other, mask, actions).log_probs[0, seen], before[0, seen])


def test_a_share_hangs_on_the_shares_before_and_not_on_their_place_in_the_list() -> None:
    policy, mask = _shrinkage(), torch.ones(3, dtype=torch.bool)
    features = _features(3)
    last = [
        policy.evaluate(features, mask, torch.tensor([[first, 0, 0]])).log_probs[0] for first in (1, 2, 3)
    ]  # shares 0.5, 0.5 and 1
    assert torch.equal(last[0][1:], last[1][1:])
    assert not torch.equal(last[0][1:], last[2][1:])


def test_a_layer_that_stays_as_it_is_hands_on_the_share_1() -> None:
    policy, mask = _shrinkage(), torch.tensor([False, True])
    features = _features(2)
    whole, quarter = (policy.evaluate(features, mask, torch.tensor([[first, 0]])).log_probs for first in (3, 0))
    assert torch.equal(whole, quarter)
    assert policy.shares(mask, torch.tensor([[0, 0], [3, 2]])).tolist() == [[1.0, 0.25], [1.0, 0.5]]


@BOTH
def test_the_same_seed_gives_the_same_and_leaves_the_random_numbers_of_others(make: Make) -> None:
    before = torch.get_rng_state()
    mask, features = torch.ones(5, dtype=torch.bool), _features(5)
    one, again, other = (make(seed).sample(features, mask, 40, generator("s", 1)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, make(0).sample(features, mask, 40, generator("s", 2)))
    assert torch.equal(before, torch.get_rng_state())


@BOTH
def test_a_policy_comes_back_from_its_file_and_goes_on_with_other_networks(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    saved, loaded = _sharpened(make(0)), make(1)
    save_policy(saved, path)
    load_policy(loaded, path)
    for layers in (3, 9):
        mask, features = torch.ones(layers, dtype=torch.bool), _features(layers)
        drawn = [one.sample(features, mask, 20, generator("s")) for one in (saved, loaded)]
        assert torch.equal(*drawn)


def test_files_of_other_policies_are_refused(tmp_path: Path) -> None:
    removal, shrinkage, bad = tmp_path / "r.safetensors", tmp_path / "s.safetensors", tmp_path / "bad.safetensors"
    save_policy(_removal(), removal)
    save_policy(_shrinkage(), shrinkage)
    with pytest.raises(BadInput, match="must be that of the stage of shrinkage; got 'removal'"):
        load_policy(_shrinkage(), removal)
    with pytest.raises(BadInput, match=r"multipliers of .* must be those of the search"):
        load_policy(ShrinkagePolicy(FEATURES, (0.1, 0.5, 0.5, 1.0)), shrinkage)
    with pytest.raises(BadInput, match="Give the hidden units and the depth of the policy that was saved"):
        load_policy(RemovalPolicy(FEATURES, hidden=8), removal)
    with pytest.raises(BadInput, match="Give the hidden units and the depth of the policy that was saved"):
        load_policy(RemovalPolicy(FEATURES, depth=1), removal)
    tensors, about = read_tensors(removal)
    tensors["critic.bias"][0] = torch.nan
    write_tensors(tensors, bad, about)
    policy = _removal()
    with pytest.raises(CorruptFile, match=r"critic\.bias in .* has numbers that no policy has"):
        load_policy(policy, bad)
    assert all(bool(torch.isfinite(weights).all()) for weights in policy.parameters())
    for content in (removal.read_bytes()[:100], pickle.dumps({"critic.bias": 1.0}), b""):
        bad.write_bytes(content)
        with pytest.raises(CorruptFile, match="not a whole safetensors file"):
            load_policy(policy, bad)


@pytest.mark.parametrize("change", [lambda one: one.float(), lambda one: one.fill_(1e300), lambda one: one.int()])
def test_numbers_that_a_policy_cannot_draw_with_are_damage(change: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    """Finite ones, too, whose products are not."""
    path = tmp_path / "removal.safetensors"
    save_policy(_removal(), path)
    tensors, about = read_tensors(path)
    write_tensors({**tensors, "actor.weight": change(tensors["actor.weight"])}, path, about)
    with pytest.raises(CorruptFile, match=r"^actor\.weight in .* has numbers that no policy has\. Leave it out"):
        load_policy(_removal(), path)


@pytest.mark.parametrize("multipliers", [(), (0.0, 0.5), (0.5, 1.1)])
def test_multipliers_are_shares(multipliers: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match="multipliers of N2N must be numbers greater than 0 and at most 1"):
        ShrinkagePolicy(FEATURES, multipliers)


def test_logits_beyond_the_bound_come_up_to_it() -> None:
    logits = torch.tensor([-100.0, 0.0, 1.0, 100.0], dtype=torch.float64)
    found = bounded(logits, 1.5)
    assert found.tolist() == pytest.approx([-1.5, 0.0, 1.5 * (1 - 2 / (1 + math.exp(2 / 1.5))), 1.5])
    assert bounded(logits, None) is logits


@pytest.mark.parametrize(
    ("make", "choices"),
    [(RemovalPolicy(FEATURES, bound=1.5), 2), (ShrinkagePolicy(FEATURES, (0.25, 0.5, 1.0), bound=1.5), 3)],
)
def test_no_action_of_a_bounded_policy_is_out_of_reach(make: RemovalPolicy | ShrinkagePolicy, choices: int) -> None:
    with torch.no_grad():
        make.actor.weight.zero_()
        make.actor.bias.copy_(torch.tensor([1000.0] + [-1000.0] * (choices - 1)))
    features, mask = _features(4), torch.ones(4, dtype=torch.bool)
    unlikely = torch.full((1, 4), choices - 1)
    least = 1 / (math.exp(3) + choices - 1)
    assert make.evaluate(features, mask, unlikely).log_probs.exp().tolist() == [pytest.approx([least] * 4)]
    drawn = make.sample(features, mask, 400, generator("bound"))
    assert 0 < int((drawn == choices - 1).sum()) < 400
