"""Numbers with a unit as labels: from arrays and from columns, said by the user or plain to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from attar.data.datasets import from_arrays, load
from attar.data.values import values_as_labels
from attar.errors import BadInput
from attar.tasks.regression import Regression

ROWS = 60
X = np.arange(ROWS, dtype="float32").reshape(ROWS, 1)


def saved(folder: Path, **columns: object) -> Path:
    path = folder / "mine.csv"
    size = [float(row) for row in range(ROWS)]
    pd.DataFrame({"size": size, "price": [row + 0.25 for row in range(ROWS)], **columns}).to_csv(path, index=False)
    return path


class TestArrays:
    def test_many_fractions_are_values(self):
        dataset = from_arrays(X, X[:, 0] + 0.5)
        assert dataset.task == Regression(("value",))
        assert dataset.train.labels is not None and dataset.train.labels.shape == (len(dataset.train), 1)
        assert torch.equal(dataset.train.labels, dataset.train.inputs + 0.5)

    def test_whole_numbers_are_values_where_the_task_says_so(self):
        dataset = from_arrays("mine", x=X, y=np.arange(ROWS) % 7, task="regression", names=["sevens"])
        assert dataset.task == Regression(("sevens",)) and dataset.test.labels is not None
        assert torch.equal(dataset.test.labels, dataset.test.inputs % 7)

    def test_several_values_have_the_names_of_their_columns(self):
        y = pd.DataFrame({"width": X[:, 0] / 3, "height": X[:, 0]})
        assert from_arrays(X, y).task == Regression(("width", "height"))
        assert from_arrays(X, y.to_numpy()).task == Regression(("value 0", "value 1"))

    def test_what_is_not_known_stays_in_train(self):
        y = X[:, 0] + 0.5
        y[10:40] = np.nan
        dataset = from_arrays(X, y, validation=3, test=4)
        assert dataset.train.labels is not None and int(dataset.train.labels.isnan().sum()) == 30
        assert {int(one) for part in (dataset.validation, dataset.test) for one in part.ids} & set(
            range(10, 40)
        ) == set()

    @pytest.mark.parametrize(
        "y, message",
        [
            (["a", "b"] * 30, "y of arrays must be numbers, as it is a regression"),
            (np.zeros((ROWS, 2, 2)), r"y of arrays must be \[n\] or \[n, values\]"),
            (np.full(ROWS, 1e300), "y of arrays must be finite in float32"),
            (
                np.ones(ROWS),
                "value 'value' of the train split of arrays must be one that varies; got 1.00 in every row",
            ),
        ],
    )
    def test_broken_rules_are_named(self, y: object, message: str):
        with pytest.raises(BadInput, match=message):
            from_arrays(X, y, task="regression")


class TestTables:
    def test_many_fractions_are_values(self, tmp_path: Path):
        dataset = load(saved(tmp_path), target="price")
        assert dataset.task == Regression(("price",)) and dataset.columns is not None
        assert dataset.columns.names == ("size",) and dataset.train.labels is not None
        assert torch.equal(dataset.train.labels, dataset.train.inputs + 0.25)

    def test_several_columns(self, tmp_path: Path):
        path = saved(tmp_path, weight=list(range(ROWS)))
        dataset = load(path, target=["price", "weight"])
        assert dataset.task == Regression(("price", "weight")) and dataset.train.inputs.shape[1] == 1

    def test_numbers_as_people_write_them(self, tmp_path: Path):
        path = saved(tmp_path, euros=[f"{row},5 €" for row in range(ROWS)])
        dataset = load(path, target="euros", ignore=["price"], task="regression")
        assert dataset.train.labels is not None
        assert torch.equal(dataset.train.labels, dataset.train.inputs + 0.5)

    def test_another_file_for_test(self, tmp_path: Path):
        (tmp_path / "test").mkdir()
        dataset = load(saved(tmp_path), target="price", test=str(saved(tmp_path / "test")))
        assert dataset.test.labels is not None and len(dataset.test) == ROWS

    def test_whole_numbers_that_are_too_many_for_classes_name_the_key(self, tmp_path: Path):
        path = saved(tmp_path, count=list(range(ROWS)))
        with pytest.raises(BadInput, match=r'60 different values in 60 rows.*set data.task = "regression"'):
            load(path, target="count")

    def test_names_are_no_values(self, tmp_path: Path):
        path = saved(tmp_path, color=["red", "blue"] * 30)
        with pytest.raises(
            BadInput, match=r"target column 'color' of mine\.csv must be of numbers, or of true and false"
        ):
            load(path, target="color", task="regression")

    def test_a_data_set_that_has_a_task_keeps_it(self):
        with pytest.raises(BadInput, match="task of digits must be left out or 'classification'; got 'regression'"):
            load("digits", task="regression")

    def test_classes_cannot_be_chosen(self, tmp_path: Path):
        with pytest.raises(BadInput, match="classes of mine are named, and the task is regression"):
            load(saved(tmp_path), target="price", classes=["1", "2"])


def test_values_that_float32_hardly_tells_apart_are_told(caplog: pytest.LogCaptureFixture):
    spread = np.linspace(-10.0, 10.0, 50).reshape(-1, 1)
    with pytest.raises(BadInput) as raised:
        values_as_labels("the target", "mine.csv", 1e9 + spread)
    assert str(raised.value) == (
        "the target of mine.csv must be values that float32, in which networks compute, tells apart; got some around "
        "1000000000, with a standard deviation of 5.89, of which float32 keeps steps of 64. Subtract a number such as "
        "999999990 from all of them first, and add it to what the model gives."
    )
    assert not caplog.records
    assert values_as_labels("the target", "mine.csv", 1e7 + spread).shape == (50, 1)
    assert "keeps steps of 1. Subtract a number such as 9999990" in caplog.text
    caplog.clear()
    for fine in (1e5 + spread, 1e-30 * spread, 1e30 * spread, np.full((50, 1), 0.1), 1e9 + spread[:5]):
        values_as_labels("the target", "mine.csv", fine)
    assert not caplog.records
