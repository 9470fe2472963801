"""Panels as data: they come back as they were, and anything else is named by its place."""

import copy
import json
import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

from attar.errors import BadInput
from attar.evidence import panel
from attar.evidence.panel import Panel
from attar.evidence.panel_json import from_json, to_json
from attar.report.page import content

PANELS = [
    Panel("Head", [panel.Line(["a", panel.Cell(text="met", tone="good")], "outcome")], place="head"),
    Panel(
        "One of each",
        [
            panel.Text("A sentence.", "say"),
            panel.Items(["first", "second"], alerts=True),
            panel.Facts([("name", "value")]),
            panel.Table(
                ["Model", panel.Column(title="Size", note="on disk"), panel.Column(ends=("loss", "gain"))],
                [["a", 2.5, panel.Cell(swing=-0.5)], ["b", None, panel.Cell(bar=0.25)]],
                foot=[["Total", 2.5, ""]],
                chosen=[0],
            ),
            panel.Legend([("ring", "series-3", "winner")]),
            panel.Chart(
                title="Accuracy",
                x=panel.Axis(unit="bytes", log=True),
                y=panel.Axis(unit="accuracy"),
                layers=[
                    panel.Layer(name="p", mark="points", rows=[{"x": 2.0, "y": 0.5, "color": "student", "name": "a"}])
                ],
                description="One point per model.",
            ),
            panel.Interval(low=-1.0, middle=0.5, high=2.0, words=("worse", "as good", "better")),
            panel.Examples(
                [panel.Example(title="7", pixels=[[0.0, 1.0]], bars=[("7", 0.9, True)], rest=("9 others", 0.1))]
            ),
            panel.Matrix(["7", "9"], [[3, 1], [0, 4]]),
            panel.Examples([panel.Example(title="yes", facts=[("age", "7")])], color="student"),
            panel.Table(
                ["Model", panel.Column(title="Size", detail=True)], [["a", panel.Cell(value=2)]], sortable=True
            ),
            panel.Histograms([panel.Histogram(title="w", note="2 bits", edges=[0.0, 1.0], counts=[3])]),
            panel.Folded("More", [panel.Beside([panel.Text("x = 1", "code")], small=True)]),
            panel.Table(
                [
                    "",
                    panel.Column(title="ours", group="Error"),
                    panel.Column(title="paper", group="Error", quoted=True),
                ],
                [
                    ["a", panel.Cell(text="1.5", strong=True, mark=1), "1.4"],
                    [panel.Cell(text="b", link="b.html"), 2, 3],
                ],
                notes=["with another seed"],
            ),
            panel.Stack([panel.Text("As usual.", "body")]),
        ],
        name="all",
    ),
]
PLAIN = to_json(PANELS)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1.0,
    0.0,
    0.5,
    1e300,
    1e-300,
    10**30,
    "",
    "x",
    [],
    [None],
    [[1]],
    {},
    {"a": 1},
    {"a": None},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document; of a long list the first two and the last."""
    if path:
        yield path
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else sorted({0, 1, len(value) - 1} & set(range(len(value))))
        for key in keys:
            yield from places(value[key], (*path, key))


def changed(path: tuple[Any, ...], to: Any, base: Any = PLAIN) -> Any:
    document: Any = copy.deepcopy(base)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return document


def test_panels_come_back_as_they_were() -> None:
    again = from_json(json.loads(json.dumps(PLAIN)), "the evidence")
    assert to_json(again) == PLAIN
    assert len({block["kind"] for one in PLAIN for block in one["blocks"]}) == 13


def test_squares_of_large_values_are_figures() -> None:
    """What a regression in a large unit loses is a square of its values."""
    lost = panel.Interval(low=-1e76, middle=1e60, high=1e76, words=("worse", "same", "better"))
    assert from_json(to_json([Panel("Lost", [lost])]), "a report") == [Panel("Lost", [lost])]


def test_what_is_as_by_default_is_left_out() -> None:
    assert PLAIN[1]["blocks"][0] == {"text": "A sentence.", "style": "say", "kind": "text"}
    assert "place" not in PLAIN[1] and "foot" not in to_json([Panel("t", [panel.Table([], [])])])[0]["blocks"][0]


@pytest.mark.parametrize(
    ("path", "to", "place"),
    [
        ((1, "blocks", 0, "style"), "loud", r"panels\.1\.blocks\.0\.text\.style of the evidence cannot be drawn"),
        ((1, "blocks", 0, "kind"), "film", r"panels\.1\.blocks\.0 of the evidence cannot be drawn"),
        ((1, "blocks", 3, "rows", 0, 2, "swing"), 7, r"panels\.1\.blocks\.3\.table\.rows\.0\.2"),
        ((1, "blocks", 4, "entries", 0, 1), "red;}", r"panels\.1\.blocks\.4\.legend\.entries\.0\.1"),
        ((1, "title"), None, r"panels\.1\.title"),
        ((1, "size"), 3, r"panels\.1\.size of the evidence cannot be drawn; unexpected keyword argument"),
        ((1, "blocks", 0, "size"), 3, r"panels\.1\.blocks\.0\.text\.size"),
        (
            (1, "blocks", 5, "layers", 0, "rows", 0, "x"),
            math.nan,
            r"panels\.1\.blocks\.5\.chart\.layers\.0\.rows\.0\.x",
        ),
        ((), {"a": 1}, "panels of the evidence cannot be drawn"),
    ],
)
def test_what_is_of_another_kind_is_named_by_its_place(path: tuple[Any, ...], to: Any, place: str) -> None:
    document = changed(path, to) if path else to
    with pytest.raises(BadInput, match=place) as caught:
        from_json(document, "the evidence")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "//a.invalid", "/etc/passwd", "data:text/html,x", "\\\\a"])
def test_no_link_leads_to_a_script_or_out_of_the_folder(link: str) -> None:
    at = len(PLAIN[1]["blocks"]) - 2
    assert PLAIN[1]["blocks"][at]["rows"][1][0] == {"text": "b", "link": "b.html"}
    with pytest.raises(BadInput, match=rf"panels\.1\.blocks\.{at}\.table\.rows\.1\.0.*cannot be drawn"):
        from_json(changed((1, "blocks", at, "rows", 1, 0, "link"), link), "the evidence")
    for good in ("https://a.invalid/b:c", "runs/a%20b/report.html", "../x%23.html"):
        from_json(changed((1, "blocks", at, "rows", 1, 0, "link"), good), "the evidence")


def test_whatever_passes_can_be_drawn() -> None:
    """A sample of all changes of one value: refused with its place, or drawn."""
    draw = random.Random(0)
    drawn = 0
    every = [(path, to) for path in places(PLAIN) for to in OTHERS]
    for path, to in draw.sample(every, 120):
        try:
            found = from_json(changed(path, to), "the evidence")
        except BadInput as error:
            assert " of the evidence cannot be drawn" in str(error)
            continue
        try:
            content(found)
        except BadInput:
            continue
        drawn += 1
    assert drawn > 5


@pytest.mark.parametrize(
    "block",
    [
        panel.Interval(low=-1.0, middle=math.nan, high=2.0, words=("worse", "as good", "better")),
        panel.Table(["a"], [[math.inf]]),
        panel.Histograms([panel.Histogram(title="w", note="", edges=[0.0, math.nan], counts=[3])]),
    ],
)
def test_what_is_no_number_is_refused_when_it_is_written(block: Any) -> None:
    with pytest.raises(BadInput, match=r"panels\.0\.blocks\.0\..* of a report cannot be drawn; .*got (nan|inf)"):
        to_json([Panel("t", [block])])
