"""Rows as users give them to an estimator, in any usual form, and what each counts, checked once."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor

from attar.data.limits import allowed
from attar.data.weights import weights_of
from attar.errors import BadInput, Words, must, shown
from attar.formatting import size as bytes_text
from attar.regular_arrays import regular_array, unmasked
from attar.tables.columns import Columns, written
from attar.tables.names import distinct, positions
from attar.tables.read import refuse_records
from attar.tables.rounding import warn_of_rounding
from attar.tables.rows import as_arrow, by_name, take_rows

log = logging.getLogger(__name__)

Kind = Literal["classifier", "labels", "regressor"]
"""What a teacher tells: one class of several, of several labels whether each holds, or values."""

Truth = npt.NDArray[Any] | None
"""Labels or values, where they are known."""

LEAST = 3
"""Two rows that can be neighbors, and one to judge by."""


def is_frame(rows: object) -> bool:
    """Whether the rows carry columns with names: a DataFrame of any library, or an Arrow table."""
    return hasattr(rows, "__arrow_c_stream__") or (hasattr(rows, "columns") and hasattr(rows, "dtypes"))


def as_rows(given: Any, estimator: object, *, least: int = 1) -> Any:
    """Rows as they came where they are a frame or an array, else as an array.

    Args:
        given: A frame, an array, a sparse matrix or array of SciPy, or anything of which NumPy makes an array
            ``[rows, columns]``.
        estimator: The one that messages name.
        least: How many rows there must be.

    Raises:
        BadInput: If there are too few rows, lists differ in length, the rows are records or dicts, an array has more
            than two axes, or a sparse matrix would take more than half of the memory.
        ValueError: If the array has one axis or none, is complex, or has no columns.
    """
    if is_frame(given):
        if len(getattr(given, "shape", ())) != 2:  # a stream of Arrow tells no shape
            given = as_arrow(given)
        distinct(str(one) for one in getattr(given, "column_names", given.columns))
        count = int(given.shape[0])
        _check_count(count, least)
        return given
    if issparse(given):
        given = dense(given)
    if isinstance(given, str | PathLike):
        as_arrow(given)  # raises, and says how a file is read
    if by_name(given) is not None:
        rule, got = (
            "an array, a DataFrame, an Arrow table or a sparse matrix",
            Words(f"a {type(given).__name__} by name"),
        )
        raise must("X", type(estimator).__name__, rule, got, "Give pandas.DataFrame(X)")
    if not hasattr(given, "dtype") and not hasattr(given, "__array__") and not hasattr(given, "__array_interface__"):
        # NumPy would make strings of numbers that stand beside strings.
        array = regular_array(given, "X", type(estimator).__name__)
        if array.ndim == 0 and array.dtype == object:  # such as a Pool of CatBoost, a DMatrix or a Dataset
            rule, got = "an array, a DataFrame, an Arrow table or a sparse matrix", Words(f"a {type(given).__name__}")
            raise must("X", type(estimator).__name__, rule, got, "Give the rows themselves")
        given = array if array.dtype.kind not in "USO" else np.asarray(given, dtype=object)
    if isinstance(given, np.ndarray):
        refuse_records(given)
    if isinstance(given, np.ma.MaskedArray):
        given = unmasked(given)
    # What becomes an array only once it is asked tells no shape, and scikit-learn checks it.
    shape: tuple[int, ...] = getattr(given, "shape", ())
    if len(shape) > 2:
        raise must("X", type(estimator).__name__, "[rows, columns]", shape, "Lay each row flat: X.reshape(len(X), -1)")
    if shape[:1] == (0,) or (len(shape) == 2 and shape[1]):
        _check_count(shape[0], least)
    return check_array(
        given,
        dtype=None,
        ensure_all_finite=False,  # missing values and infinities are judged column by column
        estimator=estimator,
        input_name="X",
    )


def _check_count(count: int, least: int) -> None:
    """See that there are rows enough.

    Raises:
        BadInput: If there are fewer.
    """
    if count < least:
        raise BadInput(f"X must have at least {least} row{'s' * (least > 1)}; got {count} sample(s). Give more rows.")


def held_against(given: Any, estimator: BaseEstimator, named: bool | None) -> Any:
    """Rows as they came, or as an array, once they are checked and have the columns of the fit.

    Args:
        given: What `as_rows` takes; to predict on, also rows by name, such as dicts.
        estimator: The mimic.
        named: Whether the columns of its fit had names; None for the rows of the fit themselves.

    Raises:
        BadInput: If there are more or fewer columns than in the fit, where these had no names.
    """
    fitting = named is None
    if not fitting and by_name(given) is not None:
        return given
    rows = as_rows(given, estimator, least=LEAST if fitting else 1)
    if named and is_frame(rows):
        return rows  # found by their names
    try:
        rows = validate_data(estimator, rows, skip_check_array=True, reset=fitting)
    except ValueError as error:
        names = getattr(estimator, "feature_names_in_", None)
        these = "" if names is None else f", {shown(list(names))}"
        raise BadInput(f"{error} Give the columns of the rows that it was fitted on, in their order{these}.") from error
    # Of rows without names the place counts; scikit-learn warns of a frame.
    return rows if fitting else np.asarray(rows)


def dense(given: Any) -> npt.NDArray[Any]:
    """A sparse matrix as an array: rows are synthesized, and networks compute, from all of their values.

    Raises:
        BadInput: If the array would take more than half of the memory.
    """
    values, most = math.prod(given.shape), allowed(None)
    size = values * np.dtype(np.float64).itemsize
    if size > most:
        rows, columns = given.shape[0], values // given.shape[0]
        raise BadInput(
            f"X is sparse, and as an array its {rows:,} rows of {columns:,} columns take {bytes_text(size)}, more than "
            f"half of the memory ({bytes_text(most)}). Give fewer rows, or fewer columns: those of the most values, or "
            "sums of them such as TruncatedSVD gives, to the teacher as well."
        )
    array: npt.NDArray[Any] = given.toarray()
    return array


def blocks_of(given: Any, values: int) -> Iterator[Any]:
    """A sparse matrix in blocks of whole rows, of at most so many values as an array; anything else in one piece."""
    if not issparse(given) or given.ndim != 2 or given.shape[0] * given.shape[1] <= values:
        yield given
        return
    by_row, size = given.tocsr(), max(1, values // given.shape[1])
    for start in range(0, given.shape[0], size):
        yield by_row[start : start + size]


def sample_weights(given: Any, rows: Any) -> Tensor | None:
    """What each row counts, as the user gives it to an estimator; None where all count the same.

    Raises:
        BadInput: If they are not one number per row, at least 0.
    """
    return None if given is None else weights_of("sample_weight", "Mimic.fit", given, int(rows.shape[0]))


def counted(rows: Any, truth: Truth, given: Any) -> tuple[Any, Truth, Any]:
    """The rows that count, what is true of them, and their weights.

    A row of weight 0 is as one that is not there: among the rows to judge by it would tell nothing.

    Args:
        rows: All of them.
        truth: Of each; None for nothing.
        given: What each row counts, as the user gives it to an estimator; None for 1.

    Raises:
        BadInput: If weights are not one number per row, at least 0, or too few are above it.
    """
    weights = sample_weights(given, rows)
    if weights is None or bool(weights.all()):
        return rows, truth, given
    places = weights.nonzero()[:, 0].numpy()
    if len(places) < LEAST:
        got = Words(f"{len(places)} of {len(weights)}")
        remedy = "Leave it out, or give more rows weight"
        raise must("sample_weight", "Mimic.fit", f"above zero for {LEAST} rows at least", got, remedy)
    return take_rows(rows, places), None if truth is None else truth[places], np.asarray(given)[places]


def warn_about_columns(given: Any, columns: Columns, nominal: Sequence[str | int], matrix: Any) -> None:
    """Log which columns may not be what the user thinks.

    These are numbers that float32 does not tell apart, and columns that are read as names though they are numbers in
    all but type: the teacher sees them so too.

    Args:
        given: The rows.
        columns: What they were read as.
        nominal: Which are names whatever they look like.
        matrix: The rows, encoded.
    """
    warn_of_rounding(columns, matrix)
    if not any(column.kind == "nominal" for column in columns):
        return
    skip = [columns.names[place] for place in positions(nominal, columns.names)]
    try:
        numbers = written([given], skip=skip)
    except BadInput as error:
        log.warning("%s", error)
        return
    for name, reading in numbers.items():
        log.warning(
            "column %r is read as names, %d of them, though its values are written like numbers (%s): convert it "
            "to numbers before the teacher is fitted, or name it in nominal",
            name,
            len(columns[name].categories),
            reading.notation,
        )


def head(given: Any) -> Any:
    """One row, which shows the form of all."""
    if hasattr(given, "iloc"):
        return given.iloc[:1]
    return given.slice(0, 1) if hasattr(given, "slice") else given[:1]
