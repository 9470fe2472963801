"""A student in low-bit formats: the bytes of each layer, its weights, and what its codes mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence.panel import (
    AnyCell,
    Axis,
    Block,
    Cell,
    Chart,
    Column,
    Facts,
    Folded,
    Histogram,
    Histograms,
    Layer,
    Legend,
    Panel,
    Table,
    Text,
)
from attar.formatting import plural
from attar.report.panels.common import Figures, known

_ROWS_SHOWN = 20
_BARS_SHOWN = 24
_HISTOGRAMS_SHOWN = 6
_LISTED = 8
_SUMMED = ("values", "bytes_packed", "bytes_coded", "bytes_table", "bytes_float32")
_LINE, _AROUND = 24, 52
"""Pixels of a bar, and of what is around all of them."""


def low_bits(tensors: Sequence[Figures | None]) -> list[Panel]:
    """Sentence, table, chart and histograms; no panel where no tensor is in a low-bit format.

    Args:
        tensors: What the evidence holds of each tensor, see `attar.deployment.packed.report.size_report`.
    """
    entries = [{**entry, "name": _name(entry, n)} for n, entry in enumerate(tensors, 1) if entry]
    few = [entry for entry in entries if entry.get("format") or entry.get("inputs")]
    rest = [entry for entry in entries if not entry.get("format") and not entry.get("inputs")]
    if not few:
        return []
    left = {**_total(rest), "name": "Stays float", "shown": plural(len(rest), "tensor")} if rest else None
    total = {**_total(entries), "name": "All", "shown": plural(len(entries), "tensor")}
    blocks: list[Block] = [Text(sentence, "say")] if (sentence := _sentence(total)) else []
    blocks.append(
        Text(
            "Packed: every code in its bits, with the tables that give codes their meaning. Coded: the same in the "
            "fewest bytes, by how often each code occurs; the entropy is the fewest bits that a code can then take on "
            "average. What the file has besides, its index among others, is not counted."
        )
    )
    blocks += _tables(few, rest, left, total)
    if formats := _formats(few):
        blocks.append(Facts(formats, "settings"))
    return [Panel("Low-bit formats", [*blocks, *_chart(few, left), *_histograms(few)])]


def _tables(few: Sequence[Figures], rest: Sequence[Figures], left: Figures | None, total: Figures) -> list[Block]:
    """The largest table of the page, with its end folded where there are many tensors."""
    inputs = any(_inputs(entry) for entry in few)
    columns = [
        Column(title="Tensor"),
        Column(title="Format", words=True),
        Column(title="Values"),
        Column(title="Bits", note="a code"),
        Column(title="Entropy", note="bits a code"),
        *([Column(title="Inputs", note="format and range", words=True)] if inputs else []),
        Column(title="float32"),
        Column(title="Packed", note="times smaller"),
        Column(title="Coded", note="times smaller"),
    ]
    rows = [_row(entry, inputs) for entry in few]
    shown, more = rows[:_ROWS_SHOWN], rows[_ROWS_SHOWN:]
    stays_float = [] if left is None else [_row(left, inputs)]
    low = {**_total(few), "name": "Few bits", "shown": plural(len(few), "tensor")}
    foot = [_row(low, inputs)] if rest else []
    foot.append(_row(total, inputs))
    if not more:
        return [Table(columns, [*shown, *stays_float], foot)]
    summary = f"{len(more)} more tensors{' in low-bit formats, and those that stay float' if left else ''}"
    return [Table(columns, shown, foot), Folded(summary, [Table(columns, [*more, *stays_float])])]


def _name(entry: Figures, number: int) -> str:
    return str(entry.get("name", f"Tensor {number}"))


def _total(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of what is known of all, and means of what a code takes."""
    total: dict[str, Any] = {}
    for key in _SUMMED:
        figures = [entry.get(key) for entry in entries]
        total[key] = None if None in figures else sum(figure for figure in figures if figure is not None)
    for key in ("bits", "entropy_bits"):
        known = [
            (entry["values"], entry[key]) for entry in entries if None not in (entry.get("values"), entry.get(key))
        ]
        many = sum(values for values, _ in known)
        complete = len(known) == len(entries) and many > 0
        total[key] = sum(values * bits for values, bits in known) / many if complete else None
    return total


def _row(entry: Figures, inputs: bool) -> list[AnyCell]:
    """A row of the table."""
    form, entropy = entry.get("format") or {}, entry.get("entropy_bits")
    float32 = entry.get("bytes_float32")
    taken = [entry.get(f"bytes_{how}") for how in ("packed", "coded")]
    return [
        Cell(text=entry["name"], note=entry.get("shown") or _shape(entry.get("shape"))),
        _use(form) if form else "",
        known(formatting.grouped, entry.get("values")),
        known(formatting.trimmed, entry.get("bits")),
        formatting.ABSENT if entropy is None else f"{entropy:.2f}",
        *([_inputs(entry) or ""] if inputs else []),
        known(formatting.size, float32),
        *(Cell(text=known(formatting.size, size), note=_times(float32, size) or "") for size in taken),
    ]


def _shape(shape: Sequence[int | None] | None) -> str:
    sizes = (formatting.ABSENT if size is None else str(size) for size in shape or ())
    return " \N{MULTIPLICATION SIGN} ".join(sizes)


def _times(before: int | None, after: int | None) -> str | None:
    return formatting.times(before / after) if before and after else None


def _sentence(total: Figures) -> str | None:
    taken = total["bytes_packed"] if total["bytes_coded"] is None else total["bytes_coded"]
    if taken is None or total["bytes_float32"] is None:
        return None
    before = f"{formatting.size(taken)} instead of {formatting.size(total['bytes_float32'])} in float32"
    smaller = _times(total["bytes_float32"], taken)
    return f"{before}: {smaller} smaller." if smaller else f"{before}."


def _use(form: Mapping[str, Any]) -> str:
    return str(form.get("use", formatting.ABSENT)).replace("_", " ")


def _inputs(entry: Figures) -> Cell | None:
    """What the inputs of a layer are rounded to."""
    stored = entry.get("inputs") or {}
    if not stored.get("format"):
        return None
    ends = [end for end in stored.get("range") or [] if end is not None]
    return Cell(text=_of_bits(stored), note=" to ".join(map(formatting.significant, ends)) if len(ends) == 2 else "")


def _of_bits(stored: Mapping[str, Any]) -> str:
    """A format and its bits."""
    bits = stored.get("bits")
    use = _use(stored.get("format") or {})
    return use if bits is None else f"{use}, {formatting.trimmed(bits)} bit{'s' if bits != 1 else ''}"


def _formats(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each format with its settings once, and how many tensors have it."""
    counts: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        for who, stored, noun in (("", entry, "tensor"), ("Inputs: ", entry.get("inputs") or {}, "layer")):
            if form := stored.get("format"):
                settings = _settings({name: value for name, value in form.items() if name not in ("use", "bits")})
                key = who + _of_bits(stored), settings, noun
                counts[key] = counts.get(key, 0) + 1
    return [(f"{title}, {plural(count, noun)}", stored) for (title, stored, noun), count in counts.items() if stored]


def _settings(form: Mapping[str, Any]) -> str:
    return ", ".join(f"{str(name).replace('_', ' ')} {_setting(value)}" for name, value in form.items())


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return _settings(value)
    if isinstance(value, list):
        left = len(value) - _LISTED
        return " ".join(map(_setting, value[:_LISTED])) + (f" and {left} more" if left > 0 else "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    # To the digit that was asked for: 99.99 percent is not 100.
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _chart(few: Sequence[Figures], left: Figures | None) -> list[Block]:
    """Bytes in float32 against bytes packed: the largest tensors in their order, then the others together."""
    sizes = [entry for entry in few if None not in (entry.get("bytes_float32"), entry.get("bytes_packed"))]
    if not sizes:
        return []
    shown = list(sizes)
    if len(sizes) > _BARS_SHOWN:
        places = sorted(range(len(sizes)), key=lambda place: -sizes[place]["bytes_float32"])
        largest, others = sorted(places[: _BARS_SHOWN - 1]), places[_BARS_SHOWN - 1 :]
        total = {**_total([sizes[place] for place in others]), "name": f"{len(others)} smaller ones"}
        shown = [*(sizes[place] for place in largest), total]
    if left is not None and left["bytes_float32"] is not None and left["bytes_packed"] is not None:
        shown.append({**left, "name": f"stays float ({left['shown']})"})
    rows: list[dict[str, Any]] = []
    for entry in shown:
        name = entry["name"]
        while any(row["y"] == name for row in rows):
            name += "'"
        before, after = entry["bytes_float32"], entry["bytes_packed"]
        rows.append(
            {
                "y": name,
                "before": before,
                "after": after,
                "before_shown": formatting.size(before),
                "after_shown": formatting.size(after),
                "ratio": _times(before, after) or formatting.ABSENT,
            }
        )
    tooltip = {"y": "tensor", "before_shown": "float32", "after_shown": "packed", "ratio": "smaller"}
    # A broad faint bar for each size before, and in it a slender one for the size after.
    looks = (("before", "faint", 14.0, 0.45), ("after", "student", 6.0, 1.0))
    title = "Bytes by layer"
    chart = Chart(
        title="",
        x=Axis(title="bytes", unit="bytes", zero=True),
        y=Axis(names=[row["y"] for row in rows], zero=True),
        layers=[
            Layer(
                name=name,
                mark="bars",
                rows=[{**row, "x": row[name], "color": color} for row in rows],
                tooltip=tooltip,
                size=size,
                opacity=opacity,
            )
            for name, color, size, opacity in looks
        ],
        description=f"{title}, in float32 and packed in low-bit formats, one line per tensor.",
        height=_LINE * len(rows) + _AROUND,
    )
    signs = Legend([("broad", "faint", "float32"), ("slender", "student", "packed")])
    return [Text(title, "heading"), signs, chart]


def _histograms(few: Sequence[Figures]) -> list[Block]:
    """The float weights of each layer, with what its codes mean."""
    drawn = [found for entry in few if (found := _histogram(entry)) is not None]
    if not drawn:
        return []
    marks = [mark for one in drawn for mark in one.marks]
    signs: list[Any] = [("broad", "faint", "float weights")]
    if marks:
        signs.append(("tick", "student", "what a code means"))
    if any(low < high for low, _, high, _ in marks):
        signs.append(("span", "student", "from the lowest to the highest group"))
    if any(one.edges[0] < 0 < one.edges[-1] for one in drawn):
        signs.append(("zero", "faint", "zero"))
    if any(one.points for one in drawn):
        signs.append(("tick", "baseline", "learned codebook value, on the scale of its group"))
    blocks: list[Block] = [Legend(signs), Histograms(drawn)]
    if marks and any(not one.marks for one in drawn):
        blocks.append(Text("Where a layer has more than 16 codes, what they mean is not marked."))
    heading = Text("Weights, and what the codes mean", "heading")
    if len(drawn) > _HISTOGRAMS_SHOWN:
        return [heading, Folded(f"{len(drawn)} layers", blocks)]
    return [heading, *blocks]


def _histogram(entry: Figures) -> Histogram | None:
    """None where the weights cannot be drawn."""
    weights = entry.get("weights") or {}
    edges, counts = weights.get("edges") or [], [count or 0 for count in weights.get("counts") or []]
    if None in edges or len(edges) != len(counts) + 1 or not any(counts) or not edges[-1] > edges[0]:
        return None
    points = [point for point in entry.get("points") or [] if point is not None]
    values = entry.get("values")
    facts = [_of_bits(entry), *([] if values is None else [plural(values, "weight")])]
    return Histogram(
        title=entry["name"],
        note=", ".join(facts),
        edges=edges,
        counts=counts,
        marks=_marks(entry.get("numbers") or {}),
        points=points,
        points_note=plural(len(points), "learned codebook value") if points else "",
    )


def _marks(statistics: Mapping[str, Sequence[Any]]) -> list[tuple[float, float, float, str]]:
    """What each code means that stands for a weight and of which that is known."""
    columns = {key: statistics.get(key, []) for key in ("counts", "lowest", "highest")}
    marks = []
    for code, mean in enumerate(statistics.get("mean", [])):
        if mean is None:
            continue
        count, lowest, highest = (column[code] if code < len(column) else None for column in columns.values())
        low, high = mean if lowest is None else lowest, mean if highest is None else highest
        text = f"Code {code + 1} means {formatting.significant(mean)}"
        if low < high:
            ends = formatting.significant(low), formatting.significant(high)
            text += f" on average, {ends[0]} to {ends[1]} over the groups"
        marks.append((low, mean, high, text if count is None else f"{text}; it stands for {plural(count, 'weight')}"))
    return marks
