"""The rule by which one candidate ships, on tables that were worked by hand and as properties."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.budget import Limit, Prefer, Score, What
from attar.recipes.choose import Choice, Measured, alerted, choose, judged_on_test

TEACHER = 0.95
TAKES = {"bytes": 10_000.0, "latency": 10.0, "memory": 40_000.0, "macs": 5_000.0}


def plain(runtime: str = "onnxruntime", **changes: Any) -> Measured:
    """The float32 candidate of a runtime: 0.95, 1 kB, 1 ms; its teacher takes ten times as much."""
    base = Measured(
        name=f"{runtime} fp32",
        runtime=runtime,
        precision="fp32",
        score=0.95,
        size_bytes=1000,
        latency_ms=1.0,
        memory_bytes=4000,
        macs=500,
        teacher=TAKES,
    )
    return replace(base, **changes)


def small(runtime: str = "onnxruntime", **changes: Any) -> Measured:
    """Its int8 candidate: 0.94, 300 bytes, 0.5 ms."""
    base = replace(plain(runtime), name=f"{runtime} int8", precision="int8", score=0.94, size_bytes=300, latency_ms=0.5)
    return replace(base, **changes)


def limits_of(**asked: object) -> list[Limit]:
    """Limits as a recipe has them, that of the loss with its default."""
    given = {"quality_loss": "1%", **asked}
    return [Limit.read(what, given[what]) for what in get_args(What) if what in given]


def chosen(*candidates: Measured, prefer: Prefer = "latency", constant: float = 0.1, **asked: object) -> Choice:
    return choose(candidates, limits_of(**asked), TEACHER, prefer=prefer, constant=constant)


def plainly(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_fastest_within_the_budget_ships() -> None:
    choice = chosen(plain(), small(), quality_loss="2%")
    assert (choice.winner, dict(choice.refused), choice.outcome) == ("onnxruntime int8", {}, "met")
    assert choice.why == "onnxruntime int8 is the fastest at batch 1 of 2 candidates within the budget."


def test_what_costs_too_much_accuracy_is_refused_with_the_figures() -> None:
    choice = chosen(plain(), small(score=0.92), quality_loss="2%")
    assert choice.winner == "onnxruntime fp32"
    assert choice.refused == {
        "onnxruntime int8": "3 points of accuracy lost on validation, 1 point above the 2 points that may be lost"
    }


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"bytes": 900}, "1.00 kB on disk, 100 B over the 900 B that were asked for"),
        ({"latency": "0.75 ms"}, "1.00 ms at batch 1, 250 µs over the 750 µs that were asked for"),
        ({"memory": "1 kB"}, "4.00 kB of memory, 3.00 kB over the 1 kB that was asked for"),
        ({"macs": 100}, "500 multiply-adds, 400 over the 100 that were asked for"),
        ({"bytes": "0.05x"}, "1.00 kB on disk, 500 B over the 500 B (0.05x the teacher's) that were asked for"),
        ({"quality_loss": "0%", "bytes": 999}, "1.00 kB on disk, 1 B over the 999 B that were asked for"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_with_the_figures(asked: dict[str, object], said: str) -> None:
    within = plain("torch", size_bytes=1, latency_ms=0.1, memory_bytes=1, macs=1)
    choice = chosen(plain(), within, **asked)
    assert (choice.winner, choice.outcome) == ("torch fp32", "met")
    assert plainly(choice.refused["onnxruntime fp32"]) == said


def test_exactly_what_was_asked_is_within() -> None:
    """0.95 - 0.01 is 0.9399999999999999 in floats, and 0.95 - 0.94 more than 0.01: rounding must not refuse."""
    assert chosen(small(), quality_loss="1%").outcome == "met"
    assert chosen(small(score=0.95 - 0.02), quality_loss="2%").outcome == "met"
    assert chosen(plain(), bytes="0.1x", latency="1 ms", memory="4 kB", macs=500).outcome == "met"


def test_int8_that_is_neither_faster_nor_smaller_is_refused() -> None:
    choice = chosen(plain(), small(size_bytes=1000, latency_ms=0.96), quality_loss="2%")
    assert choice.winner == "onnxruntime fp32"
    assert plainly(choice.refused["onnxruntime int8"]) == (
        "neither faster nor smaller than onnxruntime fp32 on this machine: 960 µs against 1.00 ms, "
        "1.00 kB against 1.00 kB"
    )
    for gains in ({"size_bytes": 1000, "latency_ms": 0.94}, {"size_bytes": 999, "latency_ms": 2.0}):
        assert "onnxruntime int8" not in chosen(plain(), small(**gains), quality_loss="2%").refused


def test_int8_is_compared_with_its_own_runtime() -> None:
    """Slower and larger than torch's fp32, but better than the fp32 of its own runtime."""
    own = plain("openvino", latency_ms=5.0, size_bytes=9000)
    choice = chosen(plain("torch"), own, small("openvino", latency_ms=3.0, size_bytes=8000), quality_loss="2%")
    assert choice.refused == {}
    assert choice.winner == "torch fp32"


@pytest.mark.parametrize("beyond", [{"score": 0.90}, {"memory_bytes": 9000}])
def test_a_plain_candidate_beyond_the_budget_does_not_keep_out_one_within(beyond: dict[str, float]) -> None:
    within = small(score=0.95, size_bytes=2000, latency_ms=2.0)
    choice = chosen(plain(**beyond), within, quality_loss="2%", memory="5 kB")
    assert choice.winner == "onnxruntime int8"
    assert list(choice.refused) == ["onnxruntime fp32"]
    assert choice.outcome == "met"
    assert not choice.alerts


def test_close_latencies_are_told_apart_by_size() -> None:
    slower = plain("torch", latency_ms=1.04, size_bytes=500)
    assert chosen(plain(), slower).winner == "torch fp32"
    assert chosen(plain(), replace(slower, latency_ms=1.06)).winner == "onnxruntime fp32"


@pytest.mark.parametrize(
    ("prefer", "winner", "what"),
    [("latency", "a", "the fastest at batch 1"), ("bytes", "b", "the smallest"), ("quality", "c", "the best")],
)
def test_what_is_preferred_decides_among_those_within(prefer: Prefer, winner: str, what: str) -> None:
    a = plain(name="a", latency_ms=0.5)
    b = plain("torch", name="b", size_bytes=10)
    c = plain("openvino", name="c", score=0.96)
    beyond = plain("python", name="d", latency_ms=0.1, size_bytes=1, score=1.0, macs=10_000)
    choice = chosen(a, b, c, beyond, prefer=prefer, macs=5000)
    assert choice.winner == winner
    assert choice.why == f"{winner} is {what} of 3 candidates within the budget."


def test_relative_limits_are_those_of_the_teacher_in_the_same_runtime() -> None:
    beside_a_slow_teacher = plain("torch", teacher={**TAKES, "latency": 100.0}, latency_ms=2.0)
    choice = chosen(plain(latency_ms=1.5), beside_a_slow_teacher, latency="0.1x")
    assert choice.winner == "torch fp32"
    assert plainly(choice.refused["onnxruntime fp32"]).endswith(
        "over the 1.00 ms (0.1x the teacher's) that were asked for"
    )
    assert choice.budget[1].lines == [1.0, 10.0], "each runtime has the line that decided there"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory_bytes": None}, "its peak memory was not measured, and a limit was asked for"),
        ({"teacher": {}}, "the teacher's peak memory is not known, and 0.5x of it was asked for"),
    ],
)
def test_what_was_not_measured_is_not_within(changes: dict[str, Any], said: str) -> None:
    choice = chosen(plain(**changes), memory="0.5x")
    assert choice.outcome == "not met"
    assert choice.refused == {"onnxruntime fp32": said}


def test_where_none_is_within_the_nearest_is_named_with_the_figures() -> None:
    choice = chosen(plain(score=0.80), small(score=0.85))
    assert choice.winner == "onnxruntime int8"
    assert set(choice.refused) == {"onnxruntime fp32", "onnxruntime int8"}
    assert choice.why == (
        "No candidate is within the budget; onnxruntime int8 comes nearest: "
        "10 points of accuracy lost on validation, 9 points above the 1 point that may be lost."
    )
    assert list(choice.alerts) == [choice.why], "it comes before anything else"
    assert choice.outcome == "not met"


def test_the_nearest_keeps_the_quality_and_goes_least_beyond_the_rest() -> None:
    """1.2 times the bytes are nearer than 1.5 times the latency, and any of them than a loss of quality."""
    large, slow = plain(name="large", size_bytes=1200), plain("torch", name="slow", latency_ms=1.5)
    lossy = plain("openvino", name="lossy", score=0.9, size_bytes=1001)
    choice = chosen(lossy, slow, large, bytes=1000, latency="1 ms")
    assert choice.winner == "large"
    assert plainly(choice.alerts[0]).endswith(
        "large comes nearest: 1.20 kB on disk, 200 B over the 1 kB that was asked for."
    )
    assert plainly(choice.why).endswith(
        "The tightest limit is that of at most 1 kB on disk: 1 of 3 candidates keeps it."
    )


def test_a_low_precision_that_gains_nothing_is_not_the_nearest() -> None:
    """Half a point of quality is chance; an int8 file that is smaller may be the nearest all the same."""
    full, slower = plain(name="full", score=0.5), plain(name="int8", precision="int8", score=0.505, latency_ms=1.2)
    assert chosen(full, slower, quality_loss="1%").winner == "full"
    smaller = plain(name="int8", precision="int8", score=0.505, latency_ms=1.2, size_bytes=900)
    assert chosen(full, smaller, quality_loss="1%").winner == "int8"
    elsewhere = plain("torch", name="elsewhere", precision="int8", score=0.505)
    assert chosen(full, elsewhere, quality_loss="1%").winner == "elsewhere"


def test_limits_that_nobody_keeps_are_tightest_together() -> None:
    choice = chosen(plain(), bytes=1, latency="1 us", memory="1 GB")
    assert plainly(choice.why).endswith(
        "The tightest limits are those of at most 1 B on disk and at most 1 µs at batch 1: "
        "no candidate keeps any of them."
    ), choice.why
    assert "tightest" not in chosen(plain(score=0.9), bytes=1, latency="1 us", quality_loss="0%").why


def test_a_limit_that_guessing_would_keep_says_nothing() -> None:
    """The teacher is at 0.95 and the most frequent class at 0.1: from half of the 85 points between them on."""
    assert chosen(plain(score=0.6), quality_loss="42%").outcome == "met"
    assert chosen(plain(score=0.6), quality_loss="43%").outcome is None
    assert chosen(plain(score=0.6), quality_loss="43%", bytes=10).outcome == "not met"
    assert chosen(plain(), quality_loss="1%", constant=0.94).outcome is None


def test_a_limit_on_an_error_is_held_against_the_best_constant_too() -> None:
    """The teacher's RMSE is 1 and that of the mean 1.5: from a quarter more on, half of the way is lost."""
    rmse, limits = Score("RMSE", points=False), (limits_of(quality_loss="24%"), limits_of(quality_loss="26%"))
    found = [choose([plain(score=-1.1)], some, -1.0, score=rmse, constant=-1.5) for some in limits]
    assert [one.outcome for one in found] == ["met", None]


def test_nothing_is_green_at_14_percent_against_94() -> None:
    """Whatever loss was allowed, and however well it went on validation."""
    for asked in ("1%", "20%", "50%", "79%", "80%", "90%", "100%", "0.9x", "1x"):
        lost = choose([plain(score=0.144)], limits_of(quality_loss=asked), 0.943, constant=0.1)
        assert judged_on_test(lost, 0.943 - 0.144).outcome in (None, "not met")
        kept = choose([plain(score=0.943)], limits_of(quality_loss=asked), 0.943, constant=0.1)
        assert judged_on_test(kept, 0.943 - 0.144).outcome in (None, "met on validation only")


def test_what_was_within_on_validation_alone_is_said_first() -> None:
    choice = chosen(plain(score=0.931), quality_loss="2%", bytes="50 kB")
    rows = [replace(row, spread=0.018) if row.limit.what == "quality_loss" else row for row in choice.budget]
    choice = judged_on_test(replace(choice, budget=rows), 0.053)
    assert choice.outcome == "met on validation only"
    assert choice.alerts == [
        "The budget is met on validation (1.9 ± 1.8 points of accuracy lost), not on test (5.3): 2 points may be lost."
    ]
    assert choice.why.startswith(choice.alerts[0])
    assert [row.outcome for row in choice.budget] == ["met on validation only", "met"]
    assert judged_on_test(chosen(plain(), quality_loss="2%"), 0.02).outcome == "met"
    assert judged_on_test(chosen(plain(score=0.5), quality_loss="2%"), 0.0).outcome == "not met", (
        "choices are made on validation"
    )


def test_one_that_guesses_is_refused_whatever_loss_is_allowed() -> None:
    lost = "gives every validation example the same prediction, 'dog' (33.3%)"
    choice = chosen(plain(score=0.33, guessing=lost), quality_loss="100%")
    assert dict(choice.refused) == {"onnxruntime fp32": f"it {lost}"}
    assert choice.why == "No candidate is better than guessing; onnxruntime fp32 comes nearest."
    assert choice.outcome == "not met"
    assert chosen(plain(score=0.33, guessing=lost), plain("torch"), quality_loss="100%").winner == "torch fp32"


def test_one_that_guesses_is_never_nearer_than_one_that_does_not() -> None:
    lost = "gives every validation example the same prediction, 'dog' (33.3%)"
    guessing = plain(score=0.33, guessing=lost, size_bytes=10)
    choice = chosen(guessing, plain("torch"), quality_loss="100%", bytes="0.9 kB")
    assert choice.winner == "torch fp32" and choice.why.startswith("No candidate is within the budget; torch fp32")


def test_a_plain_candidate_that_guesses_does_not_keep_out_one_that_does_not() -> None:
    lost = "gives every validation example the same prediction, 'dog' (33.3%)"
    guessing = plain(score=0.33, guessing=lost, size_bytes=10, latency_ms=0.1)
    assert chosen(guessing, small(), quality_loss="100%").winner == "onnxruntime int8"


def test_what_has_to_be_said_first_comes_first() -> None:
    choice = alerted(chosen(plain(score=0.5)), ["The teacher is at chance."])
    assert choice.why.startswith("The teacher is at chance. No candidate is within the budget; onnxruntime fp32 comes")
    assert choice.alerts[0] == "The teacher is at chance." and len(choice.alerts) == 2
    fine = alerted(chosen(plain()), ["It did not help."])
    assert fine.why == "It did not help. onnxruntime fp32 is the only candidate left within the budget."
    assert fine.outcome == "met"


@st.composite
def tables(draw: st.DrawFn) -> list[Measured]:
    """One to six candidates with different names over three runtimes, so coarse that ties occur."""
    count = draw(st.integers(1, 6))
    teacher = {"bytes": 20.0, "latency": 2.0} if draw(st.booleans()) else {}
    return [
        Measured(
            name=f"candidate {index}",
            runtime=draw(st.sampled_from(["torch", "onnxruntime", "openvino"])),
            precision=draw(st.sampled_from(["fp32", "int8"])),
            score=draw(st.integers(0, 100)) / 100,
            size_bytes=draw(st.integers(1, 20)),
            latency_ms=draw(st.integers(1, 20)) / 10,
            memory_bytes=draw(st.none() | st.integers(1, 20)),
            teacher=teacher,
        )
        for index in range(count)
    ]


@st.composite
def budgets(draw: st.DrawFn) -> list[Limit]:
    asked: dict[str, object] = {"quality_loss": f"{draw(st.integers(0, 100))}%"}
    for what, absolute in (("bytes", "B"), ("latency", "ms"), ("memory", "B")):
        if draw(st.booleans()):
            amount = draw(st.integers(1, 20)) / (10 if what == "latency" else 1)
            asked[what] = f"{amount} {absolute}" if draw(st.booleans()) or what == "memory" else f"{amount / 10}x"
    return limits_of(**asked)


accuracies = st.integers(0, 100).map(lambda points: points / 100)
preferences = st.sampled_from(get_args(Prefer))
BUDGET = settings(max_examples=150, deadline=None)


def within(one: Measured, limits: list[Limit], teacher: float) -> bool:
    """Slow and obvious."""
    for limit in limits:
        if limit.what == "quality_loss":
            if teacher - one.score > limit.amount + 1e-9:
                return False
            continue
        found = {"bytes": one.size_bytes, "latency": one.latency_ms, "memory": one.memory_bytes}[limit.what]
        beside = one.teacher.get(limit.what)
        if found is None or (limit.relative and beside is None):
            return False
        if found > (limit.amount * beside if limit.relative and beside is not None else limit.amount) + 1e-9:
            return False
    return True


@BUDGET
@given(tables(), budgets(), accuracies, preferences)
def test_the_winner_is_within_while_one_is(
    table: list[Measured], limits: list[Limit], teacher: float, prefer: Prefer
) -> None:
    choice = choose(table, limits, teacher, prefer=prefer)
    names = {one.name for one in table}
    inside = {one.name for one in table if within(one, limits, teacher)}
    assert choice.winner in names
    assert names - inside <= set(choice.refused) <= names
    if inside:
        assert choice.winner in inside - set(choice.refused)
        assert choice.outcome in ("met", None)
    else:
        assert choice.outcome == "not met"
        assert choice.why.startswith("No candidate is within the budget")


@BUDGET
@given(tables(), budgets(), accuracies)
def test_the_outcome_says_what_the_figures_of_the_winner_say(
    table: list[Measured], limits: list[Limit], teacher: float
) -> None:
    choice = choose(table, limits, teacher)
    winner = next(one for one in table if one.name == choice.winner)
    for row, limit in zip(choice.budget, limits, strict=True):
        assert (row.outcome != "not met") == within(winner, [limit], teacher)


@BUDGET
@given(tables(), budgets(), accuracies, st.integers(0, 100))
def test_more_loss_allowed_never_makes_it_worse(
    table: list[Measured], limits: list[Limit], teacher: float, more: int
) -> None:
    """None is refused that was not; what was met stays met; what is preferred does not get worse."""
    # Without int8: a candidate may lose its place to the fp32 one that has come back.
    table = [replace(one, precision="fp32") for one in table]
    loose = [replace(limits[0], amount=min(1.0, limits[0].amount + more / 100)), *limits[1:]]
    first, second = choose(table, limits, teacher), choose(table, loose, teacher)
    assert set(second.refused) <= set(first.refused)
    assert second.outcome != "not met" or first.outcome == "not met"
    if len(first.refused) < len(table):
        before, after = (next(one for one in table if one.name == c.winner) for c in (first, second))
        assert after.latency_ms * 0.95 <= before.latency_ms + 1e-12


@BUDGET
@given(tables(), budgets(), accuracies, preferences)
def test_the_order_of_candidates_decides_nothing_but_ties(
    table: list[Measured], limits: list[Limit], teacher: float, prefer: Prefer
) -> None:
    mixed = list(reversed(table))
    # One fp32 candidate per runtime, as the runner makes them.
    if len({(one.runtime) for one in table if one.precision == "fp32"}) < sum(o.precision == "fp32" for o in table):
        return
    first, second = (choose(one, limits, teacher, prefer=prefer) for one in (table, mixed))
    assert first.refused == second.refused
    one, other = (next(m for m in table if m.name == c.winner) for c in (first, second))
    ties = (one.latency_ms, one.score) if prefer == "quality" else (one.latency_ms, one.size_bytes)
    others = (other.latency_ms, other.score) if prefer == "quality" else (other.latency_ms, other.size_bytes)
    assert ties == others or len(first.refused) == len(table)


def test_an_empty_table_is_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError):
        choose([], limits_of(), 0.9)


def test_an_error_may_grow_by_a_share_of_the_teachers() -> None:
    """Scores of errors have a minus: the teacher's RMSE is 2, and a tenth of it more is 2.2."""
    rmse = Score("RMSE", points=False)
    good, bad = plain(score=-2.15), plain("torch", score=-2.5)
    choice = choose([good, bad], limits_of(quality_loss="10%"), -2.0, score=rmse)
    assert (choice.winner, choice.outcome) == ("onnxruntime fp32", "met")
    assert choice.refused["torch fp32"] == (
        "0.5 more RMSE on validation, 0.3 above the 0.2 (0.1x the teacher's) that may be lost"
    )
    assert choice.budget[0].lines == pytest.approx([2.2])
    assert judged_on_test(choice, 0.3).alerts[0] == (
        "The budget is met on validation (0.15 more RMSE), not on test (0.30): 0.2 (0.1x the teacher's) may be lost."
    )
