"""What the page says of a low-bit student."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import nn

from attar.deployment.packed.report import size_report
from attar.evidence.panel import Cell, Chart, Facts, Folded, Histogram, Histograms, Legend, Panel, Table, Text
from attar.evidence.panel_json import to_json
from attar.quantization.format import Format
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize
from attar.report.page import render
from attar.report.panels.common import without_none
from attar.report.panels.low_bits import low_bits

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
HOSTILE = "</title></svg><script>alert(1)</script>'\"&{{7*7}}"

Entry = dict[str, Any]
Kind = TypeVar("Kind")


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


def blocks(*entries: Entry | None) -> list[Any]:
    """What the panel shows, from entries as they are in JSON; what is folded with the rest."""
    (panel,) = low_bits(without_none(list(entries)))
    found: list[Any] = []
    for block in panel.blocks:
        found += block.blocks if isinstance(block, Folded) else [block]
    return found


def all_of(kind: type[Kind], *entries: Entry | None) -> list[Kind]:
    return [block for block in blocks(*entries) if isinstance(block, kind)]


def histograms(*entries: Entry) -> list[Histogram]:
    return [one for block in all_of(Histograms, *entries) for one in block.histograms]


def words(row: Any) -> list[Any]:
    """The cells of a row as texts, with what stands below them."""
    return [(cell.text, cell.note) if isinstance(cell, Cell) else cell for cell in row]


def html(path: Path, *entries: Entry | None) -> str:
    document = {"panels": to_json([Panel("Head", [], place="head"), *low_bits(without_none(list(entries)))])}
    render(document, path / "report.html")
    return (path / "report.html").read_text(encoding="utf-8")


def shown(text: str) -> str:
    """What stands between the tags of the page's own part."""
    return re.sub(r"<[^>]*>", " ", text.split("<main>")[1].split("</main>")[0])


# -- what there is to say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [[], [None], [stays()]])
def test_without_low_bit_formats_there_is_no_trace(nothing: Any) -> None:
    assert low_bits(without_none(nothing)) == []


def test_bytes_add_up_and_means_are_weighted_by_values() -> None:
    entries = (entry(), entry("b", values=240, bits=4, entropy_bits=3.5, bytes_float32=960), stays())
    (table,) = all_of(Table, *entries)
    few, everything = map(words, table.foot)
    # (80 * 2 + 240 * 4) / 320 and (80 * 1.5 + 240 * 3.5) / 320.
    assert few[2:5] == ["320", "3.5", "3.00"]
    assert few[6:] == [("80\xa0B", f"16{TIMES}"), ("64\xa0B", f"20{TIMES}")]
    assert few[5] == "1.28\xa0kB"
    assert everything[2:7] == ["330", "4.36", DASH, "1.32\xa0kB", ("120\xa0B", f"11{TIMES}")], "floats have no entropy"
    assert words(table.rows[-1])[0] == ("Stays float", "1 tensor")
    assert all_of(Text, *entries)[0].text == f"104\xa0B instead of 1.32\xa0kB in float32: 12.7{TIMES} smaller."


def test_a_sum_with_a_gap_is_not_given() -> None:
    entries = (entry(bytes_coded=None), entry("b"))
    ((everything,),) = (table.foot for table in all_of(Table, *entries))
    assert words(everything)[-2:] == [("80\xa0B", f"8{TIMES}"), (DASH, "")]
    assert all_of(Text, *entries)[0].text.startswith("80\xa0B instead of"), "packed, as coded is not known"


def test_a_format_is_described_once() -> None:
    other = {"use": "power_of_two", "bits": 3, "range": [float(n) for n in range(20)], "zero": True}
    (formats,) = all_of(Facts, entry("a"), entry("b"), entry("c", bits=3, format=other))
    assert formats.pairs == [
        ("codebook, 2 bits, 2 tensors", "granularity group size 40"),
        ("power of two, 3 bits, 1 tensor", "range 0 1 2 3 4 5 6 7 and 12 more, zero yes"),
    ]


def inputs(**changes: Any) -> Entry:
    form = {"use": "affine", "bits": 8, "range": "percentile", "percentile": 99.99}
    return {"format": form, "bits": 8, "range": [-0.5, 1.25]} | changes


def test_inputs_of_few_bits_have_a_column_and_are_described_once() -> None:
    entries = (entry("a", inputs=inputs()), entry("b"), stays("c", inputs=inputs(range=[0.0, 3.0])), stays("d"))
    (table,) = all_of(Table, *entries)
    assert [words(row)[0][0] for row in table.rows] == ["a", "b", "c", "Stays float"]
    assert [words(row)[5] for row in table.rows[:3]] == [
        ("affine, 8 bits", f"{MINUS}0.500 to 1.25"),
        "",
        ("affine, 8 bits", "0 to 3.00"),
    ]
    (formats,) = all_of(Facts, *entries)
    assert formats.pairs[-1] == ("Inputs: affine, 8 bits, 2 layers", "range percentile, percentile 99.99")


def test_without_inputs_of_few_bits_there_is_no_column() -> None:
    ((without,), (with_inputs,)) = (all_of(Table, entry(inputs=some)) for some in (None, inputs()))
    assert len(with_inputs.columns) == len(without.columns) + 1


@pytest.mark.parametrize("key", ["format", "bits", "range"])
def test_any_figure_of_inputs_may_be_none(key: str, tmp_path: Path) -> None:
    text = shown(html(tmp_path, entry(inputs=inputs(**{key: None}))))
    assert "None" not in text


def test_many_layers_are_folded() -> None:
    entries = [entry(f"layer {n}", bytes_float32=320 + n) for n in range(30)]
    (panel,) = low_bits(without_none([*entries, stays()]))
    table = next(block for block in panel.blocks if isinstance(block, Table))
    more, layers = (block for block in panel.blocks if isinstance(block, Folded))
    assert len(table.rows) == 20
    assert more.summary == "10 more tensors in low-bit formats, and those that stay float"
    assert layers.summary == "30 layers"
    (panel,) = low_bits(without_none(entries[:6]))
    assert not any(isinstance(block, Folded) for block in panel.blocks)


# -- the chart ---------------------------------------------------------------------------------------------------------


def test_the_chart_has_the_largest_layers_in_their_order_and_the_others_together() -> None:
    (chart,) = all_of(Chart, *(entry(f"layer {n}", bytes_float32=1000 - 10 * (n % 5) - n) for n in range(30)), stays())
    rows: list[Any] = list(chart.layers[0].rows)
    names = list(chart.y.names or ())
    assert len(rows) == 25 and names == [row["y"] for row in rows]
    assert names[-2:] == ["7 smaller ones", "stays float (1 tensor)"]
    assert names[:-2] == sorted(names[:-2], key=lambda name: int(name.split()[1]))
    assert sum(row["x"] for row in rows) == sum(1000 - 10 * (n % 5) - n for n in range(30)) + 40
    assert rows[-2]["x"] <= 7 * min(row["x"] for row in rows[:-2])


def test_layers_of_one_name_have_a_line_each() -> None:
    (chart,) = all_of(Chart, entry("a"), entry("a"), entry("a'"))
    assert len(set(chart.y.names or ())) == 3


def test_without_bytes_there_is_no_chart() -> None:
    assert all_of(Chart, entry(bytes_float32=None)) == []


# -- the histograms ----------------------------------------------------------------------------------------------------


def test_what_codes_mean_is_marked_among_the_weights() -> None:
    (one,) = histograms(entry())
    assert (one.edges, one.counts, one.points) == ([-1.0, 0.0, 1.0], [20, 60], [0.25, 0.75, 0.8, 1.25])
    assert [mark[:3] for mark in one.marks] == [(-0.6, -0.5, -0.4), (0.5, 0.5, 0.5)]
    assert "20 weights" in one.marks[0][3] and "over the groups" not in one.marks[1][3]
    assert one.points_note == "4 learned codebook values"


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
    assert histograms(entry(weights=weights, numbers=None)) == []


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
    assert json.loads(specs)[0]["datasets"]["before"][0]["y"] == HOSTILE
    assert text.count("<script") == html(tmp_path, entry(), stays()).count("<script")


def test_what_a_student_of_few_bits_says_of_itself_is_shown(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 16), nn.Linear(16, 10))
    weights: dict[str, Format] = {"0": Uniform(bits=8), "3": Codebook(bits=2), "4": Ternary()}
    report = size_report(quantize(net, weights=weights, activations={"3": Clipped(bits=4)}))
    before = copy.deepcopy(report)
    drawn = histograms(*report)
    assert report == before
    assert [one.title for one in drawn] == ["0.weight", "3.weight", "4.weight"]
    assert [len(one.marks) for one in drawn] == [0, 4, 3]
    assert [len(one.points) > 0 for one in drawn] == [False, True, False]
    signs = [text for legend in all_of(Legend, *report) for _, _, text in legend.entries]
    assert "what a code means" in signs and "zero" in signs
    (table,) = all_of(Table, *report)
    assert [words(row)[5] for row in table.rows[:3]] == ["", ("clipped, 4 bits", "0 to 1.00"), ""]
    text = shown(html(tmp_path, *report))
    assert "Low-bit formats" in text and "16 codes, what they mean is not marked" in text
