"""Building a mimic: set validation rows aside, synthesize rows, label them, train; and the same in small to tune it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from attar.errors import BadInput
from attar.network.spec import Spec
from attar.tables.columns import Columns
from attar.tabular.plan import Plan
from attar.tabular.rows import Kind
from attar.tabular.teachers import Labeler
from attar.tabular.train import LOSSES, LabeledRows, train_student
from attar.training.losses.outputs import SquaredError
from attar.training.progress import Progress, silent
from attar.training.results import Fitted
from attar.transfer.stratify import stratified
from attar.transfer.synthesis.synthesize import Synthesis, tune

Matrix = Float64[np.ndarray, "rows columns"]

MOST_ROWS, TIMES = 100_000, 25
"""Synthetic rows by default: so many for each real one, and at most so many."""

TRIAL_ROWS, TRIAL_STEPS = 10_000, 400
"""Synthetic rows and steps, at most, of one trial of p and s."""

GRID = tuple((p, s) for p in (0.2, 0.5, 0.8) for s in (1.0, 5.0))
"""Pairs of p and s that are tried."""

_STREAM = 11
"""Which use of the seed draws the validation rows."""


class MimicBuilder:
    """One mimic while it is built.

    Attributes:
        plan: How it is built.
        kind: Whether it predicts classes or values.
        columns: What the columns are.
        by: Whether rounds are judged by the ``teacher``'s outputs or by the ``truth``.
        validation_rows: ``[validation]`` positions of the rows to judge by.
        training_rows: ``[training]`` positions of the rows to learn from.
        spec: How to build the network.
        center: ``[outputs]`` mean of a regression's values; 0 for classes.
        scale: ``[outputs]`` their standard deviation; 1 for classes and for what never varies.
    """

    def __init__(
        self,
        plan: Plan,
        kind: Kind,
        columns: Columns,
        label: Labeler,
        matrix: Matrix,
        outputs: Float32[Tensor, "rows outputs"],
        *,
        labels: Int64[np.ndarray, " rows"] | None = None,
        values: Float64[np.ndarray, "rows outputs"] | None = None,
        by: Literal["teacher", "truth"] = "teacher",
        progress: Progress = silent,
    ) -> None:
        """Set validation rows aside, every class that the teacher sees by its share, and find the center and scale of a
        regression.

        Args:
            plan: How.
            kind: Classes or values.
            columns: What the columns are.
            label: The teacher.
            matrix: Encoded real rows.
            outputs: The teacher's outputs for them.
            labels: Their true classes, where known.
            values: Their true values, where known.
            by: What judges a round.
            progress: Sees labelling, tuning and training.

        Raises:
            BadInput: If too few rows are left to learn from.
        """
        self.plan, self.kind, self.columns, self.by = plan, kind, columns, by
        self._label, self._progress = label, progress
        rows = len(matrix)
        amount = int(plan.validation) if plan.validation >= 1 else max(1, round(plan.validation * rows))
        if amount > rows - 2:
            raise BadInput(
                f"validation of Mimic takes {amount} of the {rows} rows, and at least two must be left to learn from. "
                "Give more rows, or a smaller validation."
            )
        strata = outputs.argmax(1) if kind == "classifier" else torch.zeros(rows, dtype=torch.int64)
        drawn = stratified(strata, torch.arange(rows), amount, seed=plan.seed, stream=_STREAM)
        self.validation_rows, self.training_rows = drawn.nonzero()[:, 0].numpy(), (~drawn).nonzero()[:, 0].numpy()
        self.center, self.scale = torch.zeros(outputs.shape[1]), torch.ones(outputs.shape[1])
        if kind == "regressor":
            self.center = outputs[self.training_rows].mean(0)
            spread = outputs[self.training_rows].std(0, correction=0)
            # What varies by no more than float32's rounding does not vary.
            least = 2 * torch.finfo(torch.float32).eps * self.center.abs()
            self.scale = torch.where(spread > least, spread, torch.ones_like(spread))
        self._real: Matrix = matrix[self.training_rows]
        self._outputs = outputs[self.training_rows]
        self._validation = LabeledRows(
            torch.from_numpy(matrix[self.validation_rows]).float(),
            self._standardized(outputs[self.validation_rows]),
            None if labels is None else torch.from_numpy(labels[self.validation_rows]),
            None if values is None else self._standardized(torch.from_numpy(values[self.validation_rows]).float()),
        )
        arguments = {"columns": columns.to_json(), "outputs": outputs.shape[1], "hidden": list(plan.hidden)}
        self.spec = Spec("attar.network.architectures:tabular", arguments | {"embed": plan.embed})

    def tuned(self) -> tuple[Synthesis | None, list[dict[str, float]]]:
        """How to synthesize rows, and what was tried; None where no synthetic rows are wanted.

        Where p or s is not given, a small set and a short training for each point of a grid show which is best on the
        validation rows.
        """
        plan = self.plan
        rows = min(MOST_ROWS, TIMES * len(self._real)) if plan.rows is None else plan.rows
        if rows == 0:
            return None, []
        munge = plan.method == "munge"
        wanted = Synthesis(method=plan.method, rows=rows, p=plan.p if munge else None, s=plan.s if munge else None)
        if wanted.tuned:
            return wanted, []
        small = replace(wanted, rows=min(rows, TRIAL_ROWS))
        best, trials = tune(self._score, small, GRID, progress=self._progress)
        return replace(best, rows=rows), trials

    def _score(self, synthesis: Synthesis) -> float:
        data = self.data(self.synthetic(synthesis, silent), silent)
        fitted = self.train(data, steps=min(TRIAL_STEPS, self.plan.steps), progress=silent)
        assert fitted.score is not None  # there is validation
        return fitted.score

    def synthetic(self, synthesis: Synthesis | None, progress: Progress | None = None) -> Matrix:
        """Synthetic rows, encoded; none without a synthesis."""
        if synthesis is None:
            return self._real[:0]
        return synthesis.draw(self._real, self.columns, seed=self.plan.seed, progress=progress or self._progress)

    def data(self, synthetic: Matrix, progress: Progress | None = None) -> LabeledRows:
        """Synthetic rows with the teacher's outputs, shuffled with the real ones."""
        inputs, targets = [], []
        if len(synthetic):
            inputs.append(torch.from_numpy(synthetic).float())
            targets.append(self._label(synthetic, progress or self._progress, "label synthetic rows"))
        if self.plan.include_original:
            inputs.append(torch.from_numpy(self._real).float())
            targets.append(self._outputs)
        order = torch.randperm(sum(map(len, inputs)), generator=torch.Generator().manual_seed(self.plan.seed))
        return LabeledRows(torch.cat(inputs)[order], self._standardized(torch.cat(targets)[order]))

    def train(self, data: LabeledRows, *, steps: int | None = None, progress: Progress | None = None) -> Fitted:
        """A network trained on the rows; its outputs are standardized as the targets are."""
        return train_student(
            self.spec,
            data,
            self._validation,
            loss=LOSSES[self.plan.loss] if self.kind == "classifier" else SquaredError(kind="values"),
            by=self.by,
            steps=steps or self.plan.steps,
            batch_size=self.plan.batch_size,
            learning_rate=self.plan.learning_rate,
            seed=self.plan.seed,
            progress=progress or self._progress,
            title="train the mimic",
        )

    def _standardized(self, outputs: Float32[Tensor, "rows outputs"]) -> Float32[Tensor, "rows outputs"]:
        return outputs if self.kind == "classifier" else (outputs - self.center) / self.scale
