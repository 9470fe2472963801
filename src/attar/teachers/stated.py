"""A teacher of the user's own, of which it is stated what it gives."""

from __future__ import annotations

import hashlib
import json

from jaxtyping import Float32
from torch import Tensor

from attar.tasks.target import Target
from attar.teachers.output_reader import OutputReader
from attar.teachers.outputs import Output, rows_of
from attar.teachers.teacher import Teacher, ask


class StatedTeacher:
    """A teacher whose predictions are what is stated of them, made logits where they are none.

    Attributes:
        teacher: The teacher itself.
        output_reader: How its outputs are read as logits.
        classes: How many classes it tells apart.
    """

    def __init__(self, teacher: Teacher, output: Output) -> None:
        """State what a teacher gives.

        Args:
            teacher: The teacher.
            output: What its ``predict`` gives.

        Raises:
            BadInput: If ``output`` is nothing that a teacher may give.
        """
        self.teacher, self.classes = teacher, teacher.classes
        self.output_reader = OutputReader(output, None, repr(teacher), None)

    @property
    def target(self) -> Target:
        """What `predict` gives."""
        return self.output_reader.target

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes *size"]:
        """Logits of ``[batch, ...]`` inputs.

        Raises:
            BadInput: If the teacher gives anything but a row for each of the inputs.
        """
        return self.output_reader.logits(self._numbers(inputs), self.classes, inputs, self._numbers)

    def _numbers(self, inputs: Tensor) -> Tensor:
        return rows_of(
            ask(self.teacher, inputs).float(), batch=len(inputs), classes=self.classes, of=repr(self.teacher)
        )

    def fingerprint(self) -> str:
        """SHA-256 over the teacher and what is stated."""
        stated = ["stated", self.output_reader.output, self.teacher.fingerprint()]
        return hashlib.sha256(json.dumps(stated).encode()).hexdigest()

    def __repr__(self) -> str:
        return repr(self.teacher)
