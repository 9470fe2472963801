"""What of the data students imitate on and baselines learn from, as far as no teacher is needed to know it."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.errors import BadInput, CorruptFile, must
from attar.network.references import call
from attar.recipes.schema.recipe import Recipe
from attar.training.batch import ABSENT
from attar.transfer.datasets import Dataset
from attar.transfer.part import absent_classes, joined, part_of
from attar.transfer.split import Split


@dataclass(frozen=True)
class Part:
    """Examples that the recipe takes from the data, and adds to them.

    Attributes:
        transfer: What the students imitate on; None for the training examples, all of them and nothing else.
        labeled: What the baselines learn from; None for the training examples.
    """

    transfer: Split | None
    labeled: Split | None


def taken(recipe: Recipe, dataset: Dataset) -> Part:
    """The part of the data that the recipe describes, with the inputs that it adds; rows of a synthesis are not in it.

    Raises:
        BadInput: If a class that it names is not in the data, nothing is left, its inputs are not fitting, or it wants
            absent classes shifted and none is absent.
    """
    section, train = recipe.transfer, dataset.train
    transfer = labeled = _part(recipe, train) if section.partial else None
    if section.labeled_share < 1:
        imitated = train if transfer is None else transfer
        labeled = part_of(imitated, share=section.labeled_share, seed=recipe.seed)
        transfer = _with_labels_of(imitated, labeled)
    if section.unlabeled is not None:
        transfer = joined(train if transfer is None else transfer, _inputs(section.unlabeled, train))
    found = Part(transfer, labeled)
    if recipe.student.shift_absent and not absent_of(found):
        rule = "false where the transfer set has every class"
        raise must("student.shift_absent", "the recipe", rule, True, "Leave it out, or set transfer.without")
    return found


def absent_of(part: Part) -> list[int]:
    """Numbers of the classes of which the transfer set lacks a labeled example."""
    return [] if part.transfer is None else absent_classes(part.transfer)


def _part(recipe: Recipe, train: Split) -> Split:
    """Some of the training examples."""
    section = recipe.transfer
    try:
        return part_of(train, only=section.only, without=section.without, share=section.share, seed=recipe.seed)
    except BadInput as error:
        keys = {"only": section.only, "without": section.without, "share": section.share if section.share < 1 else None}
        named = " and ".join(f"transfer.{key}" for key, value in keys.items() if value is not None)
        raise type(error)(f"{named} of the recipe: {error}") from error


def _with_labels_of(split: Split, labeled: Split) -> Split:
    """All examples of a split, of which those that are in the other one alone have their labels."""
    assert split.labels is not None, "training examples have labels, or the mark that there is none"
    return replace(split, labels=torch.where(torch.isin(split.ids, labeled.ids), split.labels, ABSENT))


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
        found = call(source)
    try:
        inputs = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError) as error:
        got = f"{type(found).__name__} of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
        rule = "an array of numbers, or a function that returns one"
        raise must("transfer.unlabeled", "the recipe", rule, got, "Bring the inputs into that form") from error
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
