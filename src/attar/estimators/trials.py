"""Trials of how a mimic is built: brief trainings on the outputs of a copy of the teacher, judged on rows held out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

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
from attar.estimators.build import MimicBuilder, labels_in
from attar.estimators.judging import cooled_losses, errors_of, worse
from attar.estimators.origin import Origin
from attar.estimators.plan import Plan
from attar.estimators.rows import Kind, head
from attar.network.evaluating import evaluating
from attar.tables.columns import Columns
from attar.tasks.task import Task
from attar.teachers.teacher import Teacher

log = logging.getLogger(__name__)

MOST = 10_000
"""Real rows that are used for it at most."""

STEPS, STEPS_ALONE = 500, 400
"""Steps of a candidate's brief training, at most: with synthetic rows, and without."""

SYNTHETIC, SYNTHETIC_AT_LENGTH = 5_000, 20_000
"""Synthetic rows of a brief training, at most, and of one that is as long as it will be: to ask a large teacher about
more takes longer than all trainings."""

SHARE, FOLDS, MANY = 0.2, 2, 2_000
"""Share of the rows that are held out, and how often others are: once of many rows."""

_STREAM = 12
"""Which use of the seed draws the rows that are held out."""


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
        origin: ``[outputs]``, what is taken off the teacher's values in ``outputs`` and ``known``; None for nothing.
            The ``truth`` is whole: copies are fitted on it, of which some have a loss that takes positive values alone.
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
    origin: Origin | None = None


@dataclass(frozen=True)
class Score:
    """How good answers for the rows held out are, against the truth.

    Attributes:
        temperature: What the outputs were divided by.
        loss: Mean loss then, as `attar.estimators.judging.cooled_losses` has it.
        errors: Share of errors; of values the loss again.
        losses: ``[rows]`` of the folds on which it was tried.
        weights: ``[rows]``, what each counts; None for 1.
        answers: ``[rows, outputs]``.
        complete: Whether it was tried on all folds, and not only on the first ones, where it was worse: its loss and
            errors are then those of the best and as much more as on these.
    """

    temperature: float
    loss: float
    errors: float
    losses: npt.NDArray[np.float64] = field(repr=False, compare=False)
    weights: npt.NDArray[Any] | None = field(repr=False, compare=False)
    answers: Tensor = field(repr=False, compare=False)
    complete: bool = True

    def dominated_by(self, other: Score) -> bool:
        """Whether it is worse than the other, or no better, by both measures."""
        return self.loss >= other.loss and self.errors >= other.errors

    def surely_worse_than(self, other: Score) -> bool:
        """Whether its loss is larger by more than the standard error of the difference."""
        return worse(self.losses, other.losses, self.weights)


class Trials:
    """Folds of the rows, on which plans are tried.

    Attributes:
        few: Whether there are no more than `MANY` rows.
    """

    def __init__(self, folds: Sequence[_Fold], given: Given, labels: Tensor, *, few: bool) -> None:
        """Judge by the rows that the folds hold out.

        Args:
            folds: One or more.
            given: The rows.
            labels: What is true of them, as the task has it.
            few: Whether there are no more than `MANY` of them.
        """
        self._folds, self._task, self.few = folds, given.task, few
        self._truth = torch.cat([labels[one.held] for one in folds])
        self._weights = None if given.weights is None else torch.cat([given.weights[one.held] for one in folds]).numpy()
        self._uncooled = given.known is None

    @classmethod
    def of(cls, teacher: Any, given: Given, seed: int) -> Trials | None:
        """Trials on the rows, or on `MOST` of them; None where a copy of the teacher cannot be had.

        Args:
            teacher: Fitted.
            given: Rows, and what is known of them.
            seed: Draws those that are used, and those that are held out.
        """
        labels = labels_in(given.task, given.outputs) if given.known is None else given.known
        pool = _drawn(given.task.strata(labels), min(MOST, len(labels)), seed, of_each=True)
        few = len(pool) <= MANY
        folds: list[_Fold] = []
        left = pool
        for _ in range(FOLDS if few else 1):
            held = left[_drawn(given.task.strata(labels[left]), round(SHARE * len(pool)), seed)]
            left = left[~torch.isin(left, held)]
            fold = _Fold.of(teacher, given, labels, pool[~torch.isin(pool, held)], held)
            if fold is None:
                return None
            folds.append(fold)
        return cls(folds, given, labels, few=few)

    def score(self, candidate: Plan, *, brief: bool = True, best: Score | None = None) -> Score:
        """How good a candidate's mimics are.

        Args:
            candidate: What is tried.
            brief: Whether they are trained briefly, or as the candidate has it.
            best: Of those that were tried before. What is surely worse on the rows that the first fold holds out is not
                tried on the others, and counts as so much worse on all rows.
        """
        answers: list[Tensor] = []
        for fold in self._folds:
            answers.append(fold.answers(candidate, brief=brief))
            if best is not None and len(answers) < len(self._folds):
                found = self._judged(torch.cat(answers))
                there = self._judged(best.answers[: len(found.answers)])
                if found.surely_worse_than(there):
                    loss, errors = best.loss + found.loss - there.loss, best.errors + found.errors - there.errors
                    return replace(found, loss=loss, errors=max(0.0, errors), complete=False)
        return self._judged(torch.cat(answers))

    @cached_property
    def of_copies(self) -> Score:
        """How good the copies of the teacher are."""
        return self._judged(torch.cat([one.of_copy for one in self._folds]))

    def _judged(self, answers: Tensor) -> Score:
        """Of the first of the rows that are held out, as many as there are answers."""
        truth = self._truth[: len(answers)]
        weights = None if self._weights is None else self._weights[: len(answers)]
        temperature, losses = cooled_losses(self._task, answers, truth, weights, fixed=self._uncooled)
        errors = errors_of(self._task, answers, truth, losses)
        loss, share = (float(np.average(one, weights=weights)) for one in (losses, errors))
        return Score(temperature, loss, share, losses, weights, answers)


class _Fold:
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
        self.synthetic: dict[int, tuple[npt.NDArray[np.float64], Tensor]] = {}

    @classmethod
    def of(cls, teacher: Any, given: Given, labels: Tensor, learned: Tensor, held: Tensor) -> _Fold | None:
        """With a copy that is fitted on the rows learned; None where there can be none."""
        rows = given.columns.decode(given.matrix[learned.numpy()], like=given.rows)
        if given.truth is None:
            truth = _fitted_on(labels[learned], given.classes, given.origin)
        else:
            truth = given.truth[learned.numpy()]
        copy = _copy_fitted(
            teacher, rows, truth, given.classes, None if given.weights is None else given.weights[learned]
        )
        if copy is None:
            return None
        try:
            form = head(given.rows)
            asked = teachers.wrapped(
                copy, given.kind, given.columns, form, given.classes, given.rows_at_once, given.origin
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
        )
        synthesis = builder.tuned()[0]
        if synthesis is None:
            examples = builder.transfer_set(builder.synthetic(None))
        else:
            few = replace(synthesis, rows=min(synthesis.rows, SYNTHETIC if brief else SYNTHETIC_AT_LENGTH))
            if few.rows not in self.synthetic:
                matrix = builder.synthetic(few)
                self.synthetic[few.rows] = matrix, outputs_of(self.teacher, torch.from_numpy(matrix).float())
            examples = builder.transfer_set(*self.synthetic[few.rows])
        network = builder.train(*examples).model.module
        with evaluating(network):
            answers: Tensor = network(self.rows)
        return answers


def _drawn(strata: Tensor, amount: int, seed: int, *, of_each: bool = False) -> Tensor:
    """``[amount]`` positions, by strata; where there can be, at least one ``of_each``, however few it is of all."""
    least = int(of_each and len(torch.unique(strata)) <= amount)
    return stratified(strata, torch.arange(len(strata)), amount, seed=seed, stream=_STREAM, least=least).nonzero()[:, 0]


def _fitted_on(labels: Tensor, classes: npt.NDArray[Any] | None, origin: Origin | None) -> npt.NDArray[Any]:
    """The same as an estimator is fitted on it; values whole."""
    if classes is not None and labels.dim() == 1:
        named: npt.NDArray[Any] = classes[labels.numpy()]
        return named
    values: npt.NDArray[Any] = labels.numpy() if origin is None else labels.double().numpy() + origin
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
            log.warning("a copy of the teacher knows fewer classes, of fewer rows, and nothing is chosen by it")
            return None
    return copy
