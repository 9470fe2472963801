"""Rewards: values worked out by hand, what constraints do to them, and what they cannot be told without."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.budget import Limit
from attar.errors import BadInput
from attar.network.spec import Spec
from attar.search.goal import Goal
from attar.search.proposal import Proposal, State, Trial
from attar.search.reward import INVALID, CompressionReward, quality_ratio, reward_of

TEACHER = {"parameters": 1000.0, "macs": 4000.0, "bytes": 5000.0, "latency": 2.0, "score": 0.9}


def _figures(parameters: float, score: float = 0.9, **others: float) -> dict[str, float]:
    return {"parameters": float(parameters), "score": score, **others}


def _trial(state: State, figures: Mapping[str, float] | None = None) -> Trial:
    return Trial(number=3, proposal=Proposal(spec=Spec("a:b")), state=state, figures=figures or {})


@pytest.mark.parametrize(
    ("parameters", "score", "worth"),
    [
        (1000, 0.9, 0.0),  # C = 0
        (500, 0.9, 0.75),  # C = 1/2: 1/2 * 3/2
        (250, 0.9, 0.9375),  # C = 3/4: 3/4 * 5/4
        (250, 0.6, 0.625),  # the same, times 2/3
        (500, 0.0, 0.0),
        (0, 0.9, 1.0),  # C = 1
        (0, 0.45, 0.5),  # C = 1: A / A_T
        (500, 0.99, 0.825),  # better than the teacher
    ],
)
def test_reward_is_compression_times_quality_kept(parameters: float, score: float, worth: float) -> None:
    assert CompressionReward()(_figures(parameters, score), TEACHER, 0) == pytest.approx(worth, abs=1e-12)


def test_a_higher_power_makes_lost_quality_count_more() -> None:
    # C = 3/4, A / A_T = 2/3: 15/16 * (2/3)^2 = 5/12; of an error twice the teacher's, 15/16 * (1/2)^2.
    reward = CompressionReward(quality_power=2.0)
    assert reward(_figures(250, 0.6), TEACHER, 0) == pytest.approx(5 / 12)
    assert reward(_figures(250, -0.4), {**TEACHER, "score": -0.2}, 0) == pytest.approx(15 / 64)
    assert reward(_figures(250, 0.9), TEACHER, 0) == CompressionReward()(_figures(250, 0.9), TEACHER, 0)
    with pytest.raises(BadInput, match="quality_power"):
        CompressionReward(quality_power=0.0)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0.01, 1))
def test_fewer_parameters_are_never_worth_less_at_the_same_score(one: float, other: float, score: float) -> None:
    small, large = sorted((one, other))
    reward = CompressionReward()
    assert reward(_figures(small, score), TEACHER, 0) >= reward(_figures(large, score), TEACHER, 0) >= 0


def test_what_is_larger_than_the_teacher_or_has_no_score_at_all_is_invalid() -> None:
    reward = CompressionReward()
    assert reward(_figures(1001), TEACHER, 0) == INVALID == -1
    assert reward({"parameters": 1001.0}, TEACHER, 0) == INVALID
    assert reward(_figures(500, math.nan), TEACHER, 0) == INVALID


def test_any_figure_can_be_the_size() -> None:
    assert CompressionReward(size="latency")({"latency": 1.0, "score": 0.9}, TEACHER, 0) == pytest.approx(0.75)
    assert CompressionReward(size="macs")({"macs": 1000.0, "score": 0.9}, TEACHER, 0) == pytest.approx(0.9375)


def test_errors_are_divided_the_other_way_round() -> None:
    teacher = {**TEACHER, "score": -0.2}  # RMSE 0.2
    reward = CompressionReward()
    assert reward(_figures(500, -0.4), teacher, 0) == pytest.approx(0.75 / 2)
    assert reward(_figures(500, -0.16), teacher, 0) == pytest.approx(0.75 * 1.25)
    assert quality_ratio(-0.01, -0.2) == quality_ratio(0.0, -0.2) == 2.0
    assert quality_ratio(-0.1, 0.5) == 0.0  # bits below what is known without looking


def test_a_broken_constraint_is_forgiven_less_and_less() -> None:
    reward = CompressionReward(most={"parameters": 200.0})
    kept, worth = _figures(200), _figures(500)
    assert reward(kept, TEACHER, 20) == pytest.approx(0.8 * 1.2)
    # eps = (1 - i/15)^4: 1, (4/5)^4 = 0.4096, 0, and 0 from there on. x = 500/200 - 1 = 3/2, P = 1/5 - 1.
    assert reward(worth, TEACHER, 0) == pytest.approx(0.75)
    assert reward(worth, TEACHER, 3) == pytest.approx(0.4096 * 0.75 - 0.5904 * 0.8)
    assert [reward(worth, TEACHER, late) for late in (15, 16, 30, 1000)] == pytest.approx([-0.8] * 4)


@given(
    st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.sampled_from([0, 3, 100]), st.booleans(), st.floats(0.001, 0.999)
)
def test_what_is_less_far_beyond_is_worth_more_but_less_than_what_is_within(
    one: float, other: float, iteration: int, trained: bool, bound: float
) -> None:
    reward = CompressionReward(most={"bytes": 5000 * bound})
    near, far = sorted((bound + (1 - bound) * share) * 5000 for share in (one, other))
    score = {"score": 0.9} if trained else {}
    worth = [reward({"parameters": 800.0, "bytes": size, **score}, TEACHER, iteration) for size in (near, far)]
    assert worth[0] >= worth[1] and (iteration == 0 or worth[0] > worth[1] or near / far > 1 - 1e-9)
    within = reward({"parameters": 800.0, "bytes": 5000 * bound, "score": 0.9}, TEACHER, iteration)
    assert within >= worth[0] and (not trained or iteration < 15 or -1 < worth[1] <= worth[0] <= -0.5)
    assert trained or -1 < worth[1] <= worth[0] <= -0.5


@pytest.mark.parametrize("what", ["parameters", "macs", "bytes", "latency"])
def test_each_figure_can_be_constrained(what: str) -> None:
    reward = CompressionReward(most={what: 1.5})
    for found, broken in ((1.5, False), (1.6, True)):
        figures = {**_figures(500), what: found}
        assert (reward(figures, TEACHER, 15) == pytest.approx(0.5 * 1.5 / 1.6 - 1)) is broken
        assert (reward(figures, TEACHER, 15) < 0) is broken


def test_the_score_can_be_constrained() -> None:
    reward = CompressionReward(least_score=0.85)
    assert reward(_figures(500, 0.85), TEACHER, 15) > 0
    # x is the share of the teacher's score that is missing: .09 of .9, .45 of .9.
    low = CompressionReward(least_score=0.9)
    assert low(_figures(500, 0.81), TEACHER, 15) == pytest.approx(0.5 / 1.1 - 1)
    assert low(_figures(500, 0.45), TEACHER, 15) == pytest.approx(0.5 / 1.5 - 1)
    errors = CompressionReward(least_score=-0.1)  # an RMSE with a minus, of a teacher with .08: .04 is a half of it
    assert errors(_figures(500, -0.14), {**TEACHER, "score": -0.08}, 15) == pytest.approx(0.5 / 1.5 - 1)
    both = CompressionReward(least_score=0.9, most={"parameters": 250.0})  # the worst counts: x = 1
    assert both(_figures(500, 0.81), TEACHER, 15) == pytest.approx(0.5 / 2 - 1) == both(_figures(500), TEACHER, 15)


def test_a_score_that_no_number_is_is_beyond_every_constraint() -> None:
    assert CompressionReward(least_score=0.9)(_figures(500, float("nan")), TEACHER, 15) == -1


def test_what_was_never_trained_has_no_quality() -> None:
    over = {"parameters": 500.0, "bytes": 9.0}
    assert CompressionReward()(over, TEACHER, 0) == 0
    reward = CompressionReward(most={"bytes": 5.0, "latency": 1.0})
    # It is not forgiven, as there is nothing of it to be seen: x = 9/5 - 1.
    assert [reward(over, TEACHER, iteration) for iteration in (0, 3, 15)] == pytest.approx([0.5 * 5 / 9 - 1] * 3)
    assert reward({**over, "latency": 2.0}, TEACHER, 0) == pytest.approx(0.5 / 2 - 1)  # the worst: x = 1
    assert CompressionReward(least_score=0.1)(over, TEACHER, 15) == -1


def test_a_budget_gives_the_constraints() -> None:
    limits = [Limit.read("quality_loss", "1%"), Limit.read("bytes", "0.5x"), Limit.read("latency", "1 ms")]
    goal = Goal(limits=limits, prefer="bytes", teacher={"quality_loss": 0.9, "bytes": 5000.0, "latency": 2.0})
    reward = CompressionReward.within(goal, size="bytes")
    assert dict(reward.most) == {"bytes": 2500.0, "latency": 1.0}
    assert reward.least_score == pytest.approx(0.89)
    assert reward.size == "bytes"
    unknown = Goal(limits=limits, prefer="bytes", teacher={"quality_loss": 0.9})
    with pytest.raises(BadInput, match="bytes of the budget must be held against a figure of the teacher"):
        CompressionReward.within(unknown)


def test_rewards_of_trials_go_by_what_became_of_them() -> None:
    def score(figures: Mapping[str, float], teacher: Mapping[str, float], iteration: int) -> float:
        return figures.get("score", 0.0) - teacher["score"] + iteration

    assert reward_of(_trial("trained", {"score": 0.5}), score, TEACHER, 2) == pytest.approx(1.6)
    assert reward_of(_trial("over_budget"), score, TEACHER, 0) == pytest.approx(-0.9)
    assert reward_of(_trial("failed"), score, TEACHER, 0) == INVALID
    assert reward_of(_trial("skipped"), score, TEACHER, 0) is None


def test_what_a_reward_needs_is_asked_for() -> None:
    with pytest.raises(BadInput, match=r"^latency of a trial must be known to the reward; got None. Measure it"):
        CompressionReward(most={"latency": 1.0})(_figures(500), TEACHER, 0)
    with pytest.raises(BadInput, match=r"^parameters of the teacher must be known to the reward; got None"):
        CompressionReward()(_figures(500), {"score": 0.9}, 0)
    with pytest.raises(BadInput, match=r"^score of the teacher must be a number other than 0 where rewards are shares"):
        CompressionReward()(_figures(500), {**TEACHER, "score": 0.0}, 0)
    with pytest.raises(BadInput, match=r"^reward of trial 3 must be a finite number; got nan"):
        reward_of(_trial("trained", {"score": 0.5}), lambda *_: math.nan, TEACHER, 0)
    with pytest.raises(BadInput, match=r"^annealed of the reward must be at least 1; got 0"):
        CompressionReward(annealed=0)
    with pytest.raises(BadInput, match=r"^most\['bytes'\] of the reward must be a number greater than 0; got 0.0"):
        CompressionReward(most={"bytes": 0.0})
