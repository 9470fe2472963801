"""What the panels of a run say of its figures."""

import json
from pathlib import Path
from typing import Any, TypeVar

import pytest

from attar.evidence.panel import (
    Beside,
    Cell,
    Chart,
    Example,
    Examples,
    Facts,
    Folded,
    Interval,
    Line,
    Panel,
    Table,
    Text,
)
from attar.report.panels.common import ACCURACY
from attar.report.panels.learning import curves
from attar.report.panels.models import against
from attar.report.panels.run import run_panels
from attar.report.panels.specialists import specialists

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
SAMPLE = json.loads((Path(__file__).parents[1] / "sample_document.json").read_text(encoding="utf-8"))
LOST_AT_MOST = {"sentence": "So.", "limits": [{"what": "loss", "limit": "quality_loss", "lines": [0.7]}]}
Kind = TypeVar("Kind")


def panel(title: str, **evidence: Any) -> Panel:
    """The panel of a title, from some evidence."""
    return next(one for one in run_panels(evidence) if one.title == title)


def only(kind: type[Kind], blocks: Any) -> Kind:
    """The first block of a kind."""
    return next(block for block in blocks if isinstance(block, kind))


def texts(table: Table) -> list[list[str | None]]:
    """What stands in the cells of a table."""
    return [
        [cell.text if isinstance(cell, Cell) else cell if cell is None else str(cell) for cell in row]
        for row in table.rows
    ]


def layer(chart: Chart, name: str) -> list[dict[str, Any]]:
    """The rows of a layer."""
    return [dict(row) for one in chart.layers if one.name == name for row in one.rows]


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


# Outcome


def test_the_verdict_gives_the_difference_with_its_interval() -> None:
    blocks = panel("Did distillation help?", **SAMPLE).blocks
    assert only(Text, blocks).text == "Distillation helped: +1.48 points."
    assert only(Interval, blocks) == Interval(
        low=0.0107, middle=0.0148, high=0.019, words=("baseline better", "no difference", "student better")
    )
    assert "95% interval +1.07 to +1.90 points on 10,000 test examples." in blocks[-1].text  # type: ignore[union-attr]


def test_without_a_baseline_the_verdict_is_that_nothing_is_known() -> None:
    models = [one for one in SAMPLE["models"] if one["kind"] != "baseline"]
    blocks = panel("Did distillation help?", **SAMPLE | {"baseline": False, "verdict": None, "models": models}).blocks
    assert only(Text, blocks).text == "Not known: no baseline was trained."


def test_a_slower_and_larger_student_is_called_that() -> None:
    headline = run_panels(SAMPLE | {"ratios": {"smaller": 0.5, "faster_batch1": {"ratio": 0.8}}})[0].title
    assert headline.replace("\N{NO-BREAK SPACE}", " ").startswith(f"2{TIMES} larger, 1.25{TIMES} slower at batch 1, ")


def test_no_winner_is_stated_and_not_dressed_up() -> None:
    panels = run_panels(SAMPLE | {"winner": None, "ratios": {}, "artifact": None})
    assert panels[0].title == "No model met what was asked."
    assert "No winner." in str(panels[2].blocks)


def test_the_budget_gives_the_test_figure_beside_the_one_that_decided() -> None:
    found = panel("Budget", **SAMPLE)
    assert only(Text, found.blocks).text.startswith(
        "The budget is met: 0.95 ± 0.41 points of accuracy lost on validation"
    )
    assert [
        [str(cell).replace("\N{NO-BREAK SPACE}", " ") for cell in row] for row in texts(only(Table, found.blocks))
    ] == [
        ["Accuracy lost against the teacher, on validation", "1 point", "0.95 ± 0.41 points", "0.81 points", "met"],
        ["Size on disk", "149 kB (0.01x the teacher's)", "66.9 kB", "", "met"],
        ["Latency at batch 1", "246 µs (0.025x the teacher's)", "164 µs", "", "met"],
    ]


@pytest.mark.parametrize(
    ("outcome", "tone"), [("met", "good"), ("met on validation only", "partly"), ("not met", "bad"), (None, "faint")]
)
def test_each_outcome_has_words_and_a_color(outcome: str | None, tone: str) -> None:
    limit = {"what": "x", "outcome": outcome, "says_something": outcome is not None}
    panels = run_panels({"budget": {"outcome": outcome, "score": "accuracy", "sentence": "So.", "limits": [limit]}})
    assert only(Line, panels[0].blocks).words[0] == Cell(text=outcome or "no real limit on accuracy", tone=tone)
    table = next(only(Table, one.blocks) for one in panels if one.title == "Budget")
    assert table.rows[0][-1] == Cell(text=outcome or "says nothing", tone=tone)


def test_a_limit_is_a_line_where_and_on_the_axis_on_which_it_decided() -> None:
    """Test figures may tell another story: the line stands among those of validation, where the choice was made."""
    rows = [
        {"what": "a", "limit": "quality_loss", "lines": [0.8]},
        {"what": "b", "limit": "latency", "lines": [2.0, 3.0]},
        {"what": "c", "limit": "bytes", "lines": [1e9]},
        {"what": "d", "limit": "memory", "lines": [5000.0]},
    ]
    seen = {"accuracy": 0.85, "examples": 400}
    models = [model("a", validation=seen, peak_memory_bytes=4000), model("b", ms=4.0, validation=seen)]
    blocks = panel("Frontier", models=models, budget={"limits": rows, "sentence": "So."}).blocks
    charts = blocks[1].blocks  # type: ignore[union-attr]
    assert [one.title for one in charts] == [f"Accuracy against {what}" for what in ("latency", "size", "memory")]
    assert all(one.y.title == "accuracy on validation" for one in charts)
    assert [[row["y"] for row in layer(one, "lowest")] for one in charts] == [[0.8]] * 3
    # A limit a million times off would leave no room for the models.
    assert [[row["x"] for row in layer(one, "most")] for one in charts] == [[2.0, 3.0], [], [5000.0]]
    assert "dotted lines are the limits of the budget" in blocks[-1].text  # type: ignore[union-attr]


def test_a_limit_that_says_nothing_has_no_line() -> None:
    row = {"what": "a", "limit": "quality_loss", "lines": [-0.05], "says_something": False}
    blocks = panel("Frontier", models=[model("a")], budget={"limits": [row], "sentence": "So."}).blocks
    assert layer(blocks[1].blocks[0], "lowest") == []  # type: ignore[union-attr]
    assert "dotted" not in blocks[-1].text  # type: ignore[union-attr]


# Models


def test_the_teacher_in_the_winners_runtime_is_the_reference() -> None:
    teachers = [model(f"teacher {name}", "teacher", runtime=name, accuracy=0.9) for name in ("torch", "openvino")]
    teachers[1]["quality"]["accuracy"] = 0.8
    evidence = {"models": [model("w", runtime="openvino"), *teachers], "winner": "w"}
    table = only(Table, panel("All models", **evidence).blocks)
    assert [row[0] for row in texts(table)] == ["teacher openvino", "teacher torch", "w"]
    assert (list(table.chosen), list(table.refused)) == ([2], [])
    assert run_panels(evidence)[0].title == "Accuracy 90.0% against 80.0%."


def test_candidates_that_never_saw_the_test_are_compared_on_validation() -> None:
    seen = {"accuracy": 0.8, "examples": 400, "interval": [0.7, 0.9]}
    models = [model("teacher", "teacher", validation=seen), model("unseen", quality=None, validation=seen)]
    blocks = panel("Frontier", models=models, budget=LOST_AT_MOST).blocks
    assert blocks[-1].text.startswith("Accuracy on validation, where the choice was made;")  # type: ignore[union-attr]
    chart = blocks[1].blocks[0]  # type: ignore[union-attr]
    assert [row["y"] for row in layer(chart, "accepted")] == [0.8, 0.8]
    assert layer(chart, "lowest")[0]["y"] == pytest.approx(0.7)


def test_models_refused_for_one_reason_are_named_together() -> None:
    models = [model("a", refused="too slow"), model("b"), model("c", refused="too slow"), model("d", refused="wrong")]
    assert only(Facts, panel("Refused", models=models).blocks).pairs == [("a, c", "Too slow."), ("d", "Wrong.")]


def test_threads_are_in_the_note_when_equal_and_in_the_cells_when_not() -> None:
    one, two = (model(f"m{n}", latency={"1": {"median_ms": 1.0, "p90_ms": 2.0, "threads": n}}) for n in (1, 2))
    assert "Times with 2 threads" in str(panel("All models", models=[two]))
    mixed = str(panel("All models", models=[one, two]))
    assert "Times with" not in mixed and "1 thr." in mixed and "2 thr." in mixed


def test_the_frontier_joins_only_accepted_models_that_nothing_beats() -> None:
    models = [
        model("cheap", accuracy=0.90, ms=1.0),
        model("beaten", accuracy=0.89, ms=2.0),
        model("refused", accuracy=0.99, ms=0.5, refused="too good to be true"),
        model("good", accuracy=0.95, ms=4.0),
    ]
    chart = against(models, "latency", "cheap", {"quality_loss": [0.9]})
    assert chart is not None
    assert [(row["x"], row["y"]) for row in layer(chart, "best")] == [(1.0, 0.90), (4.0, 0.95)]
    assert [row["name"] for row in layer(chart, "refused")] == ["refused"]
    assert [row["name"] for row in layer(chart, "accepted")] == ["cheap", "beaten", "good"]
    assert [row["name"] for row in layer(chart, "winner")] == ["cheap"]


def test_a_model_far_below_does_not_flatten_the_others() -> None:
    models = [
        model("a", accuracy=0.92),
        model("b", accuracy=0.90, ms=2.0),
        model("broken", accuracy=0.1, refused="int8"),
    ]
    assert "triangles" in str(panel("Frontier", models=models).blocks[-1])
    chart = against(models, "latency", None, {})
    assert chart is not None
    (broken,) = layer(chart, "refused")
    # Lows reach 0.89 and highs 0.93: the floor lies a tenth of that below.
    assert broken["y"] == pytest.approx(0.89 - 0.004)
    assert broken["shape"] == "triangle-down" and broken["high"] is None
    assert broken["quality"].startswith("10.0%"), "the tooltip tells the truth"


def test_the_nearest_is_seen_where_all_are_refused() -> None:
    models = [model("teacher", accuracy=0.95, kind="teacher"), model("near", accuracy=0.6, refused="it loses too much")]
    chart = against(models, "latency", "near", {})
    assert chart is not None
    (near,) = layer(chart, "refused")
    assert near["shape"] == "circle" and near["y"] == 0.6


def test_names_do_not_lie_on_each_other() -> None:
    beside = [model("ours", ms=1.0), model("alone", ms=1.05, kind="baseline"), model("teacher", ms=9.0, kind="teacher")]
    chart = against(beside, "latency", "ours", {})
    assert chart is not None
    names = {row["text"]: row for one in chart.layers if one.mark == "labels" for row in one.rows}
    assert list(names) != [] and set(names) == {"winner", "baseline", "teacher"}
    assert names["winner"]["under"] is None and names["baseline"]["under"] == 1


def test_what_was_measured_of_a_pareto_set_is_in_the_chart_of_all_models() -> None:
    other = {
        **model("student #7", kind="student", ms=0.5),
        "number": 7,
        "sentence": "So.",
        "folder": "pareto/student-7",
    }
    evidence = {"models": [model("ours")], "winner": "ours", "search": {"pareto": [other], "winner": 3}}
    chart = only(Beside, panel("Frontier", **evidence).blocks).blocks[0]
    assert {row["text"] for one in chart.layers if one.mark == "labels" for row in one.rows} == {"winner", "#7"}
    assert len(only(Table, panel("All models", **evidence).blocks).rows) == 1


def test_models_without_a_cost_are_not_drawn() -> None:
    assert against([{"name": "m", "quality": {"accuracy": 0.9}}], "bytes", None, {}) is None


def test_a_task_whose_figure_is_an_error_is_judged_by_it() -> None:
    metrics = [{"name": "rmse", "title": "RMSE", "unit": "target", "higher_is_better": False}]
    models = [
        model(name, quality={"rmse": error, "interval": [error - 0.5, error + 0.5], "examples": 400})
        for name, error in (("cheap", 4.0), ("beaten", 5.0), ("good", 2.0))
    ]
    for one, ms in zip(models, (1.0, 2.0, 4.0), strict=True):
        one["latency"] = {"1": {"median_ms": ms}}
    evidence: dict[str, Any] = {"task": {"metrics": metrics}, "models": models, "winner": "good"}
    assert run_panels(evidence)[0].title == "RMSE 2.000."
    table = only(Table, panel("All models", **evidence).blocks)
    assert [row[1] for row in texts(table)] == ["4.000", "5.000", "2.000"]
    blocks = panel("Frontier", **evidence).blocks
    assert "down and to the left is better" in blocks[-1].text  # type: ignore[union-attr]
    chart = blocks[1].blocks[0]  # type: ignore[union-attr]
    assert [(row["x"], row["y"]) for row in layer(chart, "best")] == [(1.0, 4.0), (4.0, 2.0)]
    assert (chart.y.title, chart.y.unit) == ("RMSE on test", "")
    verdict = {"sentence": "distillation helped", "difference": 0.5, "interval": [0.25, 0.75]}
    helped = panel("Did distillation help?", **evidence, verdict=verdict).blocks
    assert only(Text, helped).text == "Distillation helped." and "points" not in str(helped)


# Classes, seeds, steps


def test_classes_that_lost_most_come_first_and_many_are_folded() -> None:
    def of(kind: str, accuracies: list[float]) -> dict[str, Any]:
        per_class = {f"class {i}": {"examples": 100, "accuracy": value} for i, value in enumerate(accuracies)}
        return model(kind, kind, quality={"accuracy": 0.9, "examples": 100, "per_class": per_class})

    teacher, student = [0.9] * 30, [0.9 - 0.001 * ((7 * i) % 30) for i in range(30)]
    blocks = panel("Class by class", models=[of("teacher", teacher), of("student", student)]).blocks
    shown, folded = only(Table, blocks), only(Folded, blocks)
    rest = only(Table, folded.blocks)
    swings = [row[-1].swing for row in (*shown.rows, *rest.rows)]  # type: ignore[union-attr]
    assert swings == sorted(swings) and len(shown.rows) == 20 and len(rest.rows) == 10  # type: ignore[type-var]
    assert folded.summary == "10 more classes"
    # 7 * 17 = 119 = 3 * 30 + 29: class 17 lost 29 thousandths, the most, and its bar fills the left half.
    assert texts(shown)[0] == ["class 17", "100", "90.0%", "87.1%", f"{MINUS}2.9", ""]
    assert swings[0] == -1


def test_seeds_give_mean_and_spread_of_the_differences() -> None:
    table = only(Table, panel("Seeds", seeds={"baseline": [0.90, 0.92], "student": [0.91, 0.95]}).blocks)
    assert [row[-1] for row in table.rows] == ["+1.00", "+3.00"]
    assert list(table.foot[0]) == ["Mean", "91.00%", "93.00%", "+2.00"]
    # Two values lie one standard deviation (divisor 1) times the square root of two apart.
    assert list(table.foot[1])[1:] == ["1.41", "2.83", "1.41"]


def test_seeds_without_a_baseline_show_the_students_where_there_are_several() -> None:
    seeds = {"baseline": [], "student": [0.91, 0.95], "teacher": 0.97, "gap_closed": None, "rmse": None}
    table = only(Table, panel("Seeds", seeds=seeds).blocks)
    assert [list(row) for row in table.rows] == [["0", "91.00%"], ["1", "95.00%"]]
    assert [row[-1] for row in table.foot] == ["93.00%", "2.83"]
    assert "Seeds" not in [one.title for one in run_panels({"seeds": {**seeds, "student": [0.91]}})]


@pytest.mark.parametrize(
    ("interval", "sentence"),
    [
        ([0.3, 0.5], "40% of the gap between baseline and teacher closed."),
        ([-0.3, 0.5], "No measurable share of the gap between baseline and teacher closed: 40%."),
        (None, "One seed alone does not show how much of the gap between baseline and teacher is closed."),
    ],
)
def test_a_gap_counts_as_closed_where_its_interval_leaves_out_none(interval: Any, sentence: str) -> None:
    closed = {"mean": 0.4, "sd": 0.1, "interval": interval}
    blocks = panel("Seeds", seeds={"baseline": [0.9], "student": [0.91], "gap_closed": closed}).blocks
    assert only(Text, blocks).text == sentence


def test_steps_give_the_mean_over_the_seeds() -> None:
    steps = {"student": {"1-distill": {"accuracy": [0.9, 0.92]}}, "baseline": {"1-distill": {"accuracy": [0.8, 0.8]}}}
    (row,) = only(Table, panel("Step by step", steps=steps).blocks).rows
    # Two values lie one standard deviation (divisor 1) times the square root of two apart: 2 points / 1.414.
    notes = [(cell.text, cell.note.replace("\N{NO-BREAK SPACE}", " ")) for cell in row[1:]]  # type: ignore[union-attr]
    assert notes == [("80.00%", "± 0.00"), ("91.00%", "± 1.41")]


def test_long_curves_are_thinned_and_keep_their_last_epoch() -> None:
    curve = [
        {"epoch": n, "loss": 1 / n, "validation_accuracy": 1 - 1 / n, "terms": {"soft": 0.5}} for n in range(1, 2001)
    ]
    (learning,) = curves({"student/0": curve}, [ACCURACY])
    _, accuracy, losses, _ = learning.blocks
    (loss,) = losses.blocks  # type: ignore[union-attr]
    for chart in (accuracy, loss):
        epochs = [row["x"] for row in layer(chart, "epochs")]
        assert len(epochs) <= 300 and epochs[-1] == 2000
    assert (accuracy.title, loss.title) == ("Validation accuracy", "Loss of the student")  # type: ignore[union-attr]


# Targets


def example(**evidence: Any) -> Example:
    return only(Examples, panel("Soft against hard targets", **evidence).blocks).examples[0]


def test_soft_targets_of_many_classes_keep_the_label_and_count_the_rest() -> None:
    names = [f"c{i}" for i in range(100)]
    soft = [0.0] * 100
    soft[:20] = [0.04] * 20
    soft[99] = 0.2
    soft[50] = 0.001
    one = example(task={"classes": names}, examples=[{"soft": soft, "label": "c50"}])
    assert one.bars[0] == ("c99", 0.2, False)
    assert [name for name, _, is_label in one.bars if is_label] == ["c50"]
    assert one.rest is not None and one.rest[0] == f"{100 - len(one.bars)} others"
    assert sum(share for _, share, _ in one.bars) + one.rest[1] == pytest.approx(sum(soft))


def test_an_example_that_is_no_image_has_its_values() -> None:
    assert example(examples=[{"values": [1.0, None, -2.0], "soft": [1.0]}]).values == [1.0, 0.0, -2.0]


def test_the_targets_state_what_storing_lost() -> None:
    stored = {"dtype": "int8", "top_k": 10, "kl_mean": 0.0000213, "top_probability": 0.731, "temperature": 4.0}
    pairs = only(Facts, panel("Stored targets", targets=stored).blocks).pairs
    assert {title: value.replace("\N{NO-BREAK SPACE}", " ") for title, value in pairs} == {
        "Classes kept of each": "10",
        "Stored as": "int8",
        "Lost in storing, mean": "2.1\N{MIDDLE DOT}10\u207b\u2075 nats",
        "Largest probability, mean": "73.1%",
        "Temperature of these figures": "4",
    }


def test_absent_classes_have_a_row_per_seed_and_a_mean_per_kind() -> None:
    def row(shift: float, after: float) -> dict[str, float]:
        return {"shift": shift, "before": 0.5, "after": after, "absent_before": 0.0, "absent_after": 0.25}

    found = {"classes": ["Dress"], "students": [row(1.5, 0.75), row(2.5, 0.85)], "baselines": [row(-1.0, 0.5)]}
    table = only(Table, panel("Bias correction for absent classes", bias_correction=found).blocks)
    assert [cells[0] for cells in texts(table)] == ["student 0", "student 1", "Mean of the students", "baseline 0"]
    assert texts(table)[2][1:] == ["2.00", "50.00%", "80.00%", "0.0%", "25.0%"]
    assert list(table.ruled) == [2]


# Specialists


def test_specialists_are_held_against_the_generalist() -> None:
    overall = {"examples": 4000, "generalist": 0.8, "with_specialists": 0.82, "relative_gain": 0.025}
    covered = [
        {"specialists": 0, "classes": 1, "examples": 400, "generalist": 0.9, "with_specialists": 0.895},
        {"specialists": 2, "classes": 30, "examples": 3600, "generalist": 0.79, "with_specialists": 0.81},
    ]
    section = {"specialists": 12, "overall": overall, "by_coverage": covered, "seconds_per_1000": {"inference": 0.0312}}
    (found,) = specialists(section)
    assert only(Text, found.blocks).text == "With 12 specialists 82.00%, the generalist alone 80.00%."
    assert texts(only(Table, found.blocks)) == [
        ["All examples", "4,000", "80.00%", "82.00%", "+2.00", "+2.50%"],
        ["Classes of no specialist", "400", "90.0%", "89.5%", f"{MINUS}0.5", DASH],
        ["Classes of 2 specialists", "3,600", "79.00%", "81.00%", "+2.00", DASH],
    ]
    assert only(Facts, found.blocks).pairs == [("KL inference, per 1,000 examples", "31.2\N{NO-BREAK SPACE}ms")]
    (found,) = specialists({"inference": {"top": 1}})
    assert only(Text, found.blocks).text == (
        "Those specialists are used that know the likeliest class of the generalist."
    )


def test_many_classes_of_a_specialist_are_counted_not_listed() -> None:
    (found,) = specialists({"each": [{"classes": [f"c{number}" for number in range(100)]}]})
    (row,) = only(Table, only(Folded, found.blocks).blocks).rows
    assert row[1] == "100" and row[0].note.endswith("c10, c11 and 88 more")  # type: ignore[union-attr]


def test_the_head_says_which_rows_have_no_label_and_what_they_count():
    task = {"data": "mine", "train": 1200, "unlabeled": 300, "validation": 50, "test": 100, "weights": "count"}
    text = str(run_panels({"task": task})[0])
    assert "1,200 train (300 of them without a label)" in text
    assert "training rows count by 'count', test rows once" in text
    plain = str(run_panels({"task": {"data": "mine", "train": 1200, "unlabeled": 0, "weights": None}})[0])
    assert "1,200 train'" in plain and "label" not in plain and "count by" not in plain
