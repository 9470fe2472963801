"""What a mimic is shown and what it learns from, chosen on rows that neither it nor a copy of its teacher has seen.

The teacher itself tells little about that: of rows that it was fitted on it knows the answer, and of rows near them
too, so that whatever imitates it more closely seems better, and every mimic seems too cautious. So a copy of it is
fitted on some of the rows, candidates imitate the copy in a brief training, and what they say of the others decides
(`attar.estimators.trials`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from attar.estimators.build import ROUNDS
from attar.estimators.plan import Plan
from attar.estimators.trials import STEPS, SYNTHETIC, Given, Score, Trials
from attar.tables.knots import with_knots
from attar.training.progress import Progress, silent

log = logging.getLogger(__name__)

FEWEST = 200
"""Real rows of which a choice is made; the rows held out of fewer tell nothing."""

ALONE = 500
"""Steps of a mimic that learns from real rows alone and knows them by heart soon: of few rows, and where it was worse
after a longer training: as many as were tried, for the rows that were held out, too. Its own rows to judge by do not
tell: what its teacher has learned of them shows in what it says of rows that are alike. Of labels alone they do."""

HALF = 0.5
"""Share of the labels, where they are tried. Where that is better than the teacher alone, or the teacher is worse than
what imitates it, labels alone are tried, in as long a training as they will have: a network may learn nothing from a
teacher that is far worse."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen.

    Attributes:
        plan: The plan with what it left open.
        temperature: What the network's logits are divided by once it is trained.
        candidates: What was tried, each with its loss on the rows held out; empty where nothing was.
    """

    plan: Plan
    temperature: float = 1.0
    candidates: Sequence[dict[str, Any]] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What the report says of it."""
        return {"labels": self.plan.labels, "temperature": self.temperature, "candidates": tuple(self.candidates)}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A plan that was tried, and how good it was."""

    plan: Plan
    score: Score

    @property
    def facts(self) -> dict[str, Any]:
        """What the report says of it."""
        plan, score = self.plan, self.score
        found = {"curves": plan.curves, "rows": plan.rows, "labels": plan.labels}
        return found | {"temperature": score.temperature, "loss": score.loss, "errors": score.errors}


def usual(plan: Plan) -> Plan:
    """What is left open as it is without a choice: teacher alone, synthetic rows, the curves that are worth it."""
    return plan if plan.labels is not None else replace(plan, labels=0.0)


def chosen(plan: Plan, teacher: Any, given: Given, *, progress: Progress = silent) -> Choice:
    """Fill in what a plan leaves open.

    Args:
        plan: With curves, rows or labels of None.
        teacher: Fitted. Copies of it are fitted, where it is scikit-learn's and can be; else the usual is taken.
        given: Rows, and what is known of them.
        progress: Sees the trainings.
    """
    start = time.monotonic()
    known = given.known is not None
    plan = plan if known else replace(plan, labels=0.0)
    first = encodings(plan)
    if len(first) > 1 and not any("knots" in one for one in with_knots(given.columns, given.matrix)):
        first = first[:1]  # the other one is the same network
    if len(given.matrix) < FEWEST or plan.time == 0 or (len(first) == 1 and not lessons(first[0], plan, known)):
        return Choice(plan=usual(plan))
    trials = Trials.of(teacher, given, plan.seed)
    if trials is None:
        return Choice(plan=usual(plan))
    found: list[Candidate] = []

    def best() -> Candidate:
        return min(found, key=lambda one: one.score.loss)

    most = len(first) + len(lessons(first[0], plan, known)) + (plan.labels is None and known)
    with progress("choose what the mimic learns from", most) as advance:
        pending = list(first)
        while pending:
            spent = time.monotonic() - start
            if plan.time is not None and found and spent * (1 + 1 / len(found)) > plan.time:
                log.info("%d candidates were tried in the time that there is", len(found))
                break
            candidate = pending.pop(0)
            of_labels_alone = candidate.labels == 1 and candidate.rows == 0
            best_before = best().score if found else None
            score = trials.score(candidate, brief=not of_labels_alone, best=best_before)
            found.append(Candidate(plan=candidate, score=score))
            advance(1)
            if len(found) == len(first):
                pending = lessons(best().plan, plan, known)
            elif not pending and candidate.labels != 1:
                pending = without_teacher(best().plan, plan, dominated=trials.of_copies.dominated_by(best().score))
        advance(most - len(found))
    candidates = [one.facts for one in found]
    log.info("tried: %s", candidates)
    of_labels = found.pop() if plan.labels is None and found[-1].plan.labels == 1 else None
    hurried = plan.time is not None and time.monotonic() - start > plan.time / 2
    lasting = no_longer_than_it_helps(best(), trials, hurried=hurried)
    if (
        of_labels is not None
        and of_labels.score.complete
        and is_better_alone(of_labels.score, lasting.score, trials.of_copies, few=trials.few)
    ):
        lasting = no_longer_than_it_helps(of_labels, trials, hurried=hurried)
    return Choice(plan=lasting.plan, temperature=lasting.score.temperature, candidates=candidates)


def is_better_alone(of_labels: Score, imitator: Score, copies: Score, *, few: bool) -> bool:
    """Whether a mimic is better without its teacher.

    Of a teacher that is surely worse than labels alone there is little to learn, and on rows held out chance often
    shows some of that: there a mimic of it must be better by more than chance, too.

    Args:
        of_labels: Of the mimic that learned from labels alone.
        imitator: Of the best one that learned from the teacher.
        copies: Of the teacher's copies.
        few: Whether there are few rows: on them the teacher's likelihoods may be worse by chance, and it must not make
            fewer errors.
    """
    if copies.surely_worse_than(of_labels) and not (few and copies.errors < of_labels.errors):
        return not of_labels.surely_worse_than(imitator)
    return of_labels.loss < imitator.loss


def no_longer_than_it_helps(winner: Candidate, trials: Trials, *, hurried: bool) -> Candidate:
    """A plan with how long it is trained, where that is not as long as it gets better; and how good it is then.

    Args:
        winner: Of what was tried.
        trials: By which it was found.
        hurried: Whether no time is left to try longer.
    """
    plan, score = winner.plan, winner.score
    if plan.steps is not None and (plan.rows == 0 or plan.steps <= STEPS):
        return winner
    if plan.rows != 0:
        if plan.steps is not None or not trials.of_copies.dominated_by(score):
            # In time it becomes as sure of itself as its teacher, which after a brief training it is not yet.
            return Candidate(plan=plan, score=replace(score, temperature=trials.of_copies.temperature))
        # To come closer to a teacher that is worse leads nowhere; what it says of many rows may drown the real ones.
        longer = replace(plan, steps=ROUNDS[0])
        if hurried:
            return Candidate(plan=longer, score=score)
        then = trials.score(longer, brief=False, best=score)
        if then.loss <= score.loss:
            return Candidate(plan=longer, score=then)
        rows = SYNTHETIC if plan.rows is None else plan.rows
        return Candidate(plan=replace(plan, steps=STEPS, rows=rows), score=score)
    if plan.labels == 1:
        # Its own rows to judge by tell when it is sure enough of itself.
        return Candidate(plan=plan, score=replace(score, temperature=1.0))
    brief = Candidate(plan=replace(plan, steps=ALONE), score=score)
    if trials.few:
        return brief
    if hurried:
        return winner
    then = trials.score(plan, brief=False, best=score)
    return Candidate(plan=plan, score=then) if then.loss <= score.loss else brief


def encodings(plan: Plan) -> list[Plan]:
    """Plans that differ in how numbers are shown, the usual one first."""
    curves = [None, 0] if plan.curves is None else [plan.curves]
    return [replace(usual(plan), curves=one) for one in curves]


def lessons(first: Plan, plan: Plan, known: bool) -> list[Plan]:
    """Plans that learn from something else than the usual: real rows alone, and labels.

    Args:
        first: A plan of `encodings`.
        plan: What is given in it stays.
        known: Whether labels are known.
    """
    mixed = plan.labels is None and known and plan.loss != "logits" and plan.include_original
    if plan.rows is None and plan.include_original:
        return [replace(first, rows=0, labels=HALF if mixed else first.labels)]
    return [replace(first, labels=HALF)] if mixed else []


def without_teacher(best: Plan, plan: Plan, *, dominated: bool) -> list[Plan]:
    """The plan that learns from labels alone, where half of them were the best so far, or the teacher itself is worse.

    Args:
        best: Of those that were tried.
        plan: What is given in it stays.
        dominated: Whether copies of the teacher are worse than the best.
    """
    if plan.labels is not None or plan.loss == "logits" or not plan.include_original or plan.rows not in (None, 0):
        return []
    return [replace(best, rows=0, labels=1.0)] if best.labels == HALF or dominated else []
