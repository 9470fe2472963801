"""Numbers as people write them."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.tables.columns import Columns
from attar.tables.notation import DEFAULT, Notation, is_mark, readings


@pytest.mark.parametrize(
    ("texts", "said", "values"),
    [
        (["125,73", "-360,44", "1"], "decimal comma", [125.73, -360.44, 1]),
        (["1.234,5", "12,0", "1.234.567"], "decimal comma, points between thousands", [1234.5, 12, 1234567]),
        (["1,234.5", "12"], "commas between thousands", [1234.5, 12]),
        (["1 234", "12\u00a0345,5", "1\u202f234\u202f567"], "decimal comma, spaces between thousands", None),
        (["1'234.50", "1\u2019234"], "apostrophes between thousands", [1234.5, 1234]),
        (["1,23,456", "12,34,567.5"], "commas between thousands", [123456, 1234567.5]),
        (["12%", "3.5 %", "0"], "in %", [12, 3.5, 0]),
        (["$1,234.50", "-$5.00", "($3.00)", "$ 7"], "commas between thousands, in $", [1234.5, -5, -3, 7]),
        (["12,50 EUR", "EUR 3,00", "-1"], "decimal comma, in EUR", [12.5, 3, -1]),
        (["99,50 \u20ac", "1.000,00 \u20ac"], "decimal comma, points between thousands, in \u20ac", [99.5, 1000]),
        (["100 kr", "1 250,50 kr", "99,- kr"], "decimal comma, spaces between thousands, in kr", [100, 1250.5, 99]),
        (["70kg", "72.5 kg"], "in kg", [70, 72.5]),
        (["1e5", "2.5E-3", "\u22122", "+.5"], "decimal point", [1e5, 2.5e-3, -2, 0.5]),
        (["0,125", "0,250"], "decimal comma", [0.125, 0.25]),
        (["12", "-", "N/A", "none", "Missing", "?", "NULL", ""], "decimal point", [12] + [math.nan] * 7),
    ],
)
def test_columns_by_hand(texts: list[str], said: str, values: list[float] | None):
    found = readings({"a": texts})["a"]
    expected = [1234, 12345.5, 1234567] if values is None else values
    assert str(found.notation) == said and found.notation.sure and found.wrong == ()
    assert np.array_equal(found.values, expected, equal_nan=True)
    assert np.array_equal([found.notation.number(text) for text in texts], expected, equal_nan=True)
    assert Notation.from_json(found.notation.to_json()) == found.notation


@pytest.mark.parametrize(
    "texts",
    [
        ["red", "blue", "none"],
        ["user-0001", "user-0002"],
        ["01234", "90210"],
        ["1.2.3", "1.2.4"],
        ["2020-01-02", "2021-01-02"],
        ["12:30", "13:45"],
        ["1,5", "1.5"],
        ["$5", "\u20ac5"],
        ["12%", "3.5"],
        ["1.2k", "3M"],
        ["R2", "R10"],
        ["?", "n/a", ""],
        ["1,2345,678", "1"],
        ["\u0661\u0662", "\u0663"],
    ],
)
def test_names_stay_names(texts: list[str]):
    assert readings({"a": texts}) == {}


def test_zeros_in_front_change_no_number_of_a_column_of_numbers():
    """A file's 01234 is read as 1234, and so is the same text that `csv.DictReader` gives of it later."""
    assert [Notation().number(text) for text in ("01234", "00", "-007", "00.5", "0x1F")] == [1234, 0, -7, 0.5, None]
    assert Notation(",", ".").number("001.234,5") == 1234.5
    assert Columns.infer({"code": [501, 90210]}).encode([{"code": "01234"}]).tolist() == [[1234.0]]


class TestWhatCouldBeEither:
    TEXTS = ("1,234", "5,678")

    def values(self, others: dict[str, list[str]] | None = None, **settings: object) -> list[float]:
        found = readings({"a": self.TEXTS, **(others or {})}, **settings)["a"]  # type: ignore[arg-type]
        assert not found.notation.sure
        return found.values

    def test_thousands_unless_something_tells(self):
        assert self.values() == [1234, 5678]

    def test_other_columns_tell(self):
        assert self.values({"b": ["3,5", "1,25"]}) == [1.234, 5.678]
        assert self.values({"b": ["3.5"]}, usual=",") == [1234, 5678]

    def test_the_user_and_the_usual_tell(self):
        assert self.values(decimal=",") == self.values(usual=",") == [1.234, 5.678]
        assert self.values({"b": ["3,5"]}, decimal=".") == [1234, 5678]

    def test_another_value_of_the_column_is_sure(self):
        assert readings({"a": ["1,234", "1,5"]}, decimal=".")["a"].values == [1.234, 1.5]
        assert readings({"a": ["1,234", "1,234,567"]}, decimal=",")["a"].values == [1234, 1234567]

    def test_points_likewise(self):
        assert readings({"a": ["1.234"]})["a"].values == [1.234]
        assert readings({"a": ["1.234"], "b": ["0,5"]})["a"].values == [1234]


def test_whole_and_plain():
    found = readings({"a": ["12", "1 000"], "b": ["12", "?"], "c": ["1.0"]})
    assert [(found[name].integral, found[name].digits_only) for name in "abc"] == [
        (True, False),
        (True, True),
        (False, False),
    ]


def test_a_few_values_that_are_no_numbers():
    numbers = [f"{number},5" for number in range(30)]
    found = readings({"a": [*numbers, "about 3"]})["a"]
    assert found.wrong == (30,) and math.isnan(found.values[30])
    assert readings({"a": [*numbers[:10], "about 3"]}) == {}
    assert readings({"a": [*numbers, *"pqrst"]}) == {}


def test_a_notation_reads_what_was_not_there():
    written = Notation(",", ".", "EUR")
    assert written.number("1.000.000,25") == 1000000.25
    assert math.isnan(written.number("n/a"))  # type: ignore[arg-type]
    assert [written.number(text) for text in ("1.5", "1,000.5", "3 USD", "red", "1,2,3")] == [None] * 5
    assert Notation(",").number("1.000,5") == 1000.5 and Notation(",").number("1 000") == 1000
    assert Notation(",").number("1.5") is None and Notation(".", "", "$").number("$1,000") == 1000
    assert DEFAULT.number("1,234") is None and DEFAULT.number("-1.5e3") == -1500.0


@given(number=st.floats(-1e12, 1e12).map(lambda value: round(value, 2)), decimal=st.sampled_from(".,"))
def test_what_is_written_is_read(number: float, decimal: str):
    group = "," if decimal == "." else "."
    text = f"{number:,.2f}".translate({ord(","): group, ord("."): decimal})
    assert Notation(decimal, group).number(text) == number  # type: ignore[arg-type]


@given(text=st.text(max_size=12))
def test_any_text_is_a_number_a_mark_or_neither(text: str):
    number = DEFAULT.number(text)
    assert number is None or math.isnan(number) == is_mark(text)


@pytest.mark.parametrize(
    "text", ["9" * 10_000, "1" + " " * 10_000, "1,2" * 133, "1 " * 199 + "ab", " " * 10_000, "(" * 399]
)
def test_long_texts_cost_little(text: str):
    begun = time.process_time()
    readings({"a": [text] * 100})
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("changes", [{"decimal": ";"}, {"group": "x"}, {"group": "."}, {"unit": 3}, {"sure": 1}])
def test_broken_documents(changes: dict[str, object]):
    with pytest.raises(BadInput):
        Notation.from_json({**DEFAULT.to_json(), **changes})
    with pytest.raises(BadInput, match=r"^notation of Column must be an object of decimal, group, unit, sure; got"):
        Notation.from_json([])
