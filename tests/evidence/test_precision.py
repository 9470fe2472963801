"""What the page says of a low-bit student."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from attar.deployment.packed.report import size_report
from attar.evidence.page import page
from attar.evidence.page_common import Charts
from attar.evidence.precision import precision
from attar.evidence.report import render
from attar.quantization.format import Format
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
HOSTILE = "</title></svg><script>alert(1)</script>'\"&{{7*7}}"

Entry = dict[str, Any]


def entry(name: str = "layer.weight", **changes: Any) -> Entry:
    """A tensor of 80 values in two bits, as the evidence has it."""
    return {
        "name": name,
        "shape": [8, 10],
        "values": 80,
        "format": {"use": "codebook", "bits": 2, "granularity": {"group_size": 40}},
        "bits": 2,
        "entropy_bits": 1.5,
        "bytes_packed": 40,
        "bytes_coded": 32,
        "bytes_table": 20,
        "bytes_float32": 320,
        "weights": {"edges": [-1.0, 0.0, 1.0], "counts": [20, 60]},
        "numbers": {
            "counts": [20, 60, 0, 0],
            "lowest": [-0.6, 0.5, None, None],
            "mean": [-0.5, 0.5, None, None],
            "highest": [-0.4, 0.5, None, None],
        },
        "points": [0.25, 0.75, 0.8, 1.25],
    } | changes


def stays(name: str = "layer.bias", **changes: Any) -> Entry:
    """A tensor of 10 values that stays float."""
    none = {"format": None, "entropy_bits": None, "weights": None, "numbers": None, "points": None}
    taken = {"bytes_packed": 40, "bytes_coded": 40, "bytes_table": 0, "bytes_float32": 40}
    return entry(name, shape=[10], values=10, bits=32, **none, **taken) | changes


def said(*entries: Entry) -> dict[str, Any]:
    """What the page says, from entries as they are in JSON."""
    section: dict[str, Any] | None = page({"precision": list(entries)})["precision"]
    assert section is not None
    return section


def html(path: Path, *entries: Entry | None) -> str:
    render({"precision": list(entries)}, path / "report.html")
    return (path / "report.html").read_text(encoding="utf-8")


def shown(text: str) -> str:
    """What stands between the tags of the page's own part."""
    return re.sub(r"<[^>]*>", " ", text.split("<main>")[1].split("</main>")[0])


# -- what there is to say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, [], [None], [stays()]])
def test_without_low_bit_formats_there_is_no_trace(nothing: Any, tmp_path: Path) -> None:
    content = page({"precision": nothing})
    assert content["precision"] is None
    assert content["charts"] == []
    render({"precision": nothing}, tmp_path / "report.html")
    assert "low-bit" not in (tmp_path / "report.html").read_text(encoding="utf-8").split("</style>")[1]


def test_bytes_add_up_and_means_are_weighted_by_values() -> None:
    section = said(entry(), entry("b", values=240, bits=4, entropy_bits=3.5, bytes_float32=960), stays())
    few, everything = section["totals"]
    assert (few["many"], few["packed"], few["coded"], few["float32"]) == (320, 80, 64, 1280)
    assert (few["packed_times"], few["coded_times"]) == (f"16{TIMES}", f"20{TIMES}")
    # (80 * 2 + 240 * 4) / 320 and (80 * 1.5 + 240 * 3.5) / 320.
    assert (few["bits"], few["entropy"]) == ("3.5", "3.00")
    assert (everything["many"], everything["packed"], everything["float32"]) == (330, 120, 1320)
    assert everything["entropy"] is None, "floats have none"
    assert section["left"]["packed"] == 40
    assert section["sentence"] == f"104 B instead of 1.32 kB in float32: 12.7{TIMES} smaller.".replace(
        " B", "\xa0B"
    ).replace(" kB", "\xa0kB")


def test_a_sum_with_a_gap_is_not_given() -> None:
    section = said(entry(bytes_coded=None), entry("b"))
    (everything,) = section["totals"]
    assert everything["coded"] is None
    assert everything["packed"] == 80
    assert section["sentence"].startswith("80\xa0B instead of"), "packed, as coded is not known"


def test_a_format_is_described_once() -> None:
    other = {"use": "power_of_two", "bits": 3, "range": [float(n) for n in range(20)], "zero": True}
    formats = said(entry("a"), entry("b"), entry("c", bits=3, format=other))["formats"]
    assert formats == [
        ("codebook, 2 bits, 2 tensors", "granularity group size 40"),
        ("power of two, 3 bits, 1 tensor", "range 0 1 2 3 4 5 6 7 and 12 more, zero yes"),
    ]


def inputs(**changes: Any) -> Entry:
    form = {"use": "affine", "bits": 8, "range": "percentile", "percentile": 99.99}
    return {"format": form, "bits": 8, "range": [-0.5, 1.25]} | changes


def test_inputs_of_few_bits_have_a_column_and_are_described_once() -> None:
    section = said(entry("a", inputs=inputs()), entry("b"), stays("c", inputs=inputs(range=[0.0, 3.0])), stays("d"))
    assert section["inputs"]
    assert [row["name"] for row in section["rows"]] == ["a", "b", "c"]
    assert [row["inputs"] for row in section["rows"]] == [
        {"format": "affine, 8 bits", "range": f"{MINUS}0.500 to 1.25"},
        None,
        {"format": "affine, 8 bits", "range": "0 to 3.00"},
    ]
    assert section["formats"][-1] == ("Inputs: affine, 8 bits, 2 layers", "range percentile, percentile 99.99")
    assert section["left"]["shown"] == "1 tensor"


def test_without_inputs_of_few_bits_there_is_no_column(tmp_path: Path) -> None:
    assert not said(entry(inputs=None))["inputs"]
    assert "Inputs" not in html(tmp_path, entry(inputs=None))
    assert "Inputs" in html(tmp_path, entry(inputs=inputs()))


@pytest.mark.parametrize("key", ["format", "bits", "range"])
def test_any_figure_of_inputs_may_be_none(key: str, tmp_path: Path) -> None:
    text = shown(html(tmp_path, entry(inputs=inputs(**{key: None}))))
    assert "None" not in text


def test_many_layers_are_folded(tmp_path: Path) -> None:
    entries = [entry(f"layer {n}", bytes_float32=320 + n) for n in range(30)]
    section = said(*entries, stays())
    assert [len(section[key]) for key in ("rows", "more", "histograms")] == [20, 10, 30]
    assert section["folded"]
    assert not said(*entries[:6])["folded"]
    assert html(tmp_path, *entries, stays()).count("<details>") == 2


# -- the chart ---------------------------------------------------------------------------------------------------------


def test_the_chart_has_the_largest_layers_in_their_order_and_the_others_together() -> None:
    drawn = Charts()
    precision([entry(f"layer {n}", bytes_float32=1000 - 10 * (n % 5) - n) for n in range(30)] + [stays()], drawn)
    rows = drawn.specs[0]["datasets"]["rows"]
    assert len(rows) == 25
    names = [row["name"] for row in rows]
    assert names[-2:] == ["7 smaller ones", "stays float (1 tensor)"]
    assert names[:-2] == sorted(names[:-2], key=lambda name: int(name.split()[1]))
    assert sum(row["before"] for row in rows) == sum(1000 - 10 * (n % 5) - n for n in range(30)) + 40
    assert rows[-2]["before"] <= 7 * min(row["before"] for row in rows[:-2])


def test_layers_of_one_name_have_a_line_each() -> None:
    rows = page({"precision": [entry("a"), entry("a"), entry("a'")]})["charts"][0]["datasets"]["rows"]
    assert len({row["name"] for row in rows}) == 3


def test_without_bytes_there_is_no_chart() -> None:
    assert said(entry(bytes_float32=None))["chart"] == []


# -- the histograms ----------------------------------------------------------------------------------------------------


def test_numbers_lie_where_they_are_among_the_weights() -> None:
    (one,) = said(entry())["histograms"]
    # From -1 at 1 to 1 at 99; the taller bin reaches the top, the other a third of the way up from 80.
    assert one["path"] == "M1.0 80V53.33H50.0V0H99.0V80Z"
    assert one["zero"] == 50
    first, second = one["marks"]
    assert (first["x"], second["x"]) == (25.5, 74.5)
    assert (first["span"]["start"], first["span"]["end"]) == pytest.approx((20.6, 30.4))
    assert second["span"] is None, "all groups agree"
    assert "20 weights" in first["text"]


def test_numbers_beyond_the_weights_widen_the_picture() -> None:
    far = {"counts": [80], "lowest": [1.0], "mean": [2.0], "highest": [3.0]}
    (one,) = said(entry(numbers=far))["histograms"]
    assert (one["low"], one["high"]) == ("\N{MINUS SIGN}1.00", "3.00")
    assert one["marks"][0]["x"] == pytest.approx(1 + 98 * 3 / 4)


def test_learned_points_have_a_scale_of_their_own() -> None:
    (one,) = said(entry(numbers=None))["histograms"]
    assert one["marks"] == []
    assert one["points"]["places"] == pytest.approx([1, 50, 54.9, 99])
    assert (one["points"]["low"], one["points"]["high"]) == ("0.250", "1.25")


@pytest.mark.parametrize(
    "weights",
    [
        None,
        {},
        {"edges": [0.0, 1.0], "counts": []},
        {"edges": [0.0, None], "counts": [1]},
        {"edges": [0.0, 1.0], "counts": [0]},
        {"edges": [1.0, 1.0], "counts": [3]},
    ],
)
def test_weights_that_cannot_be_drawn_are_left_out(weights: Any) -> None:
    assert said(entry(weights=weights, numbers=None))["histograms"] == []


# -- any document ------------------------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    if path:
        yield path


def test_any_figure_may_be_none_alone_or_all_at_once(tmp_path: Path) -> None:
    entries = []
    for path in leaves(entry()):
        one = inner = entry()
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = None
        entries.append(one)
    assert len(entries) > 40
    alone = "".join(shown(html(tmp_path, one)) for one in entries[::4])
    bare = {"format": {"use": "ternary"}}
    together = shown(html(tmp_path, *entries, bare, None))
    assert not re.search(r"\b(None|nan|undefined)\b", alone + together)
    assert DASH in together


def test_hostile_text_comes_out_as_text(tmp_path: Path) -> None:
    form = {"use": HOSTILE, "bits": 2, HOSTILE: HOSTILE, "list": [HOSTILE], "table": {HOSTILE: 1.0}}
    text = html(tmp_path, entry(HOSTILE, format=form), stays(HOSTILE))
    assert "<script>alert" not in text
    assert "{{7*7}}" in text
    specs = text.split('id="charts">')[1].split("</script>")[0]
    assert json.loads(specs)[0]["datasets"]["rows"][0]["name"] == HOSTILE
    assert text.count("<script") == html(tmp_path, entry(), stays()).count("<script")


def test_what_a_student_of_few_bits_says_of_itself_is_shown(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 16), nn.Linear(16, 10))
    weights: dict[str, Format] = {"0": Uniform(bits=8), "3": Codebook(bits=2), "4": Ternary()}
    report = size_report(quantize(net, weights=weights, activations={"3": Clipped(bits=4)}))
    before = copy.deepcopy(report)
    section = said(*report)
    assert report == before
    assert [one["name"] for one in section["histograms"]] == ["0.weight", "3.weight", "4.weight"]
    assert [len(one["marks"]) for one in section["histograms"]] == [0, 4, 3]
    assert [one["points"] is not None for one in section["histograms"]] == [False, True, False]
    counter = 8  # The batches that batch normalization counts are no float32.
    assert section["totals"][-1]["float32"] == 4 * (8 * 9 + 8 + 4 * 8 + 32 * 16 + 16 + 16 * 10 + 10) + counter
    assert section["marked"] and section["unmarked"]
    text = shown(html(tmp_path, *report))
    assert [row["inputs"] for row in section["rows"]] == [
        None,
        {"format": "clipped, 4 bits", "range": "0 to 1.00"},
        None,
    ]
    assert "Low-bit formats" in text and "16 codes, what they mean is not marked" in text
