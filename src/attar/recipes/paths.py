"""Files that a recipe names, looked for before PyTorch is loaded: what is mistyped is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attar.data.limits import existing, is_file, is_folder, printable
from attar.data.named import NAMED, unknown
from attar.errors import BadInput
from attar.network.references import names_function
from attar.recipes.files import unusable

ROWS = (".npz", ".csv", ".tsv", ".parquet", ".arrow", ".feather")
"""Endings of files with examples."""

_MODELS = (".onnx", ".skops", ".txt", ".json", ".ubj", ".cbm", ".safetensors")
"""Endings of files with a model."""

_CONFIG = "config.json"
"""What the folder of a model of transformers holds."""

_KEYS = {
    "data": ("use", "validation", "test"),
    "teacher": ("onnx", "weights", "estimator", "transformers"),
    "transfer": ("unlabeled",),
}
"""What names a file, by its table."""


def check_paths(document: Mapping[str, Any], beside: Path | None = None) -> None:
    """See that no file is missing that a recipe names: paths are relative to the working folder.

    What can be no path, or is a name or a function, is left to whoever reads it.

    Args:
        document: The recipe as plain values, which need not be right.
        beside: The folder of its file; None where there is none.

    Raises:
        BadInput: Naming the key, and where the file is, or a name that is like it.
    """
    for table, keys in _KEYS.items():
        section = document.get(table)
        if not isinstance(section, Mapping):
            continue
        for key in keys:
            given = section.get(key)
            for text in given if isinstance(given, list | tuple) else [given]:
                if isinstance(text, str) and unusable(text) is None:
                    _check(text, f"{table}.{key}", beside)


def _check(text: str, key: str, beside: Path | None) -> None:
    inside = f"{text}/{_CONFIG}" if key == "teacher.transformers" else text
    if _is_there(Path(inside)):
        return
    if beside is not None and _is_there(beside / inside):
        kind = "folder" if is_folder(beside / text) else "file"
        raise BadInput(
            f"{key} of the recipe: there is no {kind} {printable(text)!r} in the working folder, and one beside the "
            "recipe. Paths are relative to the working folder: run attar in "
            f"{printable(beside)!r}, or write the path from here."
        )
    if names_function(text):
        return
    if Path(text).suffix.lower() in ROWS + _MODELS:
        existing(text, key)
    if key == "data.use" and not Path(text).suffix and text not in NAMED:
        raise unknown(text)


def _is_there(path: Path) -> bool:
    return is_file(path) or is_folder(path)
