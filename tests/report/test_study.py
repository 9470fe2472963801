"""The page of a study: ours beside the paper's, whatever is absent, whatever a name holds, and in a browser."""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from attar.errors import BadInput
from attar.evidence.panel import Axis
from attar.report.charts import draw
from attar.report.study import render_study
from attar.report.study_charts import series

DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
HOSTILE = (
    "</script><script>document.documentElement.dataset.pwned=1</script><img src=x onerror=alert(1)>'\"&{{7*7}}<!--"
)
SAMPLE = json.loads((Path(__file__).parent / "sample_study.json").read_text(encoding="utf-8"))
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What a browser asks of its maker by itself: time, updates, accounts.
MAKERS = re.compile(r"https?://[\w.-]+\.(google|googleapis|gvt1)\.com/")


class Page(HTMLParser):
    """The elements, the visible words, the scripts and the tables of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self._hidden, self._in_cell = "", False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._hidden = tag
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True
        elif tag in ("small", "sup"):
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = "" if tag == self._hidden else self._hidden
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._hidden == "script":
            self.scripts[-1] += data
        elif not self._hidden:
            self.words.append(data)
            if self._in_cell:
                self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        """The visible text, every run of white space one blank."""
        return " ".join("".join(self.words).split())

    def rows(self, table: int = 0) -> list[list[str]]:
        """The cells of a table, every run of white space one blank."""
        return [[" ".join(cell.split()) for cell in row] for row in self.tables[table]]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def shown(document: dict[str, Any], folder: Path) -> Page:
    render_study(document, folder / "study.html")
    return Page((folder / "study.html").read_text(encoding="utf-8"))


def table(cells: list[dict[str, Any] | None], **column: Any) -> dict[str, Any]:
    rows = [{"name": f"row {number}", "cells": {"k": cell}} for number, cell in enumerate(cells)]
    return {"tables": [{"title": "T", "columns": [{"key": "k", "title": "K", **column}], "rows": rows}]}


def body(document: dict[str, Any], folder: Path) -> list[list[str]]:
    """The cells of the first table, without its heads and the names of its rows."""
    page = shown(document, folder)
    return [row[1:] for row in page.rows() if row[0].startswith("row ")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "made on the way" / "study.html"
    render_study(SAMPLE, path)
    return path


# What it says


def test_every_section_is_there_in_order(whole: Path) -> None:
    html = whole.read_text(encoding="utf-8").split("<script type=")[0]
    assert re.findall(r"<h2>(.*?)</h2>", html) == [
        "The paper",
        "How it was measured",
        "Table 2: error of the probabilities",
        "Tables 3 and 4: what it costs",
        "Curves",
        "Runs",
        "Remarks",
        "Warnings",
        "Machine and versions",
    ]


def test_ours_and_the_papers_figure_stand_side_by_side(whole: Path) -> None:
    rows = Page(whole.read_text(encoding="utf-8")).rows()
    assert rows[0] == ["", "MUNGE", "Ensemble", "Net on real rows", "Best single", "Ratio"]
    assert rows[1] == ["ours", "paper"] * 4 + ["ours higher is better", "paper"]
    by_name = {row[0]: row[1:] for row in rows[2:]}
    # Table 2 of the paper: letter.p2, and hs, which was not run.
    assert by_name["letter.p2"][1::2] == ["0.179", "0.178", "0.228", "0.203", "0.98"]
    assert by_name["hs"] == [f"{DASH} 1", "0.204", DASH, "0.213", DASH, "0.231", DASH, "0.231", DASH, "1.47"]
    assert re.fullmatch(r"0\.\d{4} ± 0\.\d{4}", by_name["letter.p2"][0])


def test_a_column_without_a_figure_of_the_paper_is_one_column(tmp_path: Path) -> None:
    page = shown(table([{"mean": 1.5, "paper": None}, None]), tmp_path)
    assert page.rows() == [["", "K"], ["row 0", "1.50"], ["row 1", DASH]]


@pytest.mark.parametrize(
    ("unit", "cell", "ours", "paper"),
    [
        ("rmse", {"mean": 0.07512, "sd": 0.0012, "paper": 0.23}, "0.0751 ± 0.0012", "0.230"),
        ("rmse", {"mean": 0.3, "paper": 0.075}, "0.300", "0.075"),
        ("rmse", {"mean": 0.3, "sd": 0.000004}, "0.3000 ± 0.000004", None),
        ("%", {"mean": 0.91524, "sd": 0.002, "paper": 0.9}, "91.52% ± 0.20", "90%"),
        ("accuracy", {"mean": 0.5, "paper": 0.125}, "50.0%", "12.5%"),
        ("points", {"mean": 0.0042, "paper": -0.01}, "+0.42", f"{MINUS}1"),
        ("x", {"mean": 3580.4, "sd": 240.0, "paper": 4072.5}, f"3,580{TIMES} ± 240", f"4,072.5{TIMES}"),
        ("bytes", {"mean": 23552, "paper": 80000.0}, "23.6 kB", "80.0 kB"),
        ("ms", {"mean": 0.0823, "sd": 0.001, "paper": 2100}, "82.3 µs ± 1.0", "2.10 s"),
        ("s", {"mean": 0.0, "paper": 2.59}, "0 µs", "2.59 s"),
        ("", {"mean": 400000, "paper": 1.01}, "400,000", "1.01"),
        (
            "",
            {"mean": -0.278, "sd": 0.022, "interval": [-0.3, -0.25]},
            f"{MINUS}0.278 ± 0.022 {MINUS}0.300 to {MINUS}0.250",
            None,
        ),
        ("nats", {"mean": 1.234, "paper": 1.2}, "1.23 nats", "1.2 nats"),
        ("nats", {"mean": 0.0000131, "sd": 0.0000004}, "1.3·10⁻⁵ nats ± 4.0·10⁻⁷", None),
        ("accuracy", {"mean": 0.9, "interval": [0.89, 0.911]}, "90.0% 89.0 to 91.1%", None),
        ("accuracy", {"mean": 0.5, "interval": [-0.2, 1.2]}, "50.0% 0.0 to 100.0%", None),
        ("ms", {"mean": 1.0, "interval": [0.9, 1.1]}, "1.00 ms 900 µs to 1.10 ms", None),
    ],
)
def test_figures_are_said_in_their_unit(
    unit: str, cell: dict[str, Any], ours: str, paper: str | None, tmp_path: Path
) -> None:
    assert body(table([cell], unit=unit), tmp_path) == [[ours] if paper is None else [ours, paper]]


@pytest.mark.parametrize(
    ("columns", "papers", "look"), [(8, 0, "medium"), (4, 4, "grouped"), (5, 4, "grouped dense"), (9, 0, "dense")]
)
def test_many_columns_are_set_in_smaller_type(columns: int, papers: int, look: str, tmp_path: Path) -> None:
    cells = {f"k{number}": {"mean": 1.0, **({"paper": 2.0} if number < papers else {})} for number in range(columns)}
    content = {"tables": [{"columns": [{"key": key} for key in cells], "rows": [{"name": "r", "cells": cells}]}]}
    classes = [attributes.get("class") for tag, attributes in shown(content, tmp_path).elements if tag == "table"]
    assert classes == [look]


def test_the_best_is_marked_only_where_better_is_said(tmp_path: Path) -> None:
    cells: list[dict[str, Any] | None] = [{"mean": 0.2, "paper": 0.01}, {"mean": 0.1}, {"mean": 0.10001}, None]

    def best(**column: Any) -> list[int]:
        page = shown(table(cells, unit="rmse", **column), tmp_path)
        ours = [facts for tag, facts in page.elements if tag == "td" and "quoted" not in (facts["class"] or "")]
        return [number for number, facts in enumerate(ours) if "strong" in (facts["class"] or "").split()]

    # What reads the same is equally good; the paper's figures do not compete with ours.
    assert best(better="lower") == [1, 2]
    assert best(better="higher") == [0]
    assert best(better=None) == best() == []


def test_seeds_are_said_once_and_the_exceptions_in_their_cells(tmp_path: Path) -> None:
    cells: list[dict[str, Any] | None] = [{"mean": 1.0, "sd": 0.1, "n": 5}] * 2 + [{"mean": 1.0, "n": 1}]
    page = shown(table(cells), tmp_path)
    assert "Ours: mean of 5 seeds unless stated otherwise, ± one standard deviation." in page.text
    assert [row[1] for row in page.rows()[1:]] == ["1.00 ± 0.10", "1.00 ± 0.10", "1.00 1 seed"]


def test_a_note_is_written_once_under_its_mark(tmp_path: Path) -> None:
    page = shown(table([{"note": "not public"}, {"mean": 2.0, "note": "slow"}, {"note": "not public"}]), tmp_path)
    assert [row[1] for row in page.rows()[1:]] == [f"{DASH} 1", "2.00 2", f"{DASH} 1"]
    assert page.text.count("not public") == 1


def test_links_stay_in_the_folder_and_no_address_is_a_script(tmp_path: Path) -> None:
    reports = [
        "runs/a b/report.html",
        "javascript:alert(1)",
        "//attar.invalid/x",
        "https://attar.invalid/",
        None,
        "../x#?.html",
    ]
    runs = [{"name": str(number), "report": report} for number, report in enumerate(reports)]
    page = shown({"runs": runs, "paper": {"address": "javascript:alert(1)"}}, tmp_path)
    links = [facts["href"] for tag, facts in page.elements if tag == "a"]
    assert links == ["runs/a%20b/report.html", "javascript%3Aalert%281%29", "../x%23%3F.html"]
    page = shown({"paper": {"address": "https://doi.org/10.1145/1150402.1150464"}}, tmp_path)
    assert [facts["href"] for tag, facts in page.elements if tag == "a"] == ["https://doi.org/10.1145/1150402.1150464"]


# The charts


def test_series_of_one_name_share_their_color_and_the_papers_is_dashed(whole: Path) -> None:
    spec = json.loads(Page(whole.read_text(encoding="utf-8")).scripts[1])[1]
    data = spec["datasets"]
    assert {row["color"] for row in data["ours"] + data["paper"]} == {"var(--series-0)"}
    dashed = [
        layer["data"]["name"]
        for layer in spec["layer"]
        if layer["mark"]["type"] == "line" and "strokeDash" in layer["mark"]
    ]
    assert dashed == ["paper lines"]
    assert [(row["low"], row["high"]) for row in data["whiskers"][:1]] == [(pytest.approx(0.438), pytest.approx(0.442))]


def test_a_point_that_a_logarithmic_axis_cannot_hold_is_counted_and_in_the_numbers(tmp_path: Path) -> None:
    points = [{"x": 100, "y": 0.1}, {"x": 0, "y": 0.3}, {"x": 10, "y": 0.2}, {"x": 5, "y": None}]
    chart = {"x": {"log": True, "title": "rows"}, "y": {"unit": "%"}, "series": [{"name": "a", "points": points}]}
    page = shown({"charts": [chart]}, tmp_path)
    data = json.loads(page.scripts[1])[0]["datasets"]["ours"]
    assert [row["x"] for row in data] == [10, 100]
    assert "1 point at or below zero" in page.text
    assert page.rows() == [["rows", "a"], ["0", "30.0%"], ["10", "20.0%"], ["100", "10.0%"]]


def test_names_of_levels_never_write_over_each_other() -> None:
    points = [
        {
            "series": 0,
            "name": "a",
            "paper": False,
            "color": 0,
            "x": x,
            "y": y,
            "low": None,
            "high": None,
            "x_shown": "",
            "y_shown": "",
        }
        for x, y in ((1, 0.0), (2, 1.0))
    ]
    levels = [{"name": "high", "y": 0.95}, {"name": "near", "y": 0.501}, {"name": "middle", "y": 0.5}]
    spec = draw(series(points, levels, title="", x=Axis(), y=Axis()))
    assert spec is not None
    named = [(row["text"], side) for side in ("left", "right") for row in spec["datasets"].get(f"names {side}", [])]
    # The line ends high on the right, so that the high level is named on the left.
    assert named == [("high", "left"), ("middle, near", "right")]
    assert [row["y"] for row in spec["datasets"]["levels"]] == [0.95, 0.501, 0.5]


def test_without_points_nothing_is_drawn(tmp_path: Path) -> None:
    page = shown(
        {"charts": [{"title": "C", "series": [{"name": "a"}], "levels": [{"name": "l", "y": 1.0}]}]},
        tmp_path,
    )
    assert "Nothing to draw." in page.text and page.count("script") == 2


# What may be absent


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))
    if path and isinstance(path[-1], str):
        yield path


def small() -> dict[str, Any]:
    """The sample with the first two of every list: the same kinds of parts, faster to draw."""

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cut(inner) for key, inner in value.items()}
        return [cut(inner) for inner in value[:2]] if isinstance(value, list) else value

    document: dict[str, Any] = cut(copy.deepcopy(SAMPLE))
    return document


@pytest.mark.parametrize("part", sorted(SAMPLE))
def test_any_part_may_be_absent_or_none(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library of the charts is the same whatever the document says, and slow to put in a hundred times.
    monkeypatch.setattr("attar.report.html._chart_library", lambda: "")
    kinds: set[tuple[Any, ...]] = set()
    for path in places({part: small()[part]}):
        behind = (None, *path)
        kind = tuple("each" if isinstance(key, int) or behind[at] == "cells" else key for at, key in enumerate(path))
        if kind in kinds or "machine" in path[:-1]:
            continue
        kinds.add(kind)
        texts = []
        for absent in (True, False):
            document = {part: small()[part]}
            inner = look(document, path[:-1])
            if absent:
                del inner[path[-1]]
            else:
                inner[path[-1]] = None
            texts.append(shown(document, tmp_path).text)
        assert texts[0] == texts[1], path
        assert not re.search(r"\b(None|nan|undefined)\b", texts[0]), path
    assert (part,) in kinds


def test_an_empty_document_is_a_page(tmp_path: Path) -> None:
    page = shown({}, tmp_path)
    assert page.text.startswith("Study Study Study") and page.count("script") == 2


def test_nan_is_absent_and_the_document_is_not_changed(tmp_path: Path) -> None:
    document = table([{"mean": float("nan"), "sd": float("inf"), "paper": 0.5}])
    before = repr(document)
    assert body(document, tmp_path) == [[DASH, "0.5"]]
    assert repr(document) == before


def test_what_json_cannot_hold_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="document of render_study must be made of JSON values"):
        render_study({"machine": {"memory": object()}}, tmp_path / "study.html")
    assert list(tmp_path.iterdir()) == []


# That nothing in a document can take it over


def hostile() -> dict[str, Any]:
    """The sample with hostile text behind every text that is not one of a few fixed words."""

    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            free = {"machine", "versions"}
            return {
                (f"{name} {HOSTILE}" if key in free else name): poison(inner, name) for name, inner in value.items()
            }
        if isinstance(value, list):
            return [poison(inner, key) for inner in value]
        return (
            f"{value} {HOSTILE}" if isinstance(value, str) and key not in ("source", "better", "unit", "key") else value
        )

    document = poison(SAMPLE)
    document["tables"][0]["columns"][4]["unit"] = document["charts"][0]["y"]["unit"] = HOSTILE
    return document


def test_hostile_text_comes_out_as_text(tmp_path: Path, whole: Path) -> None:
    page, benign = shown(hostile(), tmp_path), Page(whole.read_text(encoding="utf-8"))
    html = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert HOSTILE in page.text and "<script>document" not in html and "<img src=x" not in html
    for tag in ("script", "img", "style", "a"):
        assert page.count(tag) == benign.count(tag)
    assert not any(name.startswith("on") for _, facts in page.elements for name in facts)
    assert "<" not in page.scripts[1]
    specs = json.loads(page.scripts[1])
    assert not [path for path in places(specs) if path[-1] == "labelExpr" and HOSTILE in look(specs, path)]
    assert any(HOSTILE in row["name"] for row in specs[0]["datasets"]["ours"])


def look(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_only_the_scripts_of_the_page_may_run(whole: Path) -> None:
    page = Page(whole.read_text(encoding="utf-8"))
    policy = next(
        facts["content"] for _, facts in page.elements if facts.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("sha256-") == 4 and "unsafe-eval" not in policy
    for tag, facts in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form", "img") and "src" not in facts


# In a browser


def browse(path: Path, log: Path) -> tuple[dict[str, str | None], int, str]:
    """Opens a page; its root element's attributes, how many charts are drawn, and what the browser complained of."""
    assert BROWSER is not None
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *quiet, "--enable-logging=stderr"]
    command += [f"--user-data-dir={log.parent / 'profile'}", "--virtual-time-budget=10000", f"--log-net-log={log}"]
    ran = subprocess.run(
        [*command, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    page = Page(ran.stdout)
    drawn = sum(tag == "svg" and facts.get("class") == "marks" for tag, facts in page.elements)
    return next(facts for tag, facts in page.elements if tag == "html"), drawn, ran.stderr


@pytest.mark.skipif(BROWSER is None, reason="needs a Chromium to open the page in")
@pytest.mark.parametrize("document", [SAMPLE, hostile()], ids=["sample", "hostile"])
def test_every_chart_is_drawn_and_no_network_is_asked(document: dict[str, Any], tmp_path: Path) -> None:
    render_study(document, tmp_path / "study.html")
    root, drawn, complaints = browse(tmp_path / "study.html", tmp_path / "net.json")
    assert "data-error" not in root and "data-pwned" not in root, root
    assert root["data-drawn"] == "3" and drawn == 3
    assert "CONSOLE" not in complaints, complaints
    asked = re.findall(r'"url":"((?:https?|wss?|ftp):[^"]*)"', (tmp_path / "net.json").read_text(encoding="utf-8"))
    assert [url for url in asked if not MAKERS.match(url)] == []
