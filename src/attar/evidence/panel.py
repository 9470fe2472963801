"""A report as data: panels, and the few kinds of blocks that they are made of.

Every step and part of a run says with these what there is to see; `attar.report` draws them without knowing what they
are about. Texts are ready to print: only who measured a figure knows its unit and which of its digits mean something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

_AS_WRITTEN = ConfigDict(extra="forbid", allow_inf_nan=False)  # an unknown key is refused, and so is no number

Tone = Literal["", "good", "bad", "partly", "faint"]
"""What a word is colored for: something reached, missed, reached in one respect only, or of no weight."""

Color = Annotated[str, Field(pattern=r"^[a-z]+(-[0-7])?$")]
"""A color of the page by its name: ``teacher``, ``baseline``, ``student``, ``faint``, ``soft``, ``series-0`` to 7."""

Shape = Literal["dot", "ring", "hollow", "diamond", "line", "dashed", "broad", "slender", "tick", "span", "zero"]
"""The signs of a legend."""

FieldName = Annotated[str, Field(pattern="^[a-z0-9_]+$")]
Link = Annotated[str, Field(pattern=r"^(https?://.*|[^/:\\][^:\\]*)?$")]
"""Where a browser may be sent: an address of the web, or a path from the page's own folder; no address is a script."""

Number = Annotated[float | int, Field(ge=-1e80, le=1e80)]
"""Large enough for squares of what float32 can hold: a regression is in any unit."""

Share = Annotated[float | int, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What stands in a table, or a word of a line, where it is more than text.

    Attributes:
        text: What is printed.
        note: Below it in small type, in as many lines as it has.
        tone: What it is colored for.
        strong: Whether it is set in bold type: the best of its column.
        mark: Number of the note of the table that is about it.
        link: Where a click on it leads.
        dot: The color of a dot before it: who is who.
        hollow: Whether that dot is a ring: refused.
        tag: A colored word behind the note.
        tag_tone: What that word is colored for.
        bar: Length of a bar instead of the text, as a share of the longest one.
        swing: The same to the left (below 0) or to the right of the middle, from -1 to 1.
    """

    __pydantic_config__ = _AS_WRITTEN

    text: str = ""
    note: str = ""
    tone: Tone = ""
    strong: bool = False
    mark: Annotated[int, Field(ge=1)] | None = None
    link: Link = ""
    dot: Color | None = None
    hollow: bool = False
    tag: str = ""
    tag_tone: Tone = "good"
    bar: Share | None = None
    swing: Annotated[float | int, Field(ge=-1, le=1)] | None = None


AnyCell = str | Number | Cell | None
"""A text, a number that is printed with four digits, a `Cell`, or nothing."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """The head of a column.

    Attributes:
        title: Its heading.
        note: What stands below it in small type.
        dot: The color of a dot before it.
        group: Heading over it and those of its neighbors that have the same.
        words: Whether it holds words, which begin at the left, and not figures.
        wraps: Whether its words may take several lines.
        quoted: Whether it holds what others published, and nobody measured here.
        ends: What the left and the right of a bar mean; such a column is broad.
    """

    __pydantic_config__ = _AS_WRITTEN

    title: str = ""
    note: str = ""
    dot: Color | None = None
    group: str = ""
    words: bool = False
    wraps: bool = False
    quoted: bool = False
    ends: tuple[str, str] | None = None


@dataclass(frozen=True)
class Table:
    """Rows and columns.

    Attributes:
        columns: The heads; the first column names the rows.
        rows: A cell for each column.
        foot: Rows below them: means, totals.
        chosen: Numbers of the rows that stand out.
        refused: Numbers of the rows that stand back.
        ruled: Numbers of the rows above which something new begins.
        notes: What stands below it under the numbers 1, 2 and so on, the marks of its cells.
        dense: Whether it has many columns, which are then set in smaller type.
    """

    __pydantic_config__ = _AS_WRITTEN

    columns: Sequence[str | Column]
    rows: Sequence[Sequence[AnyCell]]
    foot: Sequence[Sequence[AnyCell]] = ()
    chosen: Sequence[int] = ()
    refused: Sequence[int] = ()
    ruled: Sequence[int] = ()
    notes: Sequence[str] = ()
    dense: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Text:
    """Sentences: as usual, as a remark in small type, as what matters most, below a title, as a heading, or as code."""

    __pydantic_config__ = _AS_WRITTEN

    text: str
    style: Literal["body", "note", "say", "below", "heading", "code"] = "note"
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Line:
    """Words beside each other; one with a tone is an outcome."""

    __pydantic_config__ = _AS_WRITTEN

    words: Sequence[str | Cell]
    style: Literal["outcome", "facts"] = "facts"
    kind: Literal["line"] = "line"


@dataclass(frozen=True)
class Items:
    """Sentences, one below the other; as alerts each has a colored mark."""

    __pydantic_config__ = _AS_WRITTEN

    sentences: Sequence[str]
    alerts: bool = False
    kind: Literal["items"] = "items"


@dataclass(frozen=True)
class Facts:
    """Names and what goes with each; reasons are longer than other values and stand below each other."""

    __pydantic_config__ = _AS_WRITTEN

    pairs: Sequence[tuple[str, str]]
    style: Literal["facts", "settings", "reasons"] = "facts"
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Legend:
    """What the signs of a chart mean: shape, color, words."""

    __pydantic_config__ = _AS_WRITTEN

    entries: Sequence[tuple[Shape, Color, str]]
    kind: Literal["legend"] = "legend"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a chart.

    Attributes:
        title: What runs along it.
        unit: What its figures are: "%", "accuracy" or "points" (of a fraction), "bytes", "ms", "s", "x"; any other is
            a plain number.
        log: Whether it is read by ratios; all figures are then above zero.
        zero: Whether it begins at zero.
        integer: Whether there is nothing between whole numbers.
        names: Of an axis of names: these, from top to bottom.
    """

    __pydantic_config__ = _AS_WRITTEN

    title: str = ""
    unit: str = ""
    log: bool = False
    zero: bool = False
    integer: bool = False
    names: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Rows that are drawn in one way.

    Attributes:
        name: Of these rows, no two alike in a chart.
        mark: ``levels`` (lines across, at ``y`` or ``x``), ``region`` (one row: from the left edge to ``x``, from
            ``y`` up, or ``down``), ``line`` and ``steps`` (through the rows of a ``series``), ``whiskers`` (``low`` to
            ``high``), ``points``, ``rings`` around points, ``bars`` from zero to ``x``, or ``labels`` (``text`` above
            ``x`` and ``y``, or ``under``, its side ``align`` there; without ``x`` at the edge of the chart).
        rows: Besides these each may have a ``color``, a ``shape`` of its point, and what the tooltip shows.
        tooltip: Names of what it shows, with a title each.
        size: Of points, the width of lines, the height of bars, pixels by which labels are farther off than they need.
        hollow: Whether points are filled with the color of the page.
        dashed: Whether a line is.
        points: How well the points of a line can be seen, which have its tooltip.
        opacity: 0 can not be seen, but has a tooltip.
    """

    __pydantic_config__ = _AS_WRITTEN

    name: str
    mark: Literal["levels", "region", "line", "steps", "whiskers", "points", "rings", "bars", "labels"]
    rows: Sequence[Mapping[str, str | Number | None]]
    tooltip: Mapping[FieldName, str] = field(default_factory=dict)
    size: Annotated[float | int, Field(gt=0, le=1000)] = 1.5
    hollow: bool = False
    dashed: bool = False
    points: Share = 0.0
    opacity: Share = 1.0


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Layers on two axes, the lowest first.

    Attributes:
        title: What is drawn; empty where a heading above it says so.
        x: What runs to the right.
        y: What runs up.
        layers: What is drawn; those without rows are left out.
        description: The chart in words, for those who do not see it.
        height: In pixels.
    """

    __pydantic_config__ = _AS_WRITTEN

    title: str
    x: Axis
    y: Axis
    layers: Sequence[Layer]
    description: str
    height: Annotated[int, Field(ge=10, le=4000)] = 300
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A difference with its interval on a line around zero, and what its left, middle and right mean."""

    __pydantic_config__ = _AS_WRITTEN

    low: Number
    middle: Number
    high: Number
    words: tuple[str, str, str]
    kind: Literal["interval"] = "interval"


@dataclass(frozen=True, kw_only=True)
class Example:
    """An example of the data with a share for each class.

    Attributes:
        title: Its label.
        note: What else it is known by.
        pixels: ``[height, width]`` gray or ``[height, width, 3]`` colors from 0 to 1; None for what is no image.
        values: Of what is no image: its numbers, drawn up and down from zero.
        bars: Class, share, and whether it is the label.
        rest: What is left out, and its share.
    """

    __pydantic_config__ = _AS_WRITTEN

    title: str = ""
    note: str = ""
    pixels: Sequence[Sequence[Number | Sequence[Number]]] | None = None
    values: Sequence[Number] = ()
    bars: Sequence[tuple[str, Share, bool]] = ()
    rest: tuple[str, Share] | None = None


@dataclass(frozen=True)
class Examples:
    """Examples beside each other."""

    __pydantic_config__ = _AS_WRITTEN

    examples: Sequence[Example]
    kind: Literal["examples"] = "examples"


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How often values occur, with marks among them.

    Attributes:
        title: Of what.
        note: What else there is to know of it.
        edges: ``[n + 1]`` ends of the bars, growing.
        counts: ``[n]`` how many values are in each.
        marks: Lowest, mean and highest place of each mark, and what it says.
        points: Numbers on a scale of their own, and what they are.
    """

    __pydantic_config__ = _AS_WRITTEN

    title: str
    note: str
    edges: Sequence[Number]
    counts: Sequence[Annotated[float | int, Field(ge=0, le=1e18)]]
    marks: Sequence[tuple[Number, Number, Number, str]] = ()
    points: Sequence[Number] = ()
    points_note: str = ""


@dataclass(frozen=True)
class Histograms:
    """Histograms beside each other."""

    __pydantic_config__ = _AS_WRITTEN

    histograms: Sequence[Histogram]
    kind: Literal["histograms"] = "histograms"


@dataclass(frozen=True)
class Beside:
    """Blocks beside each other: two of them, or as many small ones as fit."""

    __pydantic_config__ = _AS_WRITTEN

    blocks: Sequence[Block]
    small: bool = False
    kind: Literal["beside"] = "beside"


@dataclass(frozen=True)
class Stack:
    """Blocks below each other that belong together: beside others they stay in one place."""

    __pydantic_config__ = _AS_WRITTEN

    blocks: Sequence[Block]
    kind: Literal["stack"] = "stack"


@dataclass(frozen=True)
class Folded:
    """Blocks of which only a line is seen until they are asked for; on paper they are unfolded where they must be."""

    __pydantic_config__ = _AS_WRITTEN

    summary: str
    blocks: Sequence[Block]
    on_paper: bool = False
    kind: Literal["folded"] = "folded"


Block = Annotated[
    Table | Text | Line | Items | Facts | Legend | Chart | Interval | Examples | Histograms | Beside | Stack | Folded,
    Field(discriminator="kind"),
]
"""Each is known by its ``kind`` where it is a plain value."""


@dataclass(frozen=True)
class Panel:
    """One piece of a report.

    Attributes:
        title: Its heading.
        blocks: What stands below it.
        place: ``head`` is the top of the page, two neighbors that are ``half`` stand beside each other.
        name: Where a link of the page leads to; may be empty.
    """

    __pydantic_config__ = _AS_WRITTEN

    title: str
    blocks: Sequence[Block]
    place: Literal["head", "half", "full"] = "full"
    name: Annotated[str, Field(pattern="^[a-z]*$")] = ""
