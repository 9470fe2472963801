"""Tables in files: what CSV and Parquet become, and every table that is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from attar.data.datasets import from_arrays, load
from attar.data.files import load_table
from attar.errors import BadInput, CorruptFile
from attar.tables.columns import Columns

ROWS = 40


def table(**changes: Any) -> pa.Table:
    """Rows whose number is the column ``size``; two classes."""
    columns: dict[str, Any] = {
        "size": [float(row) for row in range(ROWS)],
        "color": [("red", "blue", "green")[row % 3] for row in range(ROWS)],
        "count": [None if row == 5 else row * 2 for row in range(ROWS)],
        "zip": [(10, 30, 20)[row % 3] for row in range(ROWS)],
        "kind": [("yes", "no")[row % 2] for row in range(ROWS)],
    }
    return pa.table({name: values for name, values in {**columns, **changes}.items() if values is not None})


def written(folder: Path, rows: pa.Table, name: str = "mine.csv") -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(rows, path)
    else:
        rows.to_pandas().to_csv(path, index=False, sep=";" if "semicolon" in name else ",")
    return path


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet", "mine semicolon.csv", "MINE.CSV"])
def test_a_table_by_hand(tmp_path: Path, name: str):
    dataset = load(written(tmp_path, table(), name), target="kind", nominal=["zip"])
    assert [len(part) for part in dataset.splits().values()] == [29, 3, 8]
    assert dataset.classes == ("no", "yes") and dataset.source == name and dataset.name == name.partition(".")[0]
    columns = dataset.columns
    assert columns is not None and columns.names == ("size", "color", "count", "zip")
    assert columns["color"].categories == ("blue", "green", "red") and columns["zip"].categories == (10, 20, 30)
    assert [column.kind for column in columns] == [
        "number",
        "nominal",
        "integer" if "parquet" in name else ANY,
        "nominal",
    ]
    for part in dataset.splits().values():
        assert part.inputs.dtype == torch.float32
        for row, values, label in zip(part.ids.tolist(), part.inputs.tolist(), part.labels.tolist(), strict=True):
            assert values[0] == row and label == (row % 2 == 0)
            assert values[1] == (2, 0, 1)[row % 3] and values[3] == (0, 2, 1)[row % 3]
            assert np.isnan(values[2]) if row == 5 else values[2] == 2 * row


class _Any:
    def __eq__(self, other: object) -> bool:
        return other in ("integer", "number")


ANY = _Any()
"""pandas writes whole numbers of which some are missing as floats."""


def test_csv_and_parquet_and_frames_agree(tmp_path: Path):
    rows = table(count=list(range(ROWS)))
    files = [written(tmp_path, rows, name) for name in ("mine.csv", "mine.parquet")]
    assert len({load(path, target="kind", seed=3).fingerprint() for path in files}) == 1


def test_columns_come_from_the_training_rows_alone(tmp_path: Path):
    path = written(tmp_path, table(), "mine.parquet")
    train = load(path, target="kind").train
    columns = load(path, target="kind").columns
    assert columns is not None
    assert columns["size"].center == pytest.approx(train.ids.double().mean().item())
    assert columns["size"].low == train.ids.min() and columns["size"].high == train.ids.max()


def test_a_value_that_is_in_no_training_row_is_missing(tmp_path: Path):
    test = load(written(tmp_path, table(), "first.parquet"), target="kind").test
    rare = [("rare" if row == int(test.ids[2]) else "usual") for row in range(ROWS)]
    dataset = load(written(tmp_path, table(color=rare), "mine.parquet"), target="kind")
    assert dataset.columns is not None and dataset.columns["color"].categories == ("usual",)
    assert torch.equal(dataset.test.inputs[:, 1].isnan(), torch.arange(8) == 2)


def test_a_column_that_has_values_in_no_training_row(tmp_path: Path):
    test = load(written(tmp_path, table(), "first.parquet"), target="kind").test
    rare = [("rare" if row == int(test.ids[2]) else None) for row in range(ROWS)]
    dataset = load(written(tmp_path, table(color=rare), "mine.parquet"), target="kind")
    assert dataset.columns is not None and dataset.columns["color"].categories == ()
    assert dataset.test.inputs[:, 1].isnan().all()


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([(7, 30, 4)[row % 3] for row in range(ROWS)], ("4", "7", "30")),
        ([bool(row % 2) for row in range(ROWS)], ("False", "True")),
        (pa.array([("b", "a")[row % 2] for row in range(ROWS)]).dictionary_encode(), ("a", "b")),
    ],
    ids=["numbers", "bools", "dictionary"],
)
def test_classes_are_sorted_by_their_values(tmp_path: Path, values: Any, classes: tuple[str, ...]):
    dataset = load(written(tmp_path, table(kind=values), "mine.parquet"), target="kind")
    assert dataset.classes == classes
    plain = values.to_pylist() if isinstance(values, pa.Array) else values
    for part in dataset.splits().values():
        assert [classes[label] for label in part.labels] == [str(plain[row]) for row in part.ids.tolist()]


def test_rows_without_a_class_stay_in_train(tmp_path: Path):
    kinds = [None if row < 10 else ("yes", "no")[row % 2] for row in range(ROWS)]
    dataset = load(written(tmp_path, table(kind=kinds)), target="kind")
    assert dataset.classes == ("no", "yes")
    assert dataset.train.ids[dataset.train.labels == -1].tolist() == list(range(10))
    assert [len(part) for part in dataset.splits().values()] == [32, 2, 6]  # 30 labeled: 6, then a tenth of 24
    assert dataset.unlabeled == 10 and "train 32 (10 of them without a label), validation 2" in repr(dataset)


def test_what_stands_for_missing_values(tmp_path: Path):
    path = tmp_path / "mine.csv"
    lines = ["a,b,c", *(f"{value},1,{'xy'[place % 2]}" for place, value in enumerate(["p", "?", "", "NA", '"NA"'] * 8))]
    path.write_text("\n".join(lines))
    dataset = load(path, target="c")
    assert dataset.columns is not None and dataset.columns["a"].categories == ("NA", "p")


def test_types_come_from_the_whole_file(tmp_path: Path):
    # More than a megabyte of numbers, then a string.
    path = tmp_path / "mine.csv"
    rows = [f"{10**12 + row % 7},{'xy'[row % 2]}" for row in range(80_000)]
    path.write_text("\n".join(["a,b", *rows, "word,x"]))
    assert path.stat().st_size > 1 << 20
    dataset = load_table(path, target="b")
    assert dataset.columns is not None and dataset.columns["a"].categories[0] == str(10**12)


def test_an_index_of_pandas_is_no_column(tmp_path: Path):
    frame = table().to_pandas()
    frame.index = list(range(100, 100 + ROWS))
    frame.to_parquet(tmp_path / "mine.parquet")
    dataset = load(tmp_path / "mine.parquet", target="kind")
    assert dataset.columns is not None and dataset.columns.names == ("size", "color", "count", "zip")


def test_shares_and_seed_and_filters_reach_the_loader(tmp_path: Path):
    path = written(tmp_path, table())
    dataset = load(path, target="kind", test=0.5, validation=4, seed=1, classes=["yes", "no"], limit=6)
    assert dataset.classes == ("yes", "no") and [len(part) for part in dataset.splits().values()] == [6, 4, 6]
    assert dataset.columns is not None and len(dataset.columns) == 4


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, {"target": "kinds"}, r"target of mine\.csv must be one of its columns; got 'kinds'\. Did you mean 'kind'"),
        (
            {"size": [row + 0.5 for row in range(ROWS)]},
            {"target": "size", "task": "classification"},
            r"target column 'size' of mine\.csv must be classes: strings, .*; got numbers with a",
        ),
        (
            {"kind": ["yes"] * ROWS},
            {"target": "kind"},
            r"target column 'kind' of mine\.csv must be of two or more classes; got only 'yes'",
        ),
        (
            {"kind": [None] * ROWS},
            {"target": "kind"},
            r"target column 'kind' of mine\.csv must be of two or .*; got no values",
        ),
        (
            {"kind": ["yes"] * (ROWS - 1) + [None]},
            {"target": "kind"},
            r"target column 'kind' of mine\.csv must be of two or more classes; got only 'yes'",
        ),
        (
            dict.fromkeys(["size", "color", "count", "zip"]),
            {"target": "kind"},
            r"columns of mine\.csv must be more than the target; got \['kind'\]",
        ),
        (
            {},
            {"target": "kind", "nominal": ["kind"]},
            r"nominal of mine\.csv must be columns other than the target; got 'kind'",
        ),
        ({}, {"target": "kind", "nominal": ["zop"]}, "nominal of the rows must be names of columns; got 'zop'. Did"),
        (
            {"size": [float("inf")] * ROWS},
            {"target": "kind"},
            "column 'size' of the rows must be finite in float32; got inf in row 0",
        ),
        ({}, {"target": "kind", "test": 0.0}, "test of mine must be a share between 0 and 1"),
        (
            {"kind": [str(row) for row in range(ROWS)]},
            {"target": "kind"},
            r"target column 'kind' of mine\.csv must be of a few classes; got 40 different values in 40 rows",
        ),
        (
            {"kind": ["yes"] * (ROWS - 1) + ["no"]},
            {"target": "kind", "test": 30},
            r"labels of the train split of mine must be of every class; got none of",
        ),
    ],
)
def test_broken_rules_are_named(tmp_path: Path, changes: dict[str, Any], arguments: dict[str, Any], message: str):
    with pytest.raises(BadInput, match=f"^{message}"):
        load(written(tmp_path, table(**changes)), **arguments)


class TestWithoutHeader:
    ROWS = "".join(f"{row},{row % 7}.5,{'yes' if row % 2 else 'no'}\n" for row in range(40))

    def test_columns_are_called_by_their_places(self, tmp_path: Path):
        (tmp_path / "rows.csv").write_text(self.ROWS)
        data = load(tmp_path / "rows.csv", target="column_3", header=False)
        assert data.columns is not None and data.columns.names == ("column_1", "column_2")
        assert sum(map(len, data.splits().values())) == 40, "the first line is a row"
        (tmp_path / "more.csv").write_text(self.ROWS[:100].rsplit("\n", 1)[0])
        other = load(tmp_path / "rows.csv", target="column_3", header=False, test=str(tmp_path / "more.csv"))
        assert other.test.inputs[0].tolist() == [0.0, 0.5]

    def test_separators_decimals_and_marks(self, tmp_path: Path):
        rows = [f'"{row},25";{"?" if row == 3 else row};"a;b"\n' for row in range(20)]
        (tmp_path / "rows.csv").write_text("".join(row.replace("a;b", "xy"[n % 2]) for n, row in enumerate(rows)))
        data = load(tmp_path / "rows.csv", target="column_3", header=False)
        assert data.columns is not None and data.columns[0].low == 0.25 and data.classes == ("x", "y")

    def test_a_first_line_like_a_row_is_told(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        (tmp_path / "rows.csv").write_text(self.ROWS)
        with pytest.raises(BadInput, match=r"target of rows\.csv .*looks like a row and .* data\.header = false"):
            load(tmp_path / "rows.csv", target="kind")
        (tmp_path / "alike.csv").write_text(self.ROWS.replace("0,0.5,no", "1,1,no", 1))
        with pytest.raises(BadInput, match=r"Two columns .* one name: '1' .* data\.header = false"):
            load(tmp_path / "alike.csv", target="kind")
        assert not caplog.records
        load(tmp_path / "rows.csv", target="no")
        assert "looks like a row" in caplog.text

    def test_names_are_no_row(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        (tmp_path / "rows.csv").write_text("2020,size,kind\n" + self.ROWS)
        load(tmp_path / "rows.csv", target="kind")
        assert not caplog.records

    def test_for_csv_alone(self, tmp_path: Path):
        with pytest.raises(BadInput, match=r"^encoding, decimal and header of load must be for \.csv files alone"):
            load(written(tmp_path, table(), "mine.parquet"), target="kind", header=False)


def test_a_column_twice(tmp_path: Path):
    (tmp_path / "mine.csv").write_text("a,a,b\n1,2,x\n3,4,y\n")
    with pytest.raises(BadInput, match=r"^Two columns of the rows have one name: 'a' at positions 0 and 1"):
        load(tmp_path / "mine.csv", target="b")


def test_no_rows(tmp_path: Path):
    (tmp_path / "mine.csv").write_text("a,b\n")
    with pytest.raises(BadInput, match=r"^the file of mine\.csv must be a table with rows; got a header alone"):
        load(tmp_path / "mine.csv", target="b")


@pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
def test_a_missing_file(tmp_path: Path, name: str):
    with pytest.raises(BadInput, match=r"^data: there is no file 'none\..*' in the folder '.*'\. Check the path"):
        load(tmp_path / name, target="kind")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^mine\.csv must be a CSV file in UTF-8 whose first line .*; got: .+Write"),
        (b"a,b\n1,2\n3\n", r"^mine\.csv has 1 value in line 3 \('3'\), where its first line has 2, separated by ','"),
        (
            b"a,b\n1,2,3\n",
            r"^mine\.csv has 3 values in line 2 \('1,2,3'\), where its first line has 2, separated by ','",
        ),
    ],
    ids=["empty", "short", "long"],
)
def test_a_csv_file_that_cannot_be_read(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(CorruptFile, match=message):
        load(tmp_path / "mine.csv", target="b")


def test_a_csv_file_in_another_encoding(tmp_path: Path):
    (tmp_path / "mine.csv").write_bytes(("a,b\n" + "ö,x\nä,y\n" * 9).encode("latin-1"))
    with pytest.raises(
        BadInput, match=r"^mine\.csv is not in UTF-8: byte 0xf6 in line 2\. Set data\.encoding.*'ö,x'\.$"
    ):
        load(tmp_path / "mine.csv", target="b", test=1)


@pytest.mark.parametrize("content", [b"", b"not parquet", None], ids=["empty", "text", "truncated"])
def test_a_parquet_file_that_cannot_be_read(tmp_path: Path, content: bytes | None):
    path = written(tmp_path, table(), "mine.parquet")
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    with pytest.raises(CorruptFile, match=r"^mine\.parquet must be a whole Parquet file; got: .+Write it again"):
        load(path, target="kind")


def test_a_table_needs_a_target(tmp_path: Path):
    with pytest.raises(
        BadInput, match=r"^target of the data must be the name of a column of .*mine\.csv; got None\. Set"
    ):
        load(written(tmp_path, table()))


def test_a_file_of_test_rows_without_the_target_says_which_columns_it_has(tmp_path: Path):
    written(tmp_path, table().drop_columns("kind"), "test.csv")
    rule = (
        r"^target of test\.csv must be one of its columns; got 'kind'\. Choose from 'color', 'count', 'size', 'zip'\.$"
    )
    with pytest.raises(BadInput, match=rule):
        load(written(tmp_path, table()), target="kind", test=str(tmp_path / "test.csv"))


def test_a_table_in_which_nothing_differs_teaches_nothing(tmp_path: Path):
    same: dict[str, Any] = {"size": [1.0] * ROWS, "color": ["red"] * ROWS, "count": None, "zip": [10] * ROWS}
    with pytest.raises(BadInput, match=r"^None of the columns of mine differs between training rows \('size', 'color'"):
        load(written(tmp_path, table(**same)), target="kind")
    same["size"] = [None if row % 2 else 1.0 for row in range(ROWS)]
    assert load(written(tmp_path, table(**same)), target="kind").columns is not None


def test_names_that_are_dates_are_told_when_they_are_refused_as_ids(tmp_path: Path):
    days = [f"{row % 28 + 1:02}/{row // 28 + 1:02}/2024" for row in range(ROWS)]
    with pytest.raises(BadInput, match=r"Dates \('color'\) are read as such where all are written 2024-05-31\.$"):
        load(written(tmp_path, table(color=days)), target="kind")


def test_a_folder_of_csv_files_is_told_for_what_it_is(tmp_path: Path):
    written(tmp_path, table())
    for arguments in ({}, {"target": "kind"}):
        with pytest.raises(BadInput, match=r"is a folder of \.csv or \.tsv files, of which one alone is read"):
            load(tmp_path, **arguments)


@pytest.mark.parametrize(
    ("ending", "remedy"), [(".csv.gz", "Unpack it"), (".txt", "rename it to"), (".json", "Convert it")]
)
def test_files_of_other_endings_say_what_to_do(tmp_path: Path, ending: str, remedy: str):
    (tmp_path / f"mine{ending}").write_bytes(b"a,y")
    with pytest.raises(BadInput, match=rf"got 'mine{ending}'\. .*{remedy}"):
        load(tmp_path / f"mine{ending}", target="y")


def test_values_too_small_for_float32_are_to_be_multiplied(tmp_path: Path):
    values = [row * 1e-299 for row in range(ROWS)]
    with pytest.raises(BadInput, match=r"Multiply all of them by a number such as 1e298 first"):
        load(written(tmp_path, table(count=None, kind=values)), target="kind", task="regression")


@pytest.mark.parametrize("arguments", [{"target": "y"}, {"nominal": ["a"]}])
def test_what_is_no_table_takes_no_target(arguments: dict[str, Any]):
    with pytest.raises(BadInput, match=r"^target, nominal and ignore of load must be for tables in files alone; got"):
        load("digits", **arguments)


class TestArrays:
    def arrays(self) -> dict[str, Any]:
        x = np.random.default_rng(0).integers(0, 4, (ROWS, 3)).astype("float32")
        x[3, 1] = np.nan
        return {"x": x, "y": np.arange(ROWS) % 2, "columns": np.array(["a", "b", "c"]), "nominal": np.array(["c"])}

    def test_an_archive(self, tmp_path: Path):
        np.savez(tmp_path / "mine.npz", **self.arrays())
        dataset = load(tmp_path / "mine.npz")
        assert dataset.columns is not None and dataset.columns.names == ("a", "b", "c")
        assert dataset.columns.mask.tolist() == [False, False, True]
        x = torch.from_numpy(self.arrays()["x"])
        for part in dataset.splits().values():
            assert torch.equal(part.inputs.nan_to_num(nan=-1.0), x[part.ids].nan_to_num(nan=-1.0))

    def test_names_alone_and_nominal_places_alone(self):
        arrays = self.arrays()
        named = from_arrays("mine", {key: value for key, value in arrays.items() if key != "nominal"})
        placed = from_arrays("mine", {**arrays, "columns": None, "nominal": ["column 2"]})
        assert named.columns is not None and placed.columns is not None
        assert not named.columns.mask.any() and placed.columns.mask.tolist() == [False, False, True]
        assert placed.columns.names == ("column 0", "column 1", "column 2")

    def test_strings_in_an_archive(self, tmp_path: Path):
        x = np.array([["red", "5"], ["blue", "7"]] * 20)
        np.savez(tmp_path / "mine.npz", x=x, y=np.arange(ROWS) % 2, columns=np.array(["a", "b"]))
        dataset = load(tmp_path / "mine.npz")
        assert dataset.columns is not None and dataset.columns["b"].categories == ("5", "7")

    def test_frames_and_tables_and_streams(self):
        rows, y = table(kind=None), np.arange(ROWS) % 2
        sources = (rows, rows.to_pandas(), rows.to_reader())
        prints = {
            from_arrays("mine", {"x": source, "y": y}).train.inputs[:, [0, 1, 3]].numpy().tobytes()
            for source in sources
        }
        assert len(prints) == 1

    def test_splits_of_a_table_are_taken_as_they_are(self):
        frame, y = table(kind=None).to_pandas(), np.arange(ROWS) % 2
        other = frame.head(4).assign(color=["red", "pink", "blue", "red"])
        arrays = {
            "x_train": frame,
            "y_train": y,
            "x_val": other,
            "y_val": y[:4],
            "x_test": frame.tail(6),
            "y_test": y[:6],
        }
        dataset = from_arrays("mine", arrays)
        assert [len(part) for part in dataset.splits().values()] == [ROWS, 4, 6]
        assert dataset.validation.inputs[:, 1].isnan().tolist() == [False, True, False, False]
        assert dataset.test.inputs[:, 0].tolist() == frame["size"].tail(6).tolist()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"columns": "abc"},
                "columns of mine must be a list of names of columns; got 'abc'. Write them as an array",
            ),
            ({"columns": np.arange(3)}, "columns of mine must be a list of names of columns"),
            ({"columns": ["a", "b"]}, "names of infer must be one for each of the 3 columns"),
            ({"columns": ["a", "c", "a"]}, "Two columns of the rows have one name"),
            ({"nominal": [2]}, "nominal of mine must be a list of names of columns"),
            ({"nominal": ["d"]}, "nominal of the rows must be names of columns; got 'd'"),
            ({"x": np.full((ROWS, 3), np.inf)}, "column 'a' of the rows must be finite in float32; got inf in row"),
            ({"x": np.zeros((ROWS, 3, 1))}, r"rows of a table must be \[rows, columns\]; got"),
            ({"y": np.arange(ROWS - 1) % 2}, "y of mine must be as long as x"),
        ],
    )
    def test_broken_rules_are_named(self, changes: dict[str, Any], message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            from_arrays("mine", {**self.arrays(), **changes})

    def test_columns_of_a_frame_have_their_names(self):
        with pytest.raises(BadInput, match=r"^names of infer must be given for arrays alone"):
            from_arrays("mine", {**self.arrays(), "x": pd.DataFrame(self.arrays()["x"])})


def lines(header: str, *rows: str) -> str:
    """Forty rows, of these in turn, with a target beside them."""
    separator = next(one for one in ";\t," if one in header)
    body = (f"{rows[place % len(rows)]}{separator}{('no', 'yes')[place % 2]}" for place in range(ROWS))
    return "\n".join((f"{header}{separator}y", *body, ""))


class TestNumbers:
    """Numbers as people write them in files."""

    def read(self, folder: Path, content: str, **settings: Any) -> Any:
        (folder / "mine.csv").write_text(content)
        return load(folder / "mine.csv", target="y", **settings)

    def values(self, dataset: Any) -> Any:
        """The first rows of the file as they were read."""
        parts = dataset.splits().values()
        ids, inputs = torch.cat([part.ids for part in parts]), torch.cat([part.inputs for part in parts])
        return inputs[ids.argsort()]

    def test_decimal_commas(self, tmp_path: Path):
        dataset = self.read(tmp_path, lines("a;b", "125,73;-1", "-360,44;2", "1.304,00;3"))
        assert [column.kind for column in dataset.columns] == ["number", "integer"]
        assert self.values(dataset)[:3].tolist() == torch.tensor([[125.73, -1], [-360.44, 2], [1304, 3]]).tolist()

    def test_points_between_thousands_beside_decimal_commas(self, tmp_path: Path):
        dataset = self.read(tmp_path, lines("a;b", "1.234;0,5", "5.678;1,5"))
        assert self.values(dataset)[:2].tolist() == [[1234, 0.5], [5678, 1.5]]
        plain = self.read(tmp_path, lines("a;b", "1.25;0.5", "5.678;1.5"))
        assert self.values(plain)[0].tolist() == [1.25, 0.5]
        assert plain.columns[0].notation is None

    def test_what_could_be_either(self, tmp_path: Path):
        content = lines("a;b", "1,234;x", "5,678;z")
        assert self.values(self.read(tmp_path, content))[0, 0] == torch.tensor(1.234)
        assert self.values(self.read(tmp_path, content, decimal="."))[0, 0] == 1234
        assert self.values(self.read(tmp_path, lines("a,b", '"1,234",x', '"5,678",z')))[0, 0] == 1234
        assert not self.read(tmp_path, content).columns[0].notation.sure

    def test_currencies_percents_and_marks(self, tmp_path: Path):
        dataset = self.read(tmp_path, lines("a\tb\tc\td", "$1,234.50\t12%\t100 kr\tlow", "-\tn/a\t99,50 kr\tnone"))
        assert [column.kind for column in dataset.columns] == ["number", "integer", "number", "nominal"]
        assert self.values(dataset)[0].tolist() == [1234.5, 12, 100, 0]
        assert self.values(dataset)[1, :2].isnan().all() and self.values(dataset)[1, 2:].tolist() == [99.5, 1]
        assert dataset.columns["d"].categories == ("low", "none")

    def test_digits_beside_marks(self, tmp_path: Path):
        dataset = self.read(tmp_path, lines("a,b", "12,x", "missing,z", "13,x"))
        assert dataset.columns["a"].kind == "integer" and dataset.columns["a"].missing

    def test_a_few_values_that_are_no_numbers(self, tmp_path: Path):
        rows = [f"{place}.5,x" for place in range(ROWS - 1)]
        with pytest.raises(
            BadInput, match=r"^Column 'a' of mine\.csv holds numbers, but also 'abc' \(row 40 below the header\)\."
        ):
            self.read(tmp_path, lines("a,b", *rows, "abc,z"))
        assert self.read(tmp_path, lines("a,b", *rows, "abc,z"), nominal=["a"]).columns["a"].kind == "nominal"

    def test_names_that_tell_every_row_apart(self, tmp_path: Path):
        content = lines("id,b", *(f"user-{place},{place % 3}" for place in range(ROWS)))
        with pytest.raises(
            BadInput, match=r"^Column 'id' \(29 different names in 29 rows\) of mine: .*data\.ignore = \[\"id\"\]"
        ):
            self.read(tmp_path, content)
        assert self.read(tmp_path, content, ignore=["id"]).columns.names == ("b",)
        assert self.read(tmp_path, content, nominal=["id"]).columns["id"].kind == "nominal"
        with pytest.raises(
            BadInput, match=r"^ignore of the rows must be names of columns; got 'ix'\. Choose from 'b', 'id'"
        ):
            self.read(tmp_path, content, ignore=["ix"])

    def test_a_raw_row_is_read_as_in_training(self, tmp_path: Path):
        columns = self.read(tmp_path, lines("a;b", "125,73;x", "1.360,44;z")).columns
        again = Columns.from_json(json.loads(json.dumps(columns.to_json())))
        assert again.encode({"a": "2.000,5", "b": "z"}).tolist() == [[2000.5, 1]]


class TestEncodings:
    CONTENT = lines("größe,b", "1,x", "2,ä")

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
    def test_files_that_say_their_encoding(self, tmp_path: Path, encoding: str):
        (tmp_path / "mine.csv").write_bytes(self.CONTENT.encode(encoding))
        dataset = load(tmp_path / "mine.csv", target="y")
        assert dataset.columns is not None and dataset.columns.names == ("größe", "b")
        assert dataset.columns["b"].categories == ("x", "ä")

    @pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le", "mac_roman"])
    def test_files_of_which_the_user_says_it(self, tmp_path: Path, encoding: str):
        (tmp_path / "mine.csv").write_bytes(self.CONTENT.encode(encoding))
        with pytest.raises(BadInput, match=r"^mine\.csv .*data\.encoding"):
            load(tmp_path / "mine.csv", target="y")
        dataset = load(tmp_path / "mine.csv", target="y", encoding=encoding)
        assert dataset.columns is not None and dataset.columns.names == ("größe", "b")

    @pytest.mark.parametrize("encoding", ["cp125", "zlib", "rot13", "idna", "x" * 99, "a\0b"])
    def test_what_is_no_encoding_of_text(self, tmp_path: Path, encoding: str):
        (tmp_path / "mine.csv").write_text("a,y\n")
        with pytest.raises(BadInput, match=r"^encoding of mine\.csv must be the name of an encoding of text; got"):
            load(tmp_path / "mine.csv", target="y", encoding=encoding)


class TestTestFile:
    """Rows to report on that are a file of their own."""

    def load(self, folder: Path, test: str, **settings: Any) -> Any:
        (folder / "mine.csv").write_text(lines("a;b", "1,5;x", "2,5;12"))
        (folder / "test.csv").write_text(test)
        return load(folder / "mine.csv", target="y", test=str(folder / "test.csv"), **settings)

    def test_its_rows_are_the_test_rows(self, tmp_path: Path):
        dataset = self.load(tmp_path, "b;y;a\n12;yes;1.000,5\n12;no;7\n")
        assert dataset.test.inputs.tolist() == [[1000.5, 0], [7, 0]] and dataset.test.labels.tolist() == [1, 0]
        assert len(dataset.train) + len(dataset.validation) == ROWS and dataset.drawn == ("validation",)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a;c;y\n1;x;no\n", r"columns of test\.csv must be those of the training data, 'b' among them"),
            ("a;b;y\n1;x;maybe\n", r"target column 'y' of test\.csv must be of the classes .*; got .*'maybe' in row 0"),
            ("a;b\n1;x\n", r"target of test\.csv must be one of its columns; got 'y'"),
            ("a;b;y\nred;x;no\n", "column 'a' of the rows must be of numbers"),
        ],
    )
    def test_broken_rules_are_named(self, tmp_path: Path, content: str, message: str):
        with pytest.raises(BadInput, match=f"^{message}"):
            self.load(tmp_path, content)

    def test_other_kinds_of_data(self, tmp_path: Path):
        x, y = np.zeros((40, 2), "float32"), np.arange(40) % 2
        np.savez(tmp_path / "mine.npz", x=x, y=y)
        np.savez(tmp_path / "test.npz", x=x[:6], y=y[:6])
        assert len(load(tmp_path / "mine.npz", test=str(tmp_path / "test.npz")).test) == 6
        with pytest.raises(BadInput, match=r"^split, validation and test of load must be left out or shares"):
            load("digits", test="test.csv")

    def test_a_column_that_says_it(self, tmp_path: Path):
        parts = ("train", "train", "test", "test", "validation", "validation")
        rows = [f"{place},{part}" for place, part in enumerate(parts)]
        (tmp_path / "mine.csv").write_text(lines("a,part", *rows))
        dataset = load(tmp_path / "mine.csv", target="y", split="part")
        assert dataset.drawn == () and dataset.columns is not None and dataset.columns.names == ("a",)
        assert sorted(dataset.test.ids.tolist()) == [row for row in range(ROWS) if parts[row % 6] == "test"]
        assert dataset.columns["a"].high == 1, "columns come from the training rows"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + b"x" * 50, r"it is a zip archive, as \.xlsx files are\. Save it as a CSV file"),
        (b"\x1f\x8b" + b"\0" * 50, r"it is compressed by gzip\. Save it as a CSV file"),
    ],
)
def test_a_table_that_is_no_text_is_told_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "it.csv").write_bytes(content)
    with pytest.raises(CorruptFile, match=said):
        load(tmp_path / "it.csv", target="y")


@pytest.mark.parametrize("text", ["sep=;\n1;2\n", "1|2\n"])
def test_separators_are_found(tmp_path: Path, text: str) -> None:
    """A line of Excel's says it, and a bar is one."""
    first, _, row = text.partition("\n") if text.startswith("sep") else ("", "", text)
    mark = row[1]
    rows = "".join(f"{place}{mark}{'ab'[place % 2]}\n" for place in range(40))
    (tmp_path / "it.csv").write_text(f"{first}\n".lstrip("\n") + f"x{mark}y\n{rows}", encoding="utf-8")
    assert load(tmp_path / "it.csv", target="y").columns is not None


def test_other_files_are_told_before_their_columns_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "it.xlsx").write_bytes(b"PK")
    with pytest.raises(
        BadInput,
        match=r"data of load must be an \.npz, \.csv, \.tsv, \.parquet, \.arrow or \.feather file; got 'it\.xlsx'",
    ):
        load(tmp_path / "it.xlsx", target="y")


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
@pytest.mark.parametrize("task", [None, "multilabel"])
def test_columns_of_bools_are_labels(tmp_path: Path, name: str, task: str | None):
    bools = table(odd=[row % 2 == 1 for row in range(ROWS)], large=[row > 25 for row in range(ROWS)], kind=None)
    dataset = load(written(tmp_path, bools, name), target=["odd", "large"], task=task)
    assert dataset.task.use == "multilabel" and dataset.task.names == ("odd", "large")
    for split in dataset.splits().values():
        expected = torch.stack([split.ids % 2 == 1, split.ids > 25], 1).long()
        assert split.labels is not None and torch.equal(split.labels, expected)


def test_bools_beside_numbers_are_values(tmp_path: Path):
    path = written(tmp_path, table(odd=[row % 2 == 1 for row in range(ROWS)], kind=None), "mine.parquet")
    labels = load(path, target=["odd", "size"]).train.labels
    assert labels is not None and set(labels[:, 0].tolist()) == {0.0, 1.0}
    with pytest.raises(BadInput, match=r"target column 'color' of mine.parquet must be of numbers, or of true and fal"):
        load(path, target=["odd", "color"], task="multilabel")


def test_ids_that_float32_takes_for_one_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = written(tmp_path, table(count=[2**30 + row for row in range(ROWS)]))
    load(path, target="kind")
    (told,) = [one for one in caplog.messages if "float32" in one]
    assert "column 'count' has numbers up to 1,073,741,86" in told and "of 40 different ones" in told
    caplog.clear()
    load(path, target="kind", ignore=["count"])
    assert not caplog.messages


def csv(folder: Path, head: str, row: str, name: str = "mine.csv") -> Path:
    """A file of forty rows, in which ``{n}`` is the number of a row, and ``{y}`` its class."""
    lines = [row.format(n=number, y=("yes", "no")[number % 2]) for number in range(ROWS)]
    (folder / name).write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("head", "row", "names"),
    [
        (",a,kind", "{n},1{n}.5,{y}", ["a"]),  # as pandas writes it with its index
        ("a;kind;;", "1{n},5;{y};;", ["a"]),  # as Excel writes it where cells were used once
        (",a,kind", "7,1{n}.5,{y}", ["", "a"]),  # no index: one number for all
        ('"","a","kind"', '"Mazda {n}",1{n}.5,"{y}"', ["a"]),  # as R writes it with the names of rows
        ('"a, b, c, d";kind', "1{n},5;{y}", ["a, b, c, d"]),
    ],
)
def test_what_writing_a_file_adds_to_its_columns(tmp_path: Path, head: str, row: str, names: list[str]):
    columns = load(csv(tmp_path, head, row), target="kind").columns
    assert columns is not None and list(columns.names) == names
    assert columns[names[-1]].kind == "number"


def test_a_time_of_day_is_the_text_that_it_is_in_the_file(tmp_path: Path):
    rows = [f"{row},{('09:30', '14:05')[row % 2]},{('yes', 'no')[row // 2 % 2]}" for row in range(ROWS)]
    (tmp_path / "flights.csv").write_text("\n".join(["a,departure,kind", *rows]))
    columns = load(tmp_path / "flights.csv", target="kind").columns
    assert columns is not None and columns["departure"].categories == ("09:30", "14:05")


def test_a_first_line_that_names_too_few_columns(tmp_path: Path):
    with pytest.raises(
        BadInput, match=r"^The first line of mine\.csv names 1 of 3 columns \(Sales of May, , \)\. Name"
    ):
        load(csv(tmp_path, "Sales of May,,", "1{n},2,{y}"), target="kind")
    with pytest.raises(CorruptFile, match=r"where its first line has 2, .* write it with row\.names = FALSE\."):
        load(csv(tmp_path, '"a","kind"', '"{n}",1{n}.5,"{y}"', "r.csv"), target="kind")


def test_prices_that_are_taken_for_classes_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = [f"{row},{100_000 + 500 * (row // 3)}" for row in range(90)]
    (tmp_path / "houses.csv").write_text("\n".join(["area,price", *rows]))
    load(tmp_path / "houses.csv", target="price")
    found = "target column 'price' of houses.csv has 30 different whole numbers from 100000 to 114500, which are taken"
    assert [one for one in caplog.messages if one.startswith(found)]
    caplog.clear()
    rows = [f"{row},{row // 3}" for row in range(90)]  # numbers of classes have no gaps
    (tmp_path / "letters.csv").write_text("\n".join(["area,letter", *rows]))
    load(tmp_path / "letters.csv", target="letter")
    assert not caplog.messages


def test_a_target_that_is_written_with_a_comma_is_of_values(tmp_path: Path):
    dataset = load(csv(tmp_path, "a;price", "{n};10{n},25 EUR"), target="price")
    assert dataset.task.use == "regression" and dataset.train.labels is not None
    rows = dict(zip(dataset.train.ids.tolist(), dataset.train.labels[:, 0].tolist(), strict=True))
    assert all(value == float(f"10{row}.25") for row, value in rows.items())
    few = load(csv(tmp_path, "a;rate;kind", "{n};2,5%;{y}"), target="kind")
    assert few.task.use == "classification"


def test_classes_that_differ_in_spaces_alone_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = csv(tmp_path, "a,kind", "1{n},{y}")
    path.write_text(path.read_text(encoding="utf-8").replace("12,yes", "12,yes ").replace("14,yes", "14,yes "), "utf-8")
    load(path, target="kind")
    assert "has the classes 'yes' and 'yes ', which are two" in caplog.text


def test_labels_of_minus_one_are_told(caplog: pytest.LogCaptureFixture):
    x = np.zeros((30, 2), np.float32)
    from_arrays(x, np.arange(30) % 3)
    assert not caplog.records
    from_arrays(x, np.arange(30) % 3 - 1)
    assert "10 of the 30 labels in y of arrays are -1, which says that they are unknown" in caplog.text


def test_lists_of_different_lengths_are_no_array():
    for arrays in ({"x": [[1.0, 2.0], [3.0]] * 9, "y": [0, 1] * 9}, {"x": np.zeros((2, 2)), "y": [[0], [1, 2]]}):
        with pytest.raises(BadInput, match=r"must be of one shape; got lists of different lengths\. Pad or cut them"):
            from_arrays("mine", arrays)


def _csv(path: Path, head: str, rows: list[str]) -> Path:
    path.write_text("\n".join([head, *rows, ""]))
    return path


ROWS_OF_CSV = [f"{row * 7 % 11}.5,{'red' if row % 3 else 'blue'},{'yes' if row % 2 else 'no'}" for row in range(40)]


def test_rows_that_end_in_a_separator_have_no_further_column(tmp_path: Path) -> None:
    ends = _csv(tmp_path / "t.csv", "a,b,y", [f"{row}," for row in ROWS_OF_CSV])
    plain = _csv(tmp_path / "u.csv", "a,b,y", ROWS_OF_CSV)
    one, other = load(ends, target="y"), load(plain, target="y")
    assert one.columns is not None and [*one.columns.names] == ["a", "b"]
    assert torch.equal(one.train.inputs, other.train.inputs)


@pytest.mark.parametrize(
    ("place", "row", "message"),
    [
        (20, "1,red,yes,x", r"t\.csv has 4 values in line 22 \('1,red,yes,x'\), where its first line has 3, separated"),
        (20, "1,2", r"t\.csv has 2 values in line 22 \('1,2'\), .* a value with ',' in it stands in quotes\.$"),
        (20, '"1,red,yes', r"^t\.csv has a quotation mark in line 22 that is never closed\. Close or remove it\.$"),
        (
            0,
            "1,red,yes,",
            r"has 4 values in line 2 .* If the names of the columns stand below the first line, remove what",
        ),
    ],
)
def test_rows_of_other_lengths_are_named_by_their_line(tmp_path: Path, place: int, row: str, message: str) -> None:
    path = _csv(tmp_path / "t.csv", "a,b,y", [*ROWS_OF_CSV[:place], row, *ROWS_OF_CSV[place:]])
    with pytest.raises(CorruptFile, match=message):
        load(path, target="y")


def test_a_number_that_is_infinite_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    rows = ROWS_OF_CSV[:]
    for place in range(15, 25):
        rows[place] = f"1e400{rows[place][rows[place].index(',') :]}"
    with pytest.raises(BadInput, match=r"column 'a' .*; got inf in row (1[5-9]|2[0-4])\."):
        load(_csv(tmp_path / "t.csv", "a,b,y", rows), target="y")


def test_rows_of_separators_and_dashes_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "sheet.csv"
    rows = [f"{row},{row % 2}" for row in range(40)]
    path.write_text("\n".join([",", "a,y", *rows[:20], "---,---", ",", " , ", *rows[20:], '"x', "--", 'z",1', "==,__"]))
    dataset = load(path, target="y", nominal=["a"], test=2, validation=2)
    assert sum(map(len, dataset.splits().values())) == 41 and dataset.unlabeled == 0
    assert caplog.messages[:1] == ["5 rows of sheet.csv hold nothing but separators or rules, and are left out"]


@pytest.mark.parametrize(
    ("text", "got"),
    [('{"a":1}', "no row below its first line"), ("\n\n", "empty lines alone"), ("", "empty lines alone")],
)
def test_files_without_rows(tmp_path: Path, text: str, got: str):
    (tmp_path / "it.csv").write_text(text)
    with pytest.raises(CorruptFile, match=f"^it.csv must be a CSV file .*; got: {got}. Write it again"):
        load(tmp_path / "it.csv", target="y")
