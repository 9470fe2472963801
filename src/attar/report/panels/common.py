"""What several panels of a run need: who is who, means with their spread, and figures that may be unknown."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from attar import formatting
from attar.evidence.panel import Cell, Tone

ROLES = ("teacher", "baseline", "student")
"""Who is who, in the order of every legend; each is a color of the page."""

Figures = Mapping[str, Any]
"""A part of the evidence, without keys whose value is not known."""

Split = Literal["test", "validation"]

TONES: Mapping[str | None, Tone] = {
    "met": "good",
    "met on validation only": "partly",
    "not met": "bad",
    None: "faint",
}
"""The color of each `attar.outcome.Outcome` of a budget, or of a limit."""


def role(model: Figures) -> str:
    """The role whose color a model wears: a candidate is a form of the student, a member a part of the teacher.

    Example:
        >>> role({"kind": "candidate"}), role({"kind": "baseline"}), role({"kind": "member"})
        ('student', 'baseline', 'teacher')
    """
    kind = model.get("kind")
    return kind if kind in ROLES else "teacher" if kind == "member" else "student"


def first(models: Iterable[Figures], kind: str) -> Figures | None:
    """The first model of a kind."""
    return next((model for model in models if model.get("kind") == kind), None)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure by which models are judged, as the evidence has it.

    Attributes:
        name: Its key in the quality of a model.
        title: What people call it.
        unit: ``share`` is read in percent, all others as numbers.
        higher_is_better: Whether the larger of two is the better one.
    """

    name: str
    title: str
    unit: str = "number"
    higher_is_better: bool = True

    @property
    def is_share(self) -> bool:
        """Whether it is read in percent, and differences of it in points."""
        return self.unit == "share"

    def text(self, value: float | None, count: int | None = None) -> str:
        """A figure with the digits that so many examples carry; a dash for one that is not known."""
        return known(formatting.percent, value, count) if self.is_share else known(formatting.significant, value, 4)

    def interval(self, ends: Sequence[float] | None, count: int | None = None) -> str:
        """Both ends; nothing where they are not known."""
        if not ends:
            return ""
        if self.is_share:
            return formatting.percent_interval(ends, count)
        return " to ".join(formatting.significant(end, 4) for end in ends).replace(" ", "\N{NO-BREAK SPACE}")


ACCURACY = Metric(name="accuracy", title="accuracy", unit="share")
_OTHERS = (
    Metric(name="calibration_error", title="calibration error", higher_is_better=False),
    Metric(name="rmse", title="RMSE of probabilities", higher_is_better=False),
)


def metrics_of(run: Figures) -> list[Metric]:
    """The metrics of the run's task, the first one by which people know it."""
    keys = ("name", "title", "unit", "higher_is_better")
    found = [Metric(**{key: one[key] for key in keys if key in one}) for one in run.get("task", {}).get("metrics", [])]
    return found or [ACCURACY, *_OTHERS]


def figure(model: Figures | None, metric: Metric, split: Split = "test") -> float | None:
    """A figure of a model, if it is known."""
    found: float | None = (model or {}).get("quality" if split == "test" else "validation", {}).get(metric.name)
    return found


def examples(model: Figures | None) -> int | None:
    """How many test examples a model was asked about."""
    found: int | None = (model or {}).get("quality", {}).get("examples")
    return found


def known(function: Callable[..., str], value: Any, *arguments: Any) -> str:
    """A figure as text; a dash for one that is not known."""
    return formatting.ABSENT if value is None else function(value, *arguments)


def quality_cell(quality: Figures, metric: Metric) -> Cell:
    """A figure of a model, with its interval below."""
    count = quality.get("examples")
    value = quality.get(metric.name)
    return Cell(text=metric.text(value, count), note=metric.interval(quality.get("interval"), count), value=value)


def spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard deviation of what is known."""
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None, statistics.stdev(found) if len(found) > 1 else None


def sentence(text: str) -> str:
    """The text with a capital at its beginning and a period at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else text


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names one after the other; of many the first ones, and how many more there are."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")


def fact_lines(facts: Figures, prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as lines of name and value; bytes with their unit, names without their underscores."""
    lines: list[tuple[str, str]] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            # The word "versions" before each version says nothing.
            lines += fact_lines(value, "" if key == "versions" else f"{prefix}{key} ")
        elif isinstance(value, list):
            lines.append((f"{prefix}{key}".replace("_", " "), ", ".join(map(str, value)) or formatting.ABSENT))
        elif key.endswith("_bytes"):
            lines.append((f"{prefix}{key.removesuffix('_bytes')}".replace("_", " "), formatting.size(value)))
        else:
            lines.append((f"{prefix}{key}".replace("_", " "), str(value)))
    return [(_SPELLED.get(name, name), value) for name, value in lines]


_SPELLED = {"cpu": "CPU", "os": "OS"}
"""Names of facts that are no words."""


def titled(run: Figures) -> Figures:
    """The same evidence with models under the names that people read, also in its sentences; ``key`` has the others.

    Names that would become one are left as they are.

    Example:
        >>> of = {"models": [{"name": "a fp32"}], "titles": {"a fp32": "A, float32"}, "why": "a fp32 is the fastest."}
        >>> titled(of)["models"], titled(of)["why"]
        ([{'name': 'A, float32', 'key': 'a fp32'}], 'A, float32 is the fastest.')
    """
    given: Mapping[str, str] = run.get("titles", {})
    times = Counter(given.values())
    titles = {name: title for name, title in given.items() if times[title] == 1 and title != name}
    if not titles:
        return run
    # The longest first: some names begin as others do.
    any_name = "|".join(re.escape(name) for name in sorted(titles, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])({any_name})(?![\w-])")

    def read(text: str) -> str:
        return pattern.sub(lambda found: titles[found[0]], text)

    def model(one: Figures) -> Figures:
        name, refused = one.get("name"), one.get("refused")
        more = {"name": titles[name], "key": name} if name in titles else {}
        return {**one, **more, **({"refused": read(refused)} if isinstance(refused, str) else {})}

    changes: dict[str, Any] = {"models": [model(one) for one in run.get("models", [])]}
    changes |= {key: titles.get(run[key], run[key]) for key in ("winner",) if key in run}
    changes |= {key: read(run[key]) for key in ("why",) if key in run}
    changes |= {key: [read(one) for one in run[key]] for key in ("alerts", "warnings") if key in run}
    return {**run, **changes}


def without_none(value: Any) -> Any:
    """The same document without keys whose value is None or an interval with an open end: absent and None are one."""
    if isinstance(value, Mapping):
        open_ended = value.get("interval") is not None and None in value["interval"]
        return {
            key: without_none(inner)
            for key, inner in value.items()
            if inner is not None and not (key == "interval" and open_ended)
        }
    return [without_none(inner) for inner in value] if isinstance(value, list) else value
