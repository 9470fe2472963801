"""The rule by which candidates are refused and one is chosen, from measurements on validation data alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from attar.budget import ACCURACY, PREFERRED, Limit, Prefer, Score, What
from attar.formatting import milliseconds, size
from attar.outcome import Outcome, Reached, overall, says_something, sentence


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the choice looks at.

    Attributes:
        name: The candidate's.
        runtime: What executes it.
        precision: ``fp32`` or ``int8``.
        score: The task's score on validation data, higher is better.
        size_bytes: Of what is needed to run.
        latency_ms: Median at batch 1.
        memory_bytes: Peak memory; None where it was not measured.
        macs: Multiply-adds for one example; None where they are not known.
        teacher: What the teacher takes in the same runtime, for limits that are relative to it; without what is not
            known of it.
        baseline: Whether it is the network that was trained without the teacher.
        guessing: Why it is refused whatever was asked: its answers have nothing to do with the labels. None if not so.
    """

    name: str
    runtime: str
    precision: str
    score: float
    size_bytes: int
    latency_ms: float
    memory_bytes: int | None = None
    macs: int | None = None
    teacher: Mapping[What, float] = field(default_factory=dict)
    baseline: bool = False
    guessing: str | None = None


@dataclass(frozen=True)
class Choice:
    """Which candidate ships, and why.

    Attributes:
        winner: Its name.
        why: One sentence.
        refused: Reason by name, for each candidate that cannot be chosen.
        budget: What the winner makes of each limit.
        alerts: Sentences that come before anything else that a run has to say; ``why`` begins with them.
        score: The task's score, of which something may be lost.
    """

    winner: str
    why: str
    refused: Mapping[str, str]
    budget: Sequence[Reached]
    alerts: Sequence[str] = ()
    score: Score = ACCURACY

    @property
    def outcome(self) -> Outcome | None:
        """What became of the budget; of one that is met and says nothing of the quality, None."""
        return overall((row.outcome for row in self.budget), refused=self.winner in self.refused)


_CLEARLY = 0.95
"""A candidate counts as faster where it takes less than this share of the other's time: less is noise."""


def choose(
    candidates: Sequence[Measured],
    limits: Sequence[Limit],
    teacher: float,
    *,
    prefer: Prefer = "latency",
    score: Score = ACCURACY,
    constant: float | None = None,
) -> Choice:
    """Refuse what is beyond a limit or gains nothing, and take the fastest (smallest, best) of the rest.

    Candidates whose answers have nothing to do with the labels are refused, too, whatever loss is allowed.
    A low-precision candidate must be clearly faster or smaller than the fp32 one of its runtime, where that one is
    within the budget. Among those within, the preferred measure decides; latencies within 5% of the best are ordered
    by size. Where none is within, the nearest is named: the one that loses least beyond what may be lost, then the
    one that goes beyond another limit by the smallest factor; a low precision that is neither clearly faster nor
    smaller than fp32 in its runtime is not.

    Args:
        candidates: At least one.
        limits: What the recipe asks, at most one of each quantity.
        teacher: The teacher's score on the same validation data.
        prefer: What decides among candidates within the budget.
        score: The task's score, of which something may be lost.
        constant: The score of the best constant answer, which a limit on the loss must stay clear of to say anything;
            None where none is known.
    """
    limits = [limit.of(score) for limit in limits]
    assert candidates, "the runner deploys at least one candidate"
    beyond = {one.name: _beyond(one, limits, teacher, score) for one in candidates}

    def stands(one: Measured) -> bool:
        return one.guessing is None and not beyond[one.name]

    # An fp32 candidate that is refused is no alternative to a low-precision one that is not.
    full = {one.runtime: one for one in candidates if stands(one) and one.precision == "fp32"}
    refused: dict[str, str] = {}
    for one in candidates:
        reference = full.get(one.runtime)
        if one.guessing is not None:
            refused[one.name] = f"it {one.guessing}"
        elif beyond[one.name]:
            refused[one.name] = "; ".join(beyond[one.name].values())
        elif reference is not None and one.precision != "fp32" and not _gains(one, reference):
            times = f"{milliseconds(one.latency_ms)} against {milliseconds(reference.latency_ms)}"
            sizes = f"{size(one.size_bytes)} against {size(reference.size_bytes)}"
            refused[one.name] = f"neither faster nor smaller than {reference.name} on this machine: {times}, {sizes}"
    standing = [one for one in candidates if one.name not in refused]
    alerts: list[str] = []
    if standing:
        winner = _preferred(standing, prefer)
        what = PREFERRED[prefer] + (" at batch 1" if prefer == "latency" else "")
        why = f"{winner.name} is {what} of {len(standing)} candidates within the budget."
        if len(standing) == 1:
            why = f"{winner.name} is the only candidate left within the budget."
    else:
        # Nor is a low precision the nearest that gains nothing over full precision: its score is higher by chance.
        near = [one for one in candidates if not _pointless(one, candidates)]
        # Whatever a model takes, one that guesses is farther from what was asked than one that does not.
        winner = min(near, key=lambda one: (one.guessing is not None, _distance(one, limits, teacher)))
        lacking = "is better than guessing" if winner.guessing is not None else "is within the budget"
        by = "" if winner.guessing is not None else f": {refused[winner.name]}"
        alerts.append(f"No candidate {lacking}; {winner.name} comes nearest{by}.")
        why = _tightest(limits, beyond, score)
    rows = [_reached(winner, limit, candidates, teacher, constant) for limit in limits]
    return Choice(winner.name, " ".join([*alerts, *([why] if why else [])]), refused, rows, alerts, score)


def alerted(choice: Choice, before: Sequence[str]) -> Choice:
    """The same choice with more to say before anything else."""
    alerts = [*before, *choice.alerts]
    return replace(choice, alerts=alerts, why=" ".join([*before, choice.why]))


def judged_on_test(choice: Choice, loss: float) -> Choice:
    """The same choice, now that the test data have been read; where only validation was within, that comes first.

    Args:
        choice: What was chosen on validation.
        loss: The teacher's score on test minus the winner's.
    """
    rows = [replace(row, test=loss) if row.limit.what == "quality_loss" else row for row in choice.budget]
    choice = replace(choice, budget=rows)
    if choice.outcome != "met on validation only":
        return choice
    return alerted(choice, [sentence(rows, choice.outcome, choice.score)])


def _found(one: Measured, what: What, teacher: float) -> tuple[float | None, float | None]:
    """What a candidate takes of something, and the teacher."""
    if what == "quality_loss":
        return teacher - one.score, teacher
    own = {"bytes": one.size_bytes, "latency": one.latency_ms, "memory": one.memory_bytes, "macs": one.macs}
    amount = own[what]
    return None if amount is None else float(amount), one.teacher.get(what)


def _beyond(one: Measured, limits: Sequence[Limit], teacher: float, score: Score) -> dict[What, str]:
    """The limits that a candidate does not keep, each with the reason."""
    reasons = {}
    for limit in limits:
        found, beside = _found(one, limit.what, teacher)
        if not limit.keeps(found, beside):
            reasons[limit.what] = limit.excess(found, beside, score)
    return reasons


def _gains(one: Measured, reference: Measured) -> bool:
    return one.latency_ms < _CLEARLY * reference.latency_ms or one.size_bytes < reference.size_bytes


def _pointless(one: Measured, candidates: Sequence[Measured]) -> bool:
    """Whether a candidate of low precision gains nothing over one of full precision that does not guess."""
    full = (other for other in candidates if other.runtime == one.runtime and other.precision == "fp32")
    return one.precision != "fp32" and any(other.guessing is None and not _gains(one, other) for other in full)


def _preferred(standing: Sequence[Measured], prefer: Prefer) -> Measured:
    if prefer == "bytes":
        return min(standing, key=lambda one: (one.size_bytes, one.latency_ms))
    if prefer == "quality":
        return min(standing, key=lambda one: (-one.score, one.latency_ms))
    fastest = min(one.latency_ms for one in standing)
    level = [one for one in standing if one.latency_ms <= fastest / _CLEARLY]
    return min(level, key=lambda one: (one.size_bytes, one.latency_ms))


def _distance(one: Measured, limits: Sequence[Limit], teacher: float) -> tuple[float, float, float, float]:
    """How far a candidate is from the budget, to be compared: loss beyond the limit, factor beyond others, the rest."""
    loss, factor = 0.0, 1.0
    for limit in limits:
        found, beside = _found(one, limit.what, teacher)
        if limit.keeps(found, beside):
            continue
        at = limit.at(beside)
        if limit.what == "quality_loss":
            assert found is not None and at is not None, "a loss and the teacher's score are known"
            loss = found - at
        else:
            factor = max(factor, math.inf if found is None or not at else found / at)
    return loss, factor, -one.score, one.latency_ms


def _tightest(limits: Sequence[Limit], beyond: Mapping[str, Mapping[What, str]], score: Score) -> str:
    """Of several limits those that the fewest candidates keep, as a sentence; empty where all are kept by as many."""
    keepers = {limit.what: sum(limit.what not in found for found in beyond.values()) for limit in limits}
    fewest = min(keepers.values(), default=0)
    tight = [limit.asked(score) for limit in limits if keepers[limit.what] == fewest]
    if len(tight) == len(limits):
        return ""
    keep = (
        f"{fewest} of {len(beyond)} candidates {'keeps' if fewest == 1 else 'keep'}" if fewest else "no candidate keeps"
    )
    both = "each of them" if fewest else "any of them"
    if len(tight) == 1:
        return f"The tightest limit is that of {tight[0]}: {keep} it."
    return f"The tightest limits are those of {', '.join(tight[:-1])} and {tight[-1]}: {keep} {both}."


def _reached(
    one: Measured, limit: Limit, candidates: Sequence[Measured], teacher: float, constant: float | None
) -> Reached:
    found, beside = _found(one, limit.what, teacher)
    at = limit.at(beside)
    if limit.what == "quality_loss":
        # As a score an error has a minus, and on its axis it has none.
        lines = [] if at is None else [at - teacher if teacher < 0 else teacher - at]
        says = constant is None or says_something(limit, teacher, constant)
        return Reached(limit=limit, teacher=beside, found=found, says_something=says, lines=lines)
    of_all = {limit.at(other.teacher.get(limit.what)) for other in candidates}
    return Reached(limit=limit, teacher=beside, found=found, lines=sorted(at for at in of_all if at is not None))
