"""Reading the cells of a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.testing import assert_array_equal

from attar.tables.read import read_cells


def test_text_of_few_rows_is_taken_as_that_of_many_is() -> None:
    texts = ["b", None, "", "ä", "b", "a", "10", "9"]
    (few,) = read_cells(pa.table({"x": texts}))
    (many,) = read_cells(pa.table({"x": texts * 100}))
    assert few.categories == many.categories == ("", "10", "9", "a", "b", "ä")
    assert_array_equal(np.tile(few.values, 100), many.values)
    assert_array_equal(np.tile(few.missing, 100), many.missing)
    assert few.kind == many.kind == "nominal" and not few.declared and not many.declared
    (none,) = read_cells(pa.table({"x": pa.array([None, None], pa.string())}))
    (nones,) = read_cells(pa.table({"x": pa.array([None] * 600, pa.string())}))
    assert none.kind == nones.kind and none.categories == nones.categories and none.missing.all()
