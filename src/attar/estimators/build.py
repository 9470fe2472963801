"""Building a mimic: rows set aside to judge by, rows synthesized, the teacher asked, and the step that distills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float32, Float64
from torch import Tensor, nn

from attar.data.in_memory import InMemory, outputs_of
from attar.data.split import Dataset, Split
from attar.data.stratify import stratified
from attar.data.subset import joined, with_synthetic
from attar.data.synthesis.synthesize import Synthesis
from attar.data.views import UNCHANGED
from attar.errors import BadInput
from attar.estimators.plan import LOSSES, Plan
from attar.estimators.rows import Kind
from attar.models.fresh import fresh
from attar.network.scaled_outputs import center_and_scale
from attar.network.spec import Spec
from attar.pipeline.step import ByLoss, Result, TeacherTools, Tools
from attar.pipeline.steps.distill import Distill
from attar.pipeline.tuning import Tuning
from attar.tables.columns import Columns
from attar.tables.knots import curves_for, with_knots
from attar.tasks.classification import Classification
from attar.tasks.multilabel import MultiLabel
from attar.tasks.regression import Regression
from attar.tasks.target import has_units
from attar.tasks.task import Task
from attar.teachers.teacher import Teacher
from attar.training.losses.binary import BinaryTargets
from attar.training.losses.outputs import HardValues, SquaredError
from attar.training.objective import Loss, Objective, Term
from attar.training.progress import Progress, silent
from attar.training.settings import Training
from attar.training.threads import threads_for, using_threads

Matrix = Float64[np.ndarray, "rows columns"]

MOST_ROWS, TIMES = 50_000, 25
"""Synthetic rows by default: so many for each real one, and at most so many."""

_STREAM = 11
"""Which use of the seed draws the validation rows."""


class MimicBuilder:
    """One mimic while it is built.

    Attributes:
        plan: How it is built.
        by: Whether epochs are judged by the ``teacher``'s outputs or by the ``truth``.
        validation_rows: ``[validation]`` positions of the rows to judge by.
        training_rows: ``[training]`` positions of the rows to learn from.
        dataset: Both as splits; training rows have no labels, and nothing reads the test split.
        model: The fresh network, with the center and scale of a regression, and its spec.
        tools: What the step that distills may use, but for the teacher.
        objective: What is minimized.
    """

    def __init__(
        self,
        plan: Plan,
        task: Task,
        columns: Columns,
        teacher: Teacher,
        matrix: Matrix,
        outputs: Float32[Tensor, "rows outputs"],
        *,
        truth: Tensor | None = None,
        weights: Tensor | None = None,
        by: Literal["teacher", "truth"] = "teacher",
        progress: Progress = silent,
    ) -> None:
        """Set validation rows aside, every class that the teacher sees by its share, and build the network.

        Args:
            plan: How.
            task: What outputs mean.
            columns: What the columns are.
            teacher: Whose outputs are learned.
            matrix: Encoded real rows.
            outputs: What `attar.data.in_memory.outputs_of` gives for them.
            truth: Their labels as the task has them, where known.
            weights: ``[rows]`` float32, what each of them counts, to learn and to judge; None for 1.
            by: What judges an epoch.
            progress: Sees labelling, tuning and training.

        Raises:
            BadInput: If too few rows are left to learn from, or the truth is not of the task.
        """
        self.plan, self.by = plan, by
        self._columns, self._teacher, self._progress = columns, teacher, progress
        self._synthesis: Synthesis | None = None
        units, rows = has_units(task.target), len(matrix)
        outputs_as_labels = _as_labels(task, outputs)
        drawn = _set_aside(plan, task.strata(outputs_as_labels))
        chosen, rest = drawn.nonzero()[:, 0], (~drawn).nonzero()[:, 0]
        self.validation_rows, self.training_rows = chosen.numpy(), rest.numpy()
        self._matrix: Matrix = matrix[self.training_rows]
        self._outputs = outputs[rest]

        inputs, ids = torch.from_numpy(matrix).float(), torch.arange(rows)
        labels = truth if truth is not None else outputs_as_labels
        counts = (None, None) if weights is None else (weights[rest], weights[chosen])
        train = Split(inputs[rest], None, rest, task, columns, weights=counts[0])
        judged = Split(inputs[chosen], labels[chosen], ids[chosen], task, columns, weights=counts[1])
        self.dataset = Dataset("the rows of Mimic", train, judged, judged, "Mimic.fit")

        scale = center_and_scale(self._outputs)[1].tolist() if units else []
        loss = _loss(plan, task, scale)
        self.objective = Objective({"distill": Term(loss=loss)})
        by_truth = ByLoss(loss=HardValues(scale=tuple(scale))) if units else "rmse"
        arguments = {"outputs": task.shape[0], "hidden": list(plan.hidden), "embed": plan.embed}
        shown = shown_numbers(columns, self._matrix, plan.curves)
        spec = Spec("attar.network.architectures:tabular", arguments | shown)
        self.model = fresh(spec, plan.seed, self._outputs if units else None)
        self.tools = Tools(
            dataset=self.dataset,
            dataset_key="",  # nothing is kept to be found again
            views=UNCHANGED,
            with_labels=False,
            choose_by=by_truth if by == "truth" else ByLoss(loss=loss, targets=InMemory(outputs[chosen])),
            seed=plan.seed,
            run_seed=plan.seed,
            threads=self._threads,
            progress=progress,
            title="train the mimic",
        )

    def tuned(self) -> tuple[Synthesis | None, list[dict[str, float]]]:
        """How to synthesize rows, and what was tried; None where no synthetic rows are wanted.

        Where p or s is not given, `attar.pipeline.tuning` chooses it, in trials of a tenth of the mimic's own steps at
        most.
        """
        plan, count = self.plan, len(self._matrix)
        rows = min(MOST_ROWS, TIMES * count) if plan.rows is None else plan.rows
        if rows == 0:
            return None, []
        munge = plan.method == "munge"
        wanted = Synthesis(method=plan.method, rows=rows, p=plan.p if munge else None, s=plan.s if munge else None)
        if wanted.tuned:
            return wanted, []
        tuning = Tuning.of(wanted, self._training(count), count, most_steps=plan.steps // 10)
        best, trials = tuning.best(self.model, self.objective, self._teacher, self.tools)
        return replace(best, rows=rows), trials

    def synthetic(self, synthesis: Synthesis | None) -> Matrix:
        """Synthetic rows, encoded; none without a synthesis."""
        self._synthesis = synthesis
        if synthesis is None:
            return self._matrix[:0]
        return synthesis.draw(self._matrix, self._columns, seed=self.plan.seed, progress=self._progress)

    def transfer_set(self, synthetic: Matrix) -> tuple[Split, InMemory]:
        """What the network learns from: synthetic rows after the real ones, and the teacher's outputs for them."""
        train, original = self.dataset.train, self.plan.include_original
        if not len(synthetic):
            return train, InMemory(self._outputs)
        rows = torch.from_numpy(synthetic).float()
        targets = outputs_of(self._teacher, rows, progress=self._progress, title="label synthetic rows")
        if original:
            targets = torch.cat([self._outputs, targets])
        if self._synthesis is None:
            return joined(train, rows, original=original), InMemory(targets)
        return with_synthetic(train, rows, self._synthesis, seed=self.plan.seed, original=original), InMemory(targets)

    def train(self, examples: Split, targets: InMemory) -> Result:
        """The network distilled."""
        step = Distill().completed(self.objective, self._training(len(examples)))
        tools = replace(self.tools, transfer=examples, teacher=TeacherTools(key={}, targets=targets))
        return step.run(self.model, tools)

    def _training(self, examples: int) -> Training:
        """So many epochs that the steps come nearest to those asked for."""
        epochs = max(1, round(self.plan.steps / math.ceil(examples / self.plan.batch_size)))
        return Training(
            epochs=epochs,
            batch_size=self.plan.batch_size,
            optimizer="adam",
            learning_rate=self.plan.learning_rate,
            schedule="one_cycle",
            seed=self.plan.seed,
        )

    def _threads(self, networks: Sequence[nn.Module], batch_size: int) -> AbstractContextManager[None]:
        return using_threads(threads_for(*networks, example=self.tools.example, batch_size=batch_size))


def shown_numbers(columns: Columns, matrix: Matrix, curves: int | None = None) -> dict[str, Any]:
    """The arguments by which a tabular network is shown the numbers of columns.

    Args:
        columns: What they are.
        matrix: Encoded training rows.
        curves: How many functions of each column training chooses; None for as many as are worth their bytes, 0 for the
            standardized numbers alone.
    """
    if curves == 0:
        return {"columns": columns.to_json()}
    return {"columns": with_knots(columns, matrix), "curves": curves_for(columns) if curves is None else curves}


def _set_aside(plan: Plan, strata: Tensor) -> Tensor:
    """``[rows]`` bool: which rows are to judge by."""
    rows = len(strata)
    amount = int(plan.validation) if plan.validation >= 1 else max(1, round(plan.validation * rows))
    if amount > rows - 2:
        raise BadInput(
            f"validation of Mimic takes {amount} of the {rows} rows, and at least two must be left to learn from. "
            "Give more rows, or a smaller validation."
        )
    return stratified(strata, torch.arange(rows), amount, seed=plan.seed, stream=_STREAM)


def _as_labels(task: Task, outputs: Tensor) -> Tensor:
    """What outputs say, as the task has its labels."""
    if task.target == "values":
        return outputs
    return (outputs > 0).long() if task.target == "log_odds" else outputs.argmax(1)


def _loss(plan: Plan, task: Task, scale: Sequence[float]) -> Loss:
    """How far the network is from its teacher."""
    if task.target == "values":
        return SquaredError(kind="values", scale=tuple(scale))
    return BinaryTargets(temperature=1.0) if task.target == "log_odds" else LOSSES[plan.loss]


def task_of(kind: Kind, classes: npt.NDArray[Any] | None, labels: tuple[str, ...], outputs: int) -> Task:
    """What the outputs mean.

    Args:
        kind: Of the teacher.
        classes: Of a classifier of one label.
        labels: Names of several labels.
        outputs: How many numbers there are for a row.
    """
    if kind == "labels":
        return MultiLabel(labels)
    if kind == "classifier":
        assert classes is not None, "numbered where the teacher does not name them"
        dtype = classes.dtype.name if classes.dtype.kind in "biuf" else "str"
        return Classification(tuple(map(str, classes.tolist())), dtype)
    return Regression(("value",) if outputs == 1 else tuple(f"value {place}" for place in range(outputs)))
