"""MNIST, where the user has it: its files are found, not fetched."""

from __future__ import annotations

import os
from pathlib import Path

from attar.data import fashion_mnist
from attar.data.division import divided, numbered
from attar.data.split import Dataset
from attar.errors import Words, must
from attar.tasks.classification import Classification

CLASSES = tuple(map(str, range(10)))

_SIZES = {"train": 60_000, "test": 10_000}


def load_mnist(folder: str | Path | None = None, *, validation: float | int = 0.1, seed: int = 0) -> Dataset:
    """Handwritten digits, 28 x 28 pixels (uint8), 60,000 to train on and 10,000 for test.

    The files are not fetched, and no digest of theirs is known here: their form and number is what is checked, and that
    they are not Fashion-MNIST's, which have the same names.

    Args:
        folder: The folder with the four files, gzipped or not. None looks in ``$ATTAR_DATA/mnist``.
        validation: What is taken from train for validation: a share (float) or a number of examples (int).
        seed: Draws the validation split.

    Raises:
        BadInput: If the files are not there, or are other data.
        CorruptFile: If a file is truncated or no IDX file.

    References:
        LeCun, Cortes, Burges, *The MNIST database of handwritten digits*, 1998.
    """
    data = os.environ.get("ATTAR_DATA")
    place = Path(folder) if folder is not None else Path(data) / "mnist" if data else None
    present = [] if place is None else [fashion_mnist.present(place, name) for name in fashion_mnist.DIGESTS]
    if place is None or not all(path.is_file() for path in present):
        rule = f"one with {', '.join(fashion_mnist.DIGESTS)} (.gz or not)"
        raise must("folder", "load_mnist", rule, place, "Set ATTAR_DATA to the folder above a folder mnist with them")
    files = fashion_mnist.read(place, dict.fromkeys(fashion_mnist.DIGESTS))
    task = Classification(CLASSES, "int64")
    found = {
        "train": numbered(files.train_images.unsqueeze(1), files.train_labels.long(), task),
        "test": numbered(files.test_images.unsqueeze(1), files.test_labels.long(), task),
    }
    for role, split in found.items():
        if tuple(split.inputs.shape) != (_SIZES[role], 1, 28, 28):
            rule = f"{_SIZES[role]} pictures of 28 x 28 pixels to {role} with"
            raise must("folder", "load_mnist", rule, list(split.inputs.shape), f"Put MNIST's own files into {place}")
    if fashion_mnist.is_published(present[1]):
        raise must(
            "folder", "load_mnist", "MNIST's files", Words(f"Fashion-MNIST's in {place}"), "Use fashion-mnist for these"
        )
    return divided("mnist", f"MNIST in {place}", found, validation, 0.0, seed)
