"""Tables in files of Parquet and Arrow: read by blocks they are what they are in memory, and what is refused."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch

from attar.data import arrow_files, matrices, tables
from attar.data.datasets import from_arrays, load
from attar.errors import BadInput, CorruptFile

ROWS = 60


def rows(number: int = ROWS, **changes: Any) -> pa.Table:
    """Columns of all kinds, with gaps, numbers that are texts, and a column whose names come late."""
    places = range(number)
    columns: dict[str, Any] = {
        "size": [float(row) ** 2 / 7 for row in places],
        "color": [None if row == 7 else ("red", "blue", "green")[row % 3] for row in places],
        "count": [None if row == 5 else row * 2 for row in places],
        "price": [f"{row},50 EUR" for row in places],
        "late": ["usual" if row < 40 else "late" for row in places],
        "flag": [row % 5 == 0 for row in places],
        "kind": [("yes", "no")[row % 2] for row in places],
    }
    return pa.table({name: values for name, values in {**columns, **changes}.items() if values is not None})


def written(path: Path, given: pa.Table) -> Path:
    """A file of the kind that its name says, a few rows in each group."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(given, path, row_group_size=13)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(given, path, chunksize=13)
    else:
        kind = pa.ipc.new_stream if path.stem == "stream" else pa.ipc.new_file
        with kind(path, given.schema) as writer:
            writer.write_table(given, max_chunksize=13)
    return path


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Blocks of seven rows, and every matrix in a file."""
    monkeypatch.setattr(arrow_files, "BLOCK", 7)
    monkeypatch.setattr(matrices, "LARGE", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["mine.parquet", "mine.arrow", "stream.arrow", "mine.feather"])
def test_read_by_blocks_it_is_the_table_in_memory(tmp_path: Path, name: str):
    given = rows()
    read = load(written(tmp_path / name, given), target="kind", seed=2)
    frame = given.drop_columns(["kind"])
    # As texts of a file, texts of digits alone are numbers; here are none.
    memory = from_arrays("mine", {"x": frame, "y": given.column("kind").to_pylist()}, seed=2)
    assert read.columns is not None and memory.columns is not None
    assert read.columns["late"].categories == ("late", "usual")
    for role, split in read.splits().items():
        other = memory.splits()[role]
        assert torch.equal(split.ids, other.ids) and torch.equal(split.labels, other.labels)
    assert read.columns["price"].kind == "number" and read.columns["price"].high == read.train.inputs[:, 3].max()
    numbers = [place for place, one in enumerate(read.columns.names) if one != "price"]
    assert torch.equal(read.train.inputs[:, numbers].nan_to_num(-1), memory.train.inputs[:, numbers].nan_to_num(-1))
    assert [str(read.columns[place]) for place in numbers] == [str(memory.columns[place]) for place in numbers]


def test_blocks_change_nothing(tmp_path: Path, request: pytest.FixtureRequest):
    path = written(tmp_path / "mine.parquet", rows())
    once = load(path, target="kind").fingerprint()
    request.getfixturevalue("small_blocks")
    assert load(path, target="kind").fingerprint() == once


@pytest.mark.usefixtures("small_blocks")
def test_a_folder_is_its_files_one_after_the_other(tmp_path: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    given = rows()
    written(folder / "a.parquet", given.slice(0, 25))
    # Another order of columns is the same table.
    written(folder / "b.parquet", given.slice(25).select(given.column_names[::-1]))
    (folder / "_SUCCESS").touch()
    one = written(tmp_path / "one.parquet", given)
    assert load(folder, target="kind").fingerprint() == load(one, target="kind").fingerprint()
    other = load(folder, target="kind", test=str(folder))
    assert len(other.test) == ROWS and torch.equal(other.test.ids, torch.arange(ROWS))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("target", "task"),
    [("size", None), (["size", "count"], "regression"), (["paid", "other"], "multilabel")],
)
def test_other_labels_by_blocks(tmp_path: Path, target: Any, task: str | None):
    changes = {
        "other": [int(row % 3 == 0) for row in range(ROWS)],
        "paid": [row % 2 for row in range(ROWS)],
        "count": list(range(ROWS)),
    }
    given = rows(**changes)
    read = load(written(tmp_path / "mine.parquet", given), target=target, task=task)
    names = [target] if isinstance(target, str) else target
    wanted = np.stack([given.column(one).to_numpy(zero_copy_only=False) for one in names], 1).astype(np.float32)
    assert read.train.labels is not None
    assert np.array_equal(read.train.labels.numpy().astype(np.float32), wanted[read.train.ids])


@pytest.mark.usefixtures("small_blocks")
def test_a_column_says_what_a_row_is_for(tmp_path: Path):
    part = [("train", "test", "train", "validation")[row % 4] for row in range(ROWS)]
    kind = [("yes", "no")[row // 4 % 2] for row in range(ROWS)]
    read = load(written(tmp_path / "mine.parquet", rows(part=part, kind=kind)), target="kind", split="part")
    assert read.test.ids.tolist() == list(range(1, ROWS, 4)) and len(read.train) == ROWS // 2


@pytest.mark.usefixtures("small_blocks")
def test_gaps_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    test = load(written(tmp_path / "first.parquet", rows()), target="kind").test.ids[:2].tolist()
    sizes = [None if row in test else float(row) for row in range(ROWS)]
    path = written(tmp_path / "mine.parquet", rows(size=sizes, color=None))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load(path, target="kind")
    assert [one.getMessage() for one in caplog.records if "missing" in one.getMessage()] == [
        "of 60 rows, 2 values are missing or names never seen, in columns that had all of theirs (2 of 'size'): "
        "numbers count as the column's middle, names as none that is known"
    ]


@pytest.mark.usefixtures("small_blocks")
def test_names_that_tell_all_rows_apart_are_seen_in_the_first_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "MANY_ROWS", ROWS)
    monkeypatch.setattr(arrow_files, "BLOCK", 30)
    ids = [f"id {row}" for row in range(ROWS)]
    path = written(tmp_path / "mine.parquet", rows(id=ids))
    with pytest.raises(BadInput, match=r"Column 'id' \(30 different names in 30 rows\) of mine"):
        load(path, target="kind")
    assert load(path, target="kind", ignore=["id"]).columns is not None
    assert load(path, target="kind", nominal=["id"]).columns is not None


@pytest.mark.usefixtures("small_blocks")
def test_the_rows_of_an_error_are_counted_in_the_table(tmp_path: Path):
    sizes = [1e300 if row == 20 else float(row) for row in range(ROWS)]
    with pytest.raises(BadInput, match=r"column 'size' of the rows must be finite in float32; got 1e\+300 in row"):
        load(written(tmp_path / "mine.parquet", rows(size=sizes)), target="kind")


def test_the_files_of_a_folder_have_the_same_columns(tmp_path: Path):
    for name, change in {"type": {"count": [str(row) for row in range(ROWS)]}, "fewer": {"count": None},
                         "more": {"extra": [1] * ROWS}}.items():  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        written(folder / "a.parquet", rows())
        written(folder / "b.parquet", rows(**change))
    with pytest.raises(BadInput, match=r"^column 'count' of b\.parquet must be of int64, as in a\.parquet; got string"):
        load(tmp_path / "type", target="kind")
    with pytest.raises(BadInput, match=r"^columns of b\.parquet must be those of a\.parquet, 'count' among them; got"):
        load(tmp_path / "fewer", target="kind")
    with pytest.raises(BadInput, match=r"^columns of b\.parquet must be those of a\.parquet; got \['extra'\]"):
        load(tmp_path / "more", target="kind")


def test_folders_that_are_no_table(tmp_path: Path):
    (tmp_path / "mixed").mkdir()
    written(tmp_path / "mixed" / "a.parquet", rows())
    written(tmp_path / "mixed" / "b.feather", rows())
    with pytest.raises(BadInput, match=r"^the table of mixed must be files of one kind; got \.feather and \.parquet"):
        load(tmp_path / "mixed", target="kind")
    (tmp_path / "parted" / "year=2024").mkdir(parents=True)
    written(tmp_path / "parted" / "year=2024" / "a.parquet", rows())
    with pytest.raises(BadInput, match=r"^parted has its rows in folders such as 'year=2024'"):
        load(tmp_path / "parted", target="kind")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"is a folder without data that are read"):
        load(tmp_path / "empty")


@pytest.mark.parametrize("name", ["mine.parquet", "mine.arrow", "stream.arrow"])
def test_damaged_files(tmp_path: Path, name: str):
    path = written(tmp_path / name, rows())
    content = path.read_bytes()
    first_feather = [b"FEA1" + content[4:]] if name == "mine.arrow" else []  # of Parquet it is the end that says it
    for damaged in (b"", content[:100], content[: len(content) // 2], *first_feather):
        path.write_bytes(damaged)
        with pytest.raises(CorruptFile, match=r"(Write it again|first version of Feather)"):
            load(path, target="kind")


def test_no_row_and_columns_of_lists(tmp_path: Path):
    with pytest.raises(BadInput, match=r"^the table of mine\.parquet must be of at least one row; got none"):
        load(written(tmp_path / "mine.parquet", rows(0)), target="kind")
    nested = written(tmp_path / "nested.parquet", rows(size=[[1.0]] * ROWS))
    with pytest.raises(BadInput, match=r"column 'size' of the rows must be of .+; got 'list<.+leave it out"):
        load(nested, target="kind")
    assert load(nested, target="kind", ignore=["size"]).columns is not None
    with pytest.raises(BadInput, match=r"^target of mine\.arrow must be one of its columns; got 'knd'\. Did you mean"):
        load(written(tmp_path / "mine.arrow", rows()), target="knd")
    with pytest.raises(BadInput, match=r"^A column of mine\.arrow, and what is known of each row, take 3,840 bytes"):
        load(tmp_path / "mine.arrow", target="kind", max_bytes=1000)


def test_rows_on_disk_end_with_what_uses_them(small_blocks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read = load(written(tmp_path / "mine.parquet", rows()), target="kind")
    assert list((tmp_path / "cache" / "attar" / "arrays").iterdir()) == []  # without a name
    assert read.train.rows(torch.tensor([1, 0])).inputs.shape == (2, 6)
    growing = matrices.Growing((3, 2))
    growing.append(np.ones((1, 2)))
    growing.append(np.zeros((2, 2)))
    assert isinstance(growing.array(), np.memmap) and growing.array().tolist() == [[1, 1], [0, 0], [0, 0]]
    chosen = matrices.gathered(torch.arange(12).reshape(6, 2), torch.tensor([0, 3, 5]))
    assert chosen.tolist() == [[0, 1], [6, 7], [10, 11]]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(BadInput, match=r"^The rows take .+ as numbers, and .+ are free in .+XDG_CACHE_HOME"):
        load(tmp_path / "mine.parquet", target="kind")


def test_an_index_of_pandas_is_left_out(tmp_path: Path):
    frame = pd.DataFrame(rows().to_pandas()).set_index(pd.Index(range(100, 100 + ROWS)))
    frame.to_parquet(tmp_path / "mine.parquet", index=True)
    assert "size" in str(load(tmp_path / "mine.parquet", target="kind").columns)
    assert "index" not in str(load(tmp_path / "mine.parquet", target="kind").columns)


def test_a_text_that_is_in_the_file_once_and_used_often_is_not_written_out(tmp_path: Path):
    count, text = 2_000, "x" * 1_000_000
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))
    path = tmp_path / "long.parquet"
    # Without the schema of Arrow it is a column of texts.
    pyarrow.parquet.write_table(pa.table({"text": texts, "y": np.arange(count) % 2}), path, store_schema=False)
    assert path.stat().st_size < 3 * len(text)
    found = r"got 2,000,000,000 in 2,000 rows\. Leave the column out"
    with pytest.raises(BadInput, match=rf"^column 'text' of long\.parquet .* at most 1,073,741,824 bytes .*; {found}"):
        load(path, target="y")
