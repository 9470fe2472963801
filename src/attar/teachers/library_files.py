"""The folder of a library of models, and what of it is whole.

``library.json`` says what the library was trained on; each model has a folder of its own with ``model.skops``,
``predictions.npy`` (``[n, classes]`` float32) and, written last, ``done.json`` with the SHA-256 of both. A model folder
whose files are not those that its ``done.json`` names does not count. Nothing is ever unpickled (see
`attar.teachers.estimator_file`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attar.errors import CorruptFile, must, shown
from attar.records import LARGEST_FILE, read_bytes, read_record

_log = logging.getLogger(__name__)

FORMAT = 1
ABOUT, MODEL, PREDICTIONS, DONE = "library.json", "model.skops", "predictions.npy", "done.json"


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of a library, as its ``done.json`` tells of it.

    Attributes:
        name: Its family and its parameters; also the name of its folder.
        family: A key of `FAMILIES`.
        parameters: Its settings.
        seconds: How long training took, in processor time: the same beside other work.
        size_bytes: The size of its file.
    """

    name: str
    family: str
    parameters: Mapping[str, Any]
    seconds: float
    size_bytes: int
    digests: Mapping[str, str]


def read_about(folder: Path) -> dict[str, Any] | None:
    """What ``library.json`` says; None where there is none.

    Raises:
        CorruptFile: If it is not as it was written.
    """
    path = folder / ABOUT
    if not os.path.lexists(path):
        return None
    try:
        about = read_record(path, "Delete the folder and build the library again.")
        fine = about["format"] == FORMAT and isinstance(about["classes"], list) and isinstance(about["rows"], int)
        fine = fine and isinstance(about["data"], str) and "seed" in about
    except (KeyError, TypeError) as error:
        raise CorruptFile(f"{str(path)!r} must be as it was written; got {error!r}. Delete the folder.") from error
    if not fine:
        raise CorruptFile(f"{str(path)!r} must be as it was written; got {shown(about)}. Delete the folder.")
    return dict(about)


def read_model(folder: Path, name: str, about: Mapping[str, Any]) -> Model | None:
    """A model that is there and intact, or None."""
    try:
        document = read_record(folder / name / DONE, "It is trained again.")
        valid = document["data"] == about["data"] and document["seed"] == about["seed"]
        valid = valid and model_name(document["family"], document["parameters"]) == name
        for file in (MODEL, PREDICTIONS):
            data = read_bytes(folder / name / file, "It is trained again.", largest=LARGEST_FILE)
            valid = valid and hashlib.sha256(data).hexdigest() == document["digests"][file]
        return model_of(name, document) if valid else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Whatever a killed or spoiled run left: it does not count, and is trained again.
        _log.debug("%s is not intact: %s", folder / name, error)
        return None


def model_of(name: str, document: Mapping[str, Any]) -> Model:
    """What ``done.json`` tells of a model."""
    return Model(
        name=name,
        family=str(document["family"]),
        parameters=dict(document["parameters"]),
        seconds=float(document["seconds"]),
        size_bytes=int(document["size_bytes"]),
        digests={file: str(document["digests"][file]) for file in (MODEL, PREDICTIONS)},
    )


def model_name(family: str, parameters: Mapping[str, Any]) -> str:
    """A model's name, which is also a folder's.

    Raises:
        BadInput: If a setting is none that can be in a name.
    """
    settings = [f"{key}={_spelled(value)}" for key, value in parameters.items()]
    name = ",".join([family, *settings])
    if not all(letter.isalnum() or letter in "_=,.+-" for letter in name):
        raise must("parameters", "build_library", "numbers, words or lists of numbers", name, "Use such values")
    return name


def _spelled(value: Any) -> str:
    return "-".join(map(_spelled, value)) if isinstance(value, list | tuple) else str(value)
