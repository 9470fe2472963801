"""Numbers formatted for people: digits, units, signs."""

import pytest

from attar import formatting

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formatting.points(-0.0042, 10_000), f"{MINUS}0.42"),
        (formatting.points(-0.00001, 10_000), "0.00"),
        (formatting.percent(0.9, None), "90.0%"),
        (formatting.size(999_600), "1.00 MB"),
        (formatting.size(0), "0 B"),
        (formatting.milliseconds(0.9996), "1.00 ms"),
        (formatting.milliseconds(0.00004), "0.0400 µs"),
        (formatting.seconds(59.96), "1 min 0 s"),
        (formatting.times(0.05), f"0.05{TIMES}"),
        (formatting.times(1200), f"1200{TIMES}"),
        (formatting.small(-2.5e-7), f"{MINUS}2.5\N{MIDDLE DOT}10\u207b\u2077"),
        (formatting.significant(-0.5), f"{MINUS}0.500"),
    ],
)
def test_numbers_are_said_with_their_unit(text: str, expected: str) -> None:
    assert text.replace("\N{NO-BREAK SPACE}", " ") == expected
