"""The rule by which one candidate ships, on tables that were worked by hand and as properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.recipes.choose import Choice, Measured, alerted, choose
from attar.recipes.schema.recipe import BudgetSection

TEACHER = 0.95


def plain(runtime: str = "onnxruntime", **changes: float | int | str | None) -> Measured:
    """The float32 candidate of a runtime: 0.95, 1000 bytes, 1 ms, 10 times smaller and faster than the teacher."""
    base = Measured(
        name=f"{runtime} fp32",
        runtime=runtime,
        precision="fp32",
        accuracy=0.95,
        size_bytes=1000,
        latency_ms=1.0,
        smaller=10.0,
        faster=10.0,
    )
    return replace(base, **changes)


def small(runtime: str = "onnxruntime", **changes: float | int | None) -> Measured:
    """Its int8 candidate: 0.94, 300 bytes, 0.5 ms."""
    base = replace(
        plain(runtime),
        name=f"{runtime} int8",
        precision="int8",
        accuracy=0.94,
        size_bytes=300,
        latency_ms=0.5,
        smaller=33.0,
        faster=20.0,
    )
    return replace(base, **changes)


def chosen(*candidates: Measured, **asked: float | str) -> Choice:
    return choose(candidates, BudgetSection(**asked), TEACHER)


def test_the_fastest_that_keeps_the_accuracy_ships() -> None:
    choice = chosen(plain(), small(), accuracy_loss=0.02)
    assert (choice.winner, dict(choice.refused), choice.met) == ("onnxruntime int8", {}, True)
    assert choice.why == "onnxruntime int8 is the fastest at batch 1 of 2 candidates that keep the accuracy."


def test_what_costs_too_much_accuracy_is_refused_with_the_figures() -> None:
    choice = chosen(plain(), small(accuracy=0.92), accuracy_loss=0.02)
    assert choice.winner == "onnxruntime fp32"
    assert choice.refused == {
        "onnxruntime int8": "accuracy 0.9200 on validation loses 3.00 points against the teacher; 2.00 may be lost"
    }


def test_exactly_the_asked_loss_is_kept() -> None:
    """0.95 - 0.01 is 0.9399999999999999 in floats, and 0.95 - 0.94 more than 0.01: rounding must not refuse."""
    assert chosen(small(), accuracy_loss=0.01).met
    assert chosen(small(accuracy=0.95 - 0.02), accuracy_loss=0.02).met


def test_int8_that_is_neither_faster_nor_smaller_is_refused() -> None:
    choice = chosen(plain(), small(size_bytes=1000, latency_ms=0.96), accuracy_loss=0.02)
    assert choice.winner == "onnxruntime fp32"
    assert "neither faster nor smaller than onnxruntime fp32" in choice.refused["onnxruntime int8"]
    assert (
        "onnxruntime int8" not in chosen(plain(), small(size_bytes=1000, latency_ms=0.94), accuracy_loss=0.02).refused
    )
    assert "onnxruntime int8" not in chosen(plain(), small(size_bytes=999, latency_ms=2.0), accuracy_loss=0.02).refused


def test_int8_is_compared_with_its_own_runtime() -> None:
    """Slower and larger than torch's fp32, but better than the fp32 of its own runtime."""
    own = plain("openvino", latency_ms=5.0, size_bytes=9000)
    choice = chosen(plain("torch"), own, small("openvino", latency_ms=3.0, size_bytes=8000), accuracy_loss=0.02)
    assert choice.refused == {}
    assert choice.winner == "torch fp32"


def test_a_plain_candidate_that_loses_the_accuracy_does_not_keep_out_one_that_has_it() -> None:
    choice = chosen(plain(accuracy=0.90), small(accuracy=0.95, size_bytes=2000, latency_ms=2.0), accuracy_loss=0.02)
    assert choice.winner == "onnxruntime int8"
    assert list(choice.refused) == ["onnxruntime fp32"]
    assert choice.met
    assert not choice.alerts


def test_close_latencies_are_told_apart_by_size() -> None:
    slower = plain("torch", latency_ms=1.04, size_bytes=500)
    assert chosen(plain(), slower).winner == "torch fp32"
    assert chosen(plain(), replace(slower, latency_ms=1.06)).winner == "onnxruntime fp32"


def test_size_may_be_preferred() -> None:
    slow = plain("torch", latency_ms=9.0, size_bytes=999)
    choice = chosen(plain(), slow, prefer="size")
    assert choice.winner == "torch fp32"
    assert "is the smallest of 2" in choice.why


def test_one_that_reaches_all_goes_before_a_faster_one_that_does_not() -> None:
    fast = plain("torch", latency_ms=0.2, smaller=5.0)
    choice = chosen(plain(), fast, smaller=8.0)
    assert choice.winner == "onnxruntime fp32"
    assert choice.why == "onnxruntime fp32 is the fastest at batch 1 that reaches all that was asked."
    assert choice.met


def test_what_is_not_reached_is_said_line_by_line() -> None:
    choice = chosen(plain(), smaller=30, faster=5)
    assert not choice.met
    assert [(line["asked"], line["reached"], line["met"]) for line in choice.budget] == [
        (1.0, 0.0, True),
        (30.0, 10.0, False),
        (5.0, 10.0, True),
    ]
    assert choice.why.endswith("though not all that was asked is reached.")


def test_what_was_not_measured_is_not_reached() -> None:
    choice = chosen(plain(faster=None), faster=2)
    assert (choice.budget[1]["reached"], choice.met) == (None, False)


def test_where_none_keeps_the_accuracy_the_nearest_is_shown_and_said() -> None:
    choice = chosen(plain(accuracy=0.80), small(accuracy=0.85))
    assert choice.winner == "onnxruntime int8"
    assert set(choice.refused) == {"onnxruntime fp32", "onnxruntime int8"}
    assert choice.why == "No candidate keeps the accuracy; onnxruntime int8 comes nearest."
    assert list(choice.alerts) == [choice.why], "it comes before anything else"
    assert not choice.met


def test_one_that_guesses_is_refused_whatever_loss_is_allowed() -> None:
    lost = "gives every validation example the same prediction, 'dog' (33.3%)"
    choice = chosen(plain(accuracy=0.33, guessing=lost), accuracy_loss=1.0)
    assert dict(choice.refused) == {"onnxruntime fp32": f"it {lost}"}
    assert choice.why == "No candidate is better than guessing; onnxruntime fp32 comes nearest."
    assert not choice.met and all(line["met"] for line in choice.budget)
    assert chosen(plain(accuracy=0.33, guessing=lost), plain("torch"), accuracy_loss=1.0).winner == "torch fp32"


def test_what_has_to_be_said_first_comes_first() -> None:
    choice = alerted(chosen(plain(accuracy=0.5)), ["The teacher is at chance."])
    assert choice.why == "The teacher is at chance. No candidate keeps the accuracy; onnxruntime fp32 comes nearest."
    assert choice.alerts[0] == "The teacher is at chance." and len(choice.alerts) == 2
    fine = alerted(chosen(plain()), ["It did not help."])
    assert fine.why == "It did not help. onnxruntime fp32 is the only candidate left that keeps the accuracy."
    assert fine.met


@st.composite
def tables(draw: st.DrawFn) -> list[Measured]:
    """One to six candidates with different names over three runtimes, so coarse that ties occur."""
    count = draw(st.integers(1, 6))
    number = st.none() | st.floats(0.1, 100)
    return [
        Measured(
            name=f"candidate {index}",
            runtime=draw(st.sampled_from(["torch", "onnxruntime", "openvino"])),
            precision=draw(st.sampled_from(["fp32", "int8"])),
            accuracy=draw(st.integers(0, 100)) / 100,
            size_bytes=draw(st.integers(1, 20)),
            latency_ms=draw(st.integers(1, 20)) / 10,
            smaller=draw(number),
            faster=draw(number),
        )
        for index in range(count)
    ]


budgets = st.builds(
    BudgetSection,
    accuracy_loss=st.integers(0, 100).map(lambda points: points / 100),
    smaller=st.none() | st.floats(0.1, 50),
    faster=st.none() | st.floats(0.1, 50),
    prefer=st.sampled_from(["latency", "size"]),
)
accuracies = st.integers(0, 100).map(lambda points: points / 100)
BUDGET = settings(max_examples=150, deadline=None)


@BUDGET
@given(tables(), budgets, accuracies)
def test_the_winner_is_not_refused_while_one_stands(
    table: list[Measured], asked: BudgetSection, teacher: float
) -> None:
    choice = choose(table, asked, teacher)
    names = {one.name for one in table}
    assert choice.winner in names
    assert set(choice.refused) <= names
    if set(choice.refused) != names:
        assert choice.winner not in choice.refused
    else:
        assert not choice.met
        assert choice.why.startswith("No candidate keeps the accuracy")


@BUDGET
@given(tables(), budgets, accuracies)
def test_none_stands_only_if_none_keeps_the_accuracy(
    table: list[Measured], asked: BudgetSection, teacher: float
) -> None:
    choice = choose(table, asked, teacher)
    keeping = [one for one in table if teacher - one.accuracy <= asked.accuracy_loss + 1e-9]
    assert (len(choice.refused) < len(table)) == bool(keeping)


@BUDGET
@given(tables(), budgets, accuracies)
def test_met_says_what_the_figures_of_the_winner_say(
    table: list[Measured], asked: BudgetSection, teacher: float
) -> None:
    choice = choose(table, asked, teacher)
    winner = next(one for one in table if one.name == choice.winner)
    reached = (
        teacher - winner.accuracy <= asked.accuracy_loss + 1e-9,
        asked.smaller is None or (winner.smaller is not None and winner.smaller >= asked.smaller),
        asked.faster is None or (winner.faster is not None and winner.faster >= asked.faster),
    )
    assert choice.met == all(reached)


@BUDGET
@given(tables(), budgets, accuracies, accuracies)
def test_more_loss_allowed_never_makes_it_worse(
    table: list[Measured], asked: BudgetSection, teacher: float, more: float
) -> None:
    """No accuracy is refused that was not; what was met stays met; what is preferred does not get worse."""
    # Without int8: a candidate may lose its place to the fp32 one that has come back.
    table = [replace(one, precision="fp32") for one in table]
    strict = choose(table, asked, teacher)
    loose = choose(table, asked.model_copy(update={"accuracy_loss": min(asked.accuracy_loss + more, 1.0)}), teacher)
    assert set(loose.refused) <= set(strict.refused)
    assert loose.met or not strict.met
    if len(strict.refused) < len(table) and asked.smaller is None and asked.faster is None:
        before, after = (next(one for one in table if one.name == c.winner) for c in (strict, loose))
        if asked.prefer == "size":
            assert after.size_bytes <= before.size_bytes
        else:
            assert after.latency_ms * 0.95 <= before.latency_ms + 1e-12


@BUDGET
@given(tables(), budgets, accuracies)
def test_the_order_of_candidates_decides_nothing_but_ties(
    table: list[Measured], asked: BudgetSection, teacher: float
) -> None:
    mixed = list(reversed(table))
    # One fp32 candidate per runtime, as the runner makes them.
    if len({(one.runtime) for one in table if one.precision == "fp32"}) < sum(o.precision == "fp32" for o in table):
        return
    first, second = choose(table, asked, teacher), choose(mixed, asked, teacher)
    assert first.refused == second.refused
    one, other = (next(m for m in table if m.name == c.winner) for c in (first, second))
    assert (one.size_bytes, one.latency_ms) == (other.size_bytes, other.latency_ms) or len(first.refused) == len(table)


def test_an_empty_table_is_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError):
        choose([], BudgetSection(), 0.9)
