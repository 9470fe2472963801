"""Rows and labels as users give them to an estimator, in any usual form, checked once."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse  # type: ignore[import-untyped]
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from attar.data.limits import allowed
from attar.data.weights import weights_of
from attar.errors import BadInput, Words, must, shown
from attar.formatting import size as bytes_text
from attar.regular_arrays import regular_array, unmasked
from attar.tables.cells import as_python
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
        BadInput: If a frame has too few rows, lists differ in length, the rows are records or dicts, or a sparse matrix
            would take more than half of the memory.
        ValueError: If the array is not two-dimensional, is complex, or has too few rows or no columns.
    """
    if is_frame(given):
        if len(getattr(given, "shape", ())) != 2:  # a stream of Arrow tells no shape
            given = as_arrow(given)
        distinct(str(one) for one in getattr(given, "column_names", given.columns))
        count = int(given.shape[0])
        if count < least:
            raise BadInput(
                f"X must have at least {least} row{'s' * (least > 1)}; got {count} sample(s). Give more rows."
            )
        return given
    if issparse(given):
        given = dense(given)
    if by_name(given) is not None:
        rule, got = (
            "an array, a DataFrame, an Arrow table or a sparse matrix",
            Words(f"a {type(given).__name__} by name"),
        )
        raise must("X", type(estimator).__name__, rule, got, "Give pandas.DataFrame(X)")
    if not hasattr(given, "dtype") and not hasattr(given, "__array__") and not hasattr(given, "__array_interface__"):
        # NumPy would make strings of numbers that stand beside strings.
        array = regular_array(given, "X", type(estimator).__name__)
        given = array if array.dtype.kind not in "USO" else np.asarray(given, dtype=object)
    if isinstance(given, np.ndarray):
        refuse_records(given)
    if isinstance(given, np.ma.MaskedArray):
        given = unmasked(given)
    return check_array(
        given,
        dtype=None,
        ensure_all_finite=False,  # missing values and infinities are judged column by column
        ensure_min_samples=least,
        estimator=estimator,
        input_name="X",
    )


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


def as_labels(given: Any, rows: Any) -> npt.NDArray[Any]:
    """Class labels ``[rows]``, as they are; objects that are all bools, or all numbers, in the type that holds them.

    Raises:
        BadInput: If one is missing, or they are of several types.
        ValueError: If they are not one class per row, or are the values of a regression.
    """
    check_consistent_length(rows, given)
    labels: npt.NDArray[Any] = column_or_1d(_in_numpy_types(given), warn=True)
    if labels.dtype.kind == "O":
        _refuse_unsortable(labels.tolist())
        if all(isinstance(one, bool | int | float | np.bool_ | np.number) for one in labels.tolist()):
            labels = np.asarray(labels.tolist())
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def _in_numpy_types(given: Any) -> Any:
    """Labels without a mask, and those of pandas' own whole numbers and bools in the type of NumPy.

    Scikit-learn would leave the mask out, and make floats of them.
    """
    if isinstance(given, np.ma.MaskedArray):
        return unmasked(given)
    single = hasattr(given, "dtypes") and len(getattr(given, "shape", ())) == 2 and given.shape[1] == 1
    dtype = getattr(given.dtypes.iloc[0] if single else getattr(given, "dtype", None), "numpy_dtype", None)
    if dtype is None or dtype.kind not in "biu" or bool(np.any(given.isna())):
        return given
    return given.astype(dtype)


def _refuse_unsortable(labels: list[Any]) -> None:
    """See that labels given as objects are there, and of one type.

    Raises:
        BadInput: If one is missing, or they are of several types.
    """
    missing = [row for row, label in enumerate(labels) if _is_missing(label)]
    if missing:
        raise BadInput(
            f"y of Mimic.fit must name the class of every row; got {labels[missing[0]]!r} in row {missing[0]}"
            f"{f' and {len(missing) - 1} more such rows' if len(missing) > 1 else ''}. Leave them out; a teacher that "
            "is fitted already needs no y at all."
        )
    kinds = {_kind_of(label): label for label in labels}
    if len(kinds) > 1:
        examples = " and ".join(f"{label!r} ({kind})" for kind, label in sorted(kinds.items())[:2])
        raise BadInput(
            f"y of Mimic.fit must hold classes of one type; got {examples}. Make all of them texts, or all numbers."
        )


def _kind_of(label: Any) -> str:
    """What a label is among those that it can be sorted with: NumPy's texts are texts, and bools numbers."""
    if isinstance(label, numbers.Number | np.bool_):
        return "a number"
    return "str" if isinstance(label, str) else type(label).__name__


def _is_missing(label: Any) -> bool:
    """Whether a label is None, NaN, or NA of pandas, which compares to nothing."""
    try:
        return label is None or bool(label != label)
    except TypeError:
        return True


def is_several(given: Any) -> bool:
    """Whether labels stand in two or more columns: a list of rows of them, an array, a sparse matrix or a frame."""
    shape = getattr(given, "shape", None)
    if shape is None:
        try:
            shape = np.asarray(given).shape
        except ValueError:  # rows of different length, which scikit-learn finds better words for
            return False
    return len(shape) == 2 and shape[1] >= 2


def as_several_labels(given: Any, rows: Any) -> npt.NDArray[Any]:
    """Labels of which any may hold, ``[rows, labels]`` of 1 and 0 in the type that they have.

    Raises:
        ValueError: If there is not one row of them per row.
        BadInput: If one is neither 1 nor 0.
    """
    check_consistent_length(rows, given)
    dense = given.toarray() if hasattr(given, "toarray") else _in_numpy_types(given)
    labels: npt.NDArray[Any] = np.asarray(dense)
    if labels.dtype == object:  # a frame of columns of several types
        typed = np.asarray(labels.tolist())
        labels = labels if typed.dtype.kind in "OUS" else typed
    if labels.dtype.kind in "buif":
        wrong = ~np.isin(labels, (0, 1))
    else:
        known = [not _is_missing(one) and not isinstance(one, str) and one in (0, 1) for one in labels.ravel().tolist()]
        wrong = ~np.array(known, bool).reshape(labels.shape)
    if wrong.any():
        row, column = (int(one[0]) for one in wrong.nonzero())
        raise BadInput(
            f"y of Mimic.fit has {labels.shape[1]} columns, one for each of several labels, so that all of them must "
            f"be 1 or 0; got {as_python(labels[row, column])!r} in row {row}, column {column}. Give one column of "
            "classes, or make each class of a column a label of its own."
        )
    return labels


def names_of(labels: Any, count: int) -> tuple[str, ...]:
    """What several labels are called: as the columns of a frame are, else by their places."""
    columns = getattr(labels, "columns", None)
    names = () if columns is None else tuple(map(str, columns))
    distinct = len(set(names)) == len(names) == count and all(names)
    return names if distinct else tuple(f"label {place}" for place in range(count))


def as_values(given: Any, rows: Any, *, several: bool) -> npt.NDArray[np.float64]:
    """The values of a regression, float64 ``[rows]`` or, with several outputs, ``[rows, outputs]``.

    Args:
        given: Numbers.
        rows: The rows that they belong to.
        several: Whether two dimensions are welcome.

    Raises:
        ValueError: If they are not finite numbers, one (or one list) per row.
    """
    check_consistent_length(rows, given)
    given = unmasked(given) if isinstance(given, np.ma.MaskedArray) else given
    texts = np.asarray(given) if not hasattr(given, "toarray") else None
    if texts is not None and texts.dtype.kind in "OUS":
        wrong = [one for one in texts.ravel().tolist() if isinstance(one, str | bytes)]
        if wrong:
            raise BadInput(
                f"y of Mimic.fit must hold numbers, as the teacher predicts values; got {wrong[0]!r}. Convert them, or "
                "give a classifier as the teacher."
            )
    values: npt.NDArray[np.float64] = check_array(given, dtype=np.float64, ensure_2d=False, input_name="y")
    if several and values.ndim == 2:
        return values
    return np.asarray(column_or_1d(values, warn=True))


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


def codes(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The position of each label among the classes.

    Raises:
        BadInput: If a label is none of them.
    """
    places = {value: place for place, value in enumerate(classes.tolist())}
    found = [places.get(label, -1) for label in labels.tolist()]
    if -1 in found:
        row = found.index(-1)
        raise BadInput(
            f"y of Mimic.fit must hold classes that the teacher knows, {shown(list(places))}; "
            f"got {labels.tolist()[row]!r} in row {row}. Fit the teacher on these classes too, or leave such rows out."
        )
    return np.array(found, dtype=np.int64)


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
