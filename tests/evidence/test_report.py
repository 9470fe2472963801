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

import numpy as np
import pytest

from attar import formatting
from attar.errors import BadInput
from attar.evidence import charts, png
from attar.evidence.page import page
from attar.evidence.report import render

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


def shown(content: dict[str, Any], folder: Path) -> Page:
    render(content, folder / "report.html")
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
    render(sample(), path)
    return path


# What it says


def test_the_headline_says_what_came_out_and_what_was_asked(whole: Path) -> None:
    text = Page(whole.read_text(encoding="utf-8")).text
    assert f"223{TIMES} smaller, 60{TIMES} faster at batch 1, accuracy 92.22% against 93.03%." in text
    assert (
        f"Budget: at most 1 point of accuracy lost, at least 100{TIMES} smaller, at least 40{TIMES} faster; "
        "of those that fit, the fastest." in text
    )


def test_every_section_is_there_in_order(whole: Path) -> None:
    html = whole.read_text(encoding="utf-8").split("<script type=")[0]
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == [
        "Did distillation help?",
        "The winner",
        "Budget",
        "Frontier",
        "All models",
        "Refused",
        "Class by class",
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
        "Use it",
        "Stages",
        "Machine and versions",
        "Recipe",
    ]


def test_the_verdict_gives_the_difference_with_its_interval() -> None:
    verdict = page(document())["verdict"]
    assert verdict["sentence"] == "Distillation helped"
    assert (verdict["difference"], verdict["interval"]) == ("+1.48", ["+1.07", "+1.90"])
    # +-1.9 points with 15% of air span the line, so that the difference lies at 50 + 50 * 1.48 / (1.15 * 1.90).
    assert verdict["plot"]["middle"] == pytest.approx(50 + 50 * 1.48 / (1.15 * 1.90), abs=0.01)
    assert 50 < verdict["plot"]["low"] < verdict["plot"]["middle"] < verdict["plot"]["high"] < 100


def test_without_a_baseline_the_page_says_so(tmp_path: Path) -> None:
    models = [one for one in sample()["models"] if one["kind"] != "baseline"]
    text = shown(document(baseline=False, verdict=None, models=models, seeds=None), tmp_path).text
    assert "Not known: no baseline was trained." in text
    assert "Distillation helped" not in text


def test_a_slower_and_larger_student_is_called_that() -> None:
    ratios = {"smaller": 0.5, "faster_batch1": {"ratio": 0.8}}
    headline = page(document(ratios=ratios))["headline"].replace("\N{NO-BREAK SPACE}", " ")
    assert headline.startswith(f"2{TIMES} larger, 1.25{TIMES} slower at batch 1, ")


def test_no_winner_is_said_and_not_dressed_up(tmp_path: Path) -> None:
    text = shown(document(winner=None, met=False, ratios={}, artifact=None), tmp_path).text
    assert "No model met what was asked." in text
    assert "not met Budget: at most 1 point" in text


def test_classes_that_lost_most_come_first_and_many_are_folded() -> None:
    def of(kind: str, accuracies: list[float]) -> dict[str, Any]:
        per_class = {f"class {i}": {"examples": 100, "accuracy": value} for i, value in enumerate(accuracies)}
        return model(kind, kind, quality={"accuracy": 0.9, "examples": 100, "per_class": per_class})

    teacher, student = [0.9] * 30, [0.9 - 0.001 * ((7 * i) % 30) for i in range(30)]
    classes = page({"models": [of("teacher", teacher), of("student", student)]})["classes"]
    changes = [row["change"] for row in classes["rows"] + classes["rest"]]
    assert changes == sorted(changes) and len(classes["rows"]) == 20 and len(classes["rest"]) == 10
    # 7 * 17 = 119 = 3 * 30 + 29: class 17 lost 29 thousandths, the most, and its bar fills the left half.
    assert classes["rows"][0]["name"] == "class 17"
    assert classes["rows"][0]["share"] == -50


def test_seeds_give_mean_and_spread_of_the_differences() -> None:
    seeds = page({"seeds": {"baseline": [0.90, 0.92], "student": [0.91, 0.95], "teacher": 0.96}})["seeds"]
    assert [row["gain"] for row in seeds["rows"]] == pytest.approx([0.01, 0.03])
    assert seeds["gain"]["mean"] == pytest.approx(0.02)
    # Two values lie one standard deviation (divisor 1) times the square root of two apart.
    assert seeds["gain"]["sd"] == pytest.approx(0.02 / 2**0.5)


def test_soft_targets_of_many_classes_keep_the_label_and_count_the_rest() -> None:
    names = [f"c{i}" for i in range(100)]
    soft = [0.0] * 100
    soft[:20] = [0.04] * 20
    soft[99] = 0.2
    soft[50] = 0.001
    example = page({"task": {"classes": names}, "examples": [{"soft": soft, "label": "c50"}]})["examples"][0]
    assert example["bars"][0]["name"] == "c99"
    assert [bar["name"] for bar in example["bars"] if bar["hard"]] == ["c50"]
    assert len(example["bars"]) + example["rest"]["classes"] == 100
    assert sum(bar["share"] for bar in example["bars"]) + example["rest"]["share"] == pytest.approx(sum(soft))
    assert example["bars"][0]["width"] == 20


def test_an_example_that_is_no_picture_is_drawn_from_zero() -> None:
    stems = page({"examples": [{"values": [1.0, -2.0], "soft": [1.0]}]})["examples"][0]["stems"]
    assert [(stem["y"], stem["height"]) for stem in stems] == [(25, 25), (50, 50)]


def test_threads_are_in_the_note_when_equal_and_in_the_cells_when_not(tmp_path: Path) -> None:
    one, two = (model(f"m{n}", latency={"1": {"median_ms": 1.0, "p90_ms": 2.0, "threads": n}}) for n in (1, 2))
    assert "Times with 2 threads" in shown({"models": [two]}, tmp_path).text
    mixed = shown({"models": [one, two]}, tmp_path).text
    assert "Times with" not in mixed and "1 thr." in mixed and "2 thr." in mixed


def test_the_teacher_in_the_winners_runtime_is_the_reference() -> None:
    teachers = [model(f"teacher {name}", "teacher", runtime=name, accuracy=0.9) for name in ("torch", "openvino")]
    teachers[1]["quality"]["accuracy"] = 0.8
    content = page({"models": [model("w", runtime="openvino"), *teachers], "winner": "w"})
    assert [row["name"] for row in content["models"]["rows"]] == ["teacher openvino", "teacher torch", "w"]
    assert content["headline"] == "Accuracy 90.0% against 80.0%."


def test_candidates_that_never_saw_the_test_are_compared_on_validation() -> None:
    seen = {"accuracy": 0.8, "examples": 400, "interval": [0.7, 0.9]}
    models = [model("teacher", "teacher", validation=seen), model("unseen", quality=None, validation=seen)]
    content = page({"models": models, "asked": {"accuracy_loss": 0.1}})
    assert content["split"] == "validation"
    data = content["charts"][0]["datasets"]
    assert [row["y"] for row in data["accepted"]] == [0.8, 0.8]
    assert data["asked"][0]["y"] == pytest.approx(0.7)


def test_models_refused_for_one_reason_are_named_together() -> None:
    models = [model("a", refused="too slow"), model("b"), model("c", refused="too slow"), model("d", refused="wrong")]
    assert page({"models": models})["refusals"] == [("a, c", "Too slow."), ("d", "Wrong.")]


def test_the_budget_takes_numbers_and_words() -> None:
    rows = [{"what": "times smaller", "asked": 30.0, "reached": 159.621, "met": True}, {"what": "x", "asked": "low"}]
    assert page({"budget": rows})["budget"] == [
        {"what": "Times smaller", "asked": "30", "reached": "159.6", "met": True},
        {"what": "X", "asked": "low", "reached": "\N{EN DASH}", "met": None},
    ]


def test_specialists_are_held_against_the_generalist(tmp_path: Path) -> None:
    overall = {"examples": 4000, "generalist": 0.8, "with_specialists": 0.82, "relative_gain": 0.025}
    covered = [
        {"specialists": 0, "classes": 1, "examples": 400, "generalist": 0.9, "with_specialists": 0.895},
        {"specialists": 2, "classes": 30, "examples": 3600, "generalist": 0.79, "with_specialists": 0.81},
    ]
    said = {"specialists": 12, "overall": overall, "by_coverage": covered, "seconds_per_1000": {"inference": 0.0312}}
    found = page({"specialists": said})["specialists"]
    assert found["sentence"] == "With 12 specialists 82.00%, the generalist alone 80.00%."
    rows = [(row["what"], row["note"], row["relative"]) for row in found["rows"]]
    assert rows == [
        ("All examples", None, "+2.50%"),
        ("Classes of no specialist", "1 class", None),
        ("Classes of 2 specialists", "30 classes", None),
    ]
    assert [row["change"] for row in found["rows"]] == pytest.approx([0.02, -0.005, 0.02])
    assert found["facts"] == [("KL inference, per 1,000 examples", "31.2\N{NO-BREAK SPACE}ms")]
    text = shown({"specialists": said}, tmp_path).text
    assert f"Classes of no specialist1 class 400 90.0% 89.5% {MINUS}0.5 \N{EN DASH}" in text
    assert page({"specialists": {"inference": {"top": 1}}})["specialists"]["inference"] == (
        "Those specialists are used that know the likeliest class of the generalist."
    )


def test_many_classes_of_a_specialist_are_counted_not_listed() -> None:
    each = [{"classes": [f"c{number}" for number in range(100)]}]
    (one,) = page({"specialists": {"each": each}})["specialists"]["each"]
    assert one["count"] == 100 and one["names"].endswith("c10, c11 and 88 more")


def test_absent_classes_have_a_row_per_seed_and_a_mean_per_kind(tmp_path: Path) -> None:
    def row(shift: float, after: float) -> dict[str, float]:
        return {"shift": shift, "before": 0.5, "after": after, "absent_before": 0.0, "absent_after": 0.25}

    said = {"classes": ["Dress"], "students": [row(1.5, 0.75), row(2.5, 0.85)], "baselines": [row(-1.0, 0.5)]}
    student, baseline = page({"bias_correction": said})["bias_correction"]["kinds"]
    assert student["means"]["after"] == pytest.approx(0.8) and student["means"]["shift"] == pytest.approx(2.0)
    assert baseline["rows"] == [row(-1.0, 0.5)]
    text = shown({"bias_correction": said}, tmp_path).text
    assert "Mean of the students2.0050.00%80.00%0.0%25.0%" in text and "Mean of the baselines" not in text
    assert page({"bias_correction": {**said, "baselines": []}})["bias_correction"]["kinds"] == [student]


def test_what_a_step_shows_is_drawn_as_a_table_and_escaped(tmp_path: Path) -> None:
    one = {"step": "student/0/2-x", "title": "Formats", "columns": ["Tensor", "Bits"], "note": "As <b> asked."}
    text = shown({"panels": [{**one, "rows": [["<i>1.weight", 2], ["3.weight", None]]}]}, tmp_path).text
    assert "Formats As <b> asked. TensorBits <i>1.weight2 3.weight" in text
    assert page({"panels": [{**one, "rows": []}]})["panels"] == []


def test_steps_give_the_mean_over_the_seeds(tmp_path: Path) -> None:
    said = {"student": {"1-distill": {"accuracy": [0.9, 0.92]}}, "baseline": {"1-distill": {"accuracy": [0.8, 0.8]}}}
    text = shown({"steps": said}, tmp_path).text
    # Two values lie one standard deviation (divisor 1) times the square root of two apart: 2 points / 1.414.
    assert "1-distill80.00%± 0.0091.00%± 1.41" in text


def test_the_targets_say_what_storing_lost(tmp_path: Path) -> None:
    said = {"dtype": "int8", "top_k": 10, "kl_mean": 0.0000213, "top_probability": 0.731, "temperature": 4.0}
    facts = {title: value.replace("\N{NO-BREAK SPACE}", " ") for title, value in page({"targets": said})["targets"]}
    assert facts == {
        "Classes kept of each": "10",
        "Stored as": "int8",
        "Lost in storing, mean": "2.1\N{MIDDLE DOT}10\u207b\u2075 nats",
        "Largest probability, mean": "73.1%",
        "Temperature of these figures": "4",
    }


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
    assert parsed.count("script") == 1, "without charts there is no need of the chart library"


def test_nan_is_shown_as_absent(tmp_path: Path) -> None:
    content = {"models": [model("m", accuracy=float("nan"), parameters=float("inf"))], "winner": "m"}
    text = shown(content, tmp_path).text
    assert "nan" not in text.lower() and "inf" not in text.lower()


def test_the_document_is_not_changed(tmp_path: Path) -> None:
    content = document()
    render(content, tmp_path / "report.html")
    assert content == sample()


def test_what_json_cannot_hold_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="JSON values"):
        render({"machine": {"memory": np.float32(1)}}, tmp_path / "report.html")
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
    assert policy.count("sha256-") == 3


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
    render(hostile(), tmp_path / "report.html")
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


# The charts


def test_the_frontier_joins_only_accepted_models_that_nothing_beats() -> None:
    models = [
        model("cheap", accuracy=0.90, ms=1.0),
        model("beaten", accuracy=0.89, ms=2.0),
        model("refused", accuracy=0.99, ms=0.5, refused="too good to be true"),
        model("good", accuracy=0.95, ms=4.0),
    ]
    chart = charts.frontier(models, "latency", winner="cheap", asked=0.9)
    assert chart is not None
    data = chart.spec["datasets"]
    assert [(row["x"], row["y"]) for row in data["best"]] == [(1.0, 0.90), (4.0, 0.95)]
    assert [row["name"] for row in data["refused"]] == ["refused"]
    assert [row["name"] for row in data["accepted"]] == ["cheap", "beaten", "good"]
    assert [row["name"] for row in data["winner"]] == ["cheap"]
    assert chart.spec["layer"][0]["mark"]["type"] == "rule"


def test_a_model_far_below_does_not_flatten_the_others() -> None:
    models = [
        model("a", accuracy=0.92),
        model("b", accuracy=0.90, ms=2.0),
        model("broken", accuracy=0.1, refused="int8"),
    ]
    chart = charts.frontier(models, "latency", winner=None, asked=None)
    assert chart is not None and "triangles" in chart.note
    broken = chart.spec["datasets"]["refused"][0]
    # Lows reach 0.89 and highs 0.93: the floor lies a tenth of that below.
    assert broken["y"] == pytest.approx(0.89 - 0.004)
    assert broken["shape"] == "triangle-down" and broken["high"] is None
    assert broken["quality"].startswith("10.0%"), "the tooltip tells the truth"


def test_models_without_a_cost_are_not_drawn() -> None:
    assert charts.frontier([{"name": "m", "quality": {"accuracy": 0.9}}], "bytes", winner=None, asked=None) is None


def test_long_curves_are_thinned_and_keep_their_last_epoch() -> None:
    curve = [
        {"epoch": n, "loss": 1 / n, "validation_accuracy": 1 - 1 / n, "terms": {"soft": 0.5}} for n in range(1, 2001)
    ]
    accuracy, loss = charts.learning({"student/0": curve})
    for chart in (accuracy, loss):
        epochs = [row["epoch"] for row in chart.spec["datasets"]["epochs"]]
        assert len(epochs) <= 300 and epochs[-1] == 2000
    assert (accuracy.title, loss.title) == ("Validation accuracy", "Loss of the student")


# Numbers and pictures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formatting.points(-0.0042, 10_000), f"{MINUS}0.42"),
        (formatting.points(-0.00001, 10_000), "0.00"),
        (formatting.percent(0.9, None), "90.0%"),
        (formatting.size(999_600), "1.00 MB"),
        (formatting.size(0), "0 B"),
        (formatting.milliseconds(0.9996), "1.00 ms"),
        (formatting.milliseconds(0.00004), "0.0400 µs"),
        (formatting.seconds(59.96), "1 min 0 s"),
        (formatting.times(0.05), f"0.05{TIMES}"),
        (formatting.times(1200), f"1200{TIMES}"),
        (formatting.small(-2.5e-7), f"{MINUS}2.5\N{MIDDLE DOT}10\u207b\u2077"),
        (formatting.significant(-0.5), f"{MINUS}0.500"),
    ],
)
def test_numbers_are_said_with_their_unit(text: str, expected: str) -> None:
    assert text.replace("\N{NO-BREAK SPACE}", " ") == expected


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
    render(hostile(), tmp_path / "report.html")
    ran = browse(tmp_path / "report.html", "--dump-dom")
    root = root_of(ran.stdout)
    assert "data-pwned" not in root and "data-error" not in root, root
    assert root["data-drawn"] == "7"


@needs_browser
@pytest.mark.parametrize(("scheme", "bright"), [(0, False), (1, True)], ids=["dark", "light"])
def test_the_page_follows_the_color_scheme(scheme: int, bright: bool, browse: Open, tmp_path: Path) -> None:
    render({}, tmp_path / "report.html")
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
