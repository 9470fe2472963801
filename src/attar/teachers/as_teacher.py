"""Whatever a user has at hand, made a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from attar.errors import must
from attar.teachers.ensemble import Ensemble
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.teacher import NetworkTeacher, Teacher


def as_teacher(
    given: object,
    *,
    classes: int | None = None,
    example: Tensor | None = None,
    mean: Tensor | Sequence[float] | float | int | None = None,
    std: Tensor | Sequence[float] | float | int | None = None,
    device: str | torch.device = "cpu",
) -> Teacher:
    """A teacher from a network, an ONNX file, a list of teachers, or something that is a teacher already.

    Args:
        given: A `torch.nn.Module`, the path of an ``.onnx`` file, a list or tuple of any of these (averaged with
            `Ensemble`), or anything with ``classes``, ``predict`` and ``fingerprint``, which comes back as it is.
        classes: How many classes it has, where that cannot be read off it.
        example: ``[n, ...]`` inputs to count the classes of a network with.
        mean: Per-channel mean for networks that want standardized inputs; goes with ``std``.
        std: Per-channel deviation.
        device: Where networks compute.

    Raises:
        BadInput: If nothing can be made of ``given``.
    """
    if isinstance(given, Teacher):
        return given
    if isinstance(given, nn.Module):
        return NetworkTeacher(given, classes=classes, example=example, mean=mean, std=std, device=device)
    if isinstance(given, str | Path) and Path(given).suffix.lower() == ".onnx":
        return OnnxTeacher(given, classes=classes)
    if isinstance(given, list | tuple):
        alike = [as_teacher(one, classes=classes, example=example, mean=mean, std=std, device=device) for one in given]
        return Ensemble(alike)
    rule = "a module, the path of an .onnx file, a list of these, or an object with classes, predict and fingerprint"
    raise must("teacher", "as_teacher", rule, given, "Wrap it in a class with these three")
