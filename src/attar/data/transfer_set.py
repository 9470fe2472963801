"""The transfer set: the examples on which a student learns, as they look in each epoch, with the teacher's targets."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from attar.data.datasets import Split
from attar.data.store import Targets, round_through_store
from attar.data.store.coding import check_values
from attar.data.views import UNCHANGED, Views
from attar.errors import Words, must
from attar.ops.top_k import TopK
from attar.tasks.task import Task
from attar.teachers.teacher import Teacher, ask, check_target, target_of
from attar.teachers.trial import trial
from attar.training.batch import Batch


@runtime_checkable
class TargetSource(Protocol):
    """What gives the targets of a batch: stored ones, a live teacher, or a function of the user's."""

    def __call__(self, inputs: Tensor, rows: Tensor, view: int) -> Tensor | TopK:
        """The teacher's outputs, ``[batch, classes]`` float32 (maps ``[batch, classes, height, width]``), or the
        classes that are likeliest for it.

        Args:
            inputs: ``[batch, ...]`` float32, the examples as they look in this view.
            rows: ``[batch]`` int64, their positions in the split.
            view: Number of the view.
        """
        ...


class Live:
    """Targets that a teacher gives at the moment they are asked for.

    They are rounded as the store rounds them, so that training on stored targets and on live ones is the same. A
    teacher whose answers depend on chance, or on the rows that are asked together, is refused when it is first asked.

    Example:
        >>> from attar.teachers.teacher import NetworkTeacher
        >>> live = Live(NetworkTeacher(torch.nn.Identity(), classes=2))
        >>> live(torch.tensor([[3.0, 1.0]]), torch.tensor([0]), 0)
        tensor([[ 1., -1.]])
    """

    def __init__(self, teacher: Teacher) -> None:
        """Ask this teacher.

        Args:
            teacher: Whose targets they are.
        """
        self.teacher = teacher
        self._tried = False

    def __call__(self, inputs: Tensor, rows: Tensor, view: int) -> Tensor:
        """The teacher's logits for the inputs, less their mean over the classes; ``rows`` and ``view`` do not matter.

        Values, which a regression gives, and log-odds are nobody's to shift: they come as they are.

        Raises:
            BadInput: If a number is not finite, a logit does not fit float16, or the teacher does not answer alike.
        """
        if not self._tried:
            trial(self.teacher, inputs)
            self._tried = True
        outputs = ask(self.teacher, inputs)
        if target_of(self.teacher) == "values":
            check_values(outputs, lambda row: f"row {row} of {self.teacher!r}")
            return outputs
        return round_through_store(outputs, target_of(self.teacher))


class TargetsOfRows:
    """Targets of some rows of a split, by their positions among these."""

    def __init__(self, targets: TargetSource, rows: Int64[Tensor, " rows"]) -> None:
        """Take these.

        Args:
            targets: Of all rows of a split.
            rows: ``[rows]`` positions in it.
        """
        self._targets, self._rows = targets, rows

    def __call__(self, inputs: Tensor, rows: Tensor, view: int) -> Tensor | TopK:
        """The targets of a batch, see `TargetSource`."""
        return self._targets(inputs, self._rows.index_select(0, rows), view)


class TransferSet:
    """A split as a source of batches for the loop: views, labels, and targets if there is a teacher.

    Weights of the examples count relative to their mean, so that the learning rate need not follow them.

    In epoch e the examples are seen in view ``e % views.count``; the targets belong to exactly these pixels.

    Attributes:
        split: The examples.
        views: How the looks at an example are drawn.
        targets: Where the teacher's logits come from; None without a teacher.
        labelled: Whether batches carry the labels.

    Example:
        >>> from attar.data.datasets import load
        >>> data = TransferSet(load("digits").train)
        >>> batch = data.batch(torch.tensor([4, 2]), epoch=0)
        >>> batch.inputs.shape, batch.targets
        (torch.Size([2, 1, 8, 8]), None)
    """

    def __init__(
        self,
        split: Split,
        views: Views = UNCHANGED,
        targets: TargetSource | None = None,
        *,
        labelled: bool = True,
    ) -> None:
        """Put examples, views and targets together.

        Args:
            split: The examples.
            views: How the looks at an example are drawn.
            targets: Where the teacher's logits come from; None without a teacher.
            labelled: False hides the labels, so that the student hears the teacher alone.

        Raises:
            BadInput: If there is nothing to learn from, or stored targets are of other examples, other classes or
                another number of views.
        """
        if len(split) == 0:
            raise must("split", "TransferSet", "at least one example", Words("none"), "Give the rows to train on")
        if targets is None and (split.labels is None or not labelled):
            remedy = "Give labels, or targets from a teacher"
            raise must("targets", "TransferSet", "given where there are no labels", None, remedy)
        if isinstance(targets, Targets):
            _check_stored(targets, split, views)
        if split.tokens is not None:
            views.check_tokens("TransferSet")
        if split.named is not None:
            views.check_named(split.named, "TransferSet")
        self._moves = len(split.task.shape) > 1 and (views.flip or views.shift > 0)
        shape = tuple(split.inputs.shape[1:])
        if self._moves and split.named is not None:
            _, shape = split.named.image("TransferSet")
        if self._moves and tuple(split.task.shape[1:]) != shape[1:]:
            rule = f"without flip and shift where maps of {split.task.shape[1:]} do not cover the inputs' pixels"
            raise must("views", "TransferSet", rule, shape[1:], "Leave flip and shift out")
        if isinstance(targets, Live):
            check_target(targets.teacher, split.task)
        self._weights = None if split.weights is None else split.weights / split.weights.mean().clamp_min(_TINY)
        self.split = split
        self.views = views
        self.targets = targets
        self.labelled = labelled

    @property
    def task(self) -> Task:
        """What outputs and labels mean."""
        return self.split.task

    def __len__(self) -> int:
        return len(self.split)

    def __repr__(self) -> str:
        outputs = "no targets" if self.targets is None else f"targets from {type(self.targets).__name__}"
        return f"TransferSet({self.split!r}, {self.views!r}, {outputs}, labelled={self.labelled})"

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        """The batch of some rows as they look in an epoch; it depends on nothing else.

        Args:
            rows: ``[batch]`` int64 positions, 0 <= row < len.
            epoch: Number of the epoch, from 0.

        Raises:
            BadInput: If the targets are not of the shape of the task's outputs.
        """
        view = epoch % self.views.count
        ids = self.split.ids.index_select(0, rows)
        inputs = self.views.of(self.split, rows, view)
        labels = self.split.labels.index_select(0, rows) if self.labelled and self.split.labels is not None else None
        if labels is not None and self._moves:
            labels = self.views.of_maps(labels, ids, view)
        mask = None if labels is None else self.task.mask(labels)
        weights = None if self._weights is None else self._weights.index_select(0, rows)
        if self.targets is None:
            return Batch(inputs=inputs, labels=labels, ids=ids, mask=mask, weights=weights)
        targets = self.targets(inputs, rows, view)
        expected = (len(rows), *self.task.shape)
        if tuple(targets.shape) != expected:
            remedy = "Use a teacher of the same classes, in the same order"
            raise must("targets", "TransferSet", f"of shape {expected}, for {self.task}", tuple(targets.shape), remedy)
        return Batch(inputs=inputs, labels=labels, targets=targets, ids=ids, mask=mask, weights=weights)


_TINY = torch.finfo(torch.float32).tiny
"""What a mean weight of 0, of rows that count nothing, is divided by."""


def _check_stored(targets: Targets, split: Split, views: Views) -> None:
    """Stored targets are found by position, so that those of other rows would go unnoticed."""
    if not torch.equal(targets.ids, split.ids):
        got = Words(
            f"targets of {len(targets)} other examples" if len(targets) != len(split) else "targets of other examples"
        )
        raise must("targets", "TransferSet", f"about the {len(split)} rows of the split", got, "Label this split")
    if targets.task != split.task:
        remedy = "Use a teacher of the same classes, in the same order"
        rule = f"for {split.task}: {', '.join(split.task.names)}"
        raise must("targets", "TransferSet", rule, list(targets.task.names), remedy)
    if targets.views != views.count:
        remedy = "Label with the same views that training uses"
        raise must("targets", "TransferSet", f"of {views.count} views", targets.views, remedy)
