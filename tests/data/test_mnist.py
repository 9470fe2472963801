"""MNIST from the user's own files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from attar.data import fashion_mnist
from attar.data.datasets import load
from attar.errors import BadInput


def put(folder: Path, train: int = 60_000) -> None:
    """Files of MNIST's form: blank pictures, the labels in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", train), ("t10k", 10_000)):
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, rows) + (np.arange(rows) % 10).astype("uint8").tobytes()
        pictures = struct.pack(">BBBBIII", 0, 0, 8, 3, rows, 28, 28) + bytes(rows * 784)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pictures, 1))


def test_the_users_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mnist")
    monkeypatch.setenv("ATTAR_DATA", str(tmp_path))
    found = load("mnist", limit=100)
    assert found.classes == tuple("0123456789")
    assert [len(split) for split in found.splits().values()] == [100, 100, 100]
    assert tuple(found.train.inputs.shape[1:]) == (1, 28, 28)


def test_what_is_not_there_or_is_something_else_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATTAR_DATA", raising=False)
    with pytest.raises(BadInput, match="Set ATTAR_DATA"):
        load("mnist")
    monkeypatch.setenv("ATTAR_DATA", str(tmp_path))
    put(tmp_path / "mnist", train=50)
    with pytest.raises(BadInput, match="60000 pictures"):
        load("mnist")
    put(tmp_path / "mnist")
    monkeypatch.setattr(fashion_mnist, "is_published", lambda _: True)
    with pytest.raises(BadInput, match="Fashion-MNIST's"):
        load("mnist")


def test_content_is_told_by_its_digest(tmp_path: Path) -> None:
    put(tmp_path)
    for name in fashion_mnist.DIGESTS:
        assert not fashion_mnist.is_published(fashion_mnist.present(tmp_path, name))
