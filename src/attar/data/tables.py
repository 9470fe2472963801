"""Data sets of the rows of tables: what the columns hold is inferred, and what teaches nothing is refused.

Rows in memory are encoded at once. Of those in files of Arrow and Parquet one column at a time is read whole, to see
what it holds, and then block after block is encoded: what stays is the matrix, which lies in a file where it is large.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.data.arrow_files import ArrowFiles
from attar.data.division import shares_of, weights_for
from attar.data.matrices import Growing
from attar.data.split import Dataset, Split
from attar.errors import BadInput
from attar.tables.column import Column
from attar.tables.columns import Columns, written
from attar.tables.dates import is_date_text
from attar.tables.names import positions
from attar.tables.notation import Decimal
from attar.tables.rounding import warn_of_rounding
from attar.tables.rows import names_of, rereadable, take_rows
from attar.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Naming:
    """What a user says of the columns of a table.

    Attributes:
        names: What the columns of an array are called; None for their places, and for tables that name them.
        nominal: Names of the columns of which numbers are mere names.
        ignore: Names of the columns to leave out.
        digits: Whether texts of digits alone are numbers: they are in files, where all is text.
        decimal: What stands before fractions in texts that could be read in two ways; None to tell by the others.
    """

    names: Sequence[str] | None = None
    nominal: Sequence[str] = ()
    ignore: Sequence[str] = ()
    digits: bool = False
    decimal: Decimal | None = None


def from_tables(
    name: str,
    tables: Mapping[str, Any],
    labels: Mapping[str, Tensor],
    task: Task,
    naming: Naming = Naming(),
    *,
    source: str,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    role_rows: Mapping[str, Tensor] | None = None,
    weights: Tensor | None = None,
) -> Dataset:
    """The data set of the rows of tables.

    What the columns hold is inferred from the training rows alone, as they are once validation and test are taken: a
    nominal value that occurs in the others only is missing there. Texts that are numbers as people write them are
    numbers, see `attar.tables.notation`.

    Args:
        name: What the data set is called.
        tables: By split, what `Columns.infer` takes, or files; ``train`` must be there.
        labels: By split, what `Split` takes, in train also unknown ones.
        task: What they mean.
        naming: What the user says of the columns.
        source: Where the data came from, in words.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.
        role_rows: What `rows_by_role` gives; None where rows of train are drawn for the splits that are not there.
        weights: What `weights_of` gives for the table of train.

    Raises:
        BadInput: If tables or labels break a rule of `Columns`, `Split` or `Dataset`, a column has nearly as many
            names as rows and is not named as nominal, or no column differs between training rows.
    """
    shares, drawn = shares_of(name, task, labels, validation, test, seed, role_rows)
    if naming.ignore:
        tables = {role: _without(name, table, naming) for role, table in tables.items()}
        left = None if naming.names is None else [one for one in naming.names if one not in naming.ignore]
        naming = replace(naming, names=left)
    train_rows = shares["train"][1]
    columns = _columns_of(name, tables["train"], train_rows.numpy(), naming)
    if not any(map(_varies, columns)):
        names = ", ".join(repr(one.name) for one in list(columns)[:FEW_NAMES])
        raise BadInput(
            f"None of the columns of {name} differs between training rows ({names}): nothing can be learned from them. "
            "Give a column that does."
        )
    splits: Any = {}
    for given, table in tables.items():
        wanted = {role: rows for role, (origin, rows) in shares.items() if origin == given}
        try:
            matrices = _encoded(columns, table, wanted)
        except BadInput as error:
            raise type(error)(f"{error} (In the {given} rows of {name}.)") from error
        for role, rows in wanted.items():
            inputs = torch.from_numpy(matrices[role].array())
            counts = weights_for(weights if given == "train" else None, role, rows)
            splits[role] = Split(inputs, labels[given][rows], rows, task, columns, weights=counts)
    return Dataset(name=name, source=source, drawn=drawn, **splits)


def _columns_of(name: str, table: Any, train_rows: np.ndarray, naming: Naming) -> Columns:
    """What the columns hold.

    How numbers are written is seen in all rows of a file; what the columns hold comes from the training rows.

    Raises:
        BadInput: If a column breaks a rule of `Columns`, or its names tell every row from the others.
    """
    skip = [str(one) for one in naming.nominal]
    how: dict[str, Any] = {"digits": naming.digits, "decimal": naming.decimal}
    if not isinstance(table, ArrowFiles):
        train = take_rows(table, train_rows)
        texts = written([table], names=naming.names, skip=skip, **how)
        with _rows_as_given(train_rows):
            columns = Columns.infer(train, nominal=naming.nominal, names=naming.names, written=texts)
        _refuse_ids(name, columns, len(train), naming)
        return columns
    positions(skip, table.names)
    if len(table) >= MANY_ROWS:  # where names tell all rows apart, there is no need to hold them all
        few = next(table.blocks())
        looked = Columns.infer(few, nominal=skip, written=written([few], skip=skip, **how))
        _refuse_ids(name, looked, len(few), naming)
    open_ones = [one for one in table.texts if one not in skip]
    texts = written((table.select([one]).table() for one in open_ones), **how)
    found: list[Column] = []
    for one in table.names:
        column = table.select([one]).table().take(train_rows)
        with _rows_as_given(train_rows):
            found += Columns.infer(column, nominal=[one] if one in skip else [], written=texts)
    columns = Columns(tuple(found))
    _refuse_ids(name, columns, len(train_rows), naming)
    return columns


@contextmanager
def _rows_as_given(train_rows: np.ndarray) -> Iterator[None]:
    """Errors about a row among those for training name its place among all rows, from 0, where the user finds it.

    Args:
        train_rows: Places of the rows for training among all.
    """
    try:
        yield
    except BadInput as error:
        message = re.sub(r"\bin row (\d+)", lambda found: f"in row {train_rows[int(found[1])]}", str(error))
        raise type(error)(message) from error


def _encoded(columns: Columns, table: Any, wanted: Mapping[str, Tensor]) -> dict[str, Growing]:
    """The matrix of each role, whose rows are in the order of the table.

    Args:
        columns: What the columns hold.
        table: The rows, or files.
        wanted: By role, which rows it has, in their order.
    """
    roles = list(wanted)
    role_of = np.full(len(table), -1, np.int8)
    for place, rows in enumerate(wanted.values()):
        role_of[rows.numpy()] = place
    matrices = {role: Growing((len(rows), len(columns))) for role, rows in wanted.items()}
    start = 0
    for block in columns.encode_blocks(_blocks(table), unseen="missing"):
        if not start:
            warn_of_rounding(columns, block)
        here = role_of[start : start + len(block)]
        for place, role in enumerate(roles):
            own = here == place
            matrices[role].append(block if own.all() else block[own])
        start += len(block)
    return matrices


def _blocks(table: Any) -> Iterator[Any]:
    return table.blocks() if isinstance(table, ArrowFiles) else iter([table])


def _without(name: str, table: Any, naming: Naming) -> Any:
    """A table in memory less the columns to leave out."""
    table_cells = rereadable(table)
    names = names_of(table_cells) if naming.names is None else list(naming.names)
    places = set(positions(naming.ignore, names, "ignore"))
    left = [place for place in range(len(names)) if place not in places]
    if not left:
        raise BadInput(f"ignore of {name} names all of the columns. Leave one to learn from.")
    if isinstance(table_cells, np.ndarray):
        return table_cells[:, left]
    return (
        table_cells.iloc[:, left]
        if hasattr(table_cells, "iloc")
        else table_cells.select([names[place] for place in left])
    )


def _varies(column: Column) -> bool:
    """Whether there are two different values, of which a missing one may be one."""
    values = len(column.categories) if column.kind == "nominal" else len({column.low, column.high} - {None})
    return values + column.missing > 1


def _refuse_ids(name: str, columns: Columns, rows: int, naming: Naming) -> None:
    """See that no column of texts tells every row from every other.

    Raises:
        BadInput: Naming all such columns.
    """
    ids = [
        column
        for column in columns
        if column.kind == "nominal"
        and column.name not in naming.nominal
        and len(column.categories) > FEW_NAMES
        and len(column.categories) >= ALIKE * rows
        and isinstance(column.categories[0], str)
    ]
    if not ids:
        return
    listed = ", ".join(f"{one.name!r} ({len(one.categories)} different names in {rows} rows)" for one in ids)
    names = [one.name for one in ids]
    left = "them" if len(ids) > 1 else "it"
    dates = ", ".join(repr(one.name) for one in ids if all(map(is_date_text, map(str, one.categories[:FEW_NAMES]))))
    write = f" Dates ({dates}) are read as such where all are written 2024-05-31." if dates else ""
    raise BadInput(
        f"{'Columns' if len(ids) > 1 else 'Column'} {listed} of {name}: names that tell every row from the others "
        f"teach nothing about new rows. Leave {left} out with data.ignore = {json.dumps(names)}, or list in "
        f"data.nominal what is to be taken as it is (ignore and nominal in Python).{write}"
    )


ALIKE, MANY, FEW_NAMES = 0.9, 0.5, 20
"""Share of names to rows from which on a column of texts is refused, or warned of; and names that are always fine."""

MANY_ROWS = 1 << 20
"""Rows of a file from which on its first block is looked at alone, before every name in it is."""
