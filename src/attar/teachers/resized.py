"""A teacher that wants inputs of another size than the data have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from attar.errors import must
from attar.tasks.target import Target
from attar.teachers.digest import digest
from attar.teachers.teacher import Teacher, ask, target_of


class Resize(nn.Module):
    """Images ``[batch, channels, height, width]`` to another height and width, bilinear and without aliasing.

    Attributes:
        size: Height and width that come out.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """Resize to a size.

        Args:
            size: Height and width in pixels.

        Raises:
            BadInput: If one is not positive.
        """
        super().__init__()
        if min(size) < 1:
            raise must("size", "Resize", "two positive numbers of pixels", size, "Give height and width")
        self.size = (int(size[0]), int(size[1]))

    def forward(self, images: Tensor) -> Tensor:
        """The resized images; those that have the size are left as they are.

        Raises:
            BadInput: If these are no images.
        """
        if images.dim() != 4:
            rule = "images [batch, channels, height, width]"
            raise must("inputs", "Resize", rule, list(images.shape), "Give a function instead of a size")
        if tuple(images.shape[2:]) == self.size:
            return images
        return functional.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=True)


def resizing(size: int | tuple[int, int] | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What changes inputs to a size: a `Resize`, or the function that was given instead."""
    if isinstance(size, int | tuple):
        return Resize((size, size) if isinstance(size, int) else size)
    return size


class ResizedTeacher:
    """A teacher behind a change of its inputs.

    Attributes:
        teacher: The teacher itself, which sees the changed inputs.
        change: What changes them: a `Resize`, another module with a ``key`` of all that it depends on, or a function of
            the user's.
        classes: How many classes it tells apart.

    Example:
        >>> import torch
        >>> from attar.teachers.teacher import NetworkTeacher
        >>> wide = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        >>> ResizedTeacher(NetworkTeacher(wide, classes=3), (8, 8)).predict(torch.zeros(2, 1, 5, 7)).shape
        torch.Size([2, 3])
    """

    def __init__(self, teacher: Teacher, size: int | tuple[int, int] | Callable[[Tensor], Tensor]) -> None:
        """Put a change of the inputs before a teacher.

        Args:
            teacher: The teacher.
            size: Height and width that it wants, one number for both; or a function of ``[batch, ...]`` inputs, which
                must depend on nothing else.

        Raises:
            BadInput: If a size is not positive.
        """
        self.teacher = teacher
        self.classes = teacher.classes
        self.change = resizing(size)

    @property
    def module(self) -> nn.Module | None:
        """The whole as one module; None where the teacher is none, or the change is a function."""
        inner = getattr(self.teacher, "module", None)
        if not isinstance(inner, nn.Module) or not isinstance(self.change, nn.Module):
            return None
        return nn.Sequential(self.change, inner).eval()

    @property
    def target(self) -> Target:
        """What `predict` gives."""
        return target_of(self.teacher)

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits ``[batch, classes]`` of ``[batch, ...]`` inputs.

        Raises:
            BadInput: If the inputs are no images and the change is a `Resize`, or it loses rows.
        """
        changed = self.change(inputs.clone())
        if not isinstance(changed, Tensor) or len(changed) != len(inputs):
            got = list(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise must(
                "size", repr(self), f"a function that gives a tensor of {len(inputs)} rows", got, "Keep all rows"
            )
        return ask(self.teacher, changed)

    def fingerprint(self) -> str:
        """SHA-256 over the teacher and the change: the size, or all that the function holds."""
        if isinstance(self.change, Resize):
            change = json.dumps(["bilinear", self.change.size])
        elif callable(key := getattr(self.change, "key", None)):
            change = str(key())
        else:
            change = digest(self.change)
        return hashlib.sha256(json.dumps(["resized", change, self.teacher.fingerprint()]).encode()).hexdigest()

    def __repr__(self) -> str:
        to = f"{self.change.size[0]} x {self.change.size[1]}" if isinstance(self.change, Resize) else "changed inputs"
        return f"ResizedTeacher({self.teacher!r}, {to})"
