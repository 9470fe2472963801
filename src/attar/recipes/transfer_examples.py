"""The examples of a run: the transfer set of its students, and what its baselines learn from."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.data.datasets import Dataset
from attar.data.split import Split
from attar.data.subset import absent_classes, joined, subset_of
from attar.data.torch_datasets import is_torch_dataset, items_of
from attar.errors import BadInput, CorruptFile, must
from attar.network.references import call, names_function
from attar.pipeline.steps.correct import Correct
from attar.recipes.schema.recipe import Recipe


@dataclass(frozen=True)
class Synthetic:
    """Rows that the teacher is asked about, drawn like the training rows.

    Attributes:
        split: The synthetic rows, without labels, after the training rows where the recipe wants those, too.
        facts: How they were made, and what was tried to choose that, for the report.
    """

    split: Split
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class TransferExamples:
    """What students and baselines learn from.

    Attributes:
        transfer: The transfer set; None for the training examples, all of them and nothing else.
        labeled: What the baselines learn from; None for the training examples.
        synthetic: How rows of the transfer set were made; None if none were.
    """

    transfer: Split | None
    labeled: Split | None
    synthetic: Synthetic | None = None

    @property
    def count(self) -> int | None:
        """How many examples a student sees in an epoch, where these are more than a baseline's."""
        return None if self.transfer is None or self.transfer is self.labeled else len(self.transfer)


def without_synthesis(recipe: Recipe, dataset: Dataset) -> TransferExamples:
    """The part of the data that the recipe describes, with the inputs that it adds; no teacher is needed to know it.

    Raises:
        BadInput: If a class that it names is not in the data, nothing is left, its inputs are not fitting, or a step
            is for classes that the transfer set lacks and it has all of them.
    """
    section, train = recipe.transfer, dataset.train
    transfer = labeled = _subset(recipe, train) if section.partial else None
    if section.labeled_share < 1:
        rows = train if transfer is None else transfer
        labeled = subset_of(rows, share=section.labeled_share, seed=recipe.seed)
        transfer = _with_labels_of(rows, labeled)
    if section.unlabeled is not None:
        transfer = joined(train if transfer is None else transfer, _inputs(section.unlabeled, train))
    found = TransferExamples(transfer, labeled)
    open_ones = [step for step in recipe.steps if isinstance(step, Correct) and step.classes is None]
    if open_ones and not absent_of(found):
        raise BadInput(
            "The step correct of the recipe is for classes that the transfer set lacks, and it has examples of all. "
            "Leave the step out, or set transfer.without."
        )
    return found


def absent_of(examples: TransferExamples) -> list[int]:
    """Numbers of the classes of which the transfer set lacks a labeled example."""
    return [] if examples.transfer is None else absent_classes(examples.transfer)


def _subset(recipe: Recipe, train: Split) -> Split:
    """Some of the training examples."""
    section = recipe.transfer
    try:
        return subset_of(train, only=section.only, without=section.without, share=section.share, seed=recipe.seed)
    except BadInput as error:
        keys = {"only": section.only, "without": section.without, "share": section.share if section.share < 1 else None}
        named = " and ".join(f"transfer.{key}" for key, value in keys.items() if value is not None)
        raise type(error)(f"{named} of the recipe: {error}") from error


def _with_labels_of(split: Split, labeled: Split) -> Split:
    """All examples of a split, of which those that are in the other one alone have their labels."""
    assert split.labels is not None, "training examples have labels, or the mark that there is none"
    there = torch.isin(split.ids, labeled.ids).reshape(-1, *[1] * (split.labels.dim() - 1))
    return replace(split, labels=torch.where(there, split.labels, split.task.unknown_labels(len(split))))


_ROWS = "Rows of a table go into the table itself, with an empty cell in the column of the target"


def _inputs(source: str, train: Split) -> Tensor:
    """Inputs from a file or a function, in the form of the training examples."""
    found: Any
    if source.endswith(".npz"):
        if not Path(source).is_file():
            raise must("transfer.unlabeled", "the recipe", "an existing file", source, "Check the path")
        try:
            with Path(source).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = arrays["x"]
        # A file of one array is no context manager (TypeError), an empty one ends too early (EOFError).
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CorruptFile(
                f"transfer.unlabeled of the recipe: {source} must be an .npz file with an array x ({error}). "
                "Write it anew."
            ) from error
    else:
        if not names_function(source):
            raise must("transfer.unlabeled", "the recipe", "an .npz file, or package.module:function", source, _ROWS)
        found = call(source)
        if is_torch_dataset(found):
            found, _ = items_of(found, f"the items of {source}")
    try:
        inputs = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError) as error:
        got = f"{type(found).__name__} of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
        rule = "an array of numbers, or a function that returns one"
        raise must(
            "transfer.unlabeled", "the recipe", rule, got, f"Bring the inputs into that form. {_ROWS}"
        ) from error
    shape = tuple(train.inputs.shape[1:])
    if inputs.dim() == len(shape) and shape[:1] == (1,) and tuple(inputs.shape[1:]) == shape[1:]:
        inputs = inputs[:, None]
    if tuple(inputs.shape[1:]) != shape or inputs.dtype != train.inputs.dtype:
        rule = (
            f"[n, {', '.join(map(str, shape))}] {str(train.inputs.dtype).removeprefix('torch.')}, as the training data"
        )
        got = f"{tuple(inputs.shape)} {str(inputs.dtype).removeprefix('torch.')}"
        raise must("transfer.unlabeled", "the recipe", rule, got, "Bring the inputs into that form")
    if len(inputs) == 0:
        raise must("transfer.unlabeled", "the recipe", "one input or more", 0, "Leave it out")
    return inputs
