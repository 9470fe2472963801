"""Examples for one purpose, and the three splits of a task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attar.errors import Words, must, shown
from attar.named_inputs import NamedInputs
from attar.tables.columns import Columns
from attar.tables.tokens import Tokens
from attar.tasks.classification import Classification
from attar.tasks.task import Task, classes_of

PIXELS = 255.0
"""What pixels, which are stored as uint8, are divided by."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Split:
    """Examples that are used for one purpose.

    Attributes:
        inputs: ``[n, ...]``, float32, or uint8 for pixels, which `floats` scales to 0..1; of sequences of tokens int64
            ``[n, 2, length]``, their numbers and their mask.
        labels: ``[n, ...]``, one row for each example, as the task has them: class numbers, -1 where unknown; None
            without labels.
        ids: ``[n]`` int64, all different: the row of each example in the file or array it came from. They stay with
            the example through every subset.
        task: What labels, and the outputs of networks, mean.
        columns: What the columns of a table hold, whose rows the inputs are then, ``[n, columns]`` float32: codes of
            nominal values, and NaN where a value is missing. None for other data, in which NaN is an error.
        tokens: What the sequences hold; None for other data.
        named: What each row of ``inputs``, ``[n, width]`` float32, holds where there are several inputs; None for one.
        weights: ``[n]`` float32, what each example counts in training and where that chooses its best epoch, none
            below 0; None where all count the same. Evidence counts every example once.

    Raises:
        BadInput: If shapes, types or values break these rules, or an input is infinite.
    """

    inputs: Tensor
    labels: Tensor | None
    ids: Tensor
    task: Task
    columns: Columns | None = None
    tokens: Tokens | None = None
    named: NamedInputs | None = None
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        if self.tokens is not None:
            self.tokens.check(self.inputs.numpy(force=True), "Split")
        elif self.inputs.dtype not in (torch.float32, torch.uint8):
            remedy = "Convert them, for instance with .float()"
            raise must("inputs", "Split", "float32, or uint8 for pixels", self.inputs.dtype, remedy)
        if self.inputs.dim() < 2:
            remedy = "Give each example at least one value, for instance with .reshape(n, -1)"
            raise must("inputs", "Split", "[n, ...] with at least two axes", tuple(self.inputs.shape), remedy)
        if self.named is not None and self.inputs.shape[1:] != (self.named.width,):
            rule = f"[n, {self.named.width}], as the inputs {self.named} have so many numbers"
            raise must("inputs", "Split", rule, tuple(self.inputs.shape), "Use what NamedInputs.of gives")
        if self.columns is not None and (
            self.inputs.dim() != 2 or self.inputs.shape[1] != len(self.columns) or self.inputs.dtype != torch.float32
        ):
            rule = f"[n, {len(self.columns)}] float32, as there are so many columns"
            got = Words(f"{tuple(self.inputs.shape)} {str(self.inputs.dtype).removeprefix('torch.')}")
            raise must("inputs", "Split", rule, got, "Use what columns.encode gives")
        if self.inputs.is_floating_point():
            row = infinite_row(self.inputs, gaps=self.columns is not None)
            if row is not None:
                got = Words(f"{'NaN or ' if self.columns is None else ''}infinity in row {row}")
                raise must("inputs", "Split", "finite", got, "Remove or repair such rows")
        given: object = self.task
        if not isinstance(given, Task):
            remedy = "Name the classes: attar.Classification(('cat', 'dog'))"
            raise must("task", "Split", "a task, which says what labels mean", given, remedy)
        if self.ids.dtype != torch.int64:
            raise must("ids", "Split", "int64", self.ids.dtype, "Convert them with .long()")
        if self.ids.shape != (len(self),):
            rule = f"one for each of the {len(self)} rows"
            raise must("ids", "Split", rule, tuple(self.ids.shape), "Leave none out")
        repeated = int((self.ids.sort().values.diff() == 0).sum())
        if repeated:
            remedy = "Number the rows, for instance with torch.arange(n)"
            raise must("ids", "Split", "all different", Words(f"{repeated} repeated"), remedy)
        if self.labels is not None:
            self.task.check_labels(self.labels, len(self), "Split")
        if self.weights is not None:
            weights = self.weights
            remedy = "Give one for each row, or leave weights out"
            if weights.shape != (len(self),) or weights.dtype != torch.float32:
                got = Words(f"{tuple(weights.shape)} {str(weights.dtype).removeprefix('torch.')}")
                raise must("weights", "Split", f"[{len(self)}] float32", got, remedy)
            if not bool((weights.isfinite() & (weights >= 0)).all()):
                raise must("weights", "Split", "finite and at least 0", Words("others"), remedy)

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.inputs.shape[1:]))
        kind = str(self.inputs.dtype).removeprefix("torch.")
        return f"Split({len(self)} examples of {shape} {kind}, {self.task})"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that the task tells apart.

        Raises:
            BadInput: If it tells none apart.
        """
        return classes_of(self.task)

    def rows(self, indices: Tensor | slice) -> Split:
        """A part of the split, with the same ids; a slice shares its memory.

        Args:
            indices: Positions (int64, each at most once), a bool mask, or a slice.
        """
        labels = None if self.labels is None else self.labels[indices]
        weights = None if self.weights is None else self.weights[indices]
        return replace(self, inputs=self.inputs[indices], labels=labels, ids=self.ids[indices], weights=weights)

    def floats(self, indices: Tensor | slice | None = None) -> Tensor:
        """The inputs as networks take them: float32, pixels scaled to 0..1; the numbers of tokens as they are.

        Args:
            indices: Positions (int64), a bool mask, or a slice; None for all. Float inputs share their memory where a
                slice or all are asked for.
        """
        if indices is None:
            chosen = self.inputs
        elif isinstance(indices, Tensor) and indices.dtype == torch.int64:
            chosen = self.inputs.index_select(0, indices)
        else:
            chosen = self.inputs[indices]
        return chosen.float().div_(PIXELS) if chosen.dtype == torch.uint8 else chosen

    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything in the split."""
        digest = hashlib.sha256()
        for name in ("inputs", "labels", "ids"):
            tensor: Tensor | None = getattr(self, name)
            if tensor is None:
                digest.update(f"{name} absent\n".encode())
                continue
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        if self.weights is not None:
            digest.update(b"weights\n")
            digest.update(self.weights.detach().cpu().contiguous().numpy().data)
        digest.update(json.dumps(self.task.to_json()).encode())
        for described in (self.columns, self.tokens, self.named):
            if described is not None:
                digest.update(json.dumps(described.to_json()).encode())
        return digest.hexdigest()


def infinite_row(inputs: Tensor, *, gaps: bool) -> int | None:
    """The first row that holds infinity, or NaN where there are to be no gaps; None where none does.

    Args:
        inputs: ``[n, ...]`` floats, looked at a few at a time: they may be larger than the memory.
        gaps: Whether NaN stands for a missing value.
    """
    first = 0
    for some in torch.split(inputs, max(1, _AT_ONCE // max(1, inputs[:1].numel()))):
        wrong = some.isinf() if gaps else ~some.isfinite()
        if wrong.any():
            return first + int(wrong.flatten(1).any(1).nonzero()[0])
        first += len(some)
    return None


_AT_ONCE = 1 << 22
"""Numbers that are looked at together."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dataset:
    """A data set: examples to train on, to choose by, and to report on.

    Attributes:
        name: What it is called in reports.
        train: What is learned from; labels may be unknown for some or all rows.
        validation: What every choice is made on; labeled.
        test: What is read once, at the end; labeled.
        source: Where the data came from, in words.
        drawn: Which of validation and test were drawn by chance out of one set of rows: nothing says what models from
            elsewhere have seen of them.
        remarks: What a user should know of how the data were read, a sentence each.

    Raises:
        BadInput: If the splits do not fit each other, or a class has no example to learn from.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    source: str
    drawn: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expected = (tuple(self.train.inputs.shape[1:]), str(self.train.inputs.dtype))
        for role, split in self.splits().items():
            of = f"the {role} split of {self.name}"
            if split.task != self.task:
                raise must("task", of, f"that of train, {shown(self.task)}", split.task, "Use one task for all splits")
            if len(split) == 0:
                raise must("inputs", of, "at least one example", Words("none"), "Give more rows or another share")
            if split.columns != self.train.columns:
                remedy = "Encode all splits with the columns of train"
                raise must("columns", of, "those of train", split.columns, remedy)
            if split.tokens != self.train.tokens:
                remedy = "Use one vocabulary and one length for all splits"
                raise must("tokens", of, f"those of train, {self.train.tokens}", split.tokens, remedy)
            if split.named != self.train.named:
                remedy = "Give all splits the same inputs"
                raise must("inputs", of, f"those of train, {self.train.named}", str(split.named), remedy)
            got = (tuple(split.inputs.shape[1:]), str(split.inputs.dtype))
            if got != expected:
                remedy = "Bring all splits into one form"
                raise must("inputs", of, f"of shape {expected[0]} and type {expected[1]} as in train", got, remedy)
            if role != "train" and (split.labels is None or not bool(self.task.known(split.labels).all())):
                remedy = "Label every row, or leave the unlabeled rows to train"
                raise must("labels", of, "known for every row", Words("unknown ones"), remedy)
        labels = self.task.unknown_labels(len(self.train)) if self.train.labels is None else self.train.labels
        self.task.check_enough(labels, self.name)

    def __repr__(self) -> str:
        of_train = f" ({self.unlabeled} of them without a label)" if self.unlabeled else ""
        sizes = f"train {len(self.train)}{of_train}, validation {len(self.validation)}, test {len(self.test)}"
        shape = " x ".join(map(str, self.train.inputs.shape[1:]))
        return f"Dataset({self.name}: {sizes}; inputs {shape}; {self.task}; from {self.source})"

    @property
    def task(self) -> Task:
        """What labels, and the outputs of networks, mean, the same in every split."""
        return self.train.task

    @property
    def unlabeled(self) -> int:
        """How many rows of train have no label: the teacher alone says something of them."""
        labels = self.train.labels
        return len(self.train) if labels is None else int((~self.task.known(labels)).sum())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that the task tells apart; see `Split.classes`."""
        return self.train.classes

    @property
    def columns(self) -> Columns | None:
        """What the columns of a table hold, the same in every split; None for other data."""
        return self.train.columns

    @property
    def tokens(self) -> Tokens | None:
        """What sequences of tokens hold, the same in every split; None for other data."""
        return self.train.tokens

    @property
    def named(self) -> NamedInputs | None:
        """What the inputs are where there are several, the same in every split; None for one."""
        return self.train.named

    def splits(self) -> dict[str, Split]:
        """The three splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the three splits."""
        return hashlib.sha256("".join(split.fingerprint() for split in self.splits().values()).encode()).hexdigest()


def renamed(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The same classification, its classes called by other names, in order.

    Raises:
        BadInput: If two are called alike.
    """
    task = Classification(tuple(names))
    train, validation, test = (replace(split, task=task) for split in dataset.splits().values())
    return replace(dataset, train=train, validation=validation, test=test)
