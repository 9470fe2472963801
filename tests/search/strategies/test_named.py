"""Strategies as recipes name them."""

from __future__ import annotations

from typing import Any

import pytest

from attar.errors import BadInput
from attar.network.spec import Spec
from attar.search.goal import Goal
from attar.search.n2n.layers import PAPER, Rules
from attar.search.proposal import Trial
from attar.search.space import IntRange, Space
from attar.search.strategies.evolutionary import Evolutionary
from attar.search.strategies.grid import Grid
from attar.search.strategies.named import STRATEGIES, rules_of, strategy_of
from attar.search.strategies.random import Random
from attar.search.strategy import Strategy

SPACE = Space(dimensions={"width": IntRange(1, 9)}, build=lambda choices: (Spec("tests:network", dict(choices)), ()))
GOAL = Goal(limits=[], prefer="quality", teacher={})
KNOWN: dict[str, Any] = {"space": SPACE, "goal": GOAL, "seed": 7}


def test_every_strategy_is_in_the_file_of_its_name() -> None:
    assert all(strategy.__module__ == f"attar.search.strategies.{name}" for name, strategy in STRATEGIES.items())


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in ("n2n", "given")])
def test_each_can_be_made_from_its_name_alone(name: str) -> None:
    strategy = strategy_of({"use": name}, KNOWN)
    assert type(strategy) is STRATEGIES[name] and isinstance(strategy, Strategy)


def test_settings_come_before_what_is_known() -> None:
    assert strategy_of({"use": "random"}, KNOWN) == Random(space=SPACE, seed=7)
    assert strategy_of({"use": "random", "seed": 1, "trials": 5}, KNOWN) == Random(space=SPACE, seed=1, trials=5)
    assert strategy_of({"use": "grid", "points": {"width": 2}}, KNOWN) == Grid(space=SPACE, points={"width": 2})
    assert strategy_of({"use": "evolutionary", "spread": 0.3}, KNOWN) == Evolutionary(
        space=SPACE, goal=GOAL, seed=7, spread=0.3
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"use": "randm"}, "use of search must be a known strategy; got 'randm'. Did you mean 'random'?"),
        ({}, "use of search must be a known strategy; got None. Choose from"),
        ("random", "use of search must be a known strategy; got"),
        (
            {"use": "random", "trails": 3},
            "a setting of the strategy random must be known; got 'trails'. Did you mean 'trials'?",
        ),
        ({"use": "random", "space": 3}, "a setting of the strategy random must be known; got 'space'. Choose from"),
        (
            {"use": "random", "trials": "3"},
            "trials of the strategy random must be a whole number; got '3'. Leave the quotes out.",
        ),
        ({"use": "random", "seed": -1}, "seed of the strategy random must be at least 0; got -1."),
        (
            {"use": "grid", "points": 4, "trials": 3},
            "points of the strategy grid must be so few that 3 proposals are enough; got 4 networks. Ask for 4 "
            "proposals, or for fewer points.",
        ),
        (
            {"use": "n2n", "rule": "paper"},
            "a setting of the strategy n2n must be known; got 'rule'. Did you mean 'rules'?",
        ),
        (
            {"use": "given"},
            "students of the strategy given must be given; got None. Choose another strategy, or give it.",
        ),
        ({"use": "given", "students": []}, "students of the strategy given must be a list of at least one; got []."),
        (
            {"use": "given", "students": [{"width": 1}, {"widht": 2}]},
            "students.1 of the strategy given must be choices of the space; got 'widht'. Did you mean 'width'?",
        ),
        (
            {"use": "given", "students": [{}]},
            "students.0.width of the strategy given must be a choice of the space; got None.",
        ),
        (
            {"use": "given", "students": [{"width": 10}]},
            "students.0.width of the strategy given must be a choice of the space; got 10.",
        ),
        (
            {"use": "given", "students": [{"width": 1}, {"width": 2}], "trials": 1},
            "students of the strategy given must be at most 1 student; got 2. Ask for 2 proposals.",
        ),
        ({"use": "random", "trials": 0}, "trials of the strategy random must be at least 1; got 0."),
    ],
)
def test_what_is_not_right_is_said(table: Any, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        strategy_of(table, KNOWN)
    assert str(caught.value).startswith(sentence)


def test_a_given_list_is_tried_in_its_order_and_each_of_it_once() -> None:
    students = [{"width": 9}, {"width": 2}, {"width": 9}, {"width": 5}]
    strategy = strategy_of({"use": "given", "students": students, "epochs": 3}, KNOWN | {"trials": 3})
    first = strategy.propose([])
    assert [(one.choices["width"], one.epochs) for one in first] == [(9, 3), (2, 3), (5, 3)]
    tried = [Trial(number=place, proposal=one, state="failed") for place, one in enumerate(first[:2])]
    assert [one.choices["width"] for one in strategy.propose(tried)] == [5]


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({}, Rules()),
        ({"rules": "usual"}, Rules()),
        ({"rules": "paper"}, PAPER),
        ({"rules": {}}, Rules()),
        ({"rules": {"fixed": ["first", "0.*"], "tie": "inner"}}, Rules(fixed=["first", "0.*"], tie="inner")),
    ],
)
def test_rules_of_n2n_have_names_or_are_a_table(given: dict[str, Any], rules: Rules) -> None:
    assert rules_of({"use": "n2n", **given}) == rules


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ("papr", "rules of the strategy n2n must be known rules, or a table; got 'papr'. Use 'usual', 'paper' or a"),
        (
            3,
            "rules of the strategy n2n must be known rules, or a table; got 3. Use 'usual', 'paper' or a",
        ),
        ({"fixd": ["0"]}, "a setting of the rules of n2n must be known; got 'fixd'. Did you mean 'fixed'?"),
        ({"tie": "all"}, "tie of the rules of n2n must be 'group' or 'inner'; got 'all'."),
        ({"fixed": "first"}, "fixed of the rules of n2n must be a list; got 'first'. Write [\"first\"]."),
        ({"min_channels": 0}, "min_channels of the rules of n2n must be at least 1; got 0."),
    ],
)
def test_rules_that_are_none_are_said(rules: Any, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        rules_of({"use": "n2n", "rules": rules})
    assert str(caught.value).startswith(sentence), caught.value


def test_what_a_strategy_cannot_be_without_is_said() -> None:
    with pytest.raises(BadInput, match=r"space of the strategy random must be given; got None. Choose another"):
        strategy_of({"use": "random"}, {})
