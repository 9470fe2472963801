"""What kind of data a data set holds, as far as networks are concerned: which families of them suit it."""

from __future__ import annotations

from typing import Literal

from attar.data.split import Dataset
from attar.errors import BadInput

DataKind = Literal["table", "vectors", "images", "tokens", "maps", "gaze"]
"""Rows of a table with columns; numbers in one axis or two; images that are told apart or have values; sequences of
tokens; images of which each pixel has a class; images and where people look at them."""

SMALLEST = 4
"""Pixels of a side from which on a map is an image to which convolutions are worth something."""

_COLORS = (1, 3, 4)
"""Channels that the last axis of images has where it is the channels."""


def kind_of(dataset: Dataset) -> DataKind:
    """The kind of a data set.

    Raises:
        BadInput: If no family of Attar's networks suits it.
    """
    shape, task = tuple(dataset.train.inputs.shape[1:]), dataset.task
    several = len(task.shape) > 1
    if dataset.tokens is not None:
        if several:
            raise _none(f"a class for each position of {dataset.tokens.length} tokens")
        return "tokens"
    if dataset.columns is not None:
        return "table"
    if dataset.named is not None:
        raise _none(f"several named inputs ({', '.join(dataset.named.names)})")
    is_image = len(shape) == 3 and min(shape[1:]) >= SMALLEST
    if len(shape) == 3 and shape[2] in _COLORS and shape[0] > max(_COLORS):
        raise _none(
            f"inputs of shape {list(shape)}, whose last axis looks like channels", ", or move the channels to the front"
        )
    if task.label_kind == "fixations":
        if not is_image:
            raise _none(f"gaze at inputs of shape {list(shape)}")
        return "gaze"
    if several:
        if not is_image or tuple(task.shape[1:]) != shape[1:]:
            raise _none(f"maps of shape {list(task.shape)} of inputs of shape {list(shape)}")
        return "maps"
    if len(shape) > 3:
        raise _none(f"inputs of shape {list(shape)}")
    return "images" if is_image else "vectors"


def _none(what: str, remedy: str = "") -> BadInput:
    return BadInput(
        f'There is no default student for {what}. Give student.network = {{ use = "package.module:function" }}{remedy}.'
    )
