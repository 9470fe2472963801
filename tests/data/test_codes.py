"""Digits that begin with a needless zero, as in ZIP codes: names, in files and in the finished model."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from attar.data.datasets import load
from attar.errors import BadInput
from attar.recipes.data_guards import numbers_among_names
from attar.tables.columns import Columns


def written(folder: Path, values: list[str], target: list[str], name: str = "mine.csv") -> Path:
    path = folder / name
    rows = (f"{values[row % len(values)]},{row}.5,{target[row % len(target)]}" for row in range(60))
    path.write_text("\n".join(["code,size,y", *rows]))
    return path


@pytest.mark.parametrize(
    "values, names",
    [
        (["01234", "90210", "00501"], ("00501", "01234", "90210")),
        (["00", "01", "02"], ("00", "01", "02")),  # months and hours: nothing tells them from codes of two digits
        (["0", "00"], ("0", "00")),
        (["007", "", "12"], ("007", "12")),
        (["007", "-", "12"], ("-", "007", "12")),
        (['"007"', '"12"'], ("007", "12")),  # how Excel's cells of text may be written, in quotes
        (["0x1F", "31"], ("0x1F", "31")),
        (["00000000000000000001", "22222222222222222222"], ("00000000000000000001", "22222222222222222222")),
    ],
)
def test_digits_of_which_one_begins_with_a_zero_are_names(tmp_path: Path, values: list[str], names: tuple[str, ...]):
    columns = load(written(tmp_path, values, ["a", "b"]), target="y").columns
    assert columns is not None and columns["code"].categories == names


@pytest.mark.parametrize(
    "values, low, high",
    [
        (["0.5", "0", "1"], 0, 1),
        (["0", "10", "200"], 0, 200),
        (["01.5", "2"], 1.5, 2),
        (["007", "1.5"], 1.5, 7),
        (["-01", "3"], -1, 3),
    ],
)
def test_a_zero_before_a_fraction_or_alone_is_a_number(tmp_path: Path, values: list[str], low: float, high: float):
    columns = load(written(tmp_path, values, ["a", "b"]), target="y").columns
    assert columns is not None and (columns["code"].low, columns["code"].high) == (low, high)


def test_dates_are_no_codes(tmp_path: Path):
    columns = load(written(tmp_path, ["2024-01-05", "2024-02-06"], ["a", "b"]), target="y").columns
    assert columns is not None and columns["code"].kind == "date"


def test_parquet_and_frames_of_texts_follow_the_same_rule(tmp_path: Path):
    path = written(tmp_path, ["01234"] + ["90210"] * 29, ["a", "b"])
    frame = pd.read_csv(path, dtype=str)
    pa.parquet.write_table(pa.Table.from_pandas(frame), tmp_path / "mine.parquet")
    names = ("01234", "90210")
    for name in ("mine.csv", "mine.parquet"):
        columns = load(tmp_path / name, target="y", split=None, test=2, validation=2).columns
        assert columns is not None and columns["code"].categories == names and columns["size"].low == 0.5
    assert Columns.infer(frame, texts=True)["code"].categories == names


def test_the_finished_model_takes_the_names_as_texts(tmp_path: Path):
    columns = load(written(tmp_path, ["01234", "90210"], ["a", "b"]), target="y").columns
    assert columns is not None
    again = Columns.from_json(columns.to_json())
    rows = [{"code": "90210", "size": 1.0}, {"code": "01234", "size": 2.0}]
    assert again.encode(rows)[:, 0].tolist() == again.encode(rows * 9)[:2, 0].tolist() == [1.0, 0.0]
    for one in (1234, "1234"):
        with pytest.raises(BadInput, match="'code' of the rows must be one of the values"):
            again.encode([{"code": one, "size": 1.0}])


def test_classes_keep_their_zeros_and_values_are_numbers(tmp_path: Path):
    path = written(tmp_path, ["1", "2"], ["01", "02", "10"])
    assert load(path, target="y").classes == ("01", "02", "10")
    labels = load(path, target="y", task="regression").train.labels
    assert labels is not None and {*labels.flatten().tolist()} == {1.0, 2.0, 10.0}


def test_another_file_is_read_as_the_first_one(tmp_path: Path):
    """Codes in the first are names in the second; where the first had numbers, so has the second."""
    codes = written(tmp_path, ["01234", "90210"], ["a", "b"], "codes.csv")
    plain = written(tmp_path, ["90210", "10001"], ["a", "b"], "plain.csv")
    dataset = load(codes, test=str(plain), target="y")
    assert dataset.columns is not None and dataset.columns["code"].categories == ("01234", "90210")
    assert set(dataset.test.inputs[::2, 0].tolist()) == {1.0}
    dataset = load(plain, test=str(codes), target="y")
    assert set(dataset.test.inputs[:, 0].tolist()) == {1234.0, 90210.0}


def test_it_is_told_once_and_not_where_the_user_says_it(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = written(tmp_path, ["01234", "90210", "10001", "10002"], ["a", "b"])
    with caplog.at_level(logging.WARNING):
        columns = load(path, target="y").columns
    (said,) = caplog.messages
    assert said.startswith("column 'code' ('01234') of mine.csv: digits that begin with 0 are taken for names")
    assert columns is not None and numbers_among_names(columns["code"]) is None
    caplog.clear()
    columns = load(path, target="y", nominal=["code"]).columns
    assert columns is not None and columns["code"].categories == ("01234", "10001", "10002", "90210")
    assert not caplog.messages
