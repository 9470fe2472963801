"""Several named inputs as one row of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attar
from attar.errors import BadInput
from attar.named_inputs import EXACT, NamedInputs


def arrays() -> dict[str, Any]:
    return {
        "ids": np.array([[1, EXACT, 3], [4, 5, 6]]),
        "mask": np.array([[True, True, False], [True, True, True]]),
        "image": np.full((2, 1, 2, 2), 51, np.uint8),
        "age": np.array([0.5, -2.0], np.float32),
    }


def test_rows_are_taken_apart_into_what_they_were_made_of() -> None:
    named, rows = NamedInputs.of(arrays(), "a case")
    assert named.width == 3 + 3 + 4 + 1 and rows.shape == (2, 11) and rows.dtype == np.float32
    back = named.unpacked(rows)
    assert {name: str(one.dtype) for name, one in back.items()} == {
        "ids": "int64", "mask": "bool", "image": "float32", "age": "float32"
    }  # fmt: skip
    for name in ("ids", "mask", "age"):
        np.testing.assert_array_equal(back[name], arrays()[name])
    np.testing.assert_allclose(back["image"], 0.2)
    assert NamedInputs.from_json(named.to_json()) == named


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mask": np.ones((2, 2), bool)}, "mask of a case must be of the shape of ids, [3] for each row; got [2]"),
        ({"ids": np.ones((2, 3))}, "ids of a case must be whole numbers; got float64"),
        ({"age": np.ones(3)}, "age of a case must be of as many rows as ids (2); got 3"),
        ({"age": np.array([np.nan, 1.0])}, "age of a case must be finite; got NaN or infinity in row 0"),
        ({"ids": np.full((2, 3), EXACT + 1)}, "whole numbers up to 16,777,216; got a larger one in row 0"),
        ({"age": np.array(["a", "b"])}, "age of a case must be an array [n, ...] of numbers"),
        ({"of age": np.ones(2)}, "must be a word"),
    ],
)
def test_what_is_no_input_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        NamedInputs.of({**arrays(), **change}, "a case")
    assert said in str(caught.value)


def test_names_that_are_not_there_are_said() -> None:
    named, _ = NamedInputs.of(arrays(), "a case")
    with pytest.raises(BadInput, match="Did you mean 'image'"):
        named.packed({**arrays(), "imag": 1}, "a case")
    with pytest.raises(BadInput, match="Add age"):
        named.packed({name: one for name, one in arrays().items() if name != "age"}, "a case")
    with pytest.raises(BadInput, match="two or more"):
        NamedInputs.of({"age": np.ones(2)}, "a case")


@pytest.mark.parametrize(
    "document", [None, "ids", [], [{}], [{"name": "a", "shape": [0], "dtype": "bool", "scale": None}], [1, 2]]
)
def test_a_document_that_is_none_is_refused(document: object) -> None:
    with pytest.raises(BadInput):
        NamedInputs.from_json(document)


def test_named_inputs_of_rows_in_a_file_of_their_own(tmp_path: Path) -> None:
    for name, rows in (("train", 40), ("test", 9)):
        x = {"x.image": np.ones((rows, 1, 2, 2), np.uint8), "x.age": np.arange(rows) / 10}
        np.savez(tmp_path / f"{name}.npz", y=np.arange(rows) % 2, **x)
    data = attar.load_data(tmp_path / "train.npz", test=str(tmp_path / "test.npz"))
    assert data.test is not None and data.named is not None and len(data.test) == 9
    np.testing.assert_allclose(data.named.unpacked(data.test.inputs.numpy())["age"], np.arange(9) / 10, rtol=1e-6)


def test_what_a_tokenizer_gives_is_data(tmp_path: Path) -> None:
    ids = np.array([[5, 6, 0], [7, 0, 0]] * 20)
    given = {"input_ids": ids, "attention_mask": (ids > 0).astype(int), "token_type_ids": ids * 0}
    data = attar.from_arrays("texts", {**given, "y": np.arange(40) % 2})
    ours = attar.from_arrays("texts", {"ids": ids, "mask": (ids > 0).astype(int), "y": np.arange(40) % 2})
    assert data.tokens is not None and data.fingerprint() == ours.fingerprint()
    np.savez(tmp_path / "texts.npz", **given, y=np.arange(40) % 2)
    assert attar.load_data(tmp_path / "texts.npz").train.inputs.shape[1:] == (2, 3)
    given["token_type_ids"] = ids
    with pytest.raises(
        BadInput, match=r"token_type_ids of texts must be left out, or 0 .* Name the arrays x\.input_ids"
    ):
        attar.from_arrays("texts", {**given, "y": np.arange(40) % 2})
