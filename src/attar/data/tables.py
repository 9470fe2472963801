"""Data sets of the rows of tables: what the columns hold is inferred, and what teaches nothing is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.data.division import numbered, shares_of
from attar.data.split import Dataset
from attar.errors import BadInput
from attar.tables.columns import Columns, written
from attar.tables.names import positions
from attar.tables.notation import Decimal
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
) -> Dataset:
    """The data set of the rows of tables.

    What the columns hold is inferred from the training rows alone, as they are once validation and test are taken: a
    nominal value that occurs in the others only is missing there. Texts that are numbers as people write them are
    numbers, see `attar.tables.notation`.

    Args:
        name: What the data set is called.
        tables: By split, what `Columns.infer` takes; ``train`` must be there.
        labels: By split, what `Split` takes, in train also unknown ones.
        task: What they mean.
        naming: What the user says of the columns.
        source: Where the data came from, in words.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.
        role_rows: What `rows_by_role` gives; None where rows of train are drawn for the splits that are not there.

    Raises:
        BadInput: If tables or labels break a rule of `Columns`, `Split` or `Dataset`, or a column has nearly as many
            names as rows and is not named as nominal.
    """
    shares, drawn = shares_of(name, task, labels, validation, test, seed, role_rows)
    if naming.ignore:
        tables = {role: _without(name, table, naming) for role, table in tables.items()}
        left = None if naming.names is None else [one for one in naming.names if one not in naming.ignore]
        naming = replace(naming, names=left)
    train = take_rows(tables["train"], shares["train"][1].numpy())
    # How numbers are written is seen in all rows of a file; what the columns hold comes from the training rows.
    texts = written(
        [tables["train"]],
        names=naming.names,
        skip=[str(one) for one in naming.nominal],
        digits=naming.digits,
        decimal=naming.decimal,
    )
    columns = Columns.infer(train, nominal=naming.nominal, names=naming.names, written=texts)
    _refuse_ids(name, columns, train, naming)
    splits = {}
    for role, table in tables.items():
        try:
            matrix = columns.encode(table, unseen="missing")
        except BadInput as error:
            raise type(error)(f"{error} (In the {role} rows of {name}.)") from error
        splits[role] = numbered(torch.from_numpy(matrix).float(), labels[role], task, columns)
    taken = {role: splits[origin].rows(rows) for role, (origin, rows) in shares.items()}
    return Dataset(name=name, source=source, drawn=drawn, **taken)


def _without(name: str, table: Any, naming: Naming) -> Any:
    """A table less the columns to leave out."""
    table_cells = rereadable(table)
    names = naming.names
    if names is None:
        names = (
            [f"column {place}" for place in range(table_cells.shape[1])]
            if isinstance(table_cells, np.ndarray)
            else None
        )
    names = names_of(table_cells) if names is None else list(names)
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


def _refuse_ids(name: str, columns: Columns, train: Any, naming: Naming) -> None:
    """See that no column of texts tells every row from every other.

    Raises:
        BadInput: Naming all such columns.
    """
    rows = len(train)
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
    raise BadInput(
        f"{'Columns' if len(ids) > 1 else 'Column'} {listed} of {name}: names that tell every row from the others "
        f"teach nothing about new rows. Leave {'them' if len(ids) > 1 else 'it'} out with data.ignore = "
        f"{json.dumps(names)}, or list in data.nominal what is to be taken as it is (ignore and nominal in Python)."
    )


ALIKE, MANY, FEW_NAMES = 0.9, 0.5, 20
"""Share of names to rows from which on a column of texts is refused, or warned of; and names that are always fine."""
