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

from attar.data.division import VALIDATION
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
from attar.models.model import Model
from attar.network.copying import copied
from attar.network.scaled_outputs import ScaledOutputs, center_and_scale
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

ROUNDS, ROUNDS_ALONE = (2000, 2000, 4000), (1000, 1000, 2000)
"""Optimizer steps of the rounds of a training whose length is not given, with synthetic rows and without."""

CONVERGED = 0.03
"""A round that takes less than this share off the loss on validation rows is the last one."""

FEWEST_TO_JUDGE = 6
"""Rows that choose the best epoch; of fewer the last one is taken, as chance would choose. In 10 of 12 tries with 2 to
5 of them (20 to 50 rows in all, forests) mimics agreed with their teachers about more new rows at the last epoch than
at the best one. The worst of the best, which had learned nothing yet, agreed about 36 in 100, of the last about 64."""

_LEAST = 1e-7
"""A probability below this counts as that: forests give 0, and so do labels."""


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
            by: What judges an epoch, where nothing is learned from labels.
            progress: Sees labelling, tuning and training.

        Raises:
            BadInput: If too few rows are left to learn from, or the truth is not of the task.
        """
        self.plan, self.by = plan, judge_of(plan, by)
        self._columns, self._teacher, self._progress = columns, teacher, progress
        self._synthesis: Synthesis | None = None
        units, rows = has_units(task.target), len(matrix)
        outputs_as_labels = labels_in(task, outputs)
        drawn = _set_aside(plan, task.strata(outputs_as_labels))
        chosen, rest = drawn.nonzero()[:, 0], (~drawn).nonzero()[:, 0]
        self.validation_rows, self.training_rows = chosen.numpy(), rest.numpy()
        self._matrix: Matrix = matrix[self.training_rows]
        if plan.labels and truth is not None:
            outputs = mixed(task, outputs, truth, plan.labels)
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
            choose_by=by_truth if self.by == "truth" else ByLoss(loss=loss, targets=InMemory(outputs[chosen])),
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
        steps = sum(ROUNDS) if plan.steps is None else plan.steps
        tuning = Tuning.of(wanted, self._training(count, steps), count, most_steps=steps // 10)
        best, trials = tuning.best(self.model, self.objective, self._teacher, self.tools)
        return replace(best, rows=rows), trials

    def synthetic(self, synthesis: Synthesis | None) -> Matrix:
        """Synthetic rows, encoded; none without a synthesis."""
        self._synthesis = synthesis
        if synthesis is None:
            return self._matrix[:0]
        return synthesis.draw(self._matrix, self._columns, seed=self.plan.seed, progress=self._progress)

    def transfer_set(self, synthetic: Matrix, targets: Tensor | None = None) -> tuple[Split, InMemory]:
        """What the network learns from: synthetic rows after the real ones, and what it is to say of them.

        Args:
            synthetic: Encoded rows.
            targets: The teacher's outputs for them, where it was asked before.
        """
        train, original = self.dataset.train, self.plan.include_original
        if not len(synthetic):
            return train, InMemory(self._outputs)
        rows = torch.from_numpy(synthetic).float()
        if targets is None:
            targets = outputs_of(self._teacher, rows, progress=self._progress, title="label synthetic rows")
        if original:
            targets = torch.cat([self._outputs, targets])
        if self._synthesis is None:
            return joined(train, rows, original=original), InMemory(targets)
        return with_synthetic(train, rows, self._synthesis, seed=self.plan.seed, original=original), InMemory(targets)

    def train(self, examples: Split, targets: InMemory, *, temperature: float = 1.0) -> Result:
        """The network distilled: in the steps of the plan, or in rounds until one of them betters it no more.

        Args:
            examples: What it learns from.
            targets: What it is to say of them.
            temperature: What its logits are divided by in the end, by its last layer.
        """
        tools = replace(self.tools, transfer=examples, teacher=TeacherTools(key={}, targets=targets))

        def finished(result: Result) -> Result:
            return settled(cooled(result, temperature), targets.outputs)

        def trained(model: Model, steps: int, rate: float) -> Result:
            training = self._training(len(examples), steps, rate)
            return Distill().completed(self.objective, training).run(model, tools)

        rate = self.plan.learning_rate
        if self.plan.steps is not None:
            return finished(trained(self.model, self.plan.steps, rate))
        # What learns from few rows alone is soon as good as it gets.
        first, *further = ROUNDS if len(examples) > len(self._matrix) else ROUNDS_ALONE
        best = trained(self.model, first, rate)
        done, history = int(best.facts["steps"]), list(best.history)
        for steps in further:
            epochs = len(history)
            after = trained(best.model, steps, rate / 2)
            done, history = done + int(after.facts["steps"]), [*history, *after.history]
            gained = after.facts["score"] - best.facts["score"]
            enough = gained > CONVERGED * abs(best.facts["score"])
            if gained > 0:
                best = replace(after, facts={**after.facts, "best_epoch": epochs + after.facts["best_epoch"]})
            if not enough:
                break
        return finished(replace(best, facts={**best.facts, "steps": done}, history=history))

    def _training(self, examples: int, steps: int, rate: float | None = None) -> Training:
        """So many epochs that the steps come nearest to those asked for."""
        epochs = max(1, round(steps / math.ceil(examples / self.plan.batch_size)))
        return Training(
            epochs=epochs,
            batch_size=self.plan.batch_size,
            optimizer="adam",
            learning_rate=rate or self.plan.learning_rate,
            schedule="one_cycle",
            checkpoint="best" if len(self.validation_rows) >= FEWEST_TO_JUDGE else "last",
            seed=self.plan.seed,
        )

    def _threads(self, networks: Sequence[nn.Module], batch_size: int) -> AbstractContextManager[None]:
        return using_threads(threads_for(*networks, example=self.tools.example, batch_size=batch_size))


def judge_of(plan: Plan, usual: Literal["teacher", "truth"]) -> Literal["teacher", "truth"]:
    """What judges an epoch: the labels, where something is learned from them; by the loss that is learned from, where
    nothing else is.

    Args:
        plan: With a share of labels.
        usual: What judges where it is 0.
    """
    if plan.labels == 1:
        return "teacher"  # whose outputs the labels then replace
    return "truth" if plan.labels else usual


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


def mixed(task: Task, outputs: Tensor, truth: Tensor, share: float) -> Tensor:
    """What a teacher says of rows, mixed with what is true of them: probabilities, or values.

    Args:
        task: What outputs mean.
        outputs: ``[rows, outputs]``.
        truth: As the task has it.
        share: Of the truth, from 0 to 1.

    Returns:
        ``[rows, outputs]``: logits, log-odds or values again. A probability below 1e-7 counts as that.
    """
    if task.target == "values":
        return (1 - share) * outputs + share * truth
    if task.target == "log_odds":
        likely = (1 - share) * outputs.sigmoid() + share * truth
        return likely.clamp(_LEAST, 1 - _LEAST).logit()
    likely = (1 - share) * outputs.softmax(1)
    likely += share * nn.functional.one_hot(truth, outputs.shape[1])
    logs = likely.clamp(min=_LEAST).log()
    return logs - logs.mean(1, keepdim=True)


def cooled(result: Result, temperature: float) -> Result:
    """A network whose logits are divided by a temperature, by the weights of its last layer."""
    if temperature == 1.0:
        return result
    module = copied(result.model.module)
    last = [one for one in module.modules() if isinstance(one, nn.Linear)][-1]
    with torch.no_grad():
        for each in last.parameters():
            each.div_(temperature)
    return replace(result, model=replace(result.model, module=module))


def settled(result: Result, targets: Tensor) -> Result:
    """A network that gives what never varies as it is, and not nearly so.

    Args:
        result: Of a training.
        targets: ``[rows, outputs]``, what it learned from.
    """
    still = (targets == targets[:1]).all(0)
    if not isinstance(result.model.module, ScaledOutputs) or not bool(still.any()):
        return result
    module = copied(result.model.module)
    module.scale[still] = 0.0
    return replace(result, model=replace(result.model, module=module))


def _set_aside(plan: Plan, strata: Tensor) -> Tensor:
    """``[rows]`` bool: which rows are to judge by."""
    rows = len(strata)
    amount = int(plan.validation) if plan.validation >= 1 else max(1, round(plan.validation * rows))
    if amount > rows - 2:
        raise BadInput(
            f"validation of Mimic takes {amount} of the {rows} rows, and at least two must be left to learn from. "
            "Give more rows, or a smaller validation."
        )
    return stratified(strata, torch.arange(rows), amount, seed=plan.seed, stream=VALIDATION)


def labels_in(task: Task, outputs: Tensor) -> Tensor:
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
