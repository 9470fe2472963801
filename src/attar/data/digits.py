"""Handwritten digits, which come with scikit-learn."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from attar.data.division import divided, numbered
from attar.data.split import Dataset
from attar.tasks.classification import Classification


def load_digits(*, validation: float | int = 0.1, test: float | int = 0.2, seed: int = 0) -> Dataset:
    """Handwritten digits of 8 x 8 pixels (float32, 0..1), 1797 of them; they come with scikit-learn.

    References:
        Alpaydin, Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998; the
        part for testing.
    """
    rows = torch.from_numpy(_digits())
    images = rows[:, :64].float().div_(16.0).reshape(-1, 1, 8, 8)
    everything = numbered(images, rows[:, 64].long(), Classification(tuple(map(str, range(10))), "int64"))
    return divided("digits", "scikit-learn's digits", {"train": everything}, validation, test, seed)


def _digits() -> NDArray[np.float64]:
    """``[1797, 65]``: 64 pixels of 0..16 and a class, from scikit-learn's file: its loader takes 1.5 s to import."""
    shipped = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    if shipped.is_file():
        return np.loadtxt(shipped, delimiter=",")
    from sklearn.datasets import load_digits as load

    digits = load()
    return np.column_stack([digits.data, digits.target])
