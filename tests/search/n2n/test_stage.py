"""A stage: it learns its way into a budget that everything breaks at first, and spends the trainings that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from attar.network.spec import Spec
from attar.search.n2n.policy import RemovalPolicy
from attar.search.n2n.reinforce import Reinforce
from attar.search.n2n.stage import Stage
from attar.search.proposal import Proposal, Trial
from attar.search.reward import INVALID, CompressionReward, Reward


class Layered:
    """Some layers of one parameter each, any of which may go."""

    def __init__(self, layers: int) -> None:
        self.features = torch.eye(layers, dtype=torch.float64)
        self.mask = torch.ones(layers, dtype=torch.bool)

    def student(self, actions: Tensor) -> Spec:
        return Spec("a:b", {"kept": actions.tolist()})

    def choices(self, actions: Tensor) -> Mapping[str, Any]:
        return {}


def stage(layers: int, reward: Reward, **settings: Any) -> Stage:
    given: dict[str, Any] = {"iterations": 40, "trials": 8, "spends_all": False, "seed": 0, **settings}
    return Stage(
        RemovalPolicy(layers, hidden=8, depth=1, bound=1.5),
        Reinforce(learning_rate=0.05),
        actions=Layered(layers),
        propose=lambda spec, choices: Proposal(spec=spec, choices=choices),
        reward=reward,
        teacher={"parameters": float(layers), "score": 0.9},
        size=float(layers),
        **given,
    )


def trials_of(made: Stage, most: float) -> dict[str, Trial]:
    """All that is tried until there is nothing more; what has more parameters than fit is not trained."""
    known: dict[str, Trial] = {}
    while batch := made.advance(known):
        for one in batch:
            parameters = float(sum(one.spec.arguments["kept"]))
            within = parameters <= most
            known[one.key] = Trial(
                number=len(known),
                proposal=one,
                state="trained" if within else "over_budget",
                figures={"parameters": parameters, **({"score": 0.9} if within else {})},
            )
    return known


def test_it_finds_its_way_into_a_budget_by_what_is_never_trained() -> None:
    # Chance keeps 10 of 20 layers; with 3 at most, one of 800 first draws is within.
    budget = CompressionReward(most={"parameters": 3.0})

    def flat(figures: Mapping[str, float], teacher: Mapping[str, float], iteration: int) -> float:
        return budget(figures, teacher, iteration) if "score" in figures else INVALID

    made = stage(20, budget, trials=3)
    assert made.trained(trials_of(made, 3.0)) == 3 and made.records[0]["trained"] == 0
    blind = stage(20, flat, trials=3, iterations=len(made.records))
    assert blind.trained(trials_of(blind, 3.0)) == 0


def test_it_goes_on_to_the_same_decisions_and_ends_alike() -> None:
    def fresh() -> Stage:
        return stage(6, CompressionReward(most={"parameters": 2.0}), iterations=3, spends_all=True)

    first = fresh()
    known = trials_of(first, 2.0)
    again = fresh()
    assert again.advance(known) == [] and again.ended == first.ended and again.records == first.records
    few = dict(list(known.items())[:-1])
    assert [one.key for one in fresh().advance(few)] == [list(known)[-1]]


@pytest.mark.parametrize(
    ("settings", "trainings", "updates", "ended"),
    [
        ({"trials": 3}, 3, None, "trainings"),
        ({"trials": 500, "iterations": 2}, None, 2, "updates"),
        # All 8 networks of three layers.
        ({"trials": 500, "iterations": 2, "spends_all": True}, 8, 2, "updates"),
        # What the updates leave of 60 trainings goes to others of the 256 networks of eight layers.
        ({"trials": 60, "iterations": 2, "spends_all": True, "layers": 8}, 60, 2, "trainings"),
    ],
    ids=["spent", "left", "nothing more", "spent after the updates"],
)
def test_trainings_are_spent_and_what_it_ended_by_is_known(
    settings: dict[str, Any], trainings: int | None, updates: int | None, ended: str
) -> None:
    given = dict(settings)
    made = stage(given.pop("layers", 3), CompressionReward(), **given)
    assert made.ended is None
    spent = made.trained(trials_of(made, 100.0))
    assert made.ended == ended and spent <= settings["trials"]
    assert trainings in (None, spent) and updates in (None, len(made.records))


def test_nothing_to_choose_is_an_end() -> None:
    actions = Layered(3)
    actions.mask[:] = False
    made = stage(3, CompressionReward())
    nothing = Stage(
        made.policy,
        made.settings,
        actions=actions,
        propose=made.propose,
        reward=made.reward,
        teacher=made.teacher,
        size=None,
        iterations=1,
        trials=1,
        spends_all=True,
        seed=0,
    )
    assert nothing.ended == "nothing" and nothing.advance({}) == []


@pytest.mark.parametrize(("counts_as", "best"), [(6.0, 5.0), (2.0, 6.0)])
def test_the_best_is_the_one_whose_figures_as_they_are_seen_are_worth_most(counts_as: float, best: float) -> None:
    """With 3 at most, of one with 6 and one with 5 the smaller, unless the other is to be as small as it fits."""

    def seen_as(trial: Trial) -> Trial:
        large = trial.figures["parameters"] == 6.0
        return replace(trial, figures={**trial.figures, "parameters": counts_as}) if large else trial

    made = stage(8, CompressionReward(most={"parameters": 3.0}), trials=8, iterations=1, seen_as=seen_as)
    known: dict[str, Trial] = {}
    while batch := made.advance(known):
        for one in batch:
            figures = {"parameters": 5.0 + len(known) % 2, "score": 0.9}
            known[one.key] = Trial(number=len(known), proposal=one, state="trained", figures=figures)
    found = made.best(known)
    assert found is not None
    assert found.figures["parameters"] == best
