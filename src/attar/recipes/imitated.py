"""What the students of a recipe imitate on, and what their controls learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.errors import CorruptFile, must
from attar.network.describe import resolve
from attar.recipes.stages import Context
from attar.recipes.tabular import Made, made_of
from attar.teachers.teacher import Teacher
from attar.transfer.part import joined, part_of
from attar.transfer.split import Split


@dataclass(frozen=True)
class Imitated:
    """The examples of students and controls.

    Attributes:
        transfer: What the students imitate on; None for the training examples, all of them and nothing else.
        labeled: What the controls learn from; None for the training examples.
        made: How rows were made; None if none were.
    """

    transfer: Split | None
    labeled: Split | None
    made: Made | None

    @property
    def examples(self) -> int | None:
        """How many examples a student sees in an epoch, where these are more than a control's."""
        return None if self.transfer is None or self.transfer is self.labeled else len(self.transfer)


def imitated_of(context: Context, teacher: Teacher) -> Imitated:
    """The transfer set that the recipe describes.

    Raises:
        BadInput: If a class that it names is not in the data, nothing is left, or its file of inputs is not fitting.
    """
    transfer = context.recipe.transfer
    made = made_of(context, teacher)
    if made is not None:
        return Imitated(made.split, None, made)
    labeled = None
    if transfer.partial:
        labeled = part_of(
            context.dataset.train,
            only=transfer.only,
            without=transfer.without,
            share=transfer.share,
            seed=context.recipe.seed,
        )
    if transfer.unlabeled is None:
        return Imitated(labeled, labeled, None)
    train = context.dataset.train
    return Imitated(joined(train if labeled is None else labeled, _inputs(transfer.unlabeled, train)), labeled, None)


def _inputs(source: str, train: Split) -> Tensor:
    """Inputs from a file or a function, in the form of the training examples."""
    found: Any
    if source.endswith(".npz"):
        if not Path(source).is_file():
            raise must("transfer.unlabeled", "the recipe", "an existing file", source, "Check the path")
        try:
            with np.load(source, allow_pickle=False) as arrays:
                found = arrays["x"]
        except (OSError, ValueError, KeyError) as error:
            raise CorruptFile(f"{source} must be an .npz file with an array x ({error}). Write it anew.") from error
    else:
        found = resolve(source)()
    inputs = torch.as_tensor(found)
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
