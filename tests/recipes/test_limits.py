"""Limits as users write them."""

from __future__ import annotations

from typing import Any

import pytest

from attar.errors import BadInput
from attar.recipes.limits import limits_of


@pytest.mark.parametrize(
    "given",
    [
        "quality_loss<=1%, bytes<=50 kB, prefer=bytes",
        "quality_loss = 1%,bytes \N{LESS-THAN OR EQUAL TO} 50 kB,  prefer = bytes ",
        ["quality_loss=1%", 'bytes<="50 kB"', "prefer=bytes"],
        ["quality_loss<=1%, bytes<=50 kB", "prefer=bytes"],
        {"quality_loss": "1%", "bytes": "50 kB", "prefer": "bytes"},
    ],
)
def test_the_same_limits_in_several_forms(given: Any) -> None:
    assert limits_of(given) == {"quality_loss": "1%", "bytes": "50 kB", "prefer": "bytes"}


def test_no_limits() -> None:
    assert limits_of(None) == limits_of([]) == limits_of({}) == {}


@pytest.mark.parametrize(
    "given",
    [
        "bytes",
        "bytes<=",
        "bytes>=50kB",
        "bytes<50kB",
        "bytes==5",
        "<=5",
        "",
        "bytes=1,000",
        "bytes<=8,5 kB",
        "bytes<=5,",
        "bytes<=0.05x latency<=1ms",
        "bytes=50kB latency=1ms",
    ],
)
def test_what_is_no_limit_is_one_sentence(given: str) -> None:
    with pytest.raises(BadInput) as found:
        limits_of(given)
    part = given.split(",")[-1].strip()
    got = repr(given) if part == given else f"{part!r} in {given!r}"
    assert str(found.value) == (
        f"budget of attar compress must be limits written NAME<=LIMIT, with commas between them; got {got}. "
        'For example "quality_loss<=1%, bytes<=50kB, prefer=bytes".'
    )


@pytest.mark.parametrize("given", ["bytes<=50kB, bytes<=20kB", ["bytes=50kB", "bytes<=20kB"]])
def test_one_thing_limited_twice_is_refused(given: Any) -> None:
    with pytest.raises(
        BadInput, match=r"^budget of attar compress names bytes twice, as '50kB' and '20kB'. Give it once"
    ):
        limits_of(given)
