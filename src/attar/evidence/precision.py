"""What the page of a run shows of a low-bit student: the bytes of each layer, its weights and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar import formatting
from attar.evidence import nested_bars
from attar.evidence.charts import Chart
from attar.evidence.page_common import ABSENT, Charts

_ROWS_SHOWN = 20
_BARS_SHOWN = 24
_HISTOGRAMS_SHOWN = 6
_LISTED = 8
# The drawing of a histogram is 100 wide; its bars end here, and below them is room for two rows of spans.
_FLOOR = 80.0
_SPANS_AT = (88.0, 95.0)
_SUMMED = ("values", "bytes_packed", "bytes_coded", "bytes_table", "bytes_float32")


def precision(tensors: Sequence[Mapping[str, Any] | None] | None, drawn: Charts) -> dict[str, Any] | None:
    """Sentence, table, chart and histograms, ready to print; None where no tensor is in a low-bit format.

    Args:
        tensors: What the evidence holds of each tensor, see `attar.deployment.packed.report.size_report`. Every figure
            may be absent.
        drawn: Takes up the chart.
    """
    entries = [{**entry, "name": _name(entry, n)} for n, entry in enumerate(tensors or [], 1) if entry]
    few = [entry for entry in entries if entry.get("format") or entry.get("inputs")]
    rest = [entry for entry in entries if not entry.get("format") and not entry.get("inputs")]
    if not few:
        return None
    rows = [_row(entry) for entry in few]
    left = _row({**_total(rest), "name": "Stays float", "shown": _counted(len(rest), "tensor")}) if rest else None
    totals = [_row({**_total(few), "name": "Few bits", "shown": _counted(len(few), "tensor")})] if rest else []
    totals.append(_row({**_total(entries), "name": "All", "shown": _counted(len(entries), "tensor")}))
    histograms = [histogram for entry in few if (histogram := _histogram(entry)) is not None]
    return {
        "sentence": _sentence(totals[-1]),
        "rows": rows[:_ROWS_SHOWN],
        "more": rows[_ROWS_SHOWN:],
        "left": left,
        "totals": totals,
        "inputs": any(row["inputs"] for row in rows),
        "formats": _formats(few),
        "chart": drawn.add(_chart(few, left)),
        "histograms": histograms,
        "folded": len(histograms) > _HISTOGRAMS_SHOWN,
        "marked": any(one["marks"] for one in histograms),
        "unmarked": any(not one["marks"] for one in histograms),
        "spans": any(mark["span"] for one in histograms for mark in one["marks"]),
        "points": any(one["points"] for one in histograms),
        "zero": any(one["zero"] is not None for one in histograms),
    }


def _name(entry: Mapping[str, Any], number: int) -> str:
    return str(entry.get("name", f"Tensor {number}"))


def _counted(count: int, noun: str) -> str:
    return f"{formatting.grouped(count)} {noun}{'s' if count != 1 else ''}"


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


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table."""
    form, bits, entropy = entry.get("format") or {}, entry.get("bits"), entry.get("entropy_bits")
    float32 = entry.get("bytes_float32")
    return {
        "name": entry["name"],
        "shown": entry.get("shown") or _shape(entry.get("shape")),
        "format": _use(form) if form else None,
        "many": entry.get("values"),
        "bits": None if bits is None else formatting.trimmed(bits),
        "entropy": None if entropy is None else f"{entropy:.2f}",
        "inputs": _inputs(entry.get("inputs") or {}),
        "float32": float32,
        **{key: entry.get(f"bytes_{key}") for key in ("packed", "coded")},
        **{f"{key}_times": _times(float32, entry.get(f"bytes_{key}")) for key in ("packed", "coded")},
    }


def _shape(shape: Sequence[int | None] | None) -> str | None:
    if not shape:
        return None
    return " \N{MULTIPLICATION SIGN} ".join(ABSENT if size is None else str(size) for size in shape)


def _times(before: int | None, after: int | None) -> str | None:
    return formatting.times(before / after) if before and after else None


def _sentence(total: Mapping[str, Any]) -> str | None:
    taken = "coded" if total["coded"] is not None else "packed"
    if total[taken] is None or total["float32"] is None:
        return None
    before = f"{formatting.size(total[taken])} instead of {formatting.size(total['float32'])} in float32"
    return f"{before}: {total[f'{taken}_times']} smaller." if total[f"{taken}_times"] else f"{before}."


def _use(form: Mapping[str, Any]) -> str:
    return str(form.get("use", ABSENT)).replace("_", " ")


def _inputs(stored: Mapping[str, Any]) -> dict[str, str | None] | None:
    """What the inputs of a layer are rounded to."""
    if not stored.get("format"):
        return None
    ends = [end for end in stored.get("range") or [] if end is not None]
    between = " to ".join(map(formatting.significant, ends)) if len(ends) == 2 else None
    return {"format": _of_bits(stored), "range": between}


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
    return [(f"{title}, {_counted(count, noun)}", stored) for (title, stored, noun), count in counts.items() if stored]


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


def _chart(few: Sequence[Mapping[str, Any]], left: Mapping[str, Any] | None) -> list[Chart]:
    """Bytes in float32 against bytes packed: the largest tensors in their order, then the others together."""
    known = [entry for entry in few if None not in (entry.get("bytes_float32"), entry.get("bytes_packed"))]
    if not known:
        return []
    rows = [_row(entry) for entry in known]
    if len(rows) > _BARS_SHOWN:
        places = sorted(range(len(rows)), key=lambda place: -rows[place]["float32"])
        largest, others = sorted(places[: _BARS_SHOWN - 1]), places[_BARS_SHOWN - 1 :]
        total = _row({**_total([known[place] for place in others]), "name": f"{len(others)} smaller ones"})
        rows = [*(rows[place] for place in largest), total]
    if left is not None and left["float32"] is not None and left["packed"] is not None:
        rows.append({**left, "name": f"stays float ({left['shown']})"})
    lines, seen = [], set()
    for row in rows:
        name = row["name"]
        while name in seen:
            name += "'"
        seen.add(name)
        lines.append(
            {
                "name": name,
                "before": row["float32"],
                "after": row["packed"],
                "before_shown": formatting.size(row["float32"]),
                "after_shown": formatting.size(row["packed"]),
                "ratio_shown": row["packed_times"] or ABSENT,
            }
        )
    title = "Bytes by layer"
    spec = nested_bars.nested(
        lines,
        before="float32",
        after="packed",
        title="bytes",
        unit="bytes",
        description=f"{title}, in float32 and packed in low-bit formats, one line per tensor.",
    )
    return [Chart(title, "", spec, full_width=True)]


def _histogram(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """A drawing of the float weights, 100 wide and 100 high, with the numbers that the codes mean."""
    weights = entry.get("weights") or {}
    edges, counts = weights.get("edges") or [], [count or 0 for count in weights.get("counts") or []]
    if None in edges or len(edges) != len(counts) + 1 or not any(counts):
        return None
    numbers = _numbers(entry.get("numbers") or {})
    ends = [edges[0], edges[-1], *(number[key] for number in numbers for key in ("lowest", "highest"))]
    low, high = min(ends), max(ends)
    if not high > low:
        return None

    def across(value: float) -> float:
        return _across(value, low, high - low)

    tallest = max(counts)
    steps = [
        f"V{round(_FLOOR * (1 - count / tallest), 2):g}H{across(edge)}"
        for count, edge in zip(counts, edges[1:], strict=True)
    ]
    marks = []
    for place, number in enumerate(numbers):
        start, end = across(number["lowest"]), across(number["highest"])
        span = {"start": start, "end": end, "y": _SPANS_AT[place % 2]} if end - start > 0.2 else None
        marks.append({"x": across(number["mean"]), "span": span, "text": _meaning(number, span is not None)})
    values = entry.get("values")
    facts = [_of_bits(entry)]
    if values is not None:
        facts.append(_counted(values, "weight"))
    return {
        "name": entry["name"],
        "facts": ", ".join(facts),
        "path": f"M{across(edges[0])} {_FLOOR:g}{''.join(steps)}V{_FLOOR:g}Z",
        "marks": marks,
        "zero": across(0.0) if low < 0 < high else None,
        "low": formatting.significant(low),
        "high": formatting.significant(high),
        "points": _points(entry.get("points") or []),
    }


def _numbers(statistics: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """What each code means that stands for a weight and of which that is known."""
    means = statistics.get("mean", [])
    columns = {key: statistics.get(key, []) for key in ("counts", "lowest", "highest")}
    numbers = []
    for code, mean in enumerate(means):
        if mean is None:
            continue
        count, lowest, highest = (column[code] if code < len(column) else None for column in columns.values())
        spread = {"lowest": mean if lowest is None else lowest, "highest": mean if highest is None else highest}
        numbers.append({"place": code, "mean": mean, "count": count, **spread})
    return numbers


def _meaning(number: Mapping[str, Any], spread: bool) -> str:
    text = f"Code {number['place'] + 1} means {formatting.significant(number['mean'])}"
    if spread:
        ends = formatting.significant(number["lowest"]), formatting.significant(number["highest"])
        text += f" on average, {ends[0]} to {ends[1]} over the groups"
    return text if number["count"] is None else f"{text}; it stands for {_counted(number['count'], 'weight')}"


def _points(points: Sequence[float | None]) -> dict[str, Any] | None:
    """The learned codebook's values on a line of their own, on the scale of their groups and not on that of weights."""
    known = sorted(point for point in points if point is not None)
    if not known:
        return None
    low, high = known[0], known[-1]
    reach = (high - low) or 1.0
    return {
        "places": [_across(point, low, reach) for point in known],
        "count": _counted(len(known), "learned codebook value"),
        "low": formatting.significant(low),
        "high": formatting.significant(high),
    }


def _across(value: float, low: float, reach: float) -> float:
    """Where a value lies in a drawing 100 wide; not at its very ends, where a line would be cut in half."""
    return round(1 + 98 * (value - low) / reach, 2)
