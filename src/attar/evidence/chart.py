"""A chart as data: layers on two axes, drawn by whoever shows a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

AS_WRITTEN = ConfigDict(extra="forbid", allow_inf_nan=False)
"""How pieces of a report are read back: an unknown key is refused, and so is no number."""

FieldName = Annotated[str, Field(pattern="^[a-z0-9_]+$")]

Number = Annotated[float | int, Field(ge=-1e80, le=1e80)]
"""Large enough for squares of what float32 can hold: a regression is in any unit."""

Share = Annotated[float | int, Field(ge=0, le=1)]


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
        low: Where it begins, if what is drawn below is cut off.
    """

    __pydantic_config__ = AS_WRITTEN

    title: str = ""
    unit: str = ""
    log: bool = False
    zero: bool = False
    integer: bool = False
    names: Sequence[str] | None = None
    low: Number | None = None


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
        clipped: Whether what is beyond an axis is cut off, of lines.
    """

    __pydantic_config__ = AS_WRITTEN

    name: str
    mark: Literal["levels", "region", "line", "steps", "whiskers", "points", "rings", "bars", "labels"]
    rows: Sequence[Mapping[str, str | Number | None]]
    tooltip: Mapping[FieldName, str] = field(default_factory=dict)
    size: Annotated[float | int, Field(gt=0, le=1000)] = 1.5
    hollow: bool = False
    dashed: bool = False
    points: Share = 0.0
    opacity: Share = 1.0
    clipped: bool = False


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

    __pydantic_config__ = AS_WRITTEN

    title: str
    x: Axis
    y: Axis
    layers: Sequence[Layer]
    description: str
    height: Annotated[int, Field(ge=10, le=4000)] = 300
    kind: Literal["chart"] = "chart"
