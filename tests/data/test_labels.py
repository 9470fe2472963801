"""Labels of any usual kind as class numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from attar.data.datasets import from_arrays
from attar.data.labels import label_dtype, numbered_labels
from attar.errors import BadInput


@pytest.mark.parametrize(
    ("labels", "expected", "classes"),
    [
        ([0, 1, 2, 1], [0, 1, 2, 1], "012"),
        ([1, 2, 3, 2], [0, 1, 2, 1], "123"),
        ([1, 2, -1, 2], [0, 1, -1, 1], "12"),
        ([1.0, 0.0, 1.0], [1, 0, 1], "01"),
        ([1.0, float("nan"), 0.0], [1, -1, 0], "01"),
        ([True, False, True], [1, 0, 1], "01"),
        (np.array([2, 0, 1], np.uint8), [2, 0, 1], "012"),
        (torch.tensor([0, 1]), [0, 1], "01"),
        (pd.Series([1, 0]), [1, 0], "01"),
        (["b", "a", "b", "a"], [1, 0, 1, 0], "ab"),
        (np.array(["b", None, "a", "a", "b"], object), [1, -1, 0, 0, 1], "ab"),
        (np.array([1, None, 0], object), [1, -1, 0], "01"),
    ],
)
def test_kinds_by_hand(labels: Any, expected: list[int], classes: str):
    found, names = numbered_labels("mine", {"train": ("y", labels)})
    assert found["train"].tolist() == expected and found["train"].dtype == torch.int64
    assert names == tuple(classes)


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([0, 1], None, "int64"),
        (np.array([0, 1], np.uint8), None, "uint8"),
        (torch.tensor([0, 1], dtype=torch.int32), None, "int32"),
        ([True, False], None, "bool"),
        ([0.0, 1.0], None, "float64"),
        (np.array([1, None, 0], object), None, "int64"),
        (["a", "b"], None, "str"),
        (pd.Series(["a", None, "b"]), None, "str"),
        ([0, 1], ["no", "yes"], "str"),
    ],
)
def test_type_in_which_models_predict(labels: Any, classes: list[str] | None, expected: str):
    assert label_dtype("y", "mine", labels, classes) == expected
    if len(labels) == 2:
        data = from_arrays(np.zeros((40, 2), "float32"), np.tile(np.asarray(labels), 20), classes=classes)
        assert data.task.label_dtype == expected


def test_named_classes():
    found, names = numbered_labels("mine", {"train": ("y", ["b", "a"])}, ["b", "c", "a"])
    assert found["train"].tolist() == [0, 2] and names == ("b", "c", "a")
    found, _ = numbered_labels("mine", {"train": ("y", [1, 2, 1]), "test": ("z", [2.0])}, ["b", "a"])
    assert found["train"].tolist() == [0, 1, 0] and found["test"].tolist() == [1], "counted from 1"
    found, _ = numbered_labels("mine", {"train": ("y", [1, 1])}, ["b", "a"])
    assert found["train"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [0, 1, 10**9],
            r"y of mine must number the classes from 0 \(or from 1\) .*; got 3 different labels from 0 to 10{9}, "
            r"and none is 2\. Name all",
        ),
        ([-1, 1, -1, 1], r"y of mine must be of two or more classes; got 1 alone \(-1 says .* give \(y \+ 1\) // 2\)"),
        ([3, 3], "y of mine must be of two or more classes; got 3 alone"),
        ([0.5, 1], "y of mine must be whole numbers, one for each class; got 0.5 in row 0"),
        ([float("inf"), 1], "y of mine must be whole numbers, one for each class; got inf in row 0"),
        (np.array([2**64 - 1, 0], np.uint64), r"y of mine must be whole numbers below 2\*\*63"),
        (["a", "b", "c"], "y of mine must be of a few classes; got 3 different names in 3 rows"),
        (["a", "a"], "y of mine must be of two or more classes; got only 'a'"),
        ([[0, 1]], r"y of mine must be \[n\], one number for each row; got \(1, 2\)\. Use \.argmax"),
        (np.array([1, "a"], object), "y of mine must be whole numbers, bools or names; got int, str"),
    ],
)
def test_broken_rules_are_named(labels: Any, message: str):
    with pytest.raises(BadInput, match=f"^{message}"):
        numbered_labels("mine", {"train": ("y", labels)})


def test_other_splits_have_the_same_classes():
    with pytest.raises(
        BadInput, match=r"^z of mine must be from 0 to 1 \(there are 2 classes\); got 2\. These labels start at 1"
    ):
        numbered_labels("mine", {"train": ("y", [0, 1]), "test": ("z", [1, 2])})
    with pytest.raises(BadInput, match=r"^z of mine must be one of the classes in every row; got .*'c' in row 0"):
        numbered_labels("mine", {"train": ("y", list("abab")), "test": ("z", ["c"])})
    with pytest.raises(BadInput, match=r"^labels of mine must be of one kind; got texts in train and numbers in test"):
        numbered_labels("mine", {"train": ("y", list("abab")), "test": ("z", [1])})


X, Y = np.arange(120.0).reshape(40, 3), np.arange(40) % 2


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X, Y),
        (X.tolist(), Y.tolist()),
        (torch.tensor(X), torch.tensor(Y)),
        (pd.DataFrame(X), pd.Series(Y)),
        ([{"a": a, "b": b, "c": c} for a, b, c in X], (Y == 1).tolist()),
    ],
    ids=["arrays", "lists", "tensors", "frames", "dicts"],
)
def test_x_and_y_are_enough(x: Any, y: Any):
    dataset = from_arrays(x, y)
    assert torch.equal(dataset.train.inputs, from_arrays("arrays", {"x": X, "y": Y}).train.inputs)
    assert dataset.drawn == ("validation", "test")
    named = from_arrays(x, y, x_test=x, y_test=y)
    assert len(named.test) == 40 and named.drawn == ("validation",)


def test_what_is_no_x_and_y():
    with pytest.raises(BadInput, match=r"^y of from_arrays must be given with x; got None"):
        from_arrays(X)
    with pytest.raises(BadInput, match=r"^arrays of mine must be a dict of arrays"):
        from_arrays("mine", X)
    with pytest.raises(
        BadInput, match=r"^from_arrays takes inputs and labels, or a name .* got 3 .* Call .*'y': y}\)\.$"
    ):
        from_arrays("mine", X, Y)
    with pytest.raises(BadInput, match=r"^x of arrays must be \[n, \.\.\.\] .*; got \(40, 0\)"):
        from_arrays(X[:, :0], Y)


class TestSplitColumn:
    def test_rows_are_where_they_are_said_to_be(self):
        split = np.array(["train", "Test ", "train", "val"] * 10)
        for x in (X, pd.DataFrame(X)):
            dataset = from_arrays(x, np.arange(40) // 4 % 2, split=split)
            assert dataset.train.ids.tolist() == [row for row in range(40) if row % 2 == 0]
            assert dataset.test.ids.tolist() == list(range(1, 40, 4)) and dataset.drawn == ()

    @pytest.mark.parametrize(
        ("split", "message"),
        [
            (
                ["train", "tset"] * 20,
                "split of arrays must be train, validation or test in every row; got .*'tset' in row 1",
            ),
            (["train"] * 40, "split of arrays names no row for test"),
            (["test"] * 40, "split of arrays names no row for train"),
            (["train"] * 3, r"split of arrays must be \[40\], with"),
        ],
    )
    def test_broken_rules_are_named(self, split: list[str], message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            from_arrays(X, Y, split=split)
