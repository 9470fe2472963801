"""Names of columns."""

from __future__ import annotations

import time

from attar.tables.column import Column
from attar.tables.columns import Columns
from attar.tables.names import distinct, positions


def test_names_of_many_columns_take_time_in_proportion():
    names = [f"c{place}" for place in range(100_000)]
    begun = time.process_time()
    assert distinct(names) == names and positions(names, names) == list(range(len(names)))
    columns = Columns(tuple(Column(name, "number") for name in names[:20_000]))
    assert columns._order(names[:20_000], named=True) == list(range(20_000))
    assert time.process_time() - begun < 5
