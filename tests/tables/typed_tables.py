"""Tables with every type of pandas and of Arrow that is a column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

NAN = float("nan")


def frame() -> pd.DataFrame:
    """Every type of pandas that is a column."""
    return pd.DataFrame(
        {
            "string": pd.array(["b", None, "a"], dtype="str"),
            "int": np.array([3, -1, 3], np.int16),
            "float": [1.0, NAN, 2.5],
            "bool": [True, False, True],
            "category": pd.Categorical(["y", "x", None], categories=["y", "x", "z"], ordered=True),
            "Int64": pd.array([1, None, 3], dtype="Int64"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "objects": pd.Series(["p", None, "q"], dtype=object),
            "counts": pd.Series([7, None, 9], dtype=object),
            "arrow": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int8())),
            "arrow string": pd.array(["a", None, "b"], dtype=pd.ArrowDtype(pa.string())),
            "half": np.array([1.0, 2.0, 4.0], np.float16),
            "date": pd.to_datetime(["2024-02-29 12:00", None, "2024-03-01 00:30"]),
            "seconds": pd.to_datetime(["2024-02-29", "2024-03-02", None]).astype("datetime64[s]"),
            "zone": pd.to_datetime(["2024-02-29", None, "2024-09-01"]).tz_localize("America/New_York"),
            "arrow date": pd.array(
                pd.to_datetime(["2024-02-29", None, "2024-03-02"]), dtype=pd.ArrowDtype(pa.date32())
            ),
            "sparse": pd.arrays.SparseArray([0.0, 0.0, 1.5]),
        }
    )


def table() -> pa.Table:
    """Every type of Arrow that is a column."""
    return pa.table(
        {
            "string": ["b", None, "a"],
            "large": pa.array(["b", None, "a"], pa.large_string()),
            "view": pa.array(["b", None, "a"], pa.string_view()),
            "int": pa.array([3, None, -1], pa.int8()),
            "unsigned": pa.array([3, 4, 5], pa.uint64()),
            "half": pa.array([np.float16(1), None, np.float16(4)], pa.float16()),
            "float": pa.array([1.0, None, 2.5], pa.float32()),
            "bool": [True, None, False],
            "dictionary": pa.array(["y", "x", None]).dictionary_encode(),
            "numbers": pa.DictionaryArray.from_arrays(
                pa.array([1, 0, None], pa.int8()), pa.array([30, 10], pa.int64())
            ),
            "date": pa.array([19_000, None, 19_001], pa.date32()),
            "milliseconds": pa.array([19_000 * 86_400_000, None, 0], pa.date64()),
            "timestamp": pa.array([1_700_000_000_000_001, None, 0], pa.timestamp("us", "Asia/Tokyo")),
            "nothing": pa.nulls(3),
        }
    )
