"""The rule by which candidates are refused and one is chosen, from measurements on validation data alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from attar.recipes.schema.recipe import BudgetSection


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the choice looks at.

    Attributes:
        name: The candidate's.
        runtime: What executes it.
        precision: ``fp32`` or ``int8``.
        accuracy: On validation data.
        size_bytes: Of what is needed to run.
        latency_ms: Median at batch 1.
        smaller: Teacher's bytes in the same runtime over its own.
        faster: Teacher's batch-1 latency in the same runtime over its own.
        baseline: Whether it is the network that was trained without the teacher.
        guessing: Why it is refused whatever was asked: its answers have nothing to do with the labels. None if not so.
    """

    name: str
    runtime: str
    precision: str
    accuracy: float
    size_bytes: int
    latency_ms: float
    smaller: float | None = None
    faster: float | None = None
    baseline: bool = False
    guessing: str | None = None


@dataclass(frozen=True)
class Choice:
    """Which candidate ships, and why.

    Attributes:
        winner: Its name.
        why: One sentence.
        refused: Reason by name, for each candidate that cannot be chosen.
        budget: One line per thing asked: what, asked, reached, met.
        met: Whether all that was asked was reached, by a candidate that is not refused.
        alerts: Sentences that come before anything else that a run has to say; ``why`` begins with them.
    """

    winner: str
    why: str
    refused: Mapping[str, str]
    budget: Sequence[Mapping[str, object]]
    met: bool
    alerts: Sequence[str] = ()


_CLEARLY = 0.95
"""A candidate counts as faster where it takes less than this share of the other's time: less is noise."""


def choose(candidates: Sequence[Measured], asked: BudgetSection, teacher_accuracy: float) -> Choice:
    """Refuse what costs accuracy or gains nothing, and take the fastest (or smallest) of the rest.

    Candidates whose answers have nothing to do with the labels are refused, too, whatever loss is allowed.
    A low-precision candidate must be clearly faster or smaller than the fp32 one of its runtime, where that one keeps
    the accuracy. Among those that keep
    the accuracy, one that reaches all that was asked goes before one that does not; then the preferred measure decides,
    and candidates within 5% of the best latency are ordered by size.

    Args:
        candidates: At least one.
        asked: What the recipe asks.
        teacher_accuracy: Of the teacher, on the same validation data.
    """
    assert candidates, "the runner deploys at least one candidate"
    floor = teacher_accuracy - asked.accuracy_loss
    # An fp32 candidate that loses the accuracy is no alternative to a low-precision one that keeps it.
    full = {one.runtime: one for one in candidates if one.precision == "fp32" and one.accuracy >= floor - 1e-12}
    refused: dict[str, str] = {}
    for one in candidates:
        reference = full.get(one.runtime)
        if one.guessing is not None:
            refused[one.name] = f"it {one.guessing}"
        elif one.accuracy < floor - 1e-12:
            refused[one.name] = (
                f"accuracy {one.accuracy:.4f} on validation loses {(teacher_accuracy - one.accuracy) * 100:.2f} points "
                f"against the teacher; {asked.accuracy_loss * 100:.2f} may be lost"
            )
        elif reference is not None and one.precision != "fp32" and not _gains(one, reference):
            refused[one.name] = (
                f"neither faster nor smaller than {reference.name} on this machine: {one.latency_ms:.4f} against "
                f"{reference.latency_ms:.4f} ms, {one.size_bytes} against {reference.size_bytes} bytes"
            )
    standing = [one for one in candidates if one.name not in refused]
    alerts: list[str] = []
    if standing:
        winner = _best(standing, asked)
        what = "fastest at batch 1" if asked.prefer == "latency" else "smallest"
        why = f"{winner.name} is the {what} of {len(standing)} candidates that keep the accuracy"
        if len(standing) == 1:
            why = f"{winner.name} is the only candidate left that keeps the accuracy"
        if not all(line["met"] for line in _budget(winner, asked, teacher_accuracy)):
            why += ", though not all that was asked is reached"
        elif winner is not _preferred(standing, asked):
            why = f"{winner.name} is the {what} that reaches all that was asked"
    else:
        winner = max(candidates, key=lambda one: (one.accuracy, -one.latency_ms))
        why = ""
        lacking = "is better than guessing" if winner.guessing is not None else "keeps the accuracy"
        alerts.append(f"No candidate {lacking}; {winner.name} comes nearest.")
    budget = _budget(winner, asked, teacher_accuracy)
    met = bool(standing) and all(bool(line["met"]) for line in budget)
    return Choice(winner.name, " ".join([*alerts, *([f"{why}."] if why else [])]), refused, budget, met, alerts)


def alerted(choice: Choice, before: Sequence[str]) -> Choice:
    """The same choice with more to say before anything else."""
    alerts = [*before, *choice.alerts]
    return replace(choice, alerts=alerts, why=" ".join([*before, choice.why]))


def _gains(one: Measured, reference: Measured) -> bool:
    return one.latency_ms < _CLEARLY * reference.latency_ms or one.size_bytes < reference.size_bytes


def _best(standing: Sequence[Measured], asked: BudgetSection) -> Measured:
    reaching = [
        one
        for one in standing
        if (asked.smaller is None or (one.smaller or 0) >= asked.smaller)
        and (asked.faster is None or (one.faster or 0) >= asked.faster)
    ]
    return _preferred(reaching or standing, asked)


def _preferred(standing: Sequence[Measured], asked: BudgetSection) -> Measured:
    if asked.prefer == "size":
        return min(standing, key=lambda one: (one.size_bytes, one.latency_ms))
    fastest = min(one.latency_ms for one in standing)
    level = [one for one in standing if one.latency_ms <= fastest / _CLEARLY]
    return min(level, key=lambda one: (one.size_bytes, one.latency_ms))


def _budget(winner: Measured, asked: BudgetSection, teacher_accuracy: float) -> list[dict[str, object]]:
    loss = teacher_accuracy - winner.accuracy
    lines: list[dict[str, object]] = [
        {
            "what": "accuracy lost against the teacher, on validation (points)",
            "asked": round(asked.accuracy_loss * 100, 4),
            "reached": round(loss * 100, 4),
            "met": loss <= asked.accuracy_loss + 1e-12,
        }
    ]
    for what, wanted, reached in (
        ("times smaller than the teacher", asked.smaller, winner.smaller),
        ("times faster than the teacher at batch 1", asked.faster, winner.faster),
    ):
        if wanted is not None:
            met = reached is not None and reached >= wanted
            lines.append(
                {"what": what, "asked": wanted, "reached": None if reached is None else round(reached, 3), "met": met}
            )
    return lines
