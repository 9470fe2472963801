"""What the students of a recipe imitate on, and what their baselines learn from."""

from __future__ import annotations

from dataclasses import dataclass

from attar.recipes.part import taken
from attar.recipes.stages import Context
from attar.recipes.tabular import Made, made_of
from attar.teachers.teacher import Teacher
from attar.transfer.split import Split


@dataclass(frozen=True)
class Imitated:
    """The examples of students and baselines.

    Attributes:
        transfer: What the students imitate on; None for the training examples, all of them and nothing else.
        labeled: What the baselines learn from; None for the training examples.
        made: How rows were made; None if none were.
    """

    transfer: Split | None
    labeled: Split | None
    made: Made | None

    @property
    def examples(self) -> int | None:
        """How many examples a student sees in an epoch, where these are more than a baseline's."""
        return None if self.transfer is None or self.transfer is self.labeled else len(self.transfer)


def imitated_of(context: Context, teacher: Teacher) -> Imitated:
    """The transfer set that the recipe describes.

    Raises:
        BadInput: If a class that it names is not in the data, nothing is left, or its file of inputs is not fitting.
    """
    made = made_of(context, teacher)
    if made is not None:
        return Imitated(made.split, None, made)
    part = taken(context.recipe, context.dataset)
    return Imitated(part.transfer, part.labeled, None)
