"""Data sets in files: NumPy archives, and tables as CSV, Parquet or Arrow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attar.data import arrow_files
from attar.data.arrays import from_arrays, of_tokenizer
from attar.data.arrow_files import ArrowFiles, table_files
from attar.data.csv_file import Table, read_csv
from attar.data.division import rows_by_role
from attar.data.limits import allowed, existing, printable, too_large
from attar.data.npz import read_npz
from attar.data.split import Dataset
from attar.data.table_truth import in_memory, truth_of_table
from attar.data.tables import Naming, from_tables
from attar.data.truth import known_task
from attar.data.values import columns_of_values
from attar.data.weights import weights_of
from attar.errors import BadInput, must, near
from attar.tables.names import distinct, positions
from attar.tables.notation import Decimal
from attar.tables.read import read_cells
from attar.tables.rows import names_of
from attar.tables.tokens import IDS, MASK
from attar.tasks.known import TASKS

log = logging.getLogger(__name__)


def load_npz(
    path: str | Path,
    *,
    validation: float | int | str = 0.1,
    test: float | int | str = 0.2,
    seed: int = 0,
    task: str | None = None,
    split: str | None = None,
    weights: str | None = None,
    max_bytes: int | None = None,
) -> Dataset:
    """The data set in a NumPy archive.

    Args:
        path: An ``.npz`` file with the arrays that `from_arrays` takes. Nothing in it is ever unpickled.
        validation: As in `load`; of another archive ``x`` and ``y`` are taken.
        test: The same for test.
        seed: As in `load`.
        task: What the labels mean, as in `load`; the array ``task`` if left out.
        split: The array that says for each row whether it is for train, validation or test; ``split`` if left out.
        weights: The array of what each row counts in training; ``weights`` if left out.
        max_bytes: As in `load`.

    Raises:
        CorruptFile: If it is not an ``.npz`` file, is truncated, or holds Python objects.
        BadInput: If there is no such file, it is larger than allowed, or the arrays break a rule.
    """
    path = existing(path, "data")
    arrays = of_tokenizer(printable(path.stem), read_npz(path, max_bytes=max_bytes))
    for key, named in (("split", split), ("weights", weights)):
        if named is not None:
            if named not in arrays:
                raise must(key, printable(path.name), "the name of one of its arrays", named, near(named, arrays))
            arrays[key] = arrays.pop(named)
    if task is not None:
        arrays["task"] = task
    for key, role, other in (("val", "validation", validation), ("test", "test", test)):
        if isinstance(other, str):
            beside = of_tokenizer(printable(other), read_npz(existing(other, f"data.{role}"), max_bytes=max_bytes))
            x = IDS if IDS in arrays or f"{IDS}_train" in arrays else "x"
            inputs = [one for one in beside if one == x or one.startswith("x.")]
            if missing := sorted({*(() if inputs else (x,)), "y"} - beside.keys()):
                rule = f"an archive with {x} and y"
                raise must(f"data.{role}", printable(other), rule, sorted(beside), f"Add {missing[0]}")
            arrays |= {f"{name}_{key}": beside[name] for name in (x, MASK, "y") if name in beside}
            arrays |= {f"x_{key}.{name.removeprefix('x.')}": beside[name] for name in inputs if name != x}
    shares: dict[str, Any] = {
        role: 0.1 if isinstance(share, str) else share for role, share in (("validation", validation), ("test", test))
    }
    return from_arrays(printable(path.stem), arrays, source=printable(path.name), seed=seed, **shares)


TABLES = (".csv", ".tsv", *arrow_files.ENDINGS)
"""How the names of files with a table end."""


def load_table(
    path: str | Path,
    *,
    target: str | Sequence[str],
    task: str | None = None,
    nominal: Sequence[str] = (),
    ignore: Sequence[str] = (),
    split: str | None = None,
    weights: str | None = None,
    encoding: str | None = None,
    decimal: Decimal | None = None,
    header: bool = True,
    validation: float | int | str = 0.1,
    test: float | int | str = 0.2,
    seed: int = 0,
    max_bytes: int | None = None,
) -> Dataset:
    """The data set in a table, a row an example.

    What the columns hold is inferred from the training rows alone, as they are once validation and test are taken: a
    nominal value that occurs in the others only is missing there. Numbers are kept as float32.

    Args:
        path: A file of Parquet or Arrow (also as Feather), a folder of such files, whose rows follow each other in the
            order of their names, or a ``.csv`` file (see `read_csv`) whose first line names the columns. The former may
            be larger than the memory: see `attar.data.tables` for what of them is in it. Numbers are read as people
            write them, see `attar.tables.notation`, where marks of missing numbers are, too; in columns of names
            `attar.tables.cells.MISSING` are missing, unless they are quoted. The index that pandas stores in Parquet
            beside the columns is left out.
        target: Name of the column with the classes: strings, whole numbers or bools, of which the sorted distinct ones
            are the classes. Rows in which it is missing are unlabeled and stay in train. Of a regression the name of
            the column of numbers, or several names.
        task: What the target means: ``classification``, ``multilabel`` (columns of 1 and 0, one for each label) or
            ``regression``; None takes many different numbers with a fraction, and several columns, for values, several
            columns of bools for labels, and all else for classes.
        nominal: Names of columns of which numbers are mere names. Columns of strings and bools are nominal anyway.
        ignore: Names of columns to leave out.
        split: Name of the column that says for each row whether it is for train, validation or test.
        weights: Name of the column of what each row counts in training and in choosing the best epoch, numbers of which
            none is below 0. Rows of test, and those of another file, count once.
        encoding: Of a CSV file; None for UTF-8, or what its first bytes say.
        decimal: What stands before fractions, where a number could be read in two ways; None to tell by the others.
        header: Whether the first line of a CSV file names the columns; without it they are ``column_1`` and so on.
        validation: As in `load`; another file has the same columns.
        test: The same for test.
        seed: As in `load`.
        max_bytes: As in `load`: of a CSV file what its cells take, of Parquet and Arrow, which are read in blocks,
            64 bytes for each row.

    Raises:
        CorruptFile: If the file cannot be read as what its name says.
        BadInput: If there is no such file or no such column, the classes are fewer than two or no classes, or the table
            breaks a rule of `Columns`.
    """
    path = _table_at(path, "data")
    name = printable(path.name)
    use = known_task(task, name)
    targets = [target] if isinstance(target, str) else distinct(target)
    kind = None if use is None else TASKS[use].label_kind
    if not targets or (len(targets) > 1 and kind == "class"):
        raise must(
            "target",
            name,
            "the name of a column" if use is None else f"the name of a column, as the task is {use}",
            targets,
            "Name one",
        )
    if kind in ("map", "fixations"):
        raise BadInput(f"task of {name} is {use}, and a table holds no maps. Give an .npz file with arrays x and y.")
    several = len(targets) > 1 and use is None
    # A typo in a column of numbers is told when it is known to be one.
    skip = (*nominal, *(() if several or (use is not None and kind != "class") else targets))
    reader = _Reader(skip, encoding, decimal, header, max_bytes)
    first = reader.read(path)
    names = distinct(names_of(first.rows))
    for key, column in (*(("target", one) for one in targets), ("split", split), ("weights", weights)):
        if column is not None and column not in names:
            raise must(key, name, "one of its columns", column, first.doubt or near(column, names))
    if first.doubt is not None:
        log.warning("%s.", first.doubt)
    if both := [one for one in targets if one in nominal]:
        raise must("nominal", name, "columns other than the target", both[0], "Leave it out of nominal")
    beside = (*targets, split, weights)
    left = [one for one in names if one not in beside and one not in ignore]
    if not left:
        remedy = "Give columns to predict it from"
        raise must("columns", name, "more than the target", names, remedy)
    if set(beside) & set(ignore):
        remedy = "Leave it out of ignore"
        raise must("ignore", name, "columns other than the target, the split and the weights", list(ignore), remedy)
    if weights is not None and weights in (*targets, split):
        raise must("weights", name, "a column other than the target and the split", weights, "Name another one")
    positions(ignore, names, "ignore")
    truth = truth_of_table(name, first, targets, use)
    labels = truth.of(path, in_memory(first.rows, targets))
    tables, known = {"train": first.rows.select(left)}, {"train": labels}
    shares: dict[str, Any] = {"validation": validation, "test": test}
    for role, share in shares.items():
        if isinstance(share, str):
            other = _table_at(share, f"data.{role}")
            rows = reader.read(other, like=first.rows.schema).rows
            for one in targets:
                if one not in names_of(rows):
                    raise must("target", printable(other.name), "one of its columns", one, near(one, names_of(rows)))
            known[role] = truth.of(other, in_memory(rows, targets))
            tables[role] = _same(other, rows, left)
            shares[role] = 0.1
    role_rows = None
    if split is not None:
        (cells,) = read_cells(in_memory(first.rows, [split]))
        categories, codes = cells.nominals()
        roles = np.array([*categories, None], object)[codes]
        role_rows = rows_by_role(name, f"column {split!r}", roles, len(labels), list(tables))
    counts = None
    if weights is not None:
        given = columns_of_values(name, in_memory(first.rows, [weights]), [weights], first.decimal, "weights")
        counts = weights_of(f"column {weights!r}", name, given[:, 0], len(labels))
    return from_tables(
        printable(path.stem),
        tables,
        known,
        truth.task,
        Naming(nominal=tuple(nominal), digits=True, decimal=first.decimal),
        source=name,
        seed=seed,
        role_rows=role_rows,
        weights=counts,
        **shares,
    )


def _table_at(path: str | Path, key: str) -> Path:
    """A file that is there, or a folder with files of a table."""
    return Path(path) if table_files(Path(path)) else existing(path, key)


@dataclass(frozen=True)
class _Reader:
    """How all files of one data set are read."""

    skip: tuple[str, ...]
    encoding: str | None
    decimal: Decimal | None
    header: bool
    max_bytes: int | None

    def read(self, path: Path, like: Any = None) -> Table:
        """The table in a file, ``like`` another one where that has texts."""
        name = printable(path.name)
        files = table_files(path) or ([path] if path.suffix.lower() in arrow_files.ENDINGS else [])
        if files:
            rows = ArrowFiles.of(files, name)
            taken, most = _PER_ROW * len(rows), allowed(self.max_bytes)
            if taken > most:
                raise too_large(f"A column of {name}, and what is known of each row, take", taken, most)
            return Table(rows, self.decimal)
        if path.suffix.lower() not in TABLES:
            rule = f"a file whose name ends in {', '.join(TABLES)}"
            raise must("the table", "the data", rule, name, "Convert it, for instance with pandas")
        return read_csv(
            path,
            encoding=self.encoding,
            decimal=self.decimal,
            skip=self.skip,
            like=like,
            header=self.header,
            max_bytes=self.max_bytes,
        )


_PER_ROW = 64
"""Bytes of each row that are in memory while a file of Arrow is read: its label, its number and one column."""


def _same(path: Path, table: Any, names: Sequence[str]) -> Any:
    """A table with the columns of another one.

    Raises:
        BadInput: If one is missing, or there are more.
    """
    given = distinct(names_of(table))
    if missing := [one for one in names if one not in set(given)]:
        rule = f"those of the training data, {missing[0]!r} among them"
        raise must("columns", printable(path.name), rule, given, near(missing[0], given))
    return table.select(list(names))
