"""What a step is, what it may use, and what it gives.

A step is a table of a recipe: its fields are the keys of the table and, with its version and the keys of all that it
uses, the key under which its result is found again. A new method is one file in ``pipeline/steps``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from attar.data.split import Dataset, Split
from attar.data.stratify import stratified
from attar.data.transfer_set import TargetsOfRows, TargetSource, TransferSet
from attar.data.views import Views
from attar.evidence.panel import Panel
from attar.models.model import Model
from attar.network.spec import Spec
from attar.pipeline.section import Section
from attar.pipeline.trained import Trained
from attar.pipeline.turns import Turns
from attar.tasks.metrics.metric import Metric
from attar.tasks.task import metric_of
from attar.training.callbacks import Callback
from attar.training.objective import Loss
from attar.training.progress import Progress, silent
from attar.training.scoring import Scorer, score_by
from attar.training.settings import Training

_SUBSET = -5
"""Stream of the draw of a part of the examples."""

_AT_ONCE = 512
"""Examples of one batch where a model is scored."""


class Step(Section):
    """One thing done to a model: what all steps have in common.

    Attributes:
        use: What the step is called in a recipe, and its result in a run.
        version: Part of the key of its results: raise it when the same fields come to mean another computation.
        collective: Whether several processes that do one run together share the work of the step.
        scratch: Files and folders by which a step that was killed goes on, and that are no part of its result.
    """

    version: ClassVar[int] = 1
    collective: ClassVar[bool] = False
    scratch: ClassVar[tuple[str, ...]] = ()
    use: str

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that the step can be done, before anything is trained.

        Args:
            spec: Of the model as the steps before leave it.
            dataset: Of which examples may be looked at, a few.

        Returns:
            The spec of the model that the step will leave; its weights have no meaning yet.

        Raises:
            BadInput: If it cannot.
        """
        return spec

    def completed(self, objective: Any, training: Training) -> Step:
        """The step with what it leaves out, as the recipe has it for all steps.

        Args:
            objective: The recipe's `attar.training.objective.Objective`.
            training: The recipe's settings for the student.
        """
        return self

    @property
    def without_effect(self) -> frozenset[str]:
        """Fields that change nothing as the others are set."""
        return frozenset()

    @property
    def measures(self) -> bool:
        """Whether it times anything, for which nobody else of the run may compute."""
        return False

    @property
    def slims(self) -> bool:
        """Whether it takes something out of the model, so that what the model takes is known only afterwards."""
        return False

    def needs_teacher(self, tools: Tools) -> bool:
        """Whether its result depends on the teacher, if there is one; where not, student and baseline share it."""
        return False

    def resolved(self, tools: Tools) -> Step:
        """The step as it is done with these tools: without a teacher, the same work with the same budget.

        Args:
            tools: Those of a baseline have no teacher.
        """
        return self

    def panels(self, before: Trained | None, after: Trained) -> list[Panel]:
        """What a report shows of the step, besides what it shows of all of them.

        Args:
            before: What the steps before gave; None for the first one.
            after: What it gave itself.
        """
        return []

    def warnings(self, after: Trained) -> list[str]:
        """What has to be known of what came out before it is trusted, as sentences.

        Args:
            after: What the step gave.
        """
        return []

    @abstractmethod
    def run(self, model: Model, tools: Tools) -> Result:
        """Do it.

        Args:
            model: What the steps before left; it is not changed.
            tools: All else that the result may depend on.

        Returns:
            A model; the same one for the same arguments.
        """


@dataclass(frozen=True)
class Result:
    """What a step gives.

    Attributes:
        model: The model, its spec with all edits.
        facts: Plain values to remember; ``score``, of the model on validation, is one of them.
        history: One plain entry for each epoch of the step's own training.
        teacher: The trained copy of a teacher that learned beside the model.
    """

    model: Model
    facts: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]] = ()
    teacher: nn.Module | None = None


@dataclass(frozen=True, kw_only=True)
class TeacherTools:
    """The teacher, as steps may use it.

    Attributes:
        key: Plain values by which its targets are identified: its fingerprint, and how they are stored.
        targets: What it gives for the transfer set; None for a teacher that learns beside the student.
        learning: Builds a teacher that learns beside the student; None for a frozen one.
        detach: Whether the student's terms leave a learning teacher alone.
        network: The teacher as a network, where terms read its layers.
    """

    key: Mapping[str, Any]
    targets: TargetSource | None = None
    learning: Callable[[], nn.Module] | None = None
    detach: bool = True
    network: nn.Module | None = None


@dataclass(frozen=True, kw_only=True)
class ByLoss:
    """What models are chosen by on validation where that is no metric: a loss, the smaller the better.

    Attributes:
        loss: Against the labels, or against ``targets``.
        targets: What the teacher gives for the validation data; None for a loss against labels.
    """

    loss: Loss
    targets: TargetSource | None = None


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What a step may use besides the model. All that changes a result is in `key`.

    Device, threads and the number of processes are not, on purpose: a run may be gone on with elsewhere, and what they
    change is rounding (and, of several processes, what batch normalization and dropout see).

    Attributes:
        dataset: The data; of the test split nothing is used.
        dataset_key: Their fingerprint.
        views: How training examples are seen.
        transfer: The transfer set; None for the training examples.
        baseline_examples: Those whose labels are known, for steps without a teacher; None for the training examples.
        with_labels: False hides the labels from a student that has a teacher.
        teacher: None for a baseline.
        examples: How many examples a student sees in an epoch, where a baseline has to take as many steps as one.
        choose_by: The metric by whose mean on validation epochs are chosen, or a loss; None for the first metric of the
            task.
        seed: Of the first weights, and of all that a training draws.
        run_seed: Of examples that are drawn alike for the models of all seeds.
        device: Where networks are trained.
        threads: With how many threads, from the networks that run and the size of a batch; a context.
        progress: Sees long work.
        title: Of that work.
        folder: Where a training may keep its checkpoint; None for nowhere.
        float_student: The model as it was before it was quantized, where it was.
        watch: Callbacks that see a training and change nothing, from its title and what it is chosen by; None for none.
        turns: By which those that train let others measure, and where what was measured is kept; None for a step alone.
    """

    dataset: Dataset
    dataset_key: str
    views: Views
    transfer: Split | None = None
    baseline_examples: Split | None = None
    with_labels: bool = True
    teacher: TeacherTools | None = None
    examples: int | None = None
    choose_by: str | ByLoss | None = None
    seed: int = 0
    run_seed: int = 0
    device: str = "cpu"
    threads: Callable[[Sequence[nn.Module], int], Any] | None = None
    progress: Progress = field(default=silent)
    title: str = "step"
    folder: Path | None = None
    float_student: Model | None = None
    turns: Turns | None = None
    watch: Callable[[str, Metric | None], Sequence[Callback]] | None = None

    @cached_property
    def key(self) -> Mapping[str, Any]:
        """All that a result depends on besides the step and the model, as plain values."""
        rows = self.baseline_examples if self.teacher is None else self.transfer
        by = self.choose_by
        return {
            "data": self.dataset_key,
            "rows": None if rows is None else rows.fingerprint(),
            "with_labels": self.with_labels,
            "views": self.views.fingerprint(),
            "teacher": None if self.teacher is None else dict(self.teacher.key),
            "choose_by": repr(by.loss) if isinstance(by, ByLoss) else metric_of(self.dataset.task, by).name,
            "seeds": [self.seed, self.run_seed],
        }

    def subset(self, examples: int) -> Tools:
        """The same with so many of the examples that a student learns from, each class by its share.

        Args:
            examples: How many, drawn by the seed of the run; of two amounts the smaller lies within the larger.
        """
        rows = self.dataset.train if self.transfer is None else self.transfer
        split = self.rows_without_teacher() if self.teacher is None else rows
        if examples >= len(split):
            return self
        strata = torch.zeros_like(split.ids) if split.labels is None else split.task.strata(split.labels)
        drawn = stratified(strata, split.ids, examples, seed=self.run_seed, stream=_SUBSET)
        if self.teacher is None:
            return replace(self, baseline_examples=split.rows(drawn))
        teacher = self.teacher
        if teacher.targets is not None:
            teacher = replace(teacher, targets=TargetsOfRows(teacher.targets, torch.nonzero(drawn)[:, 0]))
        return replace(self, transfer=split.rows(drawn), teacher=teacher)

    @property
    def example(self) -> Tensor:
        """One input ``[1, ...]``, as networks receive it."""
        return self.dataset.train.floats(slice(0, 1))

    @property
    def validation(self) -> TransferSet:
        """The validation data, seen as they are."""
        targets = self.choose_by.targets if isinstance(self.choose_by, ByLoss) else None
        return TransferSet(self.dataset.validation, targets=targets)

    def without_teacher(self) -> Tools:
        """The same for a step that no teacher takes part in."""
        return self if self.teacher is None else replace(self, teacher=None, with_labels=True)

    def rows_without_teacher(self) -> Split:
        """What a model without a teacher learns from."""
        return self.dataset.train if self.baseline_examples is None else self.baseline_examples

    def transfer_set(self, targets: TargetSource | None = None) -> TransferSet:
        """What the model is trained on.

        Args:
            targets: Take the place of the teacher's.
        """
        if self.teacher is None:
            return TransferSet(self.rows_without_teacher(), self.views)
        rows = self.dataset.train if self.transfer is None else self.transfer
        return TransferSet(rows, self.views, targets or self.teacher.targets, labelled=self.with_labels)

    @property
    def watching(self) -> Sequence[Callback]:
        """What sees the step's training."""
        by = self.choose_by
        metric = None if isinstance(by, ByLoss) else metric_of(self.dataset.task, by)
        return () if self.watch is None else self.watch(self.title, metric)

    @property
    def metric(self) -> Scorer:
        """The score by which models are chosen."""
        if isinstance(self.choose_by, ByLoss):
            loss = self.choose_by.loss
            return lambda output, batch: -loss(output, batch)
        return score_by(metric_of(self.dataset.task, self.choose_by))

    def score(self, module: nn.Module) -> float:
        """Mean score of a network on validation, by what models are chosen by."""
        metric, total = self.metric, 0.0
        runner = module.eval()
        with torch.inference_mode():
            for rows in torch.split(torch.arange(len(self.validation)), _AT_ONCE):
                batch = self.validation.batch(rows, 0)
                total += float(metric(runner(batch.inputs), batch).sum())
        return total / len(self.validation)
