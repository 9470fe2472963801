"""What a user should know of the data before anything is trained: each guard returns a sentence, or nothing."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from attar.data.split import Dataset
from attar.data.tables import FEW_NAMES, MANY
from attar.formatting import grouped
from attar.ops.row_hashes import row_hashes
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.teacher import TeacherSection
from attar.tables.column import Column
from attar.tables.dates import is_date_text
from attar.tables.notation import is_number
from attar.teachers.model_file import is_model_file

FEW_NUMBERS = 4
"""Fewer different values than these are names, such as grades, whatever they look like."""

REPEATED = 0.05
"""Share of rows that stand among the training rows, too, from which on that is told."""

DISTINCT = 0.5
"""Different values of one column to different rows from which on equal rows are copies, and not alike by chance."""


def of_data(recipe: Recipe, dataset: Dataset) -> list[str]:
    """Warnings about the data before anything is trained.

    Args:
        recipe: The recipe.
        dataset: Its data.
    """
    found = [*dataset.remarks, seen_by_teacher(recipe.teacher, dataset)]
    if dataset.columns is not None:
        found.append(repeated_rows(dataset))
        found += [dates_among_names(column) for column in dataset.columns if column.name not in recipe.data.nominal]
        found += [many_names(column, len(dataset.train)) for column in dataset.columns]
        found += [either(column) for column in dataset.columns]
        found += [numbers_among_names(column) for column in dataset.columns if column.name not in recipe.data.nominal]
        found += [
            row_numbers(column, dataset.train.inputs[:, place], dataset.train.ids)
            for place, column in enumerate(dataset.columns)
        ]
    return [text for text in found if text is not None]


def seen_by_teacher(teacher: TeacherSection, dataset: Dataset) -> str | None:
    """A given teacher scores too well on rows that it was fitted on, and nothing may say which these are."""
    if not teacher.given or not dataset.drawn:
        return None
    returned = teacher.estimator is not None and not is_model_file(teacher.estimator)
    fit = ", or let the run fit it with teacher.fit = true" if returned else ""
    if "test" not in dataset.drawn:
        return (
            "Nothing says whether the given teacher has seen the validation rows: they were drawn by chance, it scores "
            "too well on those that it was fitted on, and what ships is held against it there. Name rows that it has "
            f"not seen, with data.validation as a file or with data.split as a column{fit}."
        )
    return (
        "Nothing says which rows the given teacher has seen: the test rows were drawn by chance, and it scores too "
        "well on those that it was fitted on, in test and in validation, where what ships is held against it. Name "
        f"rows that it has not seen, with data.test and data.validation as files or with data.split as a column{fit}."
    )


def many_names(column: Column, rows: int) -> str | None:
    """A column of nearly as many names as rows says little about new ones."""
    names = len(column.categories)
    if names <= FEW_NAMES or names < MANY * rows:
        return None
    return (
        f"Column {column.name!r} has {names} different values in {rows} training rows, so that most new rows have one "
        "that was never seen. Leave it out with data.ignore, unless it is to be so."
    )


def row_numbers(column: Column, values: Tensor, ids: Tensor) -> str | None:
    """A column that counts the rows of its file tells how the file was sorted, which new rows do not share.

    Args:
        column: What it holds.
        values: ``[rows]``, of the training rows.
        ids: ``[rows]``, their places in the file.
    """
    offsets = values.double() - ids
    if column.kind != "integer" or len(ids) <= FEW_NAMES or not bool((offsets == offsets[0]).all()):
        return None
    return (
        f"Column {column.name!r} counts the rows of the file, so that it says how the file was sorted and nothing "
        f"about new rows. Leave it out with data.ignore = [{json.dumps(column.name)}]."
    )


def numbers_among_names(column: Column) -> str | None:
    """A column of numbers is one of names where a few of its values are no numbers, or are written in another way."""
    texts = [one for one in column.categories if isinstance(one, str)]
    numbers = [one for one in texts if is_number(one)]
    if len(texts) < FEW_NUMBERS or 2 * len(numbers) < len(texts):
        return None
    others = _others(texts, numbers)
    but = "in more than one way" if not others else f"but for {', '.join(map(repr, others[:3]))}"
    but += ", ..." if len(others) > 3 else ""
    return (
        f"Column {column.name!r} is taken for {len(texts)} names, which are numbers such as {numbers[0]!r} {but}. "
        "Repair such values, or list the column in data.nominal if they are names."
    )


def either(column: Column) -> str | None:
    """Numbers such as 1,234 can be read in two ways."""
    if column.notation is None or column.notation.sure:
        return None
    return (
        f"The numbers of column {column.name!r} could be read in two ways and are taken for {column}. If that is "
        "wrong, set data.decimal to what stands before fractions."
    )


def dates_among_names(column: Column) -> str | None:
    """A column of dates is one of names where these are written in a way that is not read, or a few are no dates."""
    texts = [one for one in column.categories if isinstance(one, str)]
    dates = [one for one in texts if is_date_text(one)]
    if len(dates) < FEW_NUMBERS or 2 * len(dates) < len(texts):
        return None
    others = _others(texts, dates)
    but = f" but for {', '.join(map(repr, others[:3]))}" if others else ""
    return (
        f"Column {column.name!r} is taken for {len(texts)} names, which are dates such as {dates[0]!r}{but}. Write all "
        "of them as 2024-05-31 to have them read as dates, nothing where one is not known, or list the column in "
        "data.nominal if they are names."
    )


def _others(texts: list[str], some: list[str]) -> list[str]:
    """The texts that are none of some of them."""
    known = set(some)
    return [one for one in texts if one not in known]


def repeated_rows(dataset: Dataset) -> str | None:
    """Rows of test or validation that stand among the training rows, too: a teacher and a student know them by heart.

    Rows of a few columns with few values are alike by chance. So rows count where one column has nearly as many
    different values as there are different rows, or where all rows of a given split are training rows.
    """
    train = row_hashes(dataset.train.inputs)
    for role in ("test", "validation"):
        inputs = dataset.splits()[role].inputs
        own, drawn = row_hashes(inputs), role in dataset.drawn
        both = int(torch.isin(own, train).sum())
        if both < REPEATED * len(own) or both < 2:
            continue
        every = both == len(own) and not drawn and len(own) > FEW_NAMES
        if every or _most_values(inputs) >= DISTINCT * len(torch.unique(own)):
            remedy = "Leave repeated rows out" if drawn else "Leave them out of one of the two"
            return (
                f"Of the {grouped(len(own))} {role} rows {grouped(both)} stand among the training rows, too, the same "
                f"in every column: on these every model is better than on new rows. {remedy}."
            )
    return None


def _most_values(inputs: Tensor) -> int:
    """How many different values the column of ``[rows, columns]`` has that has most."""
    return max(len(torch.unique(inputs[:, place])) for place in range(inputs.shape[1]))
