"""Reads the data of a recipe, and keeps the warnings that reading them logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from attar.data.datasets import Dataset, load, renamed
from attar.formatting import grouped
from attar.recipes.checks import check_paths
from attar.recipes.schema.recipe import Recipe
from attar.tasks.classification import Classification
from attar.teachers.pretrained import names_in, only_numbers
from attar.training.progress import Progress


def data_of(recipe: Recipe, progress: Progress) -> Dataset:
    """The recipe's data set; classes that only have numbers are called as a teacher of transformers calls them.

    What is logged as a warning while the data are read is among the remarks of the data set.
    """
    check_paths(recipe)
    section = recipe.data
    with _remarks() as remarks:
        dataset = load(
            section.use,
            validation=section.validation,
            test=section.test,
            seed=recipe.seed,
            classes=section.classes,
            limit=section.limit,
            target=section.target,
            task=section.task,
            nominal=section.nominal,
            ignore=section.ignore,
            split=section.split,
            weights=section.weights,
            encoding=section.encoding,
            decimal=section.decimal,
            header=section.header,
            max_bytes=section.max_bytes,
            size=section.size,
            channels=section.channels,
            progress=progress,
        )
    dataset = replace(dataset, remarks=tuple(dict.fromkeys(remarks)))
    folder = recipe.teacher.transformers
    names = None if folder is None else recipe.teacher.classes or names_in(folder)
    known = isinstance(dataset.task, Classification) and only_numbers(dataset.task.names)
    return dataset if names is None or not known or len(names) != dataset.task.shape[0] else renamed(dataset, names)


def rows_in_words(recipe: Recipe, dataset: Dataset) -> list[str]:
    """What sets training rows apart: those without a label, and what they count."""
    found, count = [], dataset.unlabeled
    if count:
        rows = "training row has" if count == 1 else "training rows have"
        found.append(f"{grouped(count)} {rows} no label: what the teacher says of them is all that is learned there")
    weights = weights_of(recipe, dataset)
    return [*found, f"training rows count by {weights!r}, test rows once"] if weights else found


def weights_of(recipe: Recipe, dataset: Dataset) -> str | None:
    """The column (or array) of what each training row counts; None where all count the same."""
    return None if dataset.train.weights is None else recipe.data.weights or "weights"


@contextmanager
def _remarks() -> Iterator[list[str]]:
    """Within it, what is logged as a warning of data and tables, as sentences."""
    found: list[str] = []
    handler = _Kept(found)
    loggers = [logging.getLogger(one) for one in ("attar.data", "attar.tables")]
    for one in loggers:
        one.addHandler(handler)
    try:
        yield found
    finally:
        for one in loggers:
            one.removeHandler(handler)


class _Kept(logging.Handler):
    """Keeps warnings as sentences."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._found.append(f"{text[:1].upper()}{text[1:].rstrip('.')}.")
