"""Dates as days since the first one, and back."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attar.errors import BadInput
from attar.tables.column import Column
from attar.tables.columns import Columns
from attar.tables.dates import DAY, WEEK, YEAR, Dates, moment

DATES = np.array(["2024-03-01T06:00", "2024-02-29T00:00", "NaT", "2024-03-02T18:00"], "datetime64[m]")


def test_days_since_the_first_worked_out_by_hand():
    columns = Columns.infer(pd.DataFrame({"when": DATES}))
    assert str(columns) == "Columns('when': date from 2024-02-29 00:00 to 2024-03-02 18:00 or missing)"
    encoded = columns.encode(pd.DataFrame({"when": DATES}))
    assert encoded[:, 0].tolist() == pytest.approx([1.25, 0.0, np.nan, 2.75], nan_ok=True, abs=0)
    # 2024-02-29 is day 19,782 since 1970, by any calendar; steps are hours; three days go around no week.
    assert columns[0].dates == Dates(19_782, 3600.0, (DAY,))


@pytest.mark.parametrize(
    ("dates", "step", "periods"),
    [
        (pd.date_range("2020-01-01", periods=3), 86_400.0, ()),
        (pd.date_range("2020-01-01", periods=15), 86_400.0, (WEEK,)),
        (pd.date_range("2020-01-01", periods=200), 86_400.0, (YEAR, WEEK)),
        (pd.date_range("2020-01-01 01:02:03", periods=200), 1.0, (YEAR, WEEK)),
        (pd.date_range("2020-01-01", periods=24, freq="h"), 3600.0, (DAY,)),
        (pd.date_range("2020-01-01", periods=9, freq="5min"), 60.0, (DAY,)),
        (pd.date_range("2020-01-01", periods=9, freq="7ms"), 1e-6, (DAY,)),
        (pd.date_range("2020-01-01", periods=1), 86_400.0, ()),
    ],
)
def test_how_fine_and_on_which_circles(dates: pd.DatetimeIndex, step: float, periods: tuple[float, ...]):
    found = Dates.of(dates.to_numpy())
    assert (found.step, found.periods) == (step, periods)


def test_float32_gives_the_same_dates_back():
    # Ten years of hours: float32 is off by seconds, and the step brings them back.
    dates = pd.date_range("2010-01-01", "2020-01-01", freq="37h").to_numpy()
    form = Dates.of(dates)
    assert (form.dates(form.days(dates).astype(np.float32).astype(np.float64)) == dates).all()


def test_dates_in_every_form_of_a_row():
    columns = Columns.infer(pd.DataFrame({"when": pd.date_range("2024-01-01", periods=40), "a": np.arange(40.0)}))
    noon = datetime.datetime(2024, 1, 3, 12)
    forms: list[Any] = [
        noon,
        pd.Timestamp(noon),
        np.datetime64(noon),
        "2024-01-03T12:00",
        "2024-01-03 12:00",
        "2024-01-03T14:00+02:00",
        noon.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1))) + datetime.timedelta(hours=1),
    ]
    for form in forms:
        assert columns.encode({"when": form, "a": 1.0}).tolist() == [[2.5, 1.0]], form
        assert columns.encode([{"when": form, "a": 1.0}] * 9)[:, 0].tolist() == [2.5] * 9, form
    assert columns.encode({"when": datetime.date(2024, 1, 3), "a": 1.0}).tolist() == [[2.0, 1.0]]
    for first in (noon, "2024-01-03 12:00"):
        given = columns.encode([{"when": form, "a": 1.0} for form in (first, "2024-01-03", None, pd.NaT, "", "NA")])
        assert given[:, 0].tolist() == pytest.approx([2.5, 2.0, *[np.nan] * 4], nan_ok=True, abs=0)


@pytest.mark.parametrize("nothing", [None, pd.NaT, pd.NA, np.nan])
def test_a_date_that_is_missing_among_objects_is_no_date(nothing: Any):
    """As databases give them, in a column of objects."""
    rows = pd.DataFrame({"when": [nothing, *(datetime.date(2024, 1, day) for day in range(1, 9))]}, dtype=object)
    columns = Columns.infer(rows)
    assert columns[0].missing and columns[0].center == 3.5
    for form in (rows, rows.to_dict("records"), rows.to_dict("list"), rows.to_numpy()):
        named = form if not isinstance(form, np.ndarray) else pd.DataFrame(form, columns=["when"])
        assert np.array_equal(columns.encode(named)[:, 0], [np.nan, *range(8)], equal_nan=True)


def test_one_date_as_many():
    dates = (
        pd.date_range("1931-05-01 03:04:05.678901", "2060-01-01", freq="1234567s").to_numpy().astype("datetime64[us]")
    )
    column = Column("a", "date", dates=Dates.of(dates))
    assert column.dates is not None
    days = column.dates.days(dates).tolist()
    for one in (dates, dates.astype(object), list(map(str, dates)), list(pd.Series(dates))):
        assert [column.code(value) for value in one] == days, "to the last bit, and without a closer look"
    assert all(np.isnan(column.code(value) or 0) for value in (None, "", "NA", np.datetime64("NaT")))
    assert column.code("soon") is None and column.code(3) is None


@pytest.mark.parametrize("value", [3, 2.5, "soon", True])
def test_what_is_no_date(value: Any):
    columns = Columns.infer(pd.DataFrame({"when": pd.date_range("2024-01-01", periods=4)}))
    for rows in ({"when": value}, [{"when": value}] * 9, [{"when": "2024-01-01"}, {"when": value}]):
        with pytest.raises(BadInput, match=r"^column 'when' of the rows must be of dates, such as 2024-05-31"):
            columns.encode(rows)


def test_what_is_no_date_is_told_of_the_first_row():
    columns = Columns.infer(pd.DataFrame({"when": pd.date_range("2024-01-01", periods=4)}))
    texts = ["2024-01-02", None, "soon", "never", "2024-01-02", "never", "soon"]
    with pytest.raises(BadInput, match=r"got 'soon' in row 2\."):
        columns.encode(pd.DataFrame({"when": texts}))


def test_dates_are_neither_numbers_nor_names():
    columns = Columns.infer(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(BadInput, match=r"^column 'a' of the rows must be of numbers; got '2024-01-01"):
        columns.encode({"a": datetime.date(2024, 1, 1)})
    with pytest.raises(BadInput, match=r"^column 'when' of the rows must be of names; got dates"):
        Columns.infer(pd.DataFrame({"when": pd.date_range("2024-01-01", periods=4)}), nominal=["when"])
    assert Columns.infer(pd.DataFrame({"when": pd.to_datetime([None, None])}))[0].kind == "number"


def test_no_date():
    assert moment("2024-02-30") is None
    assert moment(20240131) is None
    assert moment(datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1)))) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dates": None}, r"dates of column 'a' must be given where the kind is date"),
        ({"kind": "number"}, r"dates of column 'a' must be given where the kind is date"),
        ({"dates": 3}, r"dates of Column must be an object of origin, step and periods"),
        ({"dates": {"origin": 0, "step": 1.0}}, r"dates of Column must be an object of origin, step and periods"),
        ({"dates": {"origin": True, "step": 1.0, "periods": []}}, r"dates of Column must be of a whole number"),
        ({"dates": {"origin": 10**9, "step": 1.0, "periods": []}}, r"origin of Dates must be days since 1970"),
        (
            {"dates": {"origin": 0, "step": 2.0, "periods": []}},
            r"step of Dates must be one of 86400, 3600, 60, 1, 1e-06",
        ),
        ({"dates": {"origin": 0, "step": 1.0, "periods": [0.0]}}, r"periods of Dates must be at most 3 numbers"),
        ({"dates": {"origin": 0, "step": 1.0, "periods": [1.0] * 4}}, r"periods of Dates must be at most 3 numbers"),
    ],
)
def test_documents_that_are_wrong(changes: dict[str, Any], message: str):
    column = Column("a", "date", dates=Dates(0, 1.0, (DAY,)))
    document = json.loads(json.dumps(column.to_json()))
    assert Column.from_json(document) == column
    with pytest.raises(BadInput, match=f"^{message}"):
        Column.from_json(document | changes)
