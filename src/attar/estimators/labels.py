"""Labels and values as users give them to an estimator, in any usual form, checked once."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from attar.errors import BadInput, shown
from attar.regular_arrays import unmasked
from attar.tables.cells import as_python


def as_labels(given: Any, rows: Any) -> npt.NDArray[Any]:
    """Class labels ``[rows]``, as they are; objects that are all bools, or all numbers, in the type that holds them.

    Raises:
        BadInput: If one is missing, or they are of several types.
        ValueError: If they are not one class per row, or are the values of a regression.
    """
    check_consistent_length(rows, given)
    _refuse_times(given, "classes", "Make them texts with astype(str)")
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


def _refuse_times(given: Any, rule: str, remedy: str) -> None:
    """See that labels are no dates or spans of time, which are numbers of whatever unit they are stored in.

    Raises:
        BadInput: If they are.
    """
    kind = getattr(getattr(given, "dtype", None), "kind", "")
    if kind in ("M", "m"):
        raise BadInput(
            f"y of Mimic.fit must hold {rule}; got {'dates' if kind == 'M' else 'spans of time'} ({given.dtype}). "
            f"{remedy}."
        )


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
        ValueError: If they are not finite numbers, one (or one list) per row.
    """
    check_consistent_length(rows, given)
    _refuse_times(given, "numbers", "Give the days or seconds that they are")
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
