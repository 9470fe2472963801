"""What came of a run: the head of the page, whether distillation helped, what ships, and the budget."""

from __future__ import annotations

from collections.abc import Sequence

from attar import formatting
from attar.evidence.panel import Block, Cell, Column, Folded, Interval, Items, Line, Panel, Table, Text
from attar.report.panels.common import TONES, Figures, Metric, examples, figure, metrics_of, sentence

_SPACE = "\N{NO-BREAK SPACE}"
_COLUMNS = 200
"""Columns of the data that are listed, at most."""


def head(run: Figures, winner: Figures | None, teacher: Figures | None) -> Panel:
    """The top of the page: figures come after whatever must be known to read them.

    Args:
        run: The evidence of the whole run.
        winner: The entry of what ships.
        teacher: The entry of the teacher beside it.
    """
    sentences: list[str] = [*run.get("alerts", []), _headline(run, winner, teacher)]
    title, below = sentences[0], sentences[1:]
    blocks: list[Block] = [Text(" ".join(below), "below")] if below else []
    if budget := run.get("budget"):
        outcome = budget.get("outcome")
        text = outcome or f"no real limit on {budget.get('score', 'quality')}"
        asked = f"Budget: {budget['asked']}." if budget.get("asked") else ""
        blocks.append(Line([Cell(text=text, tone=TONES.get(outcome, "faint")), *([asked] if asked else [])], "outcome"))
    if facts := _task(run.get("task", {})):
        blocks.append(Line(facts))
    if columns := list((run.get("task", {}).get("columns") or {}).items())[:_COLUMNS]:
        blocks.append(Folded("How each column is read", [Items([f"{name}: {what}" for name, what in columns])]))
    return Panel(title, blocks, place="head")


def answers(run: Figures, winner: Figures | None) -> list[Panel]:
    """The two answers that a reader wants first."""
    return [Panel("Did distillation help?", _helped(run), place="half"), _ships(run, winner)]


def budget(run: Figures) -> list[Panel]:
    """What was asked beside what was reached, on validation and on test; figures are words already."""
    found = run.get("budget", {})
    limits = found.get("limits", [])
    if not limits:
        return []
    on_test = any("on_test" in row for row in limits)
    rows = []
    for row in limits:
        nothing = "says nothing" if not row.get("says_something", True) else formatting.ABSENT
        outcome = row.get("outcome")
        rows.append(
            [
                row["what"][:1].upper() + row["what"][1:],
                row.get("asked", formatting.ABSENT),
                row.get("reached", formatting.ABSENT),
                *([row.get("on_test", "")] if on_test else []),
                Cell(text=outcome or nothing, tone=TONES.get(outcome, "faint")),
            ]
        )
    last = Column(title="Outcome", words=True)
    columns: list[str | Column] = ["What", "At most", "Reached", *(["On test"] if on_test else []), last]
    return [Panel("Budget", [Text(found["sentence"]), Table(columns, rows)])]


def lines(run: Figures) -> dict[str, Sequence[float]]:
    """Where limits lie on their axes, by what they limit; a limit that says nothing has no line."""
    limits = run.get("budget", {}).get("limits", [])
    return {row["limit"]: row["lines"] for row in limits if row.get("lines") and row.get("says_something", True)}


def _headline(run: Figures, winner: Figures | None, teacher: Figures | None) -> str:
    if winner is None:
        return "No model met what was asked." if run.get("models") else "Nothing was measured."
    ratios = run.get("ratios", {})
    phrases = []
    if (smaller := ratios.get("smaller")) is not None:
        phrases.append(formatting.compared(smaller, "smaller", "larger"))
    if (faster := ratios.get("faster_batch1", {}).get("ratio")) is not None:
        phrases.append(f"{formatting.compared(faster, 'faster', 'slower')} at batch{_SPACE}1")
    metric = metrics_of(run)[0]
    if (reached := figure(winner, metric)) is not None:
        phrase = f"{metric.title} {metric.text(reached, examples(winner))}"
        best = figure(teacher, metric)
        phrases.append(phrase if best is None else f"{phrase} against {metric.text(best, examples(teacher))}")
    figures = ", ".join(phrases) or str(winner.get("name"))
    return sentence(f"nearest, {winner.get('name')}: {figures}" if "refused" in winner else figures)


def _task(task: Figures) -> list[str]:
    facts = [str(task["data"])] if "data" in task else []
    if task.get("classes"):
        facts.append(f"{len(task['classes'])} classes")
    if task.get("input_shape"):
        facts.append("inputs " + " \N{MULTIPLICATION SIGN} ".join(map(str, task["input_shape"])))
    of_train = f" ({formatting.grouped(task['unlabeled'])} of them without a label)" if task.get("unlabeled") else ""
    facts += [
        f"{formatting.grouped(task[split])} {split}{of_train if split == 'train' else ''}"
        for split in ("train", "validation", "test")
        if split in task
    ]
    facts += [f"training rows count by {task['weights']!r}, test rows once"] if task.get("weights") else []
    return [*facts, f"from {task['source']}"] if "source" in task else facts


def _helped(run: Figures) -> list[Block]:
    verdict = run.get("verdict")
    if not verdict:
        if run.get("baseline", False):
            return [Text("Not known.", "say"), Text("A baseline was trained, but the two were not compared.")]
        return [
            Text("Not known: no baseline was trained.", "say"),
            Text(
                "Without the same network trained on the labels alone, it is not known what the teacher added. The "
                "figures below hold all the same."
            ),
        ]
    difference, interval, count = (verdict.get(key) for key in ("difference", "interval", "examples"))
    ruling = sentence(str(verdict.get("sentence", ""))).rstrip(".")
    # Points are of shares; the scores of other tasks are no figures that people know.
    share = metrics_of(run)[0].is_share
    points = "" if difference is None or not share else f": {formatting.points(difference, count)} points"
    blocks: list[Block] = [Text(f"{ruling}{points}.", "say")]
    if difference is not None and interval:
        words = ("baseline better", "no difference", "student better")
        blocks.append(Interval(low=interval[0], middle=difference, high=interval[1], words=words))
    return [*blocks, Text(_how_sure(verdict, metrics_of(run)[0]))]


def _how_sure(verdict: Figures, metric: Metric) -> str:
    share = metric.is_share
    interval, count, seeds = verdict.get("interval"), verdict.get("examples"), verdict.get("seeds", 1)
    note = "Against the baseline: the same network trained on the labels alone."
    if interval:
        if share:
            low, high = (formatting.points(bound, count) for bound in interval)
            note += f" 95% interval {low} to {high} points"
        else:
            # Scores are higher where a model is better; of an error they are the error with a minus.
            sign = 1 if metric.higher_is_better else -1
            ends = sorted(sign * bound for bound in interval)
            low, high = (formatting.significant(bound, 3) for bound in ends)
            what = "squared error" if metric.name == "rmse" else metric.title
            if (difference := verdict.get("difference")) is not None:
                more = sign * difference
                beside = f"{formatting.significant(abs(more))} {'higher' if more > 0 else 'lower'} than"
                note += f" On average the student's {what} is {beside if more else 'that of'} the baseline's,"
            note += f" 95% interval of the difference {low} to {high}"
        note += "" if count is None else f" on {formatting.grouped(count)} test examples"
        note += f", mean of {seeds} seeds." if seeds > 1 else "."
    if "p_value" in verdict:
        # Only right and wrong answers are counted; shares of an example, such as its IoU, are averaged.
        of_one = "McNemar's exact test" if metric.name == "accuracy" else "paired t test"
        test = "t test over seeds and examples" if seeds > 1 else of_one
        note += f" {sentence(test).rstrip('.')}: p{_SPACE}={_SPACE}{formatting.small(verdict['p_value'])}."
    return note


def _ships(run: Figures, winner: Figures | None) -> Panel:
    nearest = winner is not None and "refused" in winner
    blocks: list[Block] = [Text(str(winner.get("name")) if winner else "No winner.", "say")]
    # Without the sentences that stand above.
    why = str(run.get("why", "")).removeprefix(" ".join(run.get("alerts", []))).strip()
    if why:
        blocks.append(Text(sentence(why)))
    if "artifact" in run:
        blocks.append(Text(f"Artifact: {run['artifact']}"))
    return Panel("The nearest" if nearest else "The winner", blocks, place="half")
