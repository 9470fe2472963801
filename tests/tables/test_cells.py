"""Cells of a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.testing import assert_array_equal

from attar.tables.cells import read


def test_text_of_few_rows_is_taken_as_that_of_many_is() -> None:
    texts = ["b", None, "", "ä", "b", "a", "10", "9"]
    (few,) = read(pa.table({"x": texts}))
    (many,) = read(pa.table({"x": texts * 100}))
    assert few.categories == many.categories == ("", "10", "9", "a", "b", "ä")
    assert_array_equal(np.tile(few.values, 100), many.values)
    assert_array_equal(np.tile(few.missing, 100), many.missing)
    assert few.kind == many.kind == "nominal" and not few.declared and not many.declared
    (none,) = read(pa.table({"x": pa.array([None, None], pa.string())}))
    (nones,) = read(pa.table({"x": pa.array([None] * 600, pa.string())}))
    assert none.kind == nones.kind and none.categories == nones.categories and none.missing.all()
