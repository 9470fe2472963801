"""What networks are told of the data that they are for: the columns of a table, or how many tokens there are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from attar.data.split import Dataset
from attar.network.references import resolve
from attar.tables.knots import with_knots


def data_arguments(reference: str, dataset: Dataset, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of a network's function that follow from the data, as far as it takes them.

    Of sequences ``vocabulary``, ``length`` and ``outputs``; of a table ``columns`` and ``outputs``, where it takes
    columns; of other data none.

    Args:
        reference: The function, as ``package.module:function``.
        dataset: The data.
        given: The other arguments: with ``curves`` the columns come with knots.

    Raises:
        BadInput: If there is no such function.
    """
    if dataset.tokens is None and dataset.columns is None:
        return {}
    takes = inspect.signature(resolve(reference)).parameters
    if dataset.tokens is not None:
        tokens = dataset.tokens
        found = {"vocabulary": tokens.vocabulary, "length": tokens.length, "outputs": dataset.task.shape[0]}
        return {name: value for name, value in found.items() if name in takes}
    if dataset.columns is None or "columns" not in takes:
        return {}
    columns = dataset.columns.to_json()
    if "curves" in takes and (given or {}).get("curves"):
        columns = with_knots(dataset.columns, dataset.train.inputs.double().numpy())
    return {"columns": columns, "outputs": dataset.task.shape[0]}
