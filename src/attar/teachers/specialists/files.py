"""A specialist on disk: weights as safetensors, the rest as JSON; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from attar.errors import CorruptFile, must
from attar.network.weights import load_weights, save_weights
from attar.records import LARGEST_FILE, read_bytes, read_record, to_text
from attar.teachers.specialists.head import with_head
from attar.teachers.specialists.specialist import Specialist
from attar.teachers.teacher import NetworkTeacher
from attar.workspace import write_file

_WEIGHTS, _ABOUT = "weights.safetensors", "specialist.json"


def place_of(folder: Path, index: int) -> Path:
    """The folder of one of several specialists."""
    return folder / f"specialist-{index:03d}"


def write_specialist(place: Path, network: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a specialist; its JSON file comes last, so that a crash leaves a whole one or none.

    Args:
        place: Its folder.
        network: Its network.
        about: The fields of `Specialist` other than its teacher, and what tells it from others.
    """
    save_weights(network, place / _WEIGHTS)
    write_json(place / _ABOUT, {**about, "sha256": _sha256(place / _WEIGHTS)})


def is_written(place: Path, identity: Mapping[str, Any]) -> bool:
    """Whether a folder holds that specialist, whole.

    Args:
        place: Its folder.
        identity: What it must say of itself.
    """
    try:
        about = read_json(place / _ABOUT)
    except (CorruptFile, FileNotFoundError):
        return False
    weights = place / _WEIGHTS
    intact = weights.is_file() and _sha256(weights) == about.get("sha256")
    return intact and all(about.get(key) == value for key, value in identity.items())


def read_specialist(place: Path, network: nn.Module, device: str = "cpu") -> Specialist:
    """Read what `write_specialist` wrote.

    Args:
        place: Its folder.
        network: The generalist's, from which its own differs in the last layer; left as it is.
        device: Where it is to compute.

    Raises:
        CorruptFile: If a file was truncated or altered.
        BadInput: If the network is another.
    """
    remedy = "Delete the folder and train this specialist again."
    try:
        about = read_json(place / _ABOUT)
        weights = place / _WEIGHTS
        if _sha256(weights) != about["sha256"]:
            raise CorruptFile(f"{weights} is not the file that was written. {remedy}")
        classes = tuple(int(number) for number in about["classes"])
        own = load_weights(with_head(network, str(about["head"]), len(classes) + 1), weights)
        return Specialist(
            classes=classes,
            teacher=NetworkTeacher(own, classes=len(classes) + 1, device=device),
            share=float(about["share"]),
            special_fraction=float(about["special_fraction"]),
            head=str(about["head"]),
            score=None if about["score"] is None else float(about["score"]),
            history=tuple(about["history"]),
        )
    except (KeyError, TypeError, FileNotFoundError) as error:
        raise CorruptFile(f"{place} is not a complete specialist ({error!r}). {remedy}") from error


def described(specialist: Specialist) -> dict[str, Any]:
    """The fields of a specialist other than its teacher, as plain values."""
    return {
        "classes": list(specialist.classes),
        "share": specialist.share,
        "special_fraction": specialist.special_fraction,
        "head": specialist.head,
        "score": specialist.score,
        "history": list(specialist.history),
    }


def network_of(specialist: Specialist) -> nn.Module:
    """The network of a specialist that can be saved.

    Raises:
        BadInput: If it is none.
    """
    if not isinstance(specialist.teacher, NetworkTeacher):
        rule = "networks, where specialists are saved"
        raise must("specialists", "Specialists", rule, specialist.teacher, "Keep the others in files of their own")
    return specialist.teacher.module


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document so that a crash leaves the old file or the new one."""
    write_file(path, to_text(document))


def read_json(path: Path) -> dict[str, Any]:
    """Read a document.

    Raises:
        CorruptFile: If it is none, or not what was written.
    """
    return read_record(path, "Delete its folder.", finite=False)


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_bytes(path, "Delete its folder.", largest=LARGEST_FILE)).hexdigest()
