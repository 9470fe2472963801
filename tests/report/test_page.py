"""The page of a run: what it says, that it stands alone, that no document can take it over, and how it looks."""

import base64
import copy
import functools
import json
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import altair as alt
import jsonschema
import numpy as np
import pytest

from attar.errors import BadInput
from attar.evidence.panel import Cell, Column, Folded, Matrix, Panel, Table, Text
from attar.evidence.panel_json import from_json, to_json
from attar.report import png
from attar.report.html import as_json
from attar.report.page import content as content_of
from attar.report.page import render
from attar.report.panels.run import run_panels

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
HOSTILE = (
    "</script><script>document.documentElement.dataset.pwned=1</script><img src=x onerror=alert(1)>'\"&{{7*7}}<!--"
)
MAKERS = (
    "accounts.google.com",
    "android.clients.google.com",
    "clients2.google.com",
    "edgedl.me.gvt1.com",
    "optimizationguide-pa.googleapis.com",
    "redirector.gvt1.com",
    "safebrowsing.googleapis.com",
    "update.googleapis.com",
    "www.google.com",
)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """What a browser would make of the page: its elements, its visible text, its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag in ("script", "style"):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The visible text, every run of white space one blank."""
        return " ".join("".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@functools.cache
def sample() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "sample_document.json").read_text(encoding="utf-8"))


def document(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(sample()), **changes}


FORMATS = Panel("Formats", [Table(("Tensor", "Bits"), [("1.weight", 2), ("3.weight", None)])])


def with_panels(content: dict[str, Any]) -> dict[str, Any]:
    """The evidence as a run leaves it."""
    content = as_json(content, "a test")
    return {**content, "panels": to_json(run_panels(content, [FORMATS]))}


def shown(content: dict[str, Any], folder: Path) -> Page:
    render(with_panels(content), folder / "report.html")
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def model(name: str, kind: str = "candidate", **facts: Any) -> dict[str, Any]:
    accuracy, ms = facts.pop("accuracy", 0.9), facts.pop("ms", 1.0)
    quality = {"accuracy": accuracy, "examples": 400, "interval": [accuracy - 0.01, accuracy + 0.01]}
    return {
        "name": name,
        "kind": kind,
        "quality": quality,
        "latency": {"1": {"median_ms": ms}},
        "size_bytes": 1000,
    } | facts


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "made on the way" / "report.html"
    render(with_panels(sample()), path)
    return path


# What it says


def test_every_chart_keeps_to_the_schema_of_vega_lite() -> None:
    """It is not held against it when it is drawn."""
    charts = content_of(from_json(with_panels(sample())["panels"], "a test"))["charts"]
    assert len(charts) > 2
    for chart in charts:
        alt.LayerChart.validate(chart)
    with pytest.raises(jsonschema.ValidationError):
        alt.LayerChart.validate({**charts[0], "height": "tall"})


def test_the_headline_says_what_came_out_and_what_was_asked(whole: Path) -> None:
    text = Page(whole.read_text(encoding="utf-8")).text
    assert f"223{TIMES} smaller, 60{TIMES} faster at batch 1, accuracy 92.22% against 93.03%." in text
    assert (
        "met Budget: at most 1 point of accuracy lost, at most 0.01x the teacher's size on disk, at most 0.025x the "
        "teacher's latency at batch 1; of those within, the fastest." in text
    )


def test_every_section_is_there_in_order(whole: Path) -> None:
    html = whole.read_text(encoding="utf-8").split("<script type=")[0]
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == [
        "Did distillation help?",
        "The winner",
        "Use it",
        "Budget",
        "Frontier",
        "All models",
        "Refused",
        "Class by class",
        "Confusion matrix",
        "Where the student errs",
        "Learning",
        "Seeds",
        "Step by step",
        "Formats",
        "Low-bit formats",
        "Specialists",
        "Bias correction for absent classes",
        "Soft against hard targets",
        "Stored targets",
        "Warnings",
        "Stages",
        "Machine and versions",
        "Recipe",
    ]


# What may be absent


def chartless(**changes: Any) -> dict[str, Any]:
    """The sample without what costs time to draw, for tests of the other parts."""
    models = [one | {"latency": None, "size_bytes": None} for one in sample()["models"]]
    precision = [one | {"bytes_float32": None} for one in sample()["precision"]]
    return document(**{"models": models, "precision": precision, "curves": None} | changes)


@pytest.mark.parametrize("key", sorted(sample()))
def test_any_part_may_be_absent_or_none(key: str, tmp_path: Path) -> None:
    without = chartless(**{key: None})
    text = shown(without, tmp_path).text
    assert not re.search(r"\b(None|nan|undefined|Undefined)\b", text)
    assert "Attar" in text
    del without[key]
    assert shown(without, tmp_path).text == text


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    yield path


def test_any_figure_of_a_model_may_be_none_alone_or_all_at_once(tmp_path: Path) -> None:
    places = [path for path in leaves(sample()["models"][0]) if path and path[0] != "name" and path[:2] != ("kind",)]
    places = [path for path in places if "per_class" not in path or path[-1] == "per_class" or "Coat" in path]
    content = document(curves=None, examples=None, recipe=None, models=[])
    for path in places:
        one = copy.deepcopy(sample()["models"][0])
        inner = one
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = None
        content["models"].append(one)
    text = shown(content, tmp_path).text
    assert len(places) > 30
    assert not re.search(r"\b(None|nan|undefined)\b", text)


@pytest.mark.parametrize("part", ["specialists", "bias_correction", "steps", "targets"])
def test_any_figure_of_a_part_may_be_none(part: str, tmp_path: Path) -> None:
    tried = 0
    for path in leaves(sample()[part]):
        content = {part: copy.deepcopy(sample()[part])}
        inner = content[part]
        for key in path[:-1]:
            inner = inner[key]
        if not path or not isinstance(inner[path[-1]], int | float):
            continue
        inner[path[-1]] = None
        tried += 1
        assert not re.search(r"\b(None|nan|undefined)\b", shown(content, tmp_path).text), path
    assert tried > 7


def test_an_empty_document_is_an_honest_page(tmp_path: Path) -> None:
    parsed = shown({}, tmp_path)
    assert "Nothing was measured." in parsed.text
    assert parsed.count("script") == 2, "without charts there is no need of the chart library"


def test_nan_is_shown_as_absent(tmp_path: Path) -> None:
    content = {"models": [model("m", accuracy=float("nan"), parameters=float("inf"))], "winner": "m"}
    text = shown(content, tmp_path).text
    assert "nan" not in text.lower() and "inf" not in text.lower()


def test_the_document_is_not_changed(tmp_path: Path) -> None:
    content = with_panels(document())
    before = copy.deepcopy(content)
    render(content, tmp_path / "report.html")
    assert content == before


@pytest.mark.parametrize("panels", [None, []])
def test_evidence_without_panels_is_refused_in_one_sentence(panels: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no panels to draw"):
        render(document(panels=panels), tmp_path / "report.html")


def test_what_json_cannot_hold_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="JSON values"):
        render({"panels": [], "machine": {"memory": np.float32(1)}}, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


# That it stands alone, and that nothing in a document can take it over


def test_the_page_names_no_file_and_no_address(whole: Path) -> None:
    parsed = Page(whole.read_text(encoding="utf-8"))
    for tag, attributes in parsed.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:image/png;base64,", "#")), (tag, name, address)
    assert whole.stat().st_size < 2_500_000
    assert "url(" not in whole.read_text(encoding="utf-8").split("</style>")[0]


def test_only_the_scripts_of_the_page_may_run(whole: Path) -> None:
    html = whole.read_text(encoding="utf-8")
    policy = next(a["content"] for tag, a in Page(html).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy and "unsafe-inline" not in policy.split("style-src")[0]
    assert policy.count("sha256-") == 4


def poison(value: Any) -> Any:
    """The same document with every text and every key that a user can choose replaced by hostile text."""
    if isinstance(value, dict):
        free = not value.keys() <= KNOWN_KEYS
        return {(f"{key} {HOSTILE}" if free else key): poison(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [poison(inner) for inner in value]
    return f"{value} {HOSTILE}" if isinstance(value, str) else value


def known_keys(value: Any) -> Iterator[str]:
    """The names that the contract fixes, as against names of classes, terms and runs."""
    for path in leaves(value):
        free = ("per_class", "recipe", "curves", "terms", "machine", "versions", "student", "baseline")
        for position, key in enumerate(path):
            behind = any(path[position - 1 : position] == (name,) for name in free)
            if isinstance(key, str) and not behind and "recipe" not in path[:position]:
                yield key


KNOWN_KEYS = frozenset(known_keys(sample()))


def hostile() -> dict[str, Any]:
    content = poison(sample())
    for dirty, clean in zip(content["models"], sample()["models"], strict=True):
        dirty["kind"] = clean["kind"]
    return content


def test_hostile_text_comes_out_as_text(tmp_path: Path, whole: Path) -> None:
    render(with_panels(hostile()), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    parsed, benign = Page(html), Page(whole.read_text(encoding="utf-8"))
    assert "<script>document" not in html and "<img src=x" not in html and "{{7*7}}" in parsed.text
    assert HOSTILE in parsed.text
    assert [parsed.count(tag) for tag in ("script", "img", "style")] == [
        benign.count(t) for t in ("script", "img", "style")
    ]
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    # The specifications of the charts carry the text too, and still end where they should.
    specs = json.loads(parsed.scripts[1])
    names = [row["name"] for row in specs[0]["datasets"]["accepted"]]
    assert names and all(HOSTILE in name for name in names)
    assert "<" not in parsed.scripts[1]


# Images


def unpacked(uri: str) -> tuple[int, int, int, bytes]:
    """Width, height, color type and the unfiltered bytes of a PNG whose rows use filter 0."""
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    length = struct.unpack(">I", content[33:37])[0]
    rows = zlib.decompress(content[41 : 41 + length])
    step = len(rows) // height
    assert depth == 8 and all(rows[step * y] == 0 for y in range(height))
    return width, height, kind, b"".join(rows[step * y + 1 : step * (y + 1)] for y in range(height))


def test_a_picture_holds_its_pixels() -> None:
    assert unpacked(png.data_uri([[0.0, 0.5, 1.0], [2.0, -1.0, 0.2]])) == (
        3,
        2,
        0,
        bytes([0, 128, 255, 255, 0, 51]),
    )
    assert unpacked(png.data_uri([[[1.0, 0.0, 0.2]]])) == (1, 1, 2, bytes([255, 0, 51]))


@pytest.mark.parametrize("pixels", [[], [1.0], [[[0.0, 0.0]]], [[float("nan")]]])
def test_a_picture_of_another_shape_is_refused(pixels: list[Any]) -> None:
    with pytest.raises(BadInput, match="data_uri"):
        png.data_uri(pixels)


# In a browser

needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium to open the page in")
Open = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def browse(tmp_path: Path) -> Open:
    def run(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
        assert BROWSER is not None
        quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *quiet, "--enable-logging=stderr"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--window-size=1280,900"]
        return subprocess.run(
            [*command, *options, path.as_uri()],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=True,
        )

    return run


def requests(log: Path) -> set[str]:
    """What was asked of a network, without what the browser itself asks of its maker (time, updates, accounts)."""
    asked = set(re.findall(r'"url":"((?:https?|wss?|ftp):[^"]*)"', log.read_text(encoding="utf-8")))
    return {url for url in asked if not re.match(rf"https?://({'|'.join(map(re.escape, MAKERS))})/", url)}


def root_of(dom: str) -> dict[str, str | None]:
    return next(attributes for tag, attributes in Page(dom).elements if tag == "html")


@needs_browser
def test_the_page_draws_every_chart_and_asks_no_network(whole: Path, browse: Open, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    ran = browse(whole, "--dump-dom", f"--log-net-log={log}")
    root = root_of(ran.stdout)
    specs = json.loads(Page(whole.read_text(encoding="utf-8")).scripts[1])
    assert "data-error" not in root, root
    assert root["data-drawn"] == str(len(specs)) == "7"
    pictures = [facts for tag, facts in Page(ran.stdout).elements if tag == "svg" and facts.get("class") == "marks"]
    assert len(pictures) == len(specs)
    assert "CONSOLE" not in ran.stderr, ran.stderr
    assert requests(log) == set()


@needs_browser
@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])
def test_the_policy_holds_even_if_text_became_code(guarded: bool, whole: Path, browse: Open, tmp_path: Path) -> None:
    html = whole.read_text(encoding="utf-8")
    bad = '<script>document.documentElement.dataset.pwned = "1"</script><img src="https://attar.invalid/x.png">'
    html = html.replace("<header>", f"<header>{bad}", 1)
    # Without its policy the same page runs the script and asks for the picture: the log would show a request.
    html = html if guarded else re.sub("<meta http-equiv[^>]*>", "", html, count=1)
    (tmp_path / "bad.html").write_text(html, encoding="utf-8")
    log = tmp_path / "net.json"
    root = root_of(browse(tmp_path / "bad.html", "--dump-dom", f"--log-net-log={log}").stdout)
    assert ("data-pwned" in root) is not guarded
    assert requests(log) == (set() if guarded else {"https://attar.invalid/x.png"})
    if guarded:
        assert (root["data-error"] or "").startswith("script-src")


@needs_browser
def test_a_hostile_document_does_not_run(browse: Open, tmp_path: Path) -> None:
    render(with_panels(hostile()), tmp_path / "report.html")
    ran = browse(tmp_path / "report.html", "--dump-dom")
    root = root_of(ran.stdout)
    assert "data-pwned" not in root and "data-error" not in root, root
    assert root["data-drawn"] == "7"


@needs_browser
@pytest.mark.parametrize(("scheme", "bright"), [(0, False), (1, True)], ids=["dark", "light"])
def test_the_page_follows_the_color_scheme(scheme: int, bright: bool, browse: Open, tmp_path: Path) -> None:
    render(with_panels({}), tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    browse(tmp_path / "report.html", f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
    content = shot.read_bytes()
    start, data = 8, b""
    while start < len(content):
        length, kind = struct.unpack(">I4s", content[start : start + 8])
        data += content[start + 8 : start + 8 + length] if kind == b"IDAT" else b""
        start += 12 + length
    # Of the first pixel of a picture, every PNG filter leaves the value as it is.
    red, green, blue = zlib.decompress(data)[1:4]
    assert (min(red, green, blue) > 200) is bright and (max(red, green, blue) < 60) is not bright


# Tables in order, and cost


def table_of(rows: int, name: str = "row") -> Panel:
    heads = ["Model", Column(title="Size"), Column(title="Memory", detail=True)]
    cells = [
        [f"{name} {n}", Cell(text=f"{n} kB", value=(7 * n) % rows), Cell(text="1 MB", value=1)] for n in range(rows)
    ]
    return Panel("Models", [Table(heads, cells, sortable=True)])


SORT = """
<script>
addEventListener("load", () => {
  const head = [...document.querySelectorAll("th button")].find((one) => one.textContent === "Size");
  const first = () => document.querySelector("tbody th").textContent.trim();
  head.click(); document.documentElement.dataset.up = first();
  head.click(); document.documentElement.dataset.down = first();
});
</script>
"""


@needs_browser
def test_a_click_on_a_head_puts_the_rows_in_order(browse: Open, tmp_path: Path) -> None:
    render({"panels": to_json([table_of(10)])}, tmp_path / "report.html")
    html = re.sub("<meta http-equiv[^>]*>", "", (tmp_path / "report.html").read_text(encoding="utf-8"), count=1)
    (tmp_path / "sorted.html").write_text(html.replace("</body>", f"{SORT}</body>"), encoding="utf-8")
    root = root_of(browse(tmp_path / "sorted.html", "--dump-dom").stdout)
    # 7 n modulo 10 is smallest for 0 and largest for 7.
    assert "data-error" not in root
    assert (root["data-up"], root["data-down"]) == ("row 0", "row 7")


def test_columns_that_matter_less_are_behind_a_switch(tmp_path: Path) -> None:
    render({"panels": to_json([table_of(3)])}, tmp_path / "report.html")
    parsed = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Show 1 more column" in parsed.text
    assert sum("detail" in (facts.get("class") or "") for tag, facts in parsed.elements if tag in ("td", "th")) == 4


def test_a_page_costs_what_its_figures_cost(tmp_path: Path) -> None:
    names = [f"{HOSTILE} {number}" for number in range(30)]
    matrix = Panel("Confusion matrix", [Matrix(names, [[1] * 30 for _ in names])])
    render({"panels": to_json([table_of(5000, "<b>row</b>"), matrix])}, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(html) < 3_000_000
    parsed = Page(html)
    assert parsed.count("tr") == 1 + 5000 + 1 + 30 and parsed.count("b") == 0
    assert "<script>document" not in html


def test_models_have_the_names_that_people_read(tmp_path: Path) -> None:
    one, two = model("onnxruntime int8 u8 reduced"), model("onnxruntime int8 u8", refused="slower than torch fp32")
    titles = {
        one["name"]: "ONNX Runtime, int8, 7-bit weights",
        two["name"]: "ONNX Runtime, int8",
        "torch fp32": "PyTorch",
    }
    why = f"{one['name']} is the fastest."
    text = shown({"models": [one, two], "winner": one["name"], "why": why, "titles": titles}, tmp_path).text
    assert "ONNX Runtime, int8, 7-bit weights is the fastest." in text
    assert "Slower than PyTorch." in text


def test_the_contents_lead_to_every_section(whole: Path) -> None:
    parsed = Page(whole.read_text(encoding="utf-8"))
    wanted = [
        facts["href"] for tag, facts in parsed.elements if tag == "a" and (facts.get("href") or "").startswith("#")
    ]
    ids = [facts["id"] for tag, facts in parsed.elements if tag == "section" and "id" in facts]
    assert [one for one in wanted if one != "#warnings"] == [f"#{id}" for id in ids if id != "warnings"]
    assert wanted[1] == "#use" and len(set(ids)) == len(ids)


def styles(path: Path, medium: str) -> str:
    """The rules of a page for one medium."""
    css = path.read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    return "".join(re.findall(rf"@media {medium} \{{\n(.*?)\n\}}", css, re.DOTALL))


def test_on_paper_all_is_unfolded_and_bright(whole: Path) -> None:
    rules = styles(whole, "print")
    assert "--paper: #ffffff" in rules and "color-scheme: light" in rules, "whatever the screen has"
    assert "details::details-content { content-visibility: visible" in rules
    assert ".scroll { overflow: visible" in rules and "nav, .switch { display: none; }" in rules
    # What hides the columns behind the switch, and the sign that a table goes on, are of the screen alone.
    screen = styles(whole, "screen")
    assert ".detail { display: none; }" in screen and ".scroll.wide::before" in screen
    assert "figure { margin: 0; min-width: 0; break-inside: avoid; }" in whole.read_text(encoding="utf-8")


FRAMES = """
<script>
addEventListener("load", () => setTimeout(() => {
  const [frame] = document.querySelectorAll(".scroll");
  const more = () => [frame.classList.contains("wide"), frame.classList.contains("goes-on"), frame.tabIndex].join();
  document.documentElement.dataset.before = more();
  frame.style.width = "100px";
  // What dumps a page draws no frames, in which sizes are observed; one that is scrolled looks at once.
  frame.dispatchEvent(new Event("scroll"));
  document.documentElement.dataset.narrow = more();
  window.dispatchEvent(new Event("beforeprint"));
  document.documentElement.dataset.open = document.querySelectorAll("details:not([open])").length;
  window.dispatchEvent(new Event("afterprint"));
  document.documentElement.dataset.closed = document.querySelectorAll("details:not([open])").length;
}, 500));
</script>
"""


@needs_browser
def test_a_table_says_that_it_goes_on_and_paper_unfolds(browse: Open, tmp_path: Path) -> None:
    folded = Panel("Folded", [Folded("more", [Text("x = 1", "code")])])
    render({"panels": to_json([table_of(3), folded])}, tmp_path / "report.html")
    html = re.sub("<meta http-equiv[^>]*>", "", (tmp_path / "report.html").read_text(encoding="utf-8"), count=1)
    (tmp_path / "framed.html").write_text(html.replace("</body>", f"{FRAMES}</body>"), encoding="utf-8")
    root = root_of(browse(tmp_path / "framed.html", "--dump-dom").stdout)
    assert "data-error" not in root, root
    assert (root["data-before"], root["data-narrow"]) == ("false,false,-1", "true,true,0")
    assert (root["data-open"], root["data-closed"]) == ("0", "1")
