"""The teacher that ensemble selection gives: many estimators and their weights."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from attar.errors import CorruptFile, must
from attar.records import LARGEST_FILE, read_bytes, read_record, to_text
from attar.tables.columns import Columns
from attar.teachers.digest import digest
from attar.teachers.estimator import EstimatorTeacher, logs
from attar.teachers.estimator_file import from_bytes, to_bytes
from attar.workspace import new_folder, write_file

_ABOUT = "ensemble.json"
_AT_ONCE = 8192
"""How many rows the members see at once: nearest neighbors hold a number for each of them and each training row."""
_WORTH_A_THREAD = 64
"""Fewer rows than this take less time than a thread takes to wake."""


class SelectedEnsemble:
    """The weighted mean of some estimators' probabilities, as a teacher.

    Unlike `Ensemble`, it averages probabilities as they come, without their logs, never holds what more than a few
    members say, and has a file format.

    Attributes:
        members: The estimators.
        weights: One positive number per member, 1 in sum.
        names: What the members are called.
        classes: How many classes all of them tell apart.
        threads: How many members predict at the same time.
    """

    def __init__(
        self,
        members: Sequence[EstimatorTeacher],
        weights: Sequence[float | int],
        *,
        names: Sequence[str] | None = None,
        threads: int = 1,
    ) -> None:
        """Average some estimators.

        Args:
            members: One or more, of the same classes.
            weights: One positive number per member, on any scale.
            names: What they are called; None calls them "model 0" and so on.
            threads: How many of them predict at the same time; worth it where they take long.

        Raises:
            BadInput: If a parameter breaks its rule, or the members' classes differ.
        """
        self.members = tuple(members)
        if not self.members:
            raise must("members", "SelectedEnsemble", "one estimator or more", [], "Give the estimators to average")
        if len({member.names for member in self.members}) > 1:
            seen = sorted({str(member.names) for member in self.members})
            raise must("members", "SelectedEnsemble", "of the same classes", seen, "Give classes= to all of them")
        fine = len(weights) == len(self.members) and all(math.isfinite(each) and each > 0 for each in weights)
        if not fine:
            rule, remedy = f"{len(self.members)} positive numbers", "Leave a member out rather than give it weight 0"
            raise must("weights", "SelectedEnsemble", rule, list(weights), remedy)
        total = math.fsum(weights)
        self.weights = tuple(float(weight) / total for weight in weights)
        self.names = tuple(f"model {position}" for position in range(len(members))) if names is None else tuple(names)
        if len(set(self.names)) != len(self.members):
            rule = f"{len(self.members)} different ones"
            raise must("names", "SelectedEnsemble", rule, list(self.names), "Give one name for each member")
        if threads < 1:
            raise must("threads", "SelectedEnsemble", "at least 1", threads, "Use 1 for timings")
        self.threads = threads
        self.classes = self.members[0].classes

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes"]:
        """Logs of the mean probabilities of ``[batch, columns]`` inputs, on the device of the inputs.

        Raises:
            BadInput: As `EstimatorTeacher.predict`.
        """
        if not len(inputs):
            return torch.empty(0, self.classes, device=inputs.device)
        return torch.cat([self._predict(inputs[start : start + _AT_ONCE]) for start in range(0, len(inputs), _AT_ONCE)])

    def _predict(self, inputs: Tensor) -> Tensor:
        total = np.zeros((len(inputs), self.classes))
        if self.threads == 1 or len(self.members) == 1 or len(inputs) < _WORTH_A_THREAD:
            for member, weight in zip(self.members, self.weights, strict=True):
                total += weight * member.probabilities(inputs)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                # In the order of the members, whichever is ready first: sums of floats depend on it.
                outputs = pool.map(lambda member: member.probabilities(inputs), self.members)
                for probabilities, weight in zip(outputs, self.weights, strict=True):
                    total += weight * probabilities
        return logs(total).to(inputs.device)

    def fingerprint(self) -> str:
        """SHA-256 over the members' fingerprints and weights, in whatever order they come."""
        pairs = zip(self.members, self.weights, strict=True)
        return digest(["selected", sorted((member.fingerprint(), weight) for member, weight in pairs)])

    @property
    def size_bytes(self) -> int:
        """The size of the files of all members, as `save` writes them."""
        return sum(len(to_bytes(member.estimator)) for member in self.members)

    def save(self, folder: str | Path) -> Path:
        """Write the ensemble to a new or empty folder.

        Raises:
            BadInput: If the folder holds something, or a member cannot be saved.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise must("folder", "SelectedEnsemble.save", "new or empty", folder, "Choose another folder")
        members = []
        with new_folder(folder) as unfinished:
            for position, (member, weight, name) in enumerate(zip(self.members, self.weights, self.names, strict=True)):
                file = f"member-{position:04d}.skops"
                members.append(
                    {
                        "name": name,
                        "weight": weight,
                        "file": file,
                        "sha256": write_file(unfinished / file, to_bytes(member.estimator)),
                        "classes": list(member.names),
                        "columns": None if member.columns is None else member.columns.to_json(),
                        "decode": member.decode,
                    }
                )
            write_file(unfinished / _ABOUT, to_text({"format": 1, "members": members}))
        return folder

    @classmethod
    def load(cls, folder: str | Path, *, threads: int = 1, boosters: bool = False) -> SelectedEnsemble:
        """Read an ensemble that `save` wrote.

        Args:
            folder: Where it was saved.
            threads: How many members predict at the same time.
            boosters: Whether to read models of XGBoost and LightGBM, whose readers a file made to harm can crash: say
                True for a folder of your own.

        Raises:
            BadInput: If there is none, or it has a model of XGBoost or LightGBM and ``boosters`` is off.
            CorruptFile: If one of its files is missing or altered.
        """
        folder = Path(folder)
        if not os.path.lexists(folder / _ABOUT):
            raise must("folder", "SelectedEnsemble.load", "one that save wrote", folder, "Check the path")
        try:
            entries = read_record(folder / _ABOUT, "Restore it, or select and save again.")["members"]
            files = [_read(folder, entry["file"], entry["sha256"]) for entry in entries]
        except CorruptFile:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _corrupt(folder, error) from error
        estimators = [
            from_bytes(data, str(folder / entry["file"]), boosters=boosters)
            for entry, data in zip(entries, files, strict=True)
        ]
        try:
            members = [
                EstimatorTeacher(
                    estimator,
                    columns=None if entry["columns"] is None else Columns.from_json(entry["columns"]),
                    classes=entry["classes"],
                    decode=bool(entry["decode"]),
                )
                for entry, estimator in zip(entries, estimators, strict=True)
            ]
            weights, names = [float(entry["weight"]) for entry in entries], [str(entry["name"]) for entry in entries]
            return cls(members, weights, names=names, threads=threads)
        except (ValueError, KeyError, TypeError) as error:
            raise _corrupt(folder, error) from error

    def __repr__(self) -> str:
        return f"SelectedEnsemble of {len(self.members)}"


def _read(folder: Path, name: str, expected: str) -> bytes:
    """A file of the folder, once it is sure that it is the one that was written."""
    if Path(name).name != name:
        raise ValueError(f"{name} is outside")
    data = read_bytes(folder / name, "Restore it, or select and save again.", largest=LARGEST_FILE)
    if hashlib.sha256(data).hexdigest() != expected:
        raise ValueError(f"{name} is not the file that was written")
    return data


def _corrupt(folder: Path, why: Exception) -> CorruptFile:
    return CorruptFile(
        f"folder of SelectedEnsemble.load must be as save wrote it; got {str(folder)!r}: {why}. "
        "Restore it, or select and save again."
    )
