"""Names of the columns of a table: each once, and where they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attar.errors import BadInput, must, near


def distinct(names: Iterable[str]) -> list[str]:
    """The names as they come.

    Raises:
        BadInput: If one is there twice.
    """
    names = list(names)
    if len(set(names)) < len(names):
        first: dict[str, int] = {}
        for place, name in enumerate(names):
            if name in first:
                at = f"{name!r} at positions {first[name]} and {place}"
                raise BadInput(f"Two columns of the rows have one name: {at}. Rename one of them.")
            first[name] = place
    return names


def by_place(count: int) -> list[str]:
    """What the columns of an array are called, which have no names.

    Example:
        >>> by_place(2)
        ['column 0', 'column 1']
    """
    return [f"column {place}" for place in range(count)]


def positions(chosen: Sequence[str | int], names: Sequence[str], parameter: str = "nominal") -> list[int]:
    """Where columns are that are called by name or by number.

    Args:
        chosen: Names, or places from 0.
        names: Of all columns; of two of one name the first counts.
        parameter: What errors call the choice.

    Raises:
        BadInput: If there is no such column.
    """
    places = []
    known = {name: place for place, name in reversed(list(enumerate(names)))}
    for column in chosen:
        if isinstance(column, str):
            if column not in known:
                raise must(parameter, "the rows", "names of columns", column, near(column, names))
            places.append(known[column])
        else:
            if not 0 <= column < len(names):
                raise must(parameter, "the rows", f"from 0 to {len(names) - 1}", column, "Count the columns from 0")
            places.append(column)
    return places
