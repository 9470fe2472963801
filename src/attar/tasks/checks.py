"""What tasks of named things ask of names, labels and outputs alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.errors import Words, must
from attar.tasks.labels import ABSENT
from attar.tasks.metrics.metric import AT_ONCE, Floats

_SHOWN = 10
"""Names of classes in a message, at most."""


def check_names(names: Sequence[str], key: str, of: str, each: str) -> None:
    """See that there is a name at least, and none twice.

    Args:
        names: Of classes, labels or values.
        key: Where they stand.
        of: Which task has them, such as ``a regression``.
        each: What one of them is the name of.

    Raises:
        BadInput: If not.
    """
    if not names or len(set(names)) < len(names):
        raise must(key, of, "different names, at least one", list(names), f"Name each {each} once")


def check_integers(labels: Tensor, of: str) -> None:
    """See that labels are int64.

    Raises:
        BadInput: If not.
    """
    if labels.dtype != torch.int64:
        raise must("labels", of, "int64", labels.dtype, "Convert them with .long()")


def check_class_numbers(labels: Tensor, count: int, of: str, unknown: str) -> None:
    """See that labels are numbers of classes, or `ABSENT`.

    Args:
        labels: int64 of any shape.
        count: How many classes there are.
        of: Whose labels they are.
        unknown: What -1 says: ``where unknown``.

    Raises:
        BadInput: If one is of no class.
    """
    if not labels.numel():
        return
    least, most = (int(value) for value in labels.aminmax())
    if not ABSENT <= least <= most < count:
        rule = f"from 0 to {count - 1} (there are {count} classes), or -1 {unknown}"
        remedy = "Number the classes from 0, or name all of them in classes"
        raise must("labels", of, rule, Words(f"{least} .. {most}"), remedy)


def check_every_class(labels: Tensor, classes: Sequence[str], of: str, remedy: str) -> None:
    """See that there are two classes at least, and that each has a label where there are any.

    Args:
        labels: Numbers of classes or `ABSENT`, of any shape.
        classes: Their names.
        of: Which data set they are of.
        remedy: What to do where a class has none.

    Raises:
        BadInput: If not.
    """
    if len(classes) < 2:
        raise must("classes", of, "two or more different names", tuple(classes), "Name each class once")
    counts = torch.bincount(labels[labels != ABSENT], minlength=len(classes)).tolist()
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if any(counts) and empty:
        some = ", ".join(map(repr, empty[:_SHOWN])) + (
            f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
        )
        raise must("labels", f"the train split of {of}", "of every class", Words(f"none of {some}"), remedy)


def is_size(given: Any) -> bool:
    """Whether it is a height and a width, whole numbers from 1 on."""
    return isinstance(given, tuple) and len(given) == 2 and all(type(one) is int and one >= 1 for one in given)


def check_shapes(
    outputs: Floats, labels: NDArray[Any], shape: tuple[int, ...], label_shape: tuple[int, ...], what: str = "logits"
) -> None:
    """See that there are an output and a label of the right shapes for each example.

    Args:
        outputs: ``[n, *shape]``.
        labels: ``[n, *label_shape]``.
        shape: Of one output.
        label_shape: Of one label; empty for a number.
        what: What outputs are called.

    Raises:
        BadInput: If not.
    """
    if outputs.shape[1:] != shape or labels.shape != (len(outputs), *label_shape):
        rule = " and ".join(f"[{', '.join(map(str, ('n', *one)))}]" for one in (shape, label_shape))
        remedy = "Give the model as many outputs, and judge the split that was run"
        raise must(f"{what} and labels", "quality", rule, (outputs.shape, labels.shape), remedy)


def check_comparable(outputs_a: Floats, outputs_b: Floats, axes: Sequence[str]) -> None:
    """See that the outputs of two models have one shape, of so many axes, and that there are some.

    Args:
        outputs_a: Of one model.
        outputs_b: Of the other one.
        axes: What the axes are called.

    Raises:
        BadInput: If not.
    """
    if outputs_a.ndim != len(axes) or outputs_a.shape != outputs_b.shape or not outputs_a.size:
        rule = f"two [{', '.join(axes)}] arrays of one shape"
        raise must("logits", "agreement", rule, (outputs_a.shape, outputs_b.shape), "Run both on the same split")


def check_judged(outputs: Floats, known: NDArray[np.bool_], what: str) -> None:
    """See that something is known of an example at least, and that outputs are finite where it is.

    Args:
        outputs: ``[n, ...]``.
        known: ``[n]``, of which examples something is known.
        what: What outputs are called.

    Raises:
        BadInput: If not.
    """
    if not known.any():
        raise must("labels", "quality", "known for at least one example", Words("none"), "Give a split with labels")
    step = max(1, AT_ONCE // max(1, math.prod(outputs.shape[1:])))
    for start in range(0, len(outputs), step):
        some: NDArray[Any] = np.isfinite(outputs[start : start + step]).reshape(len(outputs[start : start + step]), -1)
        wrong = np.flatnonzero(known[start : start + step] & ~some.all(axis=1))
        if len(wrong):
            bad = start + int(wrong[0])
            count = int((~some[wrong[0]]).sum())
            got = f"row {bad}: {outputs[bad]}" if outputs.ndim == 2 else f"row {bad} with {count} numbers that are not"
            raise must(what, "quality", "finite", Words(got), "The model overflows on this example")
