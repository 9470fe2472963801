"""Stratified draws: exact sizes, fair shares, and no dependence on the order of rows."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.data.stratify import stratified

label_lists = st.lists(st.integers(-1, 4), min_size=1, max_size=60)


@settings(deadline=None)
@given(labels=label_lists, data=st.data(), seed=st.integers(0, 100))
def test_sizes_are_exact_and_shares_are_fair(labels, data, seed):
    labels = torch.tensor(labels)
    amount = data.draw(st.integers(0, len(labels)))
    drawn = stratified(labels, torch.arange(len(labels)), amount, seed=seed, stream=0)
    assert int(drawn.sum()) == amount
    for label in labels.unique():
        share = amount * int((labels == label).sum()) / len(labels)
        assert abs(int((labels[drawn] == label).sum()) - share) < 1


@settings(deadline=None)
@given(labels=label_lists, data=st.data())
def test_the_order_of_rows_does_not_matter(labels, data):
    labels, ids = torch.tensor(labels), torch.arange(len(labels))
    order = torch.tensor(data.draw(st.permutations(range(len(labels)))))
    one = stratified(labels, ids, len(labels) // 2, seed=1, stream=0)
    other = stratified(labels[order], ids[order], len(labels) // 2, seed=1, stream=0)
    assert torch.equal(one[order], other)


@settings(deadline=None)
@given(labels=label_lists, data=st.data())
def test_every_class_gets_the_least(labels, data):
    labels = torch.tensor(labels)
    kinds = len(labels.unique())
    amount = data.draw(st.integers(kinds, len(labels)))
    drawn = stratified(labels, torch.arange(len(labels)), amount, seed=1, stream=0, least=1)
    assert int(drawn.sum()) == amount and len(labels[drawn].unique()) == kinds


def test_seeds_and_streams_draw_differently():
    labels, ids = torch.zeros(100, dtype=torch.int64), torch.arange(100)
    drawn = [stratified(labels, ids, 50, seed=seed, stream=stream) for seed, stream in ((0, 0), (1, 0), (0, 1))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        # Independent halves of 100 share 25 on average, with a standard deviation of 2.5.
        assert 12 < int((drawn[one] & drawn[other]).sum()) < 38
