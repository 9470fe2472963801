"""Photographs and fixations as pysaliency keeps them on disk."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.data.gaze_images import Images, places_of
from attar.data.limits import is_file, printable, too_large
from attar.errors import BadInput, CorruptFile, Words, missing_extra, must

_ENDINGS = (("_train", "train"), ("_val", "test"))
"""Of the names of files, and the splits that they become."""


def from_pysaliency(folder: Path, most: int) -> dict[str, Images]:
    """The images of a folder by split, with the fixations of each.

    Args:
        folder: With ``stimuli.hdf5`` and ``fixations.hdf5``, or both with ``_train`` and, where it has them, ``_val``.
        most: Bytes that a file may take in memory.

    Raises:
        BadInput: If a file is missing, or holds something else.
        CorruptFile: If one is damaged.
        MissingExtra: If h5py is not installed.
    """
    if is_file(folder / "fixations.hdf5"):
        return {"train": _split(folder, "", most)}
    return {
        role: _split(folder, ending, most)
        for ending, role in _ENDINGS
        if role == "train" or is_file(folder / f"fixations{ending}.hdf5")
    }


def _split(folder: Path, ending: str, most: int) -> Images:
    stimuli, fixations = (folder / f"{name}{ending}.hdf5" for name in ("stimuli", "fixations"))
    for path in (stimuli, fixations):
        if not is_file(path):
            remedy = "Let pysaliency write both into one folder"
            raise must("folder", "pysaliency", f"one with {path.name}", printable(folder), remedy)
    files = _read(stimuli, lambda file: _files(file, folder, most))
    columns, rows, numbers = _read(fixations, lambda file: _fixations(file, printable(fixations), most))
    absent = [one for one in files if not is_file(one)]
    if absent:
        raise must("stimuli", printable(stimuli), "images that are there", Words(f"none in {printable(absent[0])}"),
                   "Move the folder as a whole")  # fmt: skip
    order = np.argsort(numbers, kind="stable")
    columns, rows, ends = columns[order], rows[order], np.searchsorted(numbers[order], np.arange(len(files) + 1))

    def places(number: int, size: tuple[int, int]) -> NDArray[np.float64]:
        own = slice(int(ends[number]), int(ends[number + 1]))
        return places_of(rows[own], columns[own], size)

    return Images(files, places)


def _files(file: Any, folder: Path, most: int) -> list[Path]:
    """Where the images lie."""
    kind = _text(file.attrs["type"])
    if kind != "FileStimuli":
        raise BadInput(
            f"Images must lie beside {file.filename}, as FileStimuli; got {kind}. Give pysaliency a location."
        )
    names = [folder / _text(one) for one in _array(file, "filenames", most)]
    outside = [one for one in names if not one.resolve().is_relative_to(folder.resolve())]
    if outside:
        raise must("stimuli", printable(folder), "images of that folder", printable(outside[0]), "Move them there")
    return names


def _fixations(file: Any, name: str, most: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Column, row and number of the image of each fixation."""
    kind = _text(file.attrs["type"])
    if kind == "Fixations":
        found = [_array(file, key, most) for key in ("x", "y", "n")]
        if any(one.shape != found[0].shape or one.ndim != 1 or one.dtype.kind not in "biuf" for one in found):
            got = Words(", ".join(f"{one.dtype} {list(one.shape)}" for one in found))
            raise must("x, y and n", name, "one number for each fixation", got, "Write it with pysaliency")
        return found[0], found[1], found[2]
    if kind == "FixationTrains":
        xs, ys, ns = (_array(file, f"train_{key}", most) for key in ("xs", "ys", "ns"))
    elif kind == "ScanpathFixations":
        xs, ys, ns = (_array(file["scanpaths"], key, most) for key in ("xs", "ys", "n"))
    else:
        rule = "Fixations, FixationTrains or ScanpathFixations"
        raise must("type", name, rule, Words(kind), "Write it with pysaliency")
    there = np.isfinite(xs) & np.isfinite(ys)  # shorter ones end with NaN
    return xs[there], ys[there], np.broadcast_to(ns[:, None], xs.shape)[there]


def _array(file: Any, name: str, most: int) -> NDArray[Any]:
    dataset = file[name]
    if (size := int(np.prod(dataset.shape, dtype=np.int64)) * max(8, dataset.dtype.itemsize)) > most:
        raise too_large(f"{name} of {file.file.filename} would take", size, most)
    found: NDArray[Any] = dataset[...]
    return found


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _read(path: Path, read: Any) -> Any:
    try:
        h5py = importlib.import_module("h5py")
    except ModuleNotFoundError as error:
        raise missing_extra("h5py", "gaze", "Reading what pysaliency stores") from error
    try:
        with h5py.File(path, "r") as file:
            return read(file)
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # what is missing or damaged makes it raise anything
        raise CorruptFile(f"{printable(path)} is not what pysaliency writes. Write it again.") from error
