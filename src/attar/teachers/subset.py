"""A teacher that knows some of the classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from torch import Tensor

from attar.errors import must, near
from attar.teachers.teacher import Teacher, ask


class SubsetTeacher:
    """A teacher of some of the data's classes, by their names.

    Alone it cannot label data of all classes: its logits are of those that it knows. An `Ensemble` of teachers that
    together know all classes can.

    Attributes:
        teacher: The teacher itself.
        names: Names of all classes of the data, in the data's order.
        known: Numbers of the classes that it knows, in the order of its logits.
        classes: How many it knows.

    Example:
        >>> import torch
        >>> from attar.teachers.teacher import NetworkTeacher
        >>> pets = NetworkTeacher(torch.nn.Linear(4, 2), classes=2)
        >>> SubsetTeacher(pets, knows=["dog", "cat"], names=["cat", "cow", "dog"]).known
        (2, 0)
    """

    def __init__(self, teacher: Teacher, *, knows: Sequence[str], names: Sequence[str]) -> None:
        """Say what a teacher's logits are of.

        Args:
            teacher: The teacher.
            knows: Names of its classes, in the order of its logits.
            names: Names of all classes of the data, in the data's order.

        Raises:
            BadInput: If ``knows`` is not one of the data's names for each logit.
        """
        self.teacher, self.names = teacher, tuple(names)
        for name in knows:
            if name not in self.names:
                raise must("knows", "SubsetTeacher", "of the data's classes", name, near(str(name), self.names))
        if len(knows) != teacher.classes or len(set(knows)) < len(knows):
            rule = f"one name for each of the {teacher.classes} logits, none twice"
            raise must("knows", "SubsetTeacher", rule, list(knows), "Name the classes that the teacher was trained on")
        self.known = tuple(self.names.index(name) for name in knows)
        self.classes = teacher.classes

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits ``[batch, classes it knows]`` of ``[batch, ...]`` inputs."""
        return ask(self.teacher, inputs)

    def fingerprint(self) -> str:
        """SHA-256 over the teacher and the names."""
        content = ["subset", self.teacher.fingerprint(), self.known, self.names]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"SubsetTeacher({self.teacher!r}, {self.classes} of {len(self.names)} classes)"
