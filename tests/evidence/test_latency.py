"""The race on a clock that only its contenders move: nothing here depends on how busy the machine is."""

import gc
import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.evidence.latency import FEWEST_ROUNDS, Latency, Race, race

EXAMPLE = np.zeros((1, 3), np.float32)


class Clock:
    """Time that passes only when a runner says so; `step` is the smallest change that a reading shows."""

    def __init__(self, step: float = 0.0):
        self.now = 0.0
        self.step = step
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now if not self.step else np.floor(self.now / self.step + 1e-9) * self.step

    def runner(self, name: str, *seconds: float):
        """A runner whose calls last the given seconds, one after the other and again from the first."""
        durations = itertools.cycle(seconds)

        def run(inputs: np.ndarray) -> np.ndarray:
            self.now += next(durations)
            self.log.append(name)
            return inputs

        return run


def test_constant_times_are_exact():
    clock = Clock()
    result = race(
        {"teacher": clock.runner("teacher", 0.008), "student": clock.runner("student", 0.002)}, EXAMPLE, clock=clock
    )
    for name, expected in (("teacher", 8.0), ("student", 2.0)):
        latency = result.latencies[name]
        assert latency.median_ms == pytest.approx(expected)
        assert latency.p90_ms == pytest.approx(expected)
        assert (latency.batch, latency.threads) == (1, 1)
        assert result.rounds_ms[name] == pytest.approx(np.full(30, expected))
    ratio = result.ratio("teacher", "student")
    assert (ratio.ratio, *ratio.interval) == pytest.approx((4.0, 4.0, 4.0))
    assert ratio.rounds == 30


def test_each_gets_its_share_of_the_time():
    clock = Clock()
    race({"a": clock.runner("a", 0.003), "b": clock.runner("b", 0.0001)}, EXAMPLE, seconds=3.0, clock=clock)
    spent = {"a": clock.log.count("a") * 0.003, "b": clock.log.count("b") * 0.0001}
    # A tenth on top is warm-up; a round's share that is not a whole number of calls is cut.
    assert all(0.9 * 3 <= seconds <= 1.1 * 3 + 0.003 for seconds in spent.values())


def test_contenders_alternate_and_take_turns_at_being_first():
    clock = Clock()
    names = ["a", "b", "c"]
    race({name: clock.runner(name, 0.01) for name in names}, EXAMPLE, seconds=0.6, rounds=6, clock=clock)
    blocks = [name for name, _ in itertools.groupby(clock.log)]
    # Warm-up of each, then rounds that begin with a, b, c, a, b, c; a block of a after warming c, and so on.
    warm, raced = blocks[:3], blocks[3:]
    assert warm == names
    assert "".join(raced) == "abc" + "bca" + "cab" + "abc" + "bca" + "cab"


def test_a_slow_spell_does_not_change_the_ratio():
    clock = Clock()

    def runner(seconds: float):
        def run(inputs: np.ndarray) -> np.ndarray:
            # From the third second on the machine is ten times slower.
            clock.now += seconds if clock.now < 3 else 10 * seconds
            return inputs

        return run

    result = race({"teacher": runner(0.006), "student": runner(0.002)}, EXAMPLE, seconds=4.0, clock=clock)
    assert len(result.rounds_ms["teacher"]) >= FEWEST_ROUNDS
    # Both saw both speeds: the absolute times are useless, the ratio is not.
    assert result.latencies["student"].p90_ms == pytest.approx(20.0)
    assert result.rounds_ms["student"].min() == pytest.approx(2.0)
    assert result.ratio("teacher", "student").ratio == pytest.approx(3.0)


def test_a_slow_spell_does_not_break_the_bound():
    clock = Clock()

    def run(inputs: np.ndarray) -> np.ndarray:
        clock.now += 0.001 if clock.now < 0.5 else 0.1
        return inputs

    race({"only": run}, EXAMPLE, seconds=1.0, rounds=30, clock=clock)
    # A round was planned as 33 calls; six rounds are the fewest, the rest is dropped.
    assert clock.now <= 0.1 + FEWEST_ROUNDS * 33 * 0.1 + 0.1


def test_median_and_p90_are_over_all_calls():
    clock = Clock()
    # One call in five is slow: the median does not see it, the 90th percentile does.
    result = race({"a": clock.runner("a", 0.001, 0.001, 0.001, 0.001, 0.009)}, EXAMPLE, clock=clock)
    latency = result.latencies["a"]
    assert latency.median_ms == pytest.approx(1.0)
    assert latency.p90_ms == pytest.approx(9.0)
    assert latency.repeats >= 0.9 * 2.0 / 0.0026


def test_slow_model_gets_the_fewest_rounds():
    clock = Clock()
    result = race({"slow": clock.runner("slow", 5.0), "fast": clock.runner("fast", 0.01)}, EXAMPLE, clock=clock)
    assert result.latencies["slow"].repeats == FEWEST_ROUNDS
    # In each of them a thirtieth of its time.
    assert result.latencies["fast"].repeats == FEWEST_ROUNDS * int(2.0 / 30 / 0.01)
    assert result.ratio("slow", "fast").ratio == pytest.approx(500.0)


def test_time_that_fast_ones_leave_goes_into_rounds():
    # A call of the slow one and thirtieths of 1.05 s of three others make rounds of 0.205 s; all together have 4.2 s.
    clock = Clock()
    runners = {"slow": clock.runner("slow", 0.1), **{name: clock.runner(name, 0.001) for name in "abc"}}
    result = race(runners, EXAMPLE, seconds=1.05, clock=clock)
    assert len(result.rounds_ms["slow"]) == 20, "in 1.05 s of its own it would be called ten times"
    assert clock.now < 4.2 + 0.3 + 3 * 0.105 + 0.1, "all their time, three calls and three tenths to warm up, no more"


@pytest.mark.parametrize(("narrow", "rounds"), [(0.06, 12), (0.04, 30)])
def test_ends_once_each_ratio_is_known_narrowly(narrow, rounds):
    clock = Clock()
    # One call a round: the ratio to the one that wavers has an interval from 1 to 1.05.
    runners = {name: clock.runner(name, 0.08) for name in ("teacher", "steady")}
    runners["wavering"] = clock.runner("wavering", 0.08, 0.084)
    pairs = [("teacher", "steady"), ("wavering", "teacher")]
    found = race(runners, EXAMPLE, seconds=3.1, clock=clock, ratios=pairs, narrow=narrow)
    assert {len(one) for one in found.rounds_ms.values()} == {rounds}, "it ends for all at once"
    assert found.ratio("wavering", "teacher").interval == pytest.approx((1.0, 1.05))
    assert len(race(runners, EXAMPLE, seconds=3.1, clock=clock, ratios=pairs[:1]).rounds_ms["steady"]) == 12


def test_a_ratio_of_nobody_is_refused():
    with pytest.raises(BadInput, match=r"ratios of race must be of contenders.*'b'"):
        race({"a": np.copy}, EXAMPLE, ratios=[("a", "b")])


def test_coarse_clock_is_helped_by_groups():
    # The clock shows whole milliseconds and a call takes a third of one.
    clock = Clock(step=0.001)
    result = race(
        {"a": clock.runner("a", 0.00031), "b": clock.runner("b", 0.00093)},
        EXAMPLE,
        seconds=4.0,
        rounds=8,
        clock=clock,
        resolution=0.001,
    )
    assert result.latencies["a"].median_ms == pytest.approx(0.31, rel=0.02)
    assert result.ratio("b", "a").ratio == pytest.approx(3.0, rel=0.02)
    # Every call is counted, not every reading of the clock: 8 rounds of 4 groups, each 100 ms or 323 calls long.
    assert result.latencies["a"].repeats == 8 * 4 * 323


def test_warm_up_is_not_timed():
    clock = Clock()
    calls = itertools.count()

    def run(inputs: np.ndarray) -> np.ndarray:
        clock.now += 1.0 if next(calls) == 0 else 0.001
        return inputs

    latency = race({"a": run}, EXAMPLE, clock=clock).latencies["a"]
    assert latency.p90_ms == pytest.approx(1.0)
    assert latency.repeats > 1000


@pytest.mark.parametrize(("rows", "batch"), [(1, 5), (4, 6), (8, 3)])
def test_batch_repeats_or_cuts_the_example(rows, batch):
    clock, seen = Clock(), []

    def run(inputs: np.ndarray) -> np.ndarray:
        clock.now += 1.0
        seen.append(inputs)
        return inputs

    example = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    result = race({"a": run}, example, batch, clock=clock)
    expected = np.concatenate([example] * batch)[:batch]
    assert all(np.array_equal(inputs, expected) and inputs.dtype == np.float32 for inputs in seen)
    assert result.latencies["a"].batch == batch


def test_threads_and_collector_are_set_and_restored():
    clock, seen = Clock(), set()

    def run(inputs: np.ndarray) -> np.ndarray:
        clock.now += 0.5
        seen.add((torch.get_num_threads(), gc.isenabled()))
        return inputs

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert gc.isenabled()
        assert race({"a": run}, EXAMPLE, threads=2, clock=clock).latencies["a"].threads == 2
        assert seen == {(2, False)}
        assert torch.get_num_threads() == 1
        assert gc.isenabled()
    finally:
        torch.set_num_threads(before)


def test_failing_runner_restores_too():
    def run(inputs: np.ndarray) -> np.ndarray:
        raise RuntimeError("no such kernel")

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no such kernel"):
        race({"a": run}, EXAMPLE, threads=before + 1, clock=Clock())
    assert torch.get_num_threads() == before
    assert gc.isenabled()


def test_collector_that_was_off_stays_off():
    clock = Clock()
    gc.disable()
    try:
        race({"a": clock.runner("a", 0.5)}, EXAMPLE, clock=clock)
        assert not gc.isenabled()
    finally:
        gc.enable()


def made(slow: list[float], fast: list[float]) -> Race:
    latencies = {name: Latency(1, 1, 6, 1.0, 1.0) for name in ("slow", "fast")}
    return Race(latencies, {"slow": np.array(slow), "fast": np.array(fast)})


@pytest.mark.parametrize(("rounds", "rank"), [(6, 1), (9, 2), (20, 6), (30, 10)])
def test_ratio_interval_is_the_tabled_order_statistics(rounds, rank):
    # Ranks of the 95% interval of a median, as in the tables of the sign test.
    values = np.random.default_rng(0).permutation(np.arange(1.0, rounds + 1))
    ratio = made(values.tolist(), [1.0] * rounds).ratio("slow", "fast")
    assert ratio.interval == pytest.approx((rank, rounds + 1 - rank))


def test_ratio_interval_covers_the_true_ratio():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        ratio = made(rng.lognormal(np.log(7), 0.2, 20).tolist(), rng.lognormal(0, 0.2, 20).tolist()).ratio(
            "slow", "fast"
        )
        covered += ratio.interval[0] <= 7 <= ratio.interval[1]
    # These ranks cover 95.9%: 383 of 400, with a standard deviation of 4.
    assert 370 <= covered <= 396


positive = st.floats(1e-4, 1e4)


@given(st.lists(st.tuples(positive, positive), min_size=FEWEST_ROUNDS, max_size=40))
def test_ratio_turned_around_is_its_inverse(rounds):
    result = made([slow for slow, _ in rounds], [fast for _, fast in rounds])
    there, back = result.ratio("slow", "fast"), result.ratio("fast", "slow")
    assert there.interval[0] <= there.ratio <= there.interval[1]
    assert there.ratio * back.ratio == pytest.approx(1.0)
    assert there.interval[0] * back.interval[1] == pytest.approx(1.0)
    assert there.interval[1] * back.interval[0] == pytest.approx(1.0)


def test_ratio_names_who_raced():
    with pytest.raises(
        BadInput, match=r"slow of ratio must be a contender of the race; got 'slwo'. Did you mean 'slow'"
    ):
        made([1.0] * 6, [1.0] * 6).ratio("slwo", "fast")


def test_results_are_plain_in_json():
    ratio = made([2.0] * 6, [1.0] * 6).ratio("slow", "fast")
    assert json.loads(json.dumps(ratio.to_json())) == {"ratio": 2.0, "interval": [2.0, 2.0], "rounds": 6}
    latency = Latency(64, 1, 100, 1.5, 2.5)
    assert Latency(**json.loads(json.dumps(latency.to_json()))) == latency


def test_results_print():
    clock = Clock()
    result = race({"net": clock.runner("net", 0.002)}, EXAMPLE, batch=4, clock=clock)
    assert str(result).split() == "net 2.00 ms (p90 2.00 ms) for a batch of 4, 1 thread".split()
    assert "6 rounds" in str(made([2.0] * 6, [1.0] * 6).ratio("slow", "fast"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"batch": 0}, "batch of race must be at least 1"),
        ({"threads": 0}, "threads of race must be at least 1"),
        ({"rounds": 5}, "rounds of race must be at least 6"),
        ({"seconds": 0.0}, "seconds of race must be greater than 0"),
        ({"seconds": float("inf")}, "seconds of race must be greater than 0 and finite"),
        ({"runners": {}}, "at least one contender"),
        ({"example": np.zeros((0, 3), np.float32)}, "at least one row"),
        ({"example": np.zeros(3, np.float32)}, "Add the batch dimension"),
    ],
)
def test_refusals(change, match):
    clock = Clock()
    arguments = {"runners": {"a": clock.runner("a", 1.0)}, "example": EXAMPLE, "clock": clock} | change
    with pytest.raises(BadInput, match=match):
        race(**arguments)
