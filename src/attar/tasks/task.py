"""What a task is: everything that must be known of a network's outputs to train, store, judge and show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from numpy.typing import NDArray
from torch import Tensor

from attar.errors import BadInput, must, near
from attar.tasks.labels import LabelKind
from attar.tasks.metrics.metric import Floats, Metric
from attar.tasks.target import Target


@dataclass(frozen=True, slots=True)
class Chance:
    """What there is to say of a model whose answers may be worth nothing.

    Attributes:
        sentence: What follows the model's name, without a period; None where it is better than any constant prediction.
        guessing: Whether its predictions have nothing to do with the labels. A model of rare classes may be useful and
            yet no better than the constant prediction that none occurs; one that guesses is not.
    """

    sentence: str | None
    guessing: bool


@dataclass(frozen=True, slots=True)
class Constant:
    """An answer that is the same for every example.

    Attributes:
        name: What sentences call it.
        scores: ``[known]``, what `Task.scores` would give for it.
    """

    name: str
    scores: NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The losses that suit a task, as tables of a recipe's objective.

    Attributes:
        labels: Against what is true.
        teacher: Against what a teacher gives.
    """

    labels: Mapping[str, Any]
    teacher: Mapping[str, Any]


@runtime_checkable
class Quality(Protocol):
    """How good a model is on some examples: a frozen dataclass whose fields are the keys of the evidence.

    Beside these there is a field for each metric of the task that is a figure of its own, by the metric's name.
    """

    @property
    def examples(self) -> int:
        """How many were judged."""
        ...

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the figure of the task's first metric."""
        ...


@runtime_checkable
class Task(Protocol):
    """What outputs mean. A task is a frozen dataclass of plain values; equal tasks mean the same.

    Labels are a tensor with one row for each example. What a row is, and what says that it is not known, is up to the
    task; so is what an output is. Methods that judge take arrays, as runtimes give them.
    """

    use: ClassVar[str]
    """What it is called in a file."""

    target: ClassVar[Target]
    """What a network gives, and a teacher is to give."""

    label_kind: ClassVar[LabelKind]
    """What the label of one example is. Tasks whose labels are alike are read from the same data and shown alike; their
    first field is the names, and of maps the second the size; those of fixations are size and center bias."""

    losses: ClassVar[Losses]
    """What is minimized where a recipe does not say."""

    @property
    def label_dtype(self) -> str:
        """NumPy's name of the type of the labels as the user has them, in which a model predicts; ``str`` for texts."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output for one example: ``(classes,)``, ``(outputs,)``, ``(classes, height, width)``."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers along the first axis of an output are called: classes, or values."""
        ...

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """By what models are judged, by name. The first decides where nobody says what to choose by.

        The first has a value for each example; ``rmse``, which every task has, is the root of a mean of some, by which
        students and single models are compared more finely than by what is right.
        """
        ...

    def __str__(self) -> str:
        """What it is in a few words, such as ``10 classes``."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The task as plain values, with ``use``; see `attar.tasks.known.task_from_json`."""
        ...

    # -- labels --------------------------------------------------------------------------------------------------------

    def check_labels(self, labels: Tensor, rows: int, of: str) -> None:
        """See that labels are what this task's labels are.

        Args:
            labels: One row for each example.
            rows: How many examples there are.
            of: Whose labels they are; for the message.

        Raises:
            BadInput: If shape, type or values are not right.
        """
        ...

    def check_enough(self, labels: Tensor, of: str) -> None:
        """See that there is something to learn: asked of the training labels of a data set.

        Args:
            labels: One row for each example, checked.
            of: Whose labels they are; for the message.

        Raises:
            BadInput: If there is not, such as a class without an example.
        """
        ...

    def known(self, labels: Tensor) -> Tensor:
        """``[n]`` bool: of which examples something is known."""
        ...

    def unknown_labels(self, rows: int) -> Tensor:
        """Labels of examples of which nothing is known, ``[rows, ...]``."""
        ...

    def strata(self, labels: Tensor) -> Tensor:
        """``[n]`` int64: examples of one number are alike, and all parts of a data set get their share of them."""
        ...

    def mask(self, labels: Tensor) -> Tensor | None:
        """``[n]`` or ``[n, position]`` bool: what counts in losses and scores; None counts every example once."""
        ...

    # -- outputs -------------------------------------------------------------------------------------------------------

    def quality(self, outputs: Floats, labels: NDArray[Any]) -> Quality:
        """How good outputs are, given the labels; examples of which nothing is known are left out.

        Args:
            outputs: ``[n, *shape]``, finite where something is known.
            labels: ``[n, ...]``.

        Raises:
            BadInput: If shapes do not fit, an output is not finite, or no label is known.
        """
        ...

    def scores(self, outputs: Floats, labels: NDArray[Any]) -> NDArray[Any]:
        """The first metric of each example of which something is known, higher is better: what paired tests compare.

        Args:
            outputs: ``[n, *shape]``.
            labels: ``[n, ...]``.

        Returns:
            ``[known]``: bools where an example is right or wrong, else floats.

        Raises:
            BadInput: If shapes do not fit.
        """
        ...

    def agreement(self, outputs_a: Floats, outputs_b: Floats) -> float | None:
        """Share of examples (or positions), in 0..1, on which two models predict the same class; None where none is.

        Args:
            outputs_a: ``[n, *shape]``, at least one.
            outputs_b: ``[n, *shape]``, of the same examples.
        """
        ...

    def best_constant(self, labels: NDArray[Any]) -> Constant:
        """The best answer that is the same for every example, or the best of those that labels suggest.

        Args:
            labels: ``[n, ...]``, something known of one at least.
        """
        ...

    def chance(self, outputs: Floats, labels: NDArray[Any], split: str, constant: Constant | None = None) -> Chance:
        """Hold a model against the best constant answer, and against guessing.

        Args:
            outputs: ``[n, *shape]``.
            labels: ``[n, ...]``.
            split: What the examples are called: ``validation``.
            constant: What `best_constant` gives for these labels; None asks it.
        """
        ...

    def label_in_words(self, label: Tensor) -> str:
        """What the label of one example is, for a report."""
        ...


@runtime_checkable
class OfClasses(Protocol):
    """A task that tells classes apart."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the outputs."""
        ...


def first_metric(task: Task) -> Metric:
    """The metric by which a task's models are judged."""
    return next(iter(task.metrics.values()))


def metric_of(task: Task, by: str | None = None) -> Metric:
    """The metric by which epochs, seeds and settings are chosen.

    Args:
        task: What outputs mean.
        by: Its name; None for the first metric of the task.

    Raises:
        BadInput: If the task has no such metric, or it is one number for all examples and no mean over them.
    """
    means = {name: one for name, one in task.metrics.items() if one.of_each is not None}
    if by is None:
        return next(iter(means.values()))
    if by not in means:
        raise must("choose_by", "the recipe", f"what {task.use} is chosen by", by, near(by, means))
    return means[by]


def classes_of(task: Task) -> tuple[str, ...]:
    """Names of the classes that a task tells apart.

    Raises:
        BadInput: If it tells none apart.
    """
    if not isinstance(task, OfClasses):
        raise BadInput(f"Classes are asked for, and the task is {task.use}, which has none. Use what is for all tasks.")
    return task.classes
