"""What a mimic is shown and what it learns from, chosen on rows that neither it nor a copy of its teacher has seen.

The teacher itself tells little about that: of rows that it was fitted on it knows the answer, and of rows near them
too, so that whatever imitates it more closely seems better, and every mimic seems too cautious. So a copy of it is
fitted on some of the rows, candidates imitate the copy in a brief training, and what they say of the others decides.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64
from sklearn.frozen import FrozenEstimator
from torch import Tensor

from attar.data.in_memory import outputs_of
from attar.data.stratify import stratified
from attar.errors import BadInput
from attar.estimators import teachers
from attar.estimators.build import ROUNDS, MimicBuilder, as_labels
from attar.estimators.judging import cooled_losses, errors_of
from attar.estimators.plan import Plan
from attar.estimators.rows import Kind, head
from attar.network.evaluating import evaluating
from attar.tables.columns import Columns
from attar.tasks.task import Task
from attar.teachers.teacher import Teacher
from attar.training.progress import Progress, silent

log = logging.getLogger(__name__)

FEWEST = 200
"""Real rows of which a choice is made; the rows held out of fewer tell nothing."""

MOST = 10_000
"""Real rows that are used for it at most."""

STEPS, STEPS_ALONE, SYNTHETIC = 500, 400, 5_000
"""Of a candidate's training, at most: steps with synthetic rows, and without; and those rows."""

SHARE, FOLDS, MANY = 0.2, 2, 2_000
"""Share of the rows that are held out, and how often others are: once of many rows."""

ALONE = 500
"""Steps of a mimic that learns from real rows alone and knows them by heart soon: of few rows, and where it was worse
after a longer training: as many as were tried, for the rows that were held out, too. Its own rows to judge by do not
tell: what its teacher has learned of them shows in what it says of rows that are alike. Of labels alone they do."""

HALF = 0.5
"""Share of the labels, where they are tried. Where that is better than the teacher alone, or the teacher is worse than
what imitates it, and there are many rows, labels alone are tried, in as long a training as they will have: a network
may learn nothing from a teacher that is far worse."""

_Judged = Callable[[Sequence[Tensor]], tuple[float, float, float]]

_STREAM = 12
"""Which use of the seed draws the rows that are held out."""


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
class Given:
    """The rows of which a choice is made, and what is known of them.

    Attributes:
        kind: What the teacher predicts.
        columns: How rows are encoded.
        rows: As the user gave them.
        matrix: The same, encoded.
        outputs: The teacher's for them.
        task: What outputs mean.
        classes: Of a classifier.
        truth: What the copies are fitted on; None for what the teacher says, so that what it imitates is judged.
        known: The same as the task has it.
        weights: ``[rows]``, what each counts; None for 1.
        rows_at_once: About how many rows a teacher is asked at once; None for as many as there are.
    """

    kind: Kind
    columns: Columns
    rows: Any
    matrix: Float64[np.ndarray, "rows columns"]
    outputs: Tensor
    task: Task
    classes: npt.NDArray[Any] | None
    truth: npt.NDArray[Any] | None
    known: Tensor | None
    weights: Tensor | None = None
    rows_at_once: int | None = None


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
    if len(given.matrix) < FEWEST or plan.time == 0 or (len(first) == 1 and not lessons(first[0], plan, known)):
        return Choice(plan=usual(plan))
    labels = as_labels(given.task, given.outputs) if given.known is None else given.known
    pool = _drawn(given.task.strata(labels), min(MOST, len(labels)), plan.seed)
    trials = _trials(teacher, given, labels, pool, plan.seed)
    if not trials:
        return Choice(plan=usual(plan))
    truth = torch.cat([labels[one.held] for one in trials])
    weights = None if given.weights is None else torch.cat([given.weights[one.held] for one in trials])

    def mean(each: npt.NDArray[np.float64]) -> float:
        return float(np.average(each, weights=None if weights is None else weights.numpy()))

    def judged(answers: Sequence[Tensor]) -> tuple[float, float, float]:
        """A temperature, the loss at it, and the share of errors, or that of values again."""
        joined = torch.cat(list(answers))
        temperature, losses = cooled_losses(given.task, joined, truth, fixed=not known)
        return temperature, mean(losses), mean(errors_of(given.task, joined, truth, losses))

    found: list[tuple[Plan, dict[str, Any]]] = []

    def best() -> tuple[Plan, dict[str, Any]]:
        return min(found, key=lambda one: float(one[1]["loss"]))

    def dominated() -> bool:
        """Whether the copies of the teacher are worse than the best candidate, by both measures."""
        _, loss, errors = judged([one.of_copy for one in trials])
        its = best()[1]
        return loss >= float(its["loss"]) and errors >= float(its["errors"])

    most = len(first) + len(lessons(first[0], plan, known)) + (plan.labels is None and known and len(pool) > MANY)
    with progress("choose what the mimic learns from", most) as advance:
        pending = list(first)
        while pending:
            spent = time.monotonic() - start
            if plan.time is not None and found and spent * (1 + 1 / len(found)) > plan.time:
                log.info("%d candidates were tried in the time that there is", len(found))
                break
            candidate = pending.pop(0)
            temperature, loss, errors = judged([one.answers(candidate, brief=candidate.labels != 1) for one in trials])
            facts = {"curves": candidate.curves, "rows": candidate.rows, "labels": candidate.labels}
            found.append((candidate, {**facts, "temperature": temperature, "loss": loss, "errors": errors}))
            advance(1)
            if len(found) == len(first):
                pending = lessons(best()[0], plan, known)
            elif not pending and found[-1][0].labels != 1 and len(pool) > MANY:
                pending = without_teacher(best()[0], plan, dominated)
        advance(most - len(found))
    winner, its = best()
    log.info("chosen of %s: %s", [facts for _, facts in found], its)
    few, hurried = len(pool) <= MANY, plan.time is not None and time.monotonic() - start > plan.time / 2
    winner, temperature = _lasting(winner, its, trials, judged, dominated, few=few, hurried=hurried)
    return Choice(plan=winner, temperature=temperature, candidates=[facts for _, facts in found])


def _lasting(
    winner: Plan,
    its: Mapping[str, Any],
    trials: Sequence[_Trial],
    judged: _Judged,
    dominated: Callable[[], bool],
    *,
    few: bool,
    hurried: bool,
) -> tuple[Plan, float]:
    """The plan with how long it is trained, where that is not as long as it gets better; and the temperature then.

    Args:
        winner: Of what was tried.
        its: What was found of it.
        trials: By which it was found.
        judged: A temperature, the loss at it, and the share of errors, of what was answered in the trials.
        dominated: Whether the copies of the teacher are worse than the winner.
        few: Whether there are no more than `MANY` rows.
        hurried: Whether no time is left to try longer.
    """
    temperature = float(its["temperature"])
    if winner.steps is not None:
        return winner, temperature
    if winner.rows != 0:
        if not dominated():
            return winner, temperature
        # To come closer to a teacher that is worse leads nowhere; what it says of many rows may drown the real ones.
        longer = replace(winner, steps=ROUNDS[0])
        if hurried:
            return longer, temperature
        then, loss, _ = judged([one.answers(longer, brief=False) for one in trials])
        if loss <= its["loss"]:
            return longer, then
        return replace(winner, steps=STEPS, rows=SYNTHETIC if winner.rows is None else winner.rows), temperature
    if winner.labels == 1:
        return winner, 1.0  # its own rows to judge by tell when it is sure enough of itself
    if few:
        return replace(winner, steps=ALONE), temperature
    if hurried:
        return winner, temperature
    then, loss, _ = judged([one.answers(winner, brief=False) for one in trials])
    return (winner, then) if loss <= its["loss"] else (replace(winner, steps=ALONE), temperature)


def judge(plan: Plan, usual: Literal["teacher", "truth"]) -> Literal["teacher", "truth"]:
    """What judges an epoch: the labels, where something is learned from them; by the loss that is learned from, where
    nothing else is.

    Args:
        plan: With a share of labels.
        usual: What judges where it is 0.
    """
    if plan.labels == 1:
        return "teacher"  # whose outputs the labels then replace
    return "truth" if plan.labels else usual


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


def without_teacher(best: Plan, plan: Plan, dominated: Callable[[], bool]) -> list[Plan]:
    """The plan that learns from labels alone, where half of them were the best so far, or the teacher itself is worse.

    Args:
        best: Of those that were tried.
        plan: What is given in it stays.
        dominated: Whether copies of the teacher are worse than the best.
    """
    if plan.labels is not None or plan.loss == "logits" or not plan.include_original or plan.rows not in (None, 0):
        return []
    return [replace(best, rows=0, labels=1.0)] if best.labels == HALF or dominated() else []


class _Trial:
    """Brief trainings on the outputs of a copy of the teacher.

    Attributes:
        held: Positions of the rows that neither it nor they have seen.
        of_copy: ``[held, outputs]``, what the copy says of these.
    """

    def __init__(self, given: Given, teacher: Teacher, labels: Tensor, learned: Tensor, held: Tensor) -> None:
        self.given, self.teacher, self.held = given, teacher, held
        self.rows, self.matrix = torch.from_numpy(given.matrix[held.numpy()]).float(), given.matrix[learned.numpy()]
        self.outputs, self.truth = outputs_of(teacher, torch.from_numpy(self.matrix).float()), labels[learned]
        self.weights = None if given.weights is None else given.weights[learned]
        self.of_copy = outputs_of(teacher, self.rows)
        self.synthetic: tuple[npt.NDArray[np.float64], Tensor] | None = None

    @classmethod
    def of(cls, teacher: Any, given: Given, labels: Tensor, learned: Tensor, held: Tensor) -> _Trial | None:
        """With a copy that is fitted on the rows learned; None where there can be none."""
        rows = given.columns.decode(given.matrix[learned.numpy()], like=given.rows)
        truth = _targets(labels[learned], given.classes) if given.truth is None else given.truth[learned.numpy()]
        copy = _copy_fitted(
            teacher, rows, truth, given.classes, None if given.weights is None else given.weights[learned]
        )
        if copy is None:
            return None
        try:
            asked = teachers.wrapped(
                copy, given.kind, given.columns, head(given.rows), given.classes, given.rows_at_once
            )
            return cls(given, asked, labels, learned, held)
        except BadInput as error:  # of fewer rows it may know fewer labels
            log.warning("a copy of the teacher cannot be asked, and nothing is chosen by it: %s", error)
            return None

    def answers(self, candidate: Plan, *, brief: bool = True) -> Tensor:
        """``[held, outputs]`` of a candidate's mimic, which is trained briefly, or as the candidate has it."""
        most = STEPS_ALONE if candidate.rows == 0 else STEPS
        steps = min(most, candidate.steps or most) if brief else candidate.steps
        plan = replace(candidate, steps=steps, p=candidate.p or 0.5, s=candidate.s or 1.0)
        builder = MimicBuilder(
            plan,
            self.given.task,
            self.given.columns,
            self.teacher,
            self.matrix,
            self.outputs,
            truth=self.truth,
            weights=self.weights,
            by=judge(candidate, "teacher"),
        )
        synthesis = builder.tuned()[0]
        if synthesis is None or not brief:
            examples = builder.transfer_set(builder.synthetic(synthesis))
        else:
            few = replace(synthesis, rows=min(synthesis.rows, SYNTHETIC))
            if self.synthetic is None:
                matrix = builder.synthetic(few)
                self.synthetic = matrix, outputs_of(self.teacher, torch.from_numpy(matrix).float())
            examples = builder.transfer_set(*self.synthetic)
        network = builder.train(*examples).model.module
        with evaluating(network):
            answers: Tensor = network(self.rows)
        return answers


def _trials(teacher: Any, given: Given, labels: Tensor, pool: Tensor, seed: int) -> list[_Trial]:
    """One for each fold of the rows ``pool``; none where a copy of the teacher cannot be had."""
    trials: list[_Trial] = []
    left = pool
    for _ in range(1 if len(pool) > MANY else FOLDS):
        held = left[_drawn(given.task.strata(labels[left]), round(SHARE * len(pool)), seed)]
        left = left[~torch.isin(left, held)]
        trial = _Trial.of(teacher, given, labels, pool[~torch.isin(pool, held)], held)
        if trial is None:
            return []
        trials.append(trial)
    return trials


def _drawn(strata: Tensor, amount: int, seed: int) -> Tensor:
    """``[amount]`` positions, by strata."""
    return stratified(strata, torch.arange(len(strata)), amount, seed=seed, stream=_STREAM).nonzero()[:, 0]


def _targets(labels: Tensor, classes: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """The same as an estimator is fitted on it."""
    if classes is not None and labels.dim() == 1:
        named: npt.NDArray[Any] = classes[labels.numpy()]
        return named
    values: npt.NDArray[Any] = labels.numpy()
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _copy_fitted(
    teacher: Any, rows: Any, truth: npt.NDArray[Any], classes: npt.NDArray[Any] | None, weights: Tensor | None
) -> Any | None:
    """A copy of an estimator fitted on rows; None where there can be none that knows the same classes."""
    get: Any = getattr(teacher, "get_params", None)
    if get is None or teachers.is_attars(teacher):
        return None
    try:
        if any(isinstance(one, FrozenEstimator) for one in [teacher, *get(deep=True).values()]):
            return None  # its copy has seen the rows, too
        copy: Any = teachers.fitted(teacher, rows, truth, None if weights is None else weights.numpy())
    except Exception as error:  # anything may be raised by a user's estimator, and the fit goes on without
        log.warning("a copy of the teacher could not be fitted on fewer rows, and nothing is chosen by it: %s", error)
        return None
    if classes is not None:
        theirs = teachers.classes_of(copy)
        if theirs is None or theirs.tolist() != classes.tolist():
            return None
    return copy
