"""A report as data: panels, and the few kinds of blocks that they are made of.

Every step and part of a run says with these what there is to see; `attar.report` draws them without knowing what they
are about. Texts are ready to print: only who measured a figure knows its unit and which of its digits mean something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from attar.evidence.chart import AS_WRITTEN, Number, Share
from attar.evidence.chart import Axis as Axis
from attar.evidence.chart import Chart as Chart
from attar.evidence.chart import Layer as Layer

Tone = Literal["", "good", "bad", "partly", "faint"]
"""What a word is colored for: something reached, missed, reached in one respect only, or of no weight."""

Color = Annotated[str, Field(pattern=r"^[a-z]+(-[0-7])?$")]
"""A color of the page by its name: ``teacher``, ``baseline``, ``student``, ``faint``, ``soft``, ``series-0`` to 7."""

Shape = Literal["dot", "ring", "hollow", "diamond", "line", "dashed", "broad", "slender", "tick", "span", "zero"]
"""The signs of a legend."""

Link = Annotated[str, Field(pattern=r"^(https?://.*|[^/:\\][^:\\]*)?$")]
"""Where a browser may be sent: an address of the web, or a path from the page's own folder; no address is a script."""


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
        value: The number that the text stands for, by which rows are sorted; None where the text is what counts.
    """

    __pydantic_config__ = AS_WRITTEN

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
    value: Number | None = None


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
        detail: Whether it is seen only once all columns are asked for.
    """

    __pydantic_config__ = AS_WRITTEN

    title: str = ""
    note: str = ""
    dot: Color | None = None
    group: str = ""
    words: bool = False
    wraps: bool = False
    quoted: bool = False
    ends: tuple[str, str] | None = None
    detail: bool = False


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
        sortable: Whether a click on the head of a column puts the rows in its order.
    """

    __pydantic_config__ = AS_WRITTEN

    columns: Sequence[str | Column]
    rows: Sequence[Sequence[AnyCell]]
    foot: Sequence[Sequence[AnyCell]] = ()
    chosen: Sequence[int] = ()
    refused: Sequence[int] = ()
    ruled: Sequence[int] = ()
    notes: Sequence[str] = ()
    dense: bool = False
    sortable: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Text:
    """Sentences: as usual, as a remark in small type, as what matters most, below a title, as a heading, or as code."""

    __pydantic_config__ = AS_WRITTEN

    text: str
    style: Literal["body", "note", "say", "below", "heading", "code"] = "note"
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Line:
    """Words beside each other; one with a tone is an outcome."""

    __pydantic_config__ = AS_WRITTEN

    words: Sequence[str | Cell]
    style: Literal["outcome", "facts"] = "facts"
    kind: Literal["line"] = "line"


@dataclass(frozen=True)
class Items:
    """Sentences, one below the other; as alerts each has a colored mark."""

    __pydantic_config__ = AS_WRITTEN

    sentences: Sequence[str]
    alerts: bool = False
    kind: Literal["items"] = "items"


@dataclass(frozen=True)
class Facts:
    """Names and what goes with each; reasons are longer than other values and stand below each other."""

    __pydantic_config__ = AS_WRITTEN

    pairs: Sequence[tuple[str, str]]
    style: Literal["facts", "settings", "reasons"] = "facts"
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Legend:
    """What the signs of a chart mean: shape, color, words."""

    __pydantic_config__ = AS_WRITTEN

    entries: Sequence[tuple[Shape, Color, str]]
    kind: Literal["legend"] = "legend"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A difference with its interval on a line around zero, and what its left, middle and right mean."""

    __pydantic_config__ = AS_WRITTEN

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
        facts: Of a row of a table: names of columns and what stands there.
        bars: Class, share, and whether it is the label.
        rest: What is left out, and its share.
    """

    __pydantic_config__ = AS_WRITTEN

    title: str = ""
    note: str = ""
    pixels: Sequence[Sequence[Number | Sequence[Number]]] | None = None
    values: Sequence[Number] = ()
    facts: Sequence[tuple[str, str]] = ()
    bars: Sequence[tuple[str, Share, bool]] = ()
    rest: tuple[str, Share] | None = None


@dataclass(frozen=True)
class Examples:
    """Examples beside each other, and the color of their bars."""

    __pydantic_config__ = AS_WRITTEN

    examples: Sequence[Example]
    color: Color = "teacher"
    kind: Literal["examples"] = "examples"


@dataclass(frozen=True)
class Matrix:
    """How often each of some names goes with each other one: a row and a column for each.

    Attributes:
        names: From top to bottom, and from left to right.
        counts: ``[row][column]``.
    """

    __pydantic_config__ = AS_WRITTEN

    names: Sequence[str]
    counts: Sequence[Sequence[Annotated[int, Field(ge=0, le=10**18)]]]
    kind: Literal["matrix"] = "matrix"


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

    __pydantic_config__ = AS_WRITTEN

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

    __pydantic_config__ = AS_WRITTEN

    histograms: Sequence[Histogram]
    kind: Literal["histograms"] = "histograms"


@dataclass(frozen=True)
class Beside:
    """Blocks beside each other: two of them, or as many small ones as fit."""

    __pydantic_config__ = AS_WRITTEN

    blocks: Sequence[Block]
    small: bool = False
    kind: Literal["beside"] = "beside"


@dataclass(frozen=True)
class Stack:
    """Blocks below each other that belong together: beside others they stay in one place."""

    __pydantic_config__ = AS_WRITTEN

    blocks: Sequence[Block]
    kind: Literal["stack"] = "stack"


@dataclass(frozen=True)
class Folded:
    """Blocks of which only a line is seen until they are asked for; on paper all are seen."""

    __pydantic_config__ = AS_WRITTEN

    summary: str
    blocks: Sequence[Block]
    kind: Literal["folded"] = "folded"


Block = Annotated[
    Table
    | Text
    | Line
    | Items
    | Facts
    | Legend
    | Chart
    | Interval
    | Examples
    | Matrix
    | Histograms
    | Beside
    | Stack
    | Folded,
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

    __pydantic_config__ = AS_WRITTEN

    title: str
    blocks: Sequence[Block]
    place: Literal["head", "half", "full"] = "full"
    name: Annotated[str, Field(pattern="^[a-z]*$")] = ""
