"""Sequences of tokens as data: arrays and archives, their splits, and what is not for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attar.data.arrays import from_arrays
from attar.data.datasets import load
from attar.data.split import Split
from attar.data.subset import joined
from attar.data.transfer_set import TransferSet
from attar.data.views import Views
from attar.errors import BadInput
from attar.tables.tokens import Tokens


def arrays(rows: int = 40) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    mask = (np.arange(5) < draw.integers(1, 6, (rows, 1))).astype("int8")
    return {"ids": draw.integers(0, 7, (rows, 5)).astype("int32"), "mask": mask, "y": np.arange(rows) % 2}


def test_ids_and_mask_become_one_tensor_of_int64() -> None:
    given = arrays()
    data = from_arrays("words", given)
    assert data.tokens == Tokens(length=5, vocabulary=7)
    everything = torch.cat([split.inputs for split in data.splits().values()])
    order = torch.cat([split.ids for split in data.splits().values()]).argsort()
    assert everything.dtype == torch.int64
    assert np.array_equal(everything[order][:, 0], given["ids"])
    assert np.array_equal(everything[order][:, 1], given["mask"])
    assert torch.equal(data.train.floats(slice(2)), data.train.inputs[:2])


def test_all_tokens_count_without_a_mask_and_words_name_them() -> None:
    given = arrays() | {"words": np.array(["-", *"abcdefg"])}
    del given["mask"]
    data = from_arrays(given)
    assert data.tokens is not None and data.tokens.vocabulary == 8
    assert bool((data.train.inputs[:, 1] == 1).all())
    row = data.train.inputs[0].numpy()
    assert data.tokens.in_words(row) == " ".join("-abcdefg"[one] for one in row[0])


def test_an_archive_with_splits_of_its_own(tmp_path: Path) -> None:
    train, test = arrays(40), arrays(6)
    both = {f"{name}_train": one for name, one in train.items()} | {f"{name}_test": one for name, one in test.items()}
    np.savez(tmp_path / "words.npz", vocabulary=9, **both)
    np.savez(tmp_path / "train.npz", **train)
    np.savez(tmp_path / "other.npz", **test)
    data = load(tmp_path / "words.npz")
    assert data.tokens == Tokens(5, 9) and len(data.test) == 6
    assert len(load(tmp_path / "train.npz", test=str(tmp_path / "other.npz")).test) == 6


def test_the_fingerprint_sees_tokens() -> None:
    one = from_arrays(arrays())
    assert one.fingerprint() == from_arrays(arrays()).fingerprint()
    assert one.fingerprint() != from_arrays(arrays(), vocabulary=8).fingerprint()


def test_rows_and_further_rows_keep_what_tokens_are() -> None:
    split = from_arrays(arrays()).train
    assert split.rows(slice(2)).tokens == split.tokens
    assert joined(split, split.inputs[:1]).tokens == split.tokens


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocabulary": 6}, "ids of words must be from 0 to 5; got 6"),
        ({"mask": np.zeros((40, 5), int)}, "mask of words must be 1 for at least one token of each row"),
        ({"mask": np.ones((40, 4), int)}, "must be of the shape of ids, [40, 5]"),
        ({"ids": np.full((40, 5), 0.5)}, "ids of words must be whole numbers; got 0.5 in row 0 at position 0"),
        (
            {"ids": np.full((40, 5), 2**63, np.uint64)},
            "ids of words must be numbers of tokens; got 9223372036854775808",
        ),
        ({"ids": np.full((40, 5), "a")}, "ids of words must be whole numbers; got <U1"),
        ({"x": np.zeros((40, 5))}, "ids or x, and not both"),
        ({"vocabulary": 2.5}, "vocabulary of words must be a whole number"),
        ({"ids_test": np.zeros((4, 5), int)}, "y_test"),
        ({"y": np.arange(39) % 2}, "y of words"),
    ],
)
def test_wrong_arrays_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_arrays("words", arrays() | change)
    assert said in str(caught.value)


def test_whole_numbers_without_tokens_are_refused() -> None:
    split = from_arrays(arrays()).train
    with pytest.raises(BadInput, match="inputs of Split must be float32"):
        Split(split.inputs, split.labels, split.ids, split.task)


@pytest.mark.parametrize("views", [Views(flip=True), Views(shift=1), Views(count=2, noise=0.1)])
def test_views_that_draw_are_refused(views: Views) -> None:
    with pytest.raises(BadInput, match=r"^The views of TransferSet move or blur pixels, and the data are tokens\."):
        TransferSet(from_arrays(arrays()).train, views)
