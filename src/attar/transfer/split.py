"""Examples for one purpose, and the three splits of a task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attar.errors import Words, must
from attar.tables.columns import Columns
from attar.training.batch import ABSENT


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Split:
    """Examples that are used for one purpose.

    Attributes:
        inputs: ``[n, ...]``, float32, or uint8 for pixels, which `floats` scales to 0..1.
        labels: ``[n]`` int64 class numbers, `ABSENT` (-1) where unknown; None without labels.
        ids: ``[n]`` int64, all different: the row of each example in the file or array it came from. They stay with
            the example through every subset.
        classes: Names of the classes; a label is the index of its name.
        columns: What the columns of a table hold, whose rows the inputs are then, ``[n, columns]`` float32: codes of
            nominal values, and NaN where a value is missing. None for other data, in which NaN is an error.

    Raises:
        BadInput: If shapes, types or values break these rules, or an input is infinite.
    """

    inputs: Tensor
    labels: Tensor | None
    ids: Tensor
    classes: tuple[str, ...]
    columns: Columns | None = None

    def __post_init__(self) -> None:
        if self.inputs.dtype not in (torch.float32, torch.uint8):
            remedy = "Convert them, for instance with .float()"
            raise must("inputs", "Split", "float32, or uint8 for pixels", self.inputs.dtype, remedy)
        if self.inputs.dim() < 2:
            remedy = "Give each example at least one value, for instance with .reshape(n, -1)"
            raise must("inputs", "Split", "[n, ...] with at least two axes", tuple(self.inputs.shape), remedy)
        if self.columns is not None and (
            self.inputs.dim() != 2 or self.inputs.shape[1] != len(self.columns) or self.inputs.dtype != torch.float32
        ):
            rule = f"[n, {len(self.columns)}] float32, as there are so many columns"
            got = Words(f"{tuple(self.inputs.shape)} {str(self.inputs.dtype).removeprefix('torch.')}")
            raise must("inputs", "Split", rule, got, "Use what columns.encode gives")
        if self.inputs.is_floating_point():
            wrong = self.inputs.isinf() if self.columns is not None else ~self.inputs.isfinite()
            if wrong.any():
                row = int(wrong.flatten(1).any(1).nonzero()[0])
                got = Words(f"{'NaN or ' if self.columns is None else ''}infinity in row {row}")
                raise must("inputs", "Split", "finite", got, "Remove or repair such rows")
        for name, column in (("ids", self.ids), ("labels", self.labels)):
            if column is None:
                continue
            if column.dtype != torch.int64:
                raise must(name, "Split", "int64", column.dtype, "Convert them with .long()")
            if column.shape != (len(self),):
                raise must(
                    name, "Split", f"one for each of the {len(self)} rows", tuple(column.shape), "Leave none out"
                )
        repeated = int((self.ids.sort().values.diff() == 0).sum())
        if repeated:
            remedy = "Number the rows, for instance with torch.arange(n)"
            raise must("ids", "Split", "all different", Words(f"{repeated} repeated"), remedy)
        if (
            self.labels is not None
            and len(self)
            and not -1 <= self._extreme(min) <= self._extreme(max) < len(self.classes)
        ):
            got = Words(f"{self._extreme(min)} .. {self._extreme(max)}")
            rule = f"from 0 to {len(self.classes) - 1} (there are {len(self.classes)} classes), or -1 where unknown"
            raise must("labels", "Split", rule, got, "Number the classes from 0, or name all of them in classes")

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.inputs.shape[1:]))
        kind = str(self.inputs.dtype).removeprefix("torch.")
        return f"Split({len(self)} examples of {shape} {kind}, {len(self.classes)} classes)"

    def rows(self, indices: Tensor | slice) -> Split:
        """A part of the split, with the same ids; a slice shares its memory.

        Args:
            indices: Positions (int64, each at most once), a bool mask, or a slice.
        """
        labels = None if self.labels is None else self.labels[indices]
        return replace(self, inputs=self.inputs[indices], labels=labels, ids=self.ids[indices])

    def floats(self, indices: Tensor | slice | None = None) -> Tensor:
        """The inputs as float32, pixels scaled to 0..1.

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
        return chosen.float().div_(255.0) if chosen.dtype == torch.uint8 else chosen

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
        digest.update(repr(self.classes).encode())
        if self.columns is not None:
            digest.update(json.dumps(self.columns.to_json()).encode())
        return digest.hexdigest()

    def _extreme(self, which: Callable[[Sequence[int]], int]) -> int:
        assert self.labels is not None
        return which([int(value) for value in self.labels.aminmax()])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dataset:
    """A task: examples to train on, to choose by, and to report on.

    Attributes:
        name: What it is called in reports.
        train: What is learned from; labels may be unknown for some or all rows.
        validation: What every choice is made on; labeled.
        test: What is read once, at the end; labeled.
        classes: Names of the classes, the same in every split.
        source: Where the data came from, in words.
        drawn: Which of validation and test were drawn by chance out of one set of rows: nothing says what models from
            elsewhere have seen of them.

    Raises:
        BadInput: If the splits do not fit each other, or a class has no example to learn from.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    source: str
    drawn: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise must("classes", self.name, "two or more different names", self.classes, "Name each class once")
        expected = (tuple(self.train.inputs.shape[1:]), str(self.train.inputs.dtype))
        for role, split in self.splits().items():
            of = f"the {role} split of {self.name}"
            if split.classes != self.classes:
                raise must("classes", of, f"those of the data set, {self.classes}", split.classes, "Use the same names")
            if len(split) == 0:
                raise must("inputs", of, "at least one example", Words("none"), "Give more rows or another share")
            if split.columns != self.train.columns:
                remedy = "Encode all splits with the columns of train"
                raise must("columns", of, "those of train", split.columns, remedy)
            got = (tuple(split.inputs.shape[1:]), str(split.inputs.dtype))
            if got != expected:
                remedy = "Bring all splits into one form"
                raise must("inputs", of, f"of shape {expected[0]} and type {expected[1]} as in train", got, remedy)
            if role != "train" and (split.labels is None or bool((split.labels == ABSENT).any())):
                remedy = "Label every row, or leave the unlabeled rows to train"
                raise must("labels", of, "known for every row", Words("unknown ones"), remedy)
        if self.train.labels is not None and bool((self.train.labels != ABSENT).any()):
            counts = torch.bincount(self.train.labels[self.train.labels != ABSENT], minlength=len(self.classes))
            empty = [name for name, count in zip(self.classes, counts.tolist(), strict=True) if count == 0]
            if empty:
                remedy = "Give examples of it, or number and name only the classes that have some"
                raise must(
                    "labels", f"the train split of {self.name}", "of every class", Words(f"none of {empty}"), remedy
                )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{role} {len(split)}" for role, split in self.splits().items())
        shape = " x ".join(map(str, self.train.inputs.shape[1:]))
        return f"Dataset({self.name}: {sizes}; inputs {shape}; {len(self.classes)} classes; from {self.source})"

    @property
    def columns(self) -> Columns | None:
        """What the columns of a table hold, the same in every split; None for other data."""
        return self.train.columns

    def splits(self) -> dict[str, Split]:
        """The three splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the three splits."""
        return hashlib.sha256("".join(split.fingerprint() for split in self.splits().values()).encode()).hexdigest()
