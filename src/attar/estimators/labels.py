"""Labels and values as users give them to an estimator, in any usual form, checked once."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from attar.errors import BadInput, Words, must, shown
from attar.regular_arrays import unmasked
from attar.tables.cells import LARGEST, as_python

_LEAVE_OUT = "Leave such rows out; a teacher that is fitted already needs no y at all"


def as_labels(given: Any, rows: Any) -> npt.NDArray[Any]:
    """Class labels ``[rows]``, as they are; objects that are all bools, or all numbers, in the type that holds them.

    Raises:
        BadInput: If one is missing or infinite, they are of several types, or not as many as the rows.
        ValueError: If they are not one class per row, or are the values of a regression.
    """
    _check_as_many(given, rows)
    _refuse_times_and_complex(given, "classes", "Make them texts with astype(str)")
    labels: npt.NDArray[Any] = column_or_1d(_in_numpy_types(given), warn=True)
    if labels.dtype.kind == "O":
        _refuse_unsortable(labels)
        if all(isinstance(one, bool | int | float | np.bool_ | np.number) for one in labels.tolist()):
            labels = np.asarray(labels.tolist())
    if labels.dtype.kind == "f":
        _refuse_where(~np.isfinite(labels), labels, "the class of every row, a finite number")
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


def _check_as_many(given: Any, rows: Any) -> None:
    """See that there is a label, or a value, for each row.

    Raises:
        BadInput: If there is not.
    """
    try:
        found, count = np.shape(given if hasattr(given, "shape") else np.asarray(given)), int(rows.shape[0])
    except ValueError:  # lists of different lengths, which scikit-learn finds better words for
        return
    if found[:1] != (count,):
        remedy = "Give those of the rows in X, all of them, in the same order"
        raise must("y", "Mimic.fit", f"[{count}], one for each row", found, remedy)


def _refuse_where(wrong: npt.NDArray[np.bool_], given: npt.NDArray[Any], rule: str, remedy: str = _LEAVE_OUT) -> None:
    """Refuse labels or values, with the first row of those that are wrong and how many more there are.

    Args:
        wrong: ``[rows]`` or ``[rows, outputs]``.
        given: What they are, of the same shape.
        rule: What they must be.
        remedy: What to do.

    Raises:
        BadInput: If any is.
    """
    if not wrong.any():
        return
    place = tuple(int(one[0]) for one in wrong.nonzero())
    more = int(wrong.reshape(len(wrong), -1).any(axis=1).sum()) - 1
    where = f"in row {place[0]}" + (f", column {place[1]}" if len(place) > 1 and given.shape[1] > 1 else "")
    others = f" and {more} more such row{'s' if more > 1 else ''}" if more else ""
    raise must("y", "Mimic.fit", rule, Words(f"{as_python(given[place])!r} {where}{others}"), remedy)


def _refuse_times_and_complex(given: Any, rule: str, remedy: str) -> None:
    """See that labels are not complex, nor dates or spans of time, whose numbers are of the unit they are stored in.

    Raises:
        BadInput: If they are.
    """
    kind = getattr(getattr(given, "dtype", None), "kind", "")
    if found := {"M": "dates", "m": "spans of time", "c": "complex numbers"}.get(kind):
        remedy = "Give their parts, or their size" if kind == "c" else remedy
        raise BadInput(f"y of Mimic.fit must hold {rule}; got {found} ({given.dtype}). {remedy}.")


def _refuse_unsortable(labels: npt.NDArray[Any]) -> None:
    """See that labels given as objects are there, and of one type.

    Raises:
        BadInput: If one is missing, or they are of several types.
    """
    _refuse_where(np.array([_is_missing(one) for one in labels.tolist()], bool), labels, "the class of every row")
    kinds = {_kind_of(label): label for label in labels.tolist()}
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
        BadInput: If one is neither 1 nor 0, or there is not one row of them per row.
    """
    _check_as_many(given, rows)
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


def label_names(labels: Any, count: int) -> tuple[str, ...]:
    """What several labels are called: as the columns of a frame are, else by their places.

    Args:
        labels: As the user gave them; None for nothing.
        count: How many there are.
    """
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
        BadInput: If they are no numbers, one is missing or beyond float32, or they are not as many as the rows.
        ValueError: If they are not one number (or one list of them) per row.
    """
    _check_as_many(given, rows)
    _refuse_times_and_complex(given, "numbers", "Give the days or seconds that they are")
    given = unmasked(given) if isinstance(given, np.ma.MaskedArray) else given
    texts = np.asarray(given) if not hasattr(given, "toarray") else None
    if texts is not None and texts.dtype.kind in "OUS":
        wrong = [one for one in texts.ravel().tolist() if isinstance(one, str | bytes)]
        if wrong:
            raise BadInput(
                f"y of Mimic.fit must hold numbers, as the teacher predicts values; got {wrong[0]!r}. Convert them, or "
                "give a classifier as the teacher."
            )
    values: npt.NDArray[np.float64] = check_array(
        given, dtype=np.float64, ensure_2d=False, ensure_all_finite=False, input_name="y"
    )
    values = values if several and values.ndim == 2 else np.asarray(column_or_1d(values, warn=True))
    _refuse_where(~(np.abs(values) <= LARGEST), values, "a number for every row, from -1e38 to 1e38")
    return values


def codes(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The position of each label ``[rows]`` among the classes ``[classes]``.

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
