"""What goes next, by hand, against brute force, and as laws."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.pruning.cost import Axis, Product, Products
from attar.pruning.select import Selection, greedy, knapsack


def axis(group: str, units: int) -> Axis:
    return Axis(units, ((group, units, 1.0),))


def chain(*units: int) -> Products:
    """Layers one after the other, of which each group makes the outputs of one and the inputs of the next."""
    axes = [Axis(2), *(axis(f"g{k}", count) for k, count in enumerate(units)), Axis(3)]
    return Products(Product(1, pair) for pair in pairwise(axes))


def additive(**prices: tuple[int, float]) -> Products:
    """For each group its units, and what each costs."""
    return Products(Product(price, (axis(name, units),)) for name, (units, price) in prices.items())


class Stairs:
    """A cost that falls only at multiples of four, but for a wave that means nothing."""

    def __init__(self, units: int, wave: float = 0.0):
        self.units, self.wave = units, wave
        self.noise = 4 * wave

    def total(self, kept: Mapping[str, int]) -> float:
        return float(self.curve("a", [kept.get("a", self.units)], kept)[0])

    def curve(self, group: str, counts: Sequence[int], kept: Mapping[str, int]) -> np.ndarray:
        return np.ceil(np.array(counts) / 4) + self.wave * np.sin(counts)

    def neighbors(self, group: str) -> frozenset[str]:
        return frozenset({group})


def worth(**values: list[float]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(one) for name, one in values.items()}


TWO = additive(a=(3, 1.0), b=(2, 10.0))
WORTH = worth(a=[3.0, 1.0, 2.0], b=[15.0, 5.0])


def test_the_least_rise_for_what_is_saved_goes_first():
    # Of b: 5 for 10. Of a: 1 for 1, then 2 for 1.
    chosen = greedy(WORTH, TWO, 22.0)
    assert (chosen.removed, chosen.loss_rise, chosen.cost) == ({"b": (1,)}, 5.0, 13.0)
    chosen = greedy(WORTH, TWO, 12.0)
    assert (chosen.loss_rise, chosen.cost, chosen.met) == (6.0, 12.0, True)
    assert chosen.removed == {"b": (1,), "a": (1,)}
    assert chosen.kept == {"a": 2, "b": 1}


def test_beta_weighs_loss_against_cost():
    assert greedy(WORTH, TWO, 21.0, beta=0.0).removed == {"a": (1, 2)}
    assert greedy(WORTH, TWO, 20.0, beta=0.0).removed == {"a": (1, 2), "b": (1,)}
    assert greedy(WORTH, TWO, 21.0, beta=1.0).removed == {"b": (1,)}


def test_costs_are_counted_again_after_each_removal():
    # Two layers of 2x2 and 2x3 at first: a unit of g0 saves 2 + 2, and once g1 has one, 2 + 1.
    values, cost = worth(g0=[4.0, 4.0], g1=[4.9, 9.0]), chain(2, 2)
    first, second = greedy(values, cost, 9.0), greedy(values, cost, 8.0)
    assert (first.removed, first.cost) == ({"g1": (0,)}, 9.0)
    assert (second.removed, second.cost) == ({"g1": (0,), "g0": (0,)}, 6.0)


@pytest.mark.parametrize("choose", [greedy, knapsack])
def test_a_removal_goes_down_to_where_it_helps(choose: Callable[..., Selection]):
    assert choose({"a": torch.arange(16.0)}, Stairs(16), 3.0).removed == {"a": (0, 1, 2, 3)}
    assert choose({"a": torch.arange(14.0)}, Stairs(14), 3.0).removed == {"a": (0, 1)}


def test_changes_within_the_noise_are_not_stopped_at():
    # The cost is 2.9995 with 12 units, 2.9990 with 11, and 2.001 with 8.
    chosen = greedy({"a": torch.arange(16.0)}, Stairs(16, wave=1e-3), 2.9992, beta=0.0)
    assert chosen.kept == {"a": 8}


def test_a_group_keeps_one_unit_unless_it_may_be_emptied():
    for choose in (greedy, knapsack):
        assert choose(WORTH, TWO, 0.0).kept == {"a": 1, "b": 1}
        assert choose(WORTH, TWO, 0.0, emptied=["a"]).kept == {"a": 0, "b": 1}


def test_what_cannot_be_met_is_the_cheapest_and_says_so():
    for choose in (greedy, knapsack):
        chosen = choose(WORTH, TWO, 5.0)
        assert (chosen.met, chosen.cost, chosen.target) == (False, 11.0, 5.0)


def test_nothing_goes_where_the_target_is_met():
    for choose in (greedy, knapsack):
        chosen = choose(WORTH, TWO, 23.0)
        assert (chosen.removed, chosen.met, chosen.loss_rise) == ({}, True, 0.0)


def test_what_saves_nothing_alone_is_passed_through():
    class Pair(Stairs):
        """Falls only when both groups are small."""

        def total(self, kept: Mapping[str, int]) -> float:
            return 1.0 if kept.get("a", 2) + kept.get("b", 2) == 2 else 2.0

        def curve(self, group: str, counts: Sequence[int], kept: Mapping[str, int]) -> np.ndarray:
            return np.array([self.total({**kept, group: count}) for count in counts])

        def neighbors(self, group: str) -> frozenset[str]:
            return frozenset({"a", "b"})

    chosen = greedy(worth(a=[1.0, 2.0], b=[1.0, 2.0]), Pair(2), 1.0)
    assert chosen.met and chosen.kept == {"a": 1, "b": 1}


numbers = st.floats(0.0, 10.0, width=32)


@st.composite
def problems(draw: st.DrawFn) -> tuple[dict[str, torch.Tensor], list[int], float]:
    units = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    values = {f"g{k}": torch.tensor(draw(st.lists(numbers, min_size=n, max_size=n))) for k, n in enumerate(units)}
    return values, units, draw(st.integers(5, 100)) / 100


def brute(values: dict[str, torch.Tensor], cost: Products, target: float) -> float | None:
    """The least rise of the loss within the target."""
    rises = []
    for counts in product(*(range(1, len(one) + 1) for one in values.values())):
        kept = dict(zip(values, counts, strict=True))
        if cost.total(kept) <= target + 1e-6:
            lost = (one.double().sort().values[: len(one) - kept[name]].sum().item() for name, one in values.items())
            rises.append(sum(lost))
    return min(rises, default=None)


@given(problem=problems())
@settings(max_examples=60)
def test_greedy_meets_what_can_be_met_and_the_knapsack_is_as_good_as_brute_force(problem):
    values, units, share = problem
    cost = chain(*units)
    target = share * cost.total({})
    best = brute(values, cost, target)
    for chosen in (
        greedy(values, cost, target),
        greedy(values, cost, target, beta=0.1),
        knapsack(values, cost, target),
    ):
        assert chosen.met == (best is not None)
        assert chosen.cost == pytest.approx(cost.total(chosen.kept))
        check_consistent(values, chosen)
    if best is not None:
        assert chosen.loss_rise == pytest.approx(best, abs=1e-6)


def check_consistent(values: dict[str, torch.Tensor], chosen: Selection) -> None:
    lost = sum(float(values[name].double()[list(units)].sum()) for name, units in chosen.removed.items())
    assert chosen.loss_rise == pytest.approx(lost, abs=1e-9)
    assert {name: len(values[name]) - chosen.kept[name] for name in chosen.removed} == {
        name: len(units) for name, units in chosen.removed.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_knapsack_is_exact_where_costs_add_up(seed: int):
    draw = torch.Generator().manual_seed(seed)
    values = {name: torch.rand(12, generator=draw) for name in "abcd"}
    prices = dict(zip("abcd", (1, 2, 3, 5), strict=True))
    cost = additive(**{name: (12, float(price)) for name, price in prices.items()})
    target = 0.4 * cost.total({})
    # The least rise within each whole cost.
    least = np.zeros(1 + int(cost.total({})))
    for name, price in prices.items():
        rises = np.append(0, values[name].double().sort().values.cumsum(0).numpy())[::-1]
        after = np.full_like(least, np.inf)
        for count in range(1, 13):
            after[count * price :] = np.minimum(
                after[count * price :], least[: len(least) - count * price] + rises[count]
            )
        least = after
    chosen = knapsack(values, cost, target)
    assert chosen.met and chosen.loss_rise == pytest.approx(least[int(target)], abs=1e-9)


@pytest.mark.parametrize("share", [0.7, 0.4, 0.1])
def test_the_knapsack_is_never_worse_than_greedy(share: float):
    draw = torch.Generator().manual_seed(0)
    units = (16, 24, 16, 32, 8)
    values = {f"g{k}": torch.rand(count, generator=draw) ** 2 for k, count in enumerate(units)}
    cost = chain(*units)
    target = share * cost.total({})
    chosen = knapsack(values, cost, target)
    assert chosen.met and chosen.loss_rise <= greedy(values, cost, target).loss_rise
    assert knapsack(values, cost, target) == chosen


def test_many_units_go():
    draw = torch.Generator().manual_seed(0)
    units = [64] * 8
    values = {f"g{k}": torch.rand(count, generator=draw) for k, count in enumerate(units)}
    cost = chain(*units)
    chosen = greedy(values, cost, 0.2 * cost.total({}))
    assert chosen.met
    check_consistent(values, chosen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": float("nan")}, "target of greedy must be finite and at least 0; got nan"),
        ({"beta": -1.0}, "beta of greedy must be 'auto' or at least 0; got -1.0"),
        ({"emptied": ["c"]}, "emptied of greedy must be groups that have a worth; got 'c'"),
        ({"worth": worth(a=[1.0, float("nan"), 1.0])}, r"worth\['a'\] of greedy must be one finite number a unit"),
        ({"worth": {"a": torch.zeros(2, 2)}}, r"worth\['a'\] of greedy must be one finite number a unit"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, object], message: str):
    with pytest.raises(BadInput, match=message):
        greedy(**{"worth": WORTH, "cost": TWO, "target": 12.0, **change})
