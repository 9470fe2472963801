"""How long models take, raced against each other so that their ratio means something.

An absolute time belongs to one machine in one mood. What carries over is the ratio of two models that were timed in
turns, in the same process, within the same moments. `race` measures that.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.special import bdtr  # type: ignore[import-untyped]

from attar.deployment.backends.backend import Inputs, Runner
from attar.errors import must, near
from attar.formatting import milliseconds, times
from attar.network.entry_point import entry_point

FEWEST_ROUNDS = 6
"""The fewest rounds that give the median a distribution-free 95% interval: 1 - 2 * 0.5**6 = 96.9%."""

_LOOKS = (12, 18, 24)
"""After how many rounds a race looks whether it knows enough. Looks that are this few leave the interval its 95%: in
4000 simulated races it covered the true ratio in 94.8% or more, however wide it was when they stopped."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one call.

    Attributes:
        batch: Examples in one call.
        threads: Threads that the runtime was allowed.
        repeats: How many calls were timed.
        median_ms: Median time of a call, in milliseconds.
        p90_ms: 90th percentile of the time of a call, in milliseconds.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    batch: int
    threads: int
    repeats: int
    median_ms: float
    p90_ms: float

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{milliseconds(self.median_ms)} (p90 {milliseconds(self.p90_ms)}) for a batch of {self.batch}, {threads}"
        )

    def to_json(self) -> dict[str, object]:
        """The latency as plain values."""
        return {
            "batch": self.batch,
            "threads": self.threads,
            "repeats": self.repeats,
            "median_ms": self.median_ms,
            "p90_ms": self.p90_ms,
        }


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long one model takes as another.

    Attributes:
        ratio: Median over the rounds.
        interval: Its 95% interval.
        rounds: How many rounds it rests on.
    """

    ratio: float
    interval: tuple[float, float]
    rounds: int

    def __str__(self) -> str:
        low, high = map(times, self.interval)
        return f"{times(self.ratio)} (95% interval {low} to {high}, {self.rounds} rounds)"

    def to_json(self) -> dict[str, object]:
        """The ratio as plain values."""
        return {"ratio": self.ratio, "interval": list(self.interval), "rounds": self.rounds}


@dataclass(frozen=True, slots=True)
class Race:
    """What a race gave.

    Attributes:
        latencies: For each contender, over all its calls.
        rounds_ms: For each contender, ``[rounds]`` float64, its median time of a call in each round, in milliseconds.
    """

    latencies: dict[str, Latency]
    rounds_ms: dict[str, NDArray[np.float64]]

    def ratio(self, slow: str, fast: str) -> Ratio:
        """How many times as long ``slow`` takes as ``fast``: the median of the ratios within each round.

        The interval is made of order statistics of the rounds' ratios, which needs no assumption on how times are
        distributed. ``ratio(b, a)`` is exactly one over ``ratio(a, b)``.

        Args:
            slow: Name of the contender that goes above the line.
            fast: Name of the contender that goes below it.

        Raises:
            BadInput: If a name did not take part.

        References:
            Conover, *Practical Nonparametric Statistics*, 3rd edition, section 3.2 (interval of a quantile).
        """
        for parameter, name in (("slow", slow), ("fast", fast)):
            if name not in self.rounds_ms:
                raise must(parameter, "ratio", "a contender of the race", name, near(name, self.rounds_ms))
        return _ratio(self.rounds_ms[slow], self.rounds_ms[fast])

    def __str__(self) -> str:
        width = max(map(len, self.latencies))
        return "\n".join(f"{name:<{width}}  {latency}" for name, latency in self.latencies.items())


def _ratio(slow: NDArray[np.float64], fast: NDArray[np.float64]) -> Ratio:
    """The ratio of two contenders' times, both ``[rounds]``."""
    logs = np.sort(np.log(slow) - np.log(fast))
    rounds = len(logs)
    # Both ends leave out as many rounds as a fair coin leaves with at most 2.5%: P(heads <= skipped - 1) <= 0.025.
    skipped = int(np.count_nonzero(bdtr(np.arange(rounds), rounds, 0.5) <= 0.025)) - 1
    assert skipped >= 0, "race never runs fewer than FEWEST_ROUNDS rounds"
    interval = (math.exp(logs[skipped]), math.exp(logs[rounds - 1 - skipped]))
    return Ratio(math.exp(float(np.median(logs))), interval, rounds)


@entry_point
def race(
    runners: Mapping[str, Runner],
    example: Inputs,
    batch: int = 1,
    *,
    threads: int = 1,
    seconds: float = 2.0,
    rounds: int = 30,
    ratios: Iterable[tuple[str, str]] = (),
    narrow: float = 0.04,
    clock: Callable[[], float] = time.perf_counter,
    resolution: float | None = None,
) -> Race:
    """Time contenders in turns, in this process.

    Every round gives each contender its share of the time, in an order that turns from round to round, so that a busy
    neighbor, a warm cache or a slowing clock rate hits all of them. Before the first round each is warmed up, and
    the time of a call decides how many calls make a round; calls too short for the clock are timed in groups. A
    contender whose call takes longer than a share gets one call in a round, and there are as many rounds as the time
    of all contenders together has room for, never below `FEWEST_ROUNDS`: only then may timing last longer. Where
    ratios are asked for, timing ends for all at once as soon as each of them is known narrowly enough. Warm-up comes
    on top, a tenth of ``seconds`` or three calls. Python's garbage collector is off while the clock runs. There is no
    progress: whatever draws it would be timed with the contenders.

    Args:
        runners: The contenders by name; each was opened with ``threads`` threads.
        example: ``[n, ...]`` float32 (int64 of tokens) with at least one row; repeated, or cut, to ``batch`` rows.
        batch: Examples in one call.
        threads: Threads allowed to torch while the race lasts (then restored), and stated in the result. Other runtimes
            fix theirs when they are opened.
        seconds: Time for each contender, at most.
        rounds: Rounds to split it into, at least `FEWEST_ROUNDS`.
        ratios: Pairs of contenders, slow and fast, of which `Race.ratio` will be asked.
        narrow: How wide their 95% intervals may be for the race to end early: upper end over lower end, minus 1.
        clock: Seconds that only grow.
        resolution: Smallest step of the clock in seconds; None asks the system.

    Raises:
        BadInput: If there is no contender, or a number is out of range.

    Example:
        >>> result = race({"copy": np.copy}, np.zeros((1, 4), np.float32), batch=8, seconds=0.01)
        >>> result.latencies["copy"].batch
        8
    """
    if not runners:
        raise must("runners", "race", "at least one contender", dict(runners), "Give a dictionary of name to runner")
    if example.ndim < 2 or not len(example):
        remedy = "Add the batch dimension in front"
        raise must("example", "race", "an array [n, ...] with at least one row", example.shape, remedy)
    for name, value, least in (("batch", batch, 1), ("threads", threads, 1), ("rounds", rounds, FEWEST_ROUNDS)):
        if value < least:
            raise must(name, "race", f"at least {least}", value, f"Use {least} or more")
    if not 0 < seconds < math.inf:
        raise must("seconds", "race", "greater than 0 and finite", seconds, "Use 2")
    ratios = list(ratios)
    for name in (name for pair in ratios for name in pair):
        if name not in runners:
            raise must("ratios", "race", "of contenders", name, near(name, runners))
    kind = np.int64 if example.dtype == np.int64 else np.float32
    inputs: Any = np.ascontiguousarray(example[np.arange(batch) % len(example)], dtype=kind)
    if resolution is None:
        resolution = time.get_clock_info("perf_counter").resolution
    names = list(runners)
    with _undisturbed(threads):
        one_call = {name: _warm_up(runners[name], inputs, seconds / 10, clock) for name in names}
        share, budget = seconds / rounds, seconds * len(names)
        rounds = max(FEWEST_ROUNDS, min(rounds, int(budget / sum(max(share, one) for one in one_call.values()))))
        plan = {name: _plan(value, share, resolution) for name, value in one_call.items()}
        timed: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
        start = clock()
        for turn in range(rounds):
            for place in range(len(names)):
                name = names[(turn + place) % len(names)]
                timed[name].append(_time(runners[name], inputs, *plan[name], clock))
            if turn + 1 >= FEWEST_ROUNDS and clock() - start >= budget:
                break
            if (
                ratios
                and turn + 1 in _LOOKS
                and all(_width(timed[slow], timed[fast]) <= narrow for slow, fast in ratios)
            ):
                break
    latencies = {}
    for name in names:
        calls = np.concatenate(timed[name]) * 1000
        median, p90 = np.quantile(calls, [0.5, 0.9])
        latencies[name] = Latency(batch, threads, len(calls) * plan[name][1], float(median), float(p90))
    return Race(latencies, {name: _medians(timed[name]) * 1000 for name in names})


def _medians(turns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """``[rounds]``, the median time of a call in each round."""
    return np.array([np.median(turn) for turn in turns])


def _width(slow: list[NDArray[np.float64]], fast: list[NDArray[np.float64]]) -> float:
    """How wide the interval of a ratio is so far: its upper end over its lower end, minus 1."""
    low, high = _ratio(_medians(slow), _medians(fast)).interval
    return high / low - 1


@contextmanager
def _undisturbed(threads: int) -> Iterator[None]:
    """Torch held to some threads and no garbage collection, both as before afterwards."""
    threads_before, collecting = torch.get_num_threads(), gc.isenabled()
    gc.disable()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        if collecting:
            gc.enable()


def _warm_up(runner: Runner, inputs: Inputs, seconds: float, clock: Callable[[], float]) -> float:
    """Call for some seconds and at least three times; the mean seconds of a call in the later half."""
    marks = [clock()]
    while len(marks) <= 3 or (marks[-1] - marks[0] < seconds and len(marks) < 10_000):
        runner(inputs)
        marks.append(clock())
    middle = len(marks) // 2
    # No call takes less than a nanosecond: a clock that did not move is too coarse to say more.
    return max(1e-9, (marks[-1] - marks[middle]) / (len(marks) - 1 - middle))


def _plan(one_call: float, share: float, resolution: float) -> tuple[int, int]:
    """How many groups of how many calls fill a round's share, each group at least 100 steps of the clock long."""
    group = max(1, math.ceil(100 * resolution / one_call))
    return max(1, int(share / (group * one_call))), group


def _time(runner: Runner, inputs: Inputs, groups: int, group: int, clock: Callable[[], float]) -> NDArray[np.float64]:
    """``[groups]`` seconds of one call, each the mean of its group."""
    marks = np.empty((groups, 2))
    for index in range(groups):
        start = clock()
        for _ in repeat(None, group):
            runner(inputs)
        marks[index] = start, clock()
    return (marks[:, 1] - marks[:, 0]) / group
