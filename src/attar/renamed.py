"""What functions, settings and attributes were called before they had their names, and what to write now.

While the first number of the version is 0 names may change: whoever wrote for an earlier one is told the name of today.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from attar.errors import BadInput, near

ARGUMENTS = {
    "SquaredError": {"of": "kind=..."},
    "Training": {"keep": "checkpoint=..."},
    "compress": {"lenders": "reuse_from=[...]"},
    "deploy": {
        "classes": "task=data.task, or task=attar.Classification(classes)",
        "output": "task=data.task, or another task: it knows what the outputs mean",
    },
    "fit": {"checkpoint": "checkpoint_file=...", "controls": "callbacks=[...]", "guide": "feature_teacher=..."},
    "label": {"codes": "dtype=...", "rows_per_part": "rows_per_shard=..."},
    "merge": {"codes": "dtype=...", "rows_per_part": "rows_per_shard=..."},
}
"""Former arguments of each function or class, and what stands in their place now."""

FUNCTIONS = {
    "allocated": "allocate_bits",
    "encoded": "encode",
    "only_tables_learn_": "train_codebooks_only_",
    "share_points_": "share_codebook_",
    "unquantized": "dequantize",
}
"""Former public names, and those of today."""


def unknown_argument(of: str, name: str, known: Iterable[str]) -> BadInput:
    """The error for a keyword argument that a function or the constructor of a class does not have.

    Args:
        of: Name of the function or class.
        name: What was given.
        known: The arguments that there are.

    Example:
        >>> print(unknown_argument("fit", "controls", ["callbacks"]))
        fit has no 'controls' any more. Write callbacks=[...] in its place.
        >>> print(unknown_argument("fit", "calbacks", ["callbacks"]))
        fit has no 'calbacks'. Did you mean 'callbacks'?
    """
    if now := ARGUMENTS.get(of, {}).get(name):
        return BadInput(f"{of} has no {name!r} any more. Write {now} in its place.")
    close = near(name, known)
    return BadInput(f"{of} has no {name!r}. {close}{'' if close.endswith('?') else '.'}")


class Renamed:
    """An attribute of a class that has another name now; whoever asks for it is told which.

    Example:
        >>> class Box:
        ...     contents = Renamed("content")
        >>> Box().contents
        Traceback (most recent call last):
        AttributeError: Box has no 'contents' any more. Write content in its place.
    """

    def __init__(self, now: str) -> None:
        """Say what to write.

        Args:
            now: What stands in its place.
        """
        self.now = now

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no {self.name!r} any more. Write {self.now} in its place.")
