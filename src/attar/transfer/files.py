"""Data sets in files: NumPy archives, and tables as CSV or Parquet."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch

from attar.errors import CorruptFile, must, near
from attar.tables import cells
from attar.training.batch import ABSENT
from attar.transfer.arrays import Naming, from_arrays, from_tables
from attar.transfer.split import Dataset


def load_npz(path: str | Path, *, validation: float | int = 0.1, test: float | int = 0.2, seed: int = 0) -> Dataset:
    """The data set in a NumPy archive.

    Args:
        path: An ``.npz`` file with the arrays that `from_arrays` takes. Nothing in it is ever unpickled.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.

    Raises:
        CorruptFile: If it is not an ``.npz`` file, is truncated, or holds Python objects.
        BadInput: If there is no such file, or the arrays break a rule.
    """
    path = Path(path)
    if not path.is_file():
        raise must("path", "load_npz", "an existing file", path, "Check the path; it is relative to the working folder")
    remedy = "Write it again with numpy.savez, with plain numbers and strings only"
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            single = isinstance(archive, np.ndarray)
            arrays = {} if single else {key: archive[key] for key in archive.files}
    except _UNREADABLE as error:
        raise CorruptFile(
            f"{path.name} must be a whole .npz archive without Python objects; got: {error}. {remedy}."
        ) from error
    if single:
        raise CorruptFile(f"{path.name} must be an .npz archive; got a single array. {remedy}.")
    return from_arrays(path.stem, arrays, source=path.name, validation=validation, test=test, seed=seed)


_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)
"""What NumPy and zipfile raise for damaged archives; the last two for a compression or encryption they do not know."""


TABLES = (".csv", ".parquet")
"""How the names of files with a table end."""

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
"""What stands for a missing value in a CSV file, unless it is quoted."""


def load_table(
    path: str | Path,
    *,
    target: str,
    nominal: Sequence[str] = (),
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """The data set in a table, a row an example.

    What the columns hold is inferred from the training rows alone, as they are once validation and test are taken: a
    nominal value that occurs in the others only is missing there. Numbers are kept as float32.

    Args:
        path: A ``.parquet`` file, or a ``.csv`` file in UTF-8 whose first line names the columns. The separator is the
            one of comma, semicolon and tab that this line has most of; `MISSING` says what stands for missing values.
            The index that pandas stores in Parquet beside the columns is left out.
        target: Name of the column with the classes: strings, whole numbers or bools, of which the sorted distinct ones
            are the classes. Rows in which it is missing are unlabeled and stay in train.
        nominal: Names of columns of which numbers are mere names. Columns of strings and bools are nominal anyway.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.

    Raises:
        CorruptFile: If the file cannot be read as what its name says.
        BadInput: If there is no such file or no such column, the classes are fewer than two or no classes, or the table
            breaks a rule of `Columns`.
    """
    path = Path(path)
    if not path.is_file():
        remedy = "Check the path; it is relative to the working folder"
        raise must("path", "load_table", "an existing file", path, remedy)
    table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    names = cells.distinct(table.column_names)
    if target not in names:
        raise must("target", path.name, "one of its columns", target, near(target, names))
    if len(names) == 1:
        remedy = "Give columns to predict it from"
        raise must("columns", path.name, "more than the target", names, remedy)
    if target in nominal:
        raise must("nominal", path.name, "columns other than the target", target, "Leave it out of nominal")
    (column,) = cells.read(table.select([target]))
    if column.kind == "number":
        rule = "classes: strings, whole numbers or bools"
        got = "no values" if column.empty else "numbers with a fraction"
        raise must(f"target column {target!r}", path.name, rule, got, "Name the column with the classes")
    values, codes = column.nominals()
    seen = np.unique(codes[codes >= 0])
    if len(seen) < 2:
        got = f"only {values[int(seen[0])]!r}" if len(seen) else "no values"
        raise must(f"target column {target!r}", path.name, "of two or more classes", got, "Name another column")
    labeled = int((codes >= 0).sum())
    if len(seen) > labeled / 2:
        got = f"{len(seen)} different values in {labeled} rows"
        raise must(f"target column {target!r}", path.name, "of a few classes", got, "Name the column with the classes")
    renumbered = np.full(len(values) + 1, ABSENT)
    renumbered[seen] = np.arange(len(seen))
    classes = tuple(str(values[int(place)]) for place in seen)
    labels = torch.from_numpy(renumbered[codes])
    return from_tables(
        path.stem,
        {"train": table.drop_columns([target])},
        {"train": labels},
        classes,
        Naming(nominal=tuple(nominal)),
        source=path.name,
        validation=validation,
        test=test,
        seed=seed,
    )


def _read_csv(path: Path) -> Any:
    with path.open("rb") as file:
        header = file.readline(1 << 20)
    separator = max((",", ";", "\t"), key=lambda one: header.count(one.encode()))
    try:
        return pyarrow.csv.read_csv(
            path,
            # Types are inferred from the first block: all of it, as far as a block can be.
            read_options=pyarrow.csv.ReadOptions(block_size=min(max(path.stat().st_size, 1 << 20), (1 << 31) - 1)),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=list(MISSING), strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(path, "a CSV file in UTF-8 whose first line names the columns", error) from error


def _read_parquet(path: Path) -> Any:
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(path, "a whole Parquet file", error) from error
    # Not by position: the metadata of pandas name index columns like this.
    return table.drop_columns([name for name in table.column_names if _INDEX.fullmatch(name)])


_INDEX = re.compile(r"__index_level_\d+__")


def _corrupt(path: Path, rule: str, error: Exception) -> CorruptFile:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CorruptFile(f"{path.name} must be {rule}; got: {reason.rstrip('.')}. Write it again.")
