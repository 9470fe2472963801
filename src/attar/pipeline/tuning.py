"""Choosing how synthetic rows are drawn: MUNGE's p and s, by brief trainings that are judged on validation data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from attar.data.in_memory import InMemory, outputs_of
from attar.data.subset import with_synthetic
from attar.data.synthesis.synthesize import Synthesis, tune
from attar.models.model import Model
from attar.pipeline.step import TeacherTools, Tools
from attar.pipeline.steps.distill import Distill
from attar.teachers.teacher import Teacher
from attar.training.objective import Objective
from attar.training.progress import silent
from attar.training.settings import Training

TUNING_ROWS = 3
"""Synthetic rows per training row, at most, in a trial."""

TUNING_STEPS = 2000
"""Optimizer steps of a trial, at most."""


@dataclass(frozen=True)
class Tuning:
    """The search for p and s: for each pair a small set of rows, and a brief training on it.

    Attributes:
        synthesis: How the rows of a trial are drawn; p or s is open.
        training: How the model of a trial is trained.
    """

    synthesis: Synthesis
    training: Training

    @classmethod
    def of(cls, asked: Synthesis, training: Training, rows: int, *, most_steps: int | None = None) -> Tuning:
        """The search that goes with a synthesis and a training.

        Args:
            asked: The synthesis whose p or s is open.
            training: Of the model that will learn from its rows.
            rows: How many training rows there are.
            most_steps: Optimizer steps of a trial, where these are fewer than `TUNING_STEPS`; it takes an epoch in any
                case.
        """
        few = replace(asked, rows=min(asked.rows, TUNING_ROWS * rows))
        steps = TUNING_STEPS if most_steps is None else min(TUNING_STEPS, most_steps)
        epochs = max(1, steps * training.batch_size // (few.rows + rows))
        return cls(few, replace(training, epochs=epochs, patience=None, milestones=(), warmup_epochs=0.0))

    @property
    def key(self) -> Mapping[str, Any]:
        """All of the search itself that its result depends on, as plain values."""
        training = {key: value for key, value in asdict(self.training).items() if key != "checkpoint_seconds"}
        return {"synthesis": self.synthesis.fingerprint(), "training": training}

    def best(
        self, first: Model, objective: Objective, teacher: Teacher, tools: Tools
    ) -> tuple[Synthesis, list[dict[str, float]]]:
        """Try all pairs.

        Args:
            first: The fresh model; it is not changed.
            objective: What it minimizes.
            teacher: Asked about the rows of each trial.
            tools: Whose training rows, validation, score and seed count.

        Returns:
            The synthesis of the best trial; and p, s and score of every one, in order.
        """
        train = tools.dataset.train
        columns = train.columns
        assert columns is not None, "rows are synthesized for tables"
        matrix, known = train.inputs.double().numpy(), outputs_of(teacher, train.inputs)
        step = Distill().completed(objective, self.training)

        def score(synthesis: Synthesis) -> float:
            rows = torch.from_numpy(synthesis.draw(matrix, columns, seed=tools.run_seed)).float()
            targets = InMemory(torch.cat([known, outputs_of(teacher, rows)]))
            trial = replace(
                tools,
                transfer=with_synthetic(train, rows, synthesis, seed=tools.run_seed),
                teacher=TeacherTools(key={}, targets=targets),
                progress=silent,
                title=f"trial of p = {synthesis.p} and s = {synthesis.s}",
            )
            return float(step.run(first, trial).facts["score"])

        return tune(score, self.synthesis, progress=tools.progress)
