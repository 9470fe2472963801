"""Rows of a table as features that a network can learn from, so that the network takes raw rows wherever it goes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attar.errors import must
from attar.network.standardize import bounded

_KINDS = ("number", "integer", "nominal", "date")

_MOST_CURVES = 1024

_LARGEST = float(np.float32(1e38))
"""Numbers that are no more than this can be told apart from infinity in float32, and so can their differences."""

_LAST_DAY = 4e6
"""Days from one date to another, at most; sines of what is much larger differ between runtimes."""


class Rows(nn.Module):
    """``[n, columns]`` float32 (codes of nominal columns, NaN where missing) to ``[n, features]`` float32, without NaN.

    The features are, in this order: ``(value - center) / scale`` of each column of numbers or dates, 0 where missing;
    for each of these in which values were missing, 1 where missing and 0 elsewhere; of the circles that dates go
    around (year, week, day) the sines, and then the cosines, of the places on them, 0 where missing; for each nominal
    column one feature per category, 1 for that of the row and 0 elsewhere, so that all are 0 where the value is missing
    or no category. With ``embed`` a nominal column has that many features instead, which training chooses for each
    category, and also for missing, where it begins with zeros. A number that is further than a million scales from its
    center counts as that far, and so does infinity: features are finite whatever the numbers are.

    A column of numbers may come with more, as `attar.tables.knots.with_knots` gives it. One with ``log`` becomes
    ``sign(x) log(1 + |x|)`` of what it would be. Between its ``knots`` lie pieces, each of which is -1 below, 1 above,
    and rises from the one to the other in a straight line; so many weighted sums of them as ``curves`` says, which
    training chooses, are further features of the column, behind all others. They are piecewise linear functions of its
    values. A missing value counts as the center.

    Attributes:
        columns: Number of columns.
        features: Number of features.
        embedding: ``[categories and missing of all nominal columns, embed]``; None without embeddings.
        pieces: ``[columns with knots, pieces, curves]``; None without knots.

    Example:
        >>> age = {"name": "age", "kind": "integer", "categories": [], "missing": True, "center": 40.0, "scale": 10.0}
        >>> color = {"name": "color", "kind": "nominal", "categories": ["blue", "red"], "missing": False}
        >>> Rows([age, color])(torch.tensor([[50.0, 1.0], [torch.nan, 0.0]]))
        tensor([[1., 0., 0., 1.],
                [0., 1., 1., 0.]])

    References:
        Gorishniy, Rubachev, Babenko, *On Embeddings for Numerical Features in Tabular Deep Learning*, 2022,
        section 3.2: piecewise linear encodings. arXiv:2203.05556
    """

    numbers: Tensor
    center: Tensor
    scale: Tensor
    gaps: Tensor
    dated: Tensor
    turns: Tensor
    sources: Tensor
    codes: Tensor
    nominals: Tensor
    sizes: Tensor
    starts: Tensor
    tailed: Tensor
    cut: Tensor
    lows: Tensor
    widths: Tensor
    below: Tensor

    def __init__(self, columns: Sequence[Mapping[str, Any]], embed: int | None = None, curves: int = 0) -> None:
        """Features of columns.

        Args:
            columns: What each column holds, as ``attar.tables.column.Column.to_json`` says it. Of the categories only
                their number matters.
            embed: Features of each nominal column; None for one for each category.
            curves: Features of each column of numbers with knots, besides its first.

        Raises:
            BadInput: If a column is described wrongly, there are no features at all, ``embed`` is not positive, or
                ``curves`` is negative or above 1,024.
        """
        super().__init__()
        given = [_checked(place, column) for place, column in enumerate(columns)]
        if embed is not None and embed < 1:
            raise must("embed", "Rows", "at least 1", embed, "Leave it out for one feature per category")
        if not 0 <= curves <= _MOST_CURVES:
            raise must("curves", "Rows", f"from 0 to {_MOST_CURVES}", curves, "4 is usual, and 0 is none")
        numbers = [place for place, column in enumerate(given) if column["kind"] != "nominal"]
        nominals = [place for place, column in enumerate(given) if column["kind"] == "nominal"]
        sizes = {place: len(given[place]["categories"]) for place in nominals}
        # Places among the numbers, not among the columns.
        gaps = [index for index, place in enumerate(numbers) if given[place].get("missing", False)]
        circles = [
            (index, 2 * math.pi / period) for index, place in enumerate(numbers) for period in _periods(given[place])
        ]
        tailed = [given[place].get("log", False) for place in numbers]
        cut = [index for index, place in enumerate(numbers) if curves and given[place].get("knots")]
        # One for each feature that is 1 or 0: its column, and the code for which it is 1.
        pairs = [(place, code) for place, size in sizes.items() for code in range(size)] if embed is None else []
        # Where the entries of a column begin; the first one is for missing.
        starts = list(accumulate((size + 1 for size in sizes.values()), initial=0))
        self.columns = len(given)
        self.goes_around = bool(circles)
        self.features = len(numbers) + len(gaps) + 2 * len(circles) + len(pairs) + (embed or 0) * len(nominals)
        self.features += curves * len(cut)
        for name, values, kind in (
            ("numbers", numbers, torch.int64),
            ("center", [given[place]["center"] for place in numbers], torch.float32),
            ("scale", [given[place]["scale"] for place in numbers], torch.float32),
            ("gaps", gaps, torch.int64),
            *_circles(circles),
            ("sources", [place for place, _ in pairs], torch.int64),
            ("codes", [code for _, code in pairs], torch.float32),
            ("nominals", nominals, torch.int64),
            ("sizes", list(sizes.values()), torch.float32),
            ("starts", starts[:-1], torch.int64),
            # What a network lacks is no tensor of its, so that its file is what it always was.
            *([("tailed", tailed, torch.bool)] if any(tailed) else []),
            *(_piece_tensors([given[numbers[index]]["knots"] for index in cut], cut) if cut else []),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=kind))
        self.any_tailed = any(tailed)
        self.embedding: nn.Embedding | None = None
        if embed is not None and nominals:
            self.embedding = nn.Embedding(starts[-1], embed)
            with torch.no_grad():
                self.embedding.weight[starts[:-1]] = 0.0
        self.pieces: nn.Parameter | None = None
        if cut:
            count = self.lows.shape[1]
            self.pieces = nn.Parameter(torch.randn(len(cut), count, curves) / math.sqrt(count))
        if self.features == 0:
            remedy = "Give columns that tell rows apart"
            raise must("columns", "Rows", "with a number or a category among them", f"{len(given)} empty ones", remedy)

    def forward(self, rows: Tensor) -> Tensor:
        """The features of rows.

        Raises:
            BadInput: If the rows have another number of columns.
        """
        if rows.dim() != 2 or rows.shape[1] != self.columns:
            remedy = "Encode them with the columns that the network was made with"
            raise must("rows", "Rows", f"[n, {self.columns}]", list(rows.shape), remedy)
        inputs, values = [], rows
        if len(self.numbers):
            values = rows.index_select(1, self.numbers)
            missing = values.isnan()
            values = torch.where(missing, self.center, values)
            scaled = (values - self.center) / self.scale
            if self.any_tailed:
                tails = scaled.clamp(-_LARGEST, _LARGEST)
                scaled = torch.where(self.tailed, tails.sign() * (1 + tails.abs()).log(), scaled)
            inputs.append(bounded(scaled))
            if len(self.gaps):
                inputs.append(missing.index_select(1, self.gaps).to(rows.dtype))
            if self.goes_around:
                angles = values.index_select(1, self.dated).clamp(-_LAST_DAY, _LAST_DAY) * self.turns
                unknown = missing.index_select(1, self.dated)
                inputs += [torch.where(unknown, 0.0, one) for one in (angles.sin(), angles.cos())]
        if self.embedding is not None:
            codes = rows.index_select(1, self.nominals)
            # False for NaN, as every comparison with it is.
            known = (codes >= 0) & (codes < self.sizes) & (codes == codes.floor())
            entries = self.starts + torch.where(known, codes + 1, 0.0).long()
            inputs.append(self.embedding(entries).flatten(1))
        elif len(self.sources):
            inputs.append((rows.index_select(1, self.sources) == self.codes).to(rows.dtype))
        if self.pieces is not None:
            those = values.index_select(1, self.cut).clamp(-_LARGEST, _LARGEST).unsqueeze(2)
            # In place, as it is most of what is computed: [n, columns, pieces].
            above = (those - self.lows).div_(self.widths).clamp_(0.0, 1.0).mul_(2).add_(self.below)
            inputs.append(torch.bmm(above.transpose(0, 1), self.pieces).transpose(0, 1).flatten(1))
        return torch.cat(inputs, dim=1)


def _periods(column: Mapping[str, Any]) -> Sequence[float]:
    """The circles on which dates are seen, in days; none for other columns."""
    dates = column.get("dates")
    return () if dates is None else tuple(dates["periods"])


def _circles(circles: Sequence[tuple[int, float]]) -> Sequence[tuple[str, list[Any], torch.dtype]]:
    """The buffers of circles; none without any, so that weights of networks without dates are what they were."""
    if not circles:
        return ()
    return (
        ("dated", [index for index, _ in circles], torch.int64),
        ("turns", [turn for _, turn in circles], torch.float32),
    )


def _piece_tensors(knots: Sequence[Sequence[float]], cut: list[int]) -> list[tuple[str, Any, torch.dtype]]:
    """Which numbers are cut; where pieces begin, how wide they are, and what they are below: ``[cut, pieces]`` each.

    All columns get as many pieces as the one that has most of them; a piece that a column lacks is 0 everywhere.
    """
    most = max(len(one) - 1 for one in knots)
    lows, widths, below = [], [], []
    for one in knots:
        lacking = most - len(one) + 1
        lows.append([*one[:-1], *[_LARGEST] * lacking])
        widths.append([*(after - before for before, after in itertools.pairwise(one)), *[1.0] * lacking])
        below.append([*[-1.0] * (len(one) - 1), *[0.0] * lacking])
    numbers = [("lows", lows), ("widths", widths), ("below", below)]
    return [("cut", cut, torch.int64), *((name, values, torch.float32) for name, values in numbers)]


def _checked(place: int, column: object) -> Mapping[str, Any]:
    """A column whose description is complete and makes sense."""
    of = f"column {place}"
    if not isinstance(column, Mapping) or column.get("kind") not in _KINDS:
        rule = f"an object whose kind is {', '.join(_KINDS[:-1])} or {_KINDS[-1]}"
        raise must("description", of, rule, column, "Use to_json of the columns")
    if column["kind"] == "nominal":
        if not isinstance(column.get("categories"), Sequence) or isinstance(column["categories"], str):
            raise must("categories", of, "a list", column.get("categories"), "Use to_json of the columns")
        return column
    center, scale = column.get("center"), column.get("scale")
    for name, value in (("center", center), ("scale", scale)):
        right = isinstance(value, int | float) and math.isfinite(value) and (name == "center" or value > 0)
        if not right:
            rule = "a finite number" + (" above 0" if name == "scale" else "")
            raise must(name, of, rule, value, "Use to_json of the columns")
    if column["kind"] == "date":
        dates = column.get("dates")
        periods = dates.get("periods") if isinstance(dates, Mapping) else None
        if not isinstance(periods, list | tuple) or not all(isinstance(one, float) and one > 0 for one in periods):
            raise must("dates", of, "an object with periods, numbers of days", dates, "Use to_json of the columns")
    if not isinstance(column.get("log", False), bool):
        raise must("log", of, "true or false", column["log"], "Use with_knots of the columns")
    _check_knots(of, column.get("knots", []))
    return column


def _check_knots(of: str, knots: object) -> None:
    """See that knots are none, or two or more finite numbers that rise in float32, too."""
    numbers = isinstance(knots, Sequence) and not isinstance(knots, str)
    numbers = numbers and all(isinstance(one, int | float) and abs(one) <= _LARGEST for one in knots)  # type: ignore[attr-defined]
    # By NumPy: a network whose shapes alone are asked for is built without numbers in its tensors.
    rising = numbers and bool((np.diff(np.asarray(knots, np.float32)) > 0).all())
    if not rising or len(knots) == 1:  # type: ignore[arg-type]
        rule = "two or more finite numbers, each larger than the one before"
        raise must("knots", of, rule, knots, "Use with_knots of the columns")
