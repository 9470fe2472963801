"""What was measured, from the committed files in benchmarks/results: claims, and tables of studies."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attar.formatting import grouped
from generate.markdown import escaped, table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
STUDIES = ROOT / "src" / "attar" / "recipes"

UNREAD = "†"
"""Stands behind a figure of a paper that was not read in the paper, but is from memory or notes."""


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every result by its name."""
    for path in sorted(RESULTS.glob("*.json")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


# -- claims ------------------------------------------------------------------------------------------------------------


def claims() -> str:
    """A table for each result: what is claimed, the aim, what was reached, and whether that meets it."""
    found, aimed, met = [], 0, 0
    for name, document in documents():
        rows = [_claim(one) for one in document["claims"]]
        aimed += sum(one["aim"] is not None for one in document["claims"])
        met += sum(one["met"] is True for one in document["claims"])
        link = f"[benchmarks/results/{name}.json](../benchmarks/results/{name}.json)"
        head = ("claim", "aim", "reached", "95% interval", "met")
        found.append(f"### {name}\n\n{_what(document)} {link}\n\n{table(head, rows)}")
    return "\n".join([f"Of {aimed} claims with an aim, {met} meet it.\n", *found])


def _what(document: Mapping[str, Any]) -> str:
    """What was measured, in a sentence."""
    about = document.get("title") or document.get("what") or ""
    if isinstance(about, Mapping):
        about = "; ".join(str(one) for one in about.values())
    about = about or document.get("recipe", {}).get("title", "")
    return f"{escaped(about.rstrip('.'))}." if about else ""


def _claim(claim: Mapping[str, Any]) -> tuple[str, ...]:
    why = claim.get("note") or ""
    note = f" *({escaped(why)})*" if why else ""
    mark = UNREAD if "from memory" in why else ""
    interval = claim.get("interval")
    verdict = {True: "yes", False: "**no**", None: ""}[claim["met"]]
    return (
        f"{escaped(claim['claim'])}{note}",
        "" if claim["aim"] is None else f"{number(claim['aim'])}{mark}",
        number(claim["reached"]),
        f"{number(interval[0])} to {number(interval[1])}" if interval else "",
        verdict,
    )


def number(value: Any) -> str:
    """A figure with at most four digits that mean something."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 10_000:
        return grouped(round(value))
    return f"{value:.4g}"


# -- studies -----------------------------------------------------------------------------------------------------------


def studies() -> str:
    """Tables of the studies, the paper's figures in parentheses and marked where they were not read in it."""
    return "\n".join(_study(name, document) for name, document in documents() if "tables" in document)


def _study(name: str, document: Mapping[str, Any]) -> str:
    toml = STUDIES / document["name"] / "study.toml"
    today = tomllib.loads(toml.read_text(encoding="utf-8"))
    paper = today.get("paper")
    found = [f"### {escaped(today['title'])}\n"]
    command = f"`attar study {document['name']}`"
    found.append(f"{command}; [benchmarks/results/{name}.json](../benchmarks/results/{name}.json).\n")
    names = {run["name"]: escaped(run.get("title", run["name"])) for run in today["runs"]}
    unread = False
    if paper is not None:
        unread = paper.get("source", "paper") != "paper"
        address = f" (<{paper['address']}>)" if "address" in paper else ""
        mark = f" {UNREAD}" if unread else ""
        whose = f"In parentheses the figures of {escaped(paper['citation'])}{address}."
        found.append(f"{whose} These are {escaped(paper['how_sure'])}.{mark}\n")
    for was, now in zip(document["tables"], today["tables"], strict=True):
        found.append(f"**{escaped(now['title'])}.** {escaped(now.get('caption', ''))}\n")
        found.append(_table(was, [escaped(column["title"]) for column in now["columns"]], names, unread))
    found += [f"- {escaped(remark)}" for remark in today.get("remarks", [])]
    return "\n".join(found) + "\n"


def _table(measured: Mapping[str, Any], titles: list[str], names: Mapping[str, str], unread: bool) -> str:
    columns = measured["columns"]
    assert len(columns) == len(titles), "a result of another study: make it again"
    shown = [
        (column, title)
        for column, title in zip(columns, titles, strict=True)
        if any(row["cells"][column["key"]]["mean"] is not None for row in measured["rows"])
    ]
    rows = [
        (names[row["name"]], *(_cell(row["cells"][column["key"]], column["unit"], unread) for column, _ in shown))
        for row in measured["rows"]
    ]
    return table(("run", *(title for _, title in shown)), rows)


def _cell(cell: Mapping[str, Any], unit: str, unread: bool) -> str:
    text = "" if cell["mean"] is None else _figure(cell["mean"], unit)
    if cell["sd"] is not None:
        text += f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{_figure(cell['sd'], unit).rstrip('%')}"
    if cell["paper"] is not None:
        text += f" ({_figure(cell['paper'], unit)}{UNREAD if unread else ''})"
    return text.strip()


def _figure(value: float, unit: str) -> str:
    if unit in ("accuracy", "%"):
        return f"{100 * value:.2f}%"
    if unit == "rmse":
        return f"{value:.4f}"
    return f"{number(value)} {unit}".strip()
