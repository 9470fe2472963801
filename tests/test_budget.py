"""Limits: read as people write them, compared, said in words."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.budget import Limit, Score, What, asked
from attar.errors import BadInput

KINDS = st.sampled_from(get_args(What))
AMOUNTS = st.floats(1e-6, 1e12) | st.integers(1, 10**12).map(float)


def plainly(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("what", "given", "amount"),
    [
        ("quality_loss", "1%", 0.01),
        ("quality_loss", "1.5 points", 0.015),
        ("quality_loss", "1 point", 0.01),
        ("quality_loss", 0.02, 0.02),
        ("quality_loss", 0, 0.0),
        ("quality_loss", "100 %", 1.0),
        ("bytes", "50 kB", 50_000.0),
        ("bytes", "50kB", 50_000.0),
        ("bytes", "50\N{NO-BREAK SPACE}kB", 50_000.0),
        ("latency", "\N{NO-BREAK SPACE}2\N{NARROW NO-BREAK SPACE}ms ", 2.0),
        ("bytes", 50_000, 50_000.0),
        ("bytes", "50000", 50_000.0),
        ("bytes", "1.5 MiB", 1.5 * 2**20),
        ("latency", "80 us", 0.08),
        ("latency", "80 \N{MICRO SIGN}s", 0.08),
        ("latency", "80 \N{GREEK SMALL LETTER MU}s", 0.08),
        ("latency", "2e-3 s", 2.0),
        ("memory", "20 MB", 2e7),
        ("macs", "3 M", 3e6),
        ("macs", 3_000_000, 3e6),
    ],
)
def test_limits_are_read_as_people_write_them(what: What, given: object, amount: float) -> None:
    limit = Limit.read(what, given)
    assert (limit.what, limit.relative) == (what, False)
    assert limit.amount == pytest.approx(amount, rel=1e-15)


@pytest.mark.parametrize("text", ["0.05x", "0.05 x", ".05x", " 0.05\N{MULTIPLICATION SIGN} ", "5e-2x"])
@pytest.mark.parametrize("what", get_args(What))
def test_any_limit_may_be_relative_to_the_teacher(what: What, text: str) -> None:
    limit = Limit.read(what, text)
    assert limit == Limit(what, 0.05, relative=True)
    assert (limit.at(200.0), limit.at(None), str(limit)) == (10.0, None, "0.05x")


@pytest.mark.parametrize(
    ("what", "given", "said"),
    [
        ("bytes", "5%", "must have a unit that is known; got '5%'. Write '0.05x' for that share of the teacher's."),
        ("bytes", "50 KB", "must have a unit that is known; got '50 KB'. Did you mean 'kB'?"),
        ("bytes", "50 mb", "must have a unit that is known; got '50 mb'. Did you mean 'MB'?"),
        ("latency", "1 mS", "must have a unit that is known; got '1 mS'. Did you mean 'ms'?"),
        (
            "latency",
            "1 sec",
            "must have a unit that is known; got '1 sec'. Choose from 'ms', 'ns', 's', 'us', 'x', 'µs'.",
        ),
        ("quality_loss", "1 pint", "must have a unit that is known; got '1 pint'. Did you mean 'point' or 'points'?"),
        ("latency", 1, "must have a unit; got 1. Write for example '1 ms' or '0.05x'."),
        ("memory", "2000000", "must have a unit; got '2000000'. Write for example '20 MB' or '0.05x'."),
        (
            "quality_loss",
            1,
            "must be below 1 where it has no unit; got 1. Write '1%' for one point, '100%' for all of it.",
        ),
        ("quality_loss", "101%", "must be at most 100%; got '101%'. Write for example '1%' or '0.05x'."),
        ("bytes", "0 kB", "must be greater than 0; got '0 kB'. Write for example '50 kB' or '0.05x'."),
        ("macs", "0x", "must be greater than 0; got '0x'. Write for example '3 M' or '0.05x'."),
        ("quality_loss", -0.01, "must be at least 0; got -0.01. Write for example '1%' or '0.05x'."),
        ("bytes", "1,5 kB", "must be a number with its unit; got '1,5 kB'. Write for example '50 kB' or '0.05x'."),
        ("bytes", "small", "must be a number with its unit; got 'small'. Write for example '50 kB' or '0.05x'."),
        ("bytes", True, "must be a number with its unit; got True. Write for example '50 kB' or '0.05x'."),
        ("bytes", math.nan, "must be a number with its unit; got nan. Write for example '50 kB' or '0.05x'."),
        ("bytes", "1e300 GB", "must be of a size that occurs; got '1e300 GB'. Write for example '50 kB' or '0.05x'."),
        ("bytes", "", "must be a number with its unit; got ''. Write for example '50 kB' or '0.05x'."),
    ],
)
def test_what_is_no_limit_is_refused_in_one_sentence(what: What, given: object, said: str) -> None:
    with pytest.raises(BadInput) as found:
        Limit.read(what, given)
    assert str(found.value) == said


@given(KINDS, AMOUNTS, st.booleans())
def test_a_limit_comes_back_from_its_text(what: What, amount: float, relative: bool) -> None:
    if what == "quality_loss" and not relative:
        amount = min(max(amount / 1e12, 1e-9), 1.0)
    limit = Limit(what, amount, relative)
    assert Limit.read(what, str(limit)) == limit


@given(KINDS, st.text(max_size=80) | st.integers() | st.floats() | st.none() | st.binary(max_size=9))
def test_whatever_is_read_is_a_limit_or_one_sentence(what: What, given: object) -> None:
    try:
        limit = Limit.read(what, given)
    except BadInput as error:
        assert str(error).startswith("must ") and str(error)[-1] in ".?"
    else:
        assert 0 <= limit.amount <= 1e18 and (limit.amount > 0 or what == "quality_loss")
        assert Limit.read(what, str(limit)) == limit


def test_what_is_asked_in_words() -> None:
    limits = [Limit.read(*one) for one in (("quality_loss", "2%"), ("latency", "0.5x"), ("macs", "3 M"))]
    assert asked(limits, "quality", Score("F1")) == (
        "at most 2 points of F1 lost, at most 0.5x the teacher's latency at batch 1, at most 3 M multiply-adds; "
        "of those within, the best"
    )
    known = Limit.read("bytes", "0.05x").asked(teacher=1e6)
    assert plainly(known) == "at most 0.05x the teacher's size on disk (about 50.0 kB)"
