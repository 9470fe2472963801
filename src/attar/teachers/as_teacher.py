"""Whatever a user has at hand, made a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from attar.errors import must
from attar.tables.columns import Columns
from attar.teachers.ensemble import Ensemble
from attar.teachers.estimator import EstimatorTeacher, RegressorTeacher
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.resized import ResizedTeacher, resizing
from attar.teachers.subset import SubsetTeacher
from attar.teachers.teacher import NetworkTeacher, Teacher


def as_teacher(
    given: object,
    *,
    classes: int | Sequence[object] | None = None,
    example: Tensor | None = None,
    columns: Columns | None = None,
    mean: Tensor | Sequence[float] | float | int | None = None,
    std: Tensor | Sequence[float] | float | int | None = None,
    device: str | torch.device = "cpu",
    size: int | tuple[int, int] | Callable[[Tensor], Tensor] | None = None,
    knows: Sequence[str] | None = None,
) -> Teacher:
    """A teacher from a network, an ONNX file, an estimator, a list of teachers, or something that is one already.

    Args:
        given: A `torch.nn.Module`, the path of an ``.onnx`` file, a fitted estimator as scikit-learn has them
            (`EstimatorTeacher`, or `RegressorTeacher` for a regressor), a list or tuple of any of these (averaged with
            `Ensemble`), or anything with ``classes``, ``predict`` and ``fingerprint``, which comes back as it is.
        classes: How many classes it has, where that cannot be read off it, or the names of the data's classes in the
            data's order, into which an estimator's are brought.
        example: ``[n, ...]`` inputs to count the classes of a network with.
        columns: What the columns of the inputs of an estimator are; None where they are plain numbers.
        mean: Per-channel mean for networks that want standardized inputs; goes with ``std``.
        std: Per-channel deviation.
        device: Where networks compute.
        size: Height and width that it wants of images, or a function that changes the inputs (`ResizedTeacher`); None
            where it takes them as they are.
        knows: Names of the classes that it knows, in the order of its logits, where these are not all of ``classes``,
            which must be the names of all then (`SubsetTeacher`).

    Raises:
        BadInput: If nothing can be made of ``given``.
    """
    if knows is not None:
        if classes is None or isinstance(classes, int):
            remedy = "Pass classes=dataset.classes"
            raise must("classes", "as_teacher", "the names of all classes where knows is given", classes, remedy)
        inner = list(knows) if callable(getattr(given, "predict_proba", None)) else len(knows)
        part = as_teacher(
            given, classes=inner, example=example, columns=columns, mean=mean, std=std, device=device, size=size
        )
        return SubsetTeacher(part, knows=knows, names=[str(name) for name in classes])
    if size is not None:
        # An example of the data's size is none of the teacher's.
        seen = None if example is None else resizing(size)(example)
        whole = as_teacher(given, classes=classes, example=seen, columns=columns, mean=mean, std=std, device=device)
        return ResizedTeacher(whole, size)
    if isinstance(given, Teacher):
        return given
    count = classes if classes is None or isinstance(classes, int) else len(classes)
    if isinstance(given, nn.Module):
        return NetworkTeacher(given, classes=count, example=example, mean=mean, std=std, device=device)
    if isinstance(given, str | Path) and Path(given).suffix.lower() == ".onnx":
        return OnnxTeacher(given, classes=count)
    if isinstance(given, list | tuple):
        alike = [
            as_teacher(one, classes=classes, example=example, columns=columns, mean=mean, std=std, device=device)
            for one in given
        ]
        return Ensemble(alike)
    # By what they do: an estimator need not be of scikit-learn itself.
    methods = {
        name for name in ("predict_proba", "decision_function", "predict") if callable(getattr(given, name, None))
    }
    if methods and not isinstance(given, type):
        if methods == {"predict"} and getattr(given, "classes_", None) is None:
            return RegressorTeacher(given, columns=columns, outputs=1 if count is None else count)
        return EstimatorTeacher(given, columns=columns, classes=classes)
    rule = (
        "a module, the path of an .onnx file, a fitted estimator, a list of these, or an object with classes, predict "
        "and fingerprint"
    )
    raise must("teacher", "as_teacher", rule, given, "Wrap it in a class with these three")
