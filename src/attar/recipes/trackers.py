"""The trackers of a run: what its recipe's ``track`` names, opened and closed with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attar.evidence.document import EVIDENCE, flat
from attar.pipeline.trained import Trained
from attar.processes import rank
from attar.recipes.folder import RECIPE
from attar.recipes.schema.recipe import Recipe
from attar.tasks.metrics.metric import Metric
from attar.tracking.mlflow import MLflow
from attar.tracking.tensorboard import TensorBoard
from attar.tracking.tracker import Curves, Tracker, figures_of

_BOARD = "tensorboard"
"""The folder of a run in which TensorBoard's files are."""

_TRAININGS = ("teacher", "student", "baseline")
"""What the trainings of a run are called, those of its search left out."""


@dataclass(frozen=True)
class Trackers:
    """The trackers of a run; none where the recipe names none."""

    trackers: Sequence[Tracker] = ()
    _live: dict[str, list[Curves]] = field(default_factory=dict, repr=False)

    def watch(self, title: str, metric: Metric | None) -> Sequence[Curves]:
        """Callbacks for a training: they write each epoch when it is over.

        Args:
            title: Of the training.
            metric: By which its epochs are chosen.
        """
        if not self.trackers or title.partition("/")[0] not in _TRAININGS:
            return ()
        self._live[title] = [one.curves(title, metric) for one in self.trackers]
        return self._live[title]

    def catch_up(self, trained: Iterable[tuple[Trained, Metric]]) -> None:
        """Write the epochs that nobody here has seen: of worker processes, and of an earlier run.

        Args:
            trained: Networks with all of their steps, and by what they were chosen.
        """
        for last, metric in trained:
            for one in last.steps:
                live = self._live.get(one.name) or [each.curves(one.name, metric) for each in self.trackers]
                for curves in live:
                    for entry in one.history[curves.written :]:
                        curves.tracker.log_figures(one.name, figures_of(entry, metric), int(entry["epoch"]))
                    curves.written = len(one.history)

    def finish(self, folder: Path, evidence: Mapping[str, Any]) -> None:
        """Write the figures of what ships, of its teacher and of the baseline, and the files of the run."""
        for of, model in _compared(evidence):
            figures = {
                name.replace("quality_", "test_"): float(value)
                for name, value in flat(model)
                if _is_figure(name, value)
            }
            for one in self.trackers:
                one.log_figures(of, figures)
        for one in self.trackers:
            one.log_files([folder / name for name in ("artifact", "report.html", EVIDENCE, RECIPE)])

    @property
    def failures(self) -> list[str]:
        """Why some of them take nothing more, as sentences."""
        return [one.failure for one in self.trackers if one.failure is not None]


def check_trackers(recipe: Recipe) -> None:
    """See that the packages of the trackers are there, before anything is done.

    Raises:
        MissingExtra: If one is not installed.
    """
    for name in recipe.track or ():
        (TensorBoard if name == "tensorboard" else MLflow).check()


@contextmanager
def tracked(recipe: Recipe, folder: Path) -> Iterator[Trackers]:
    """The trackers of a run while it lasts; of several processes that of rank 0 has them.

    Raises:
        BadInput: If one cannot begin.
    """
    names = (recipe.track or ()) if rank() == 0 else ()
    opened: list[Tracker] = [
        TensorBoard(folder / _BOARD) if name == "tensorboard" else MLflow(run=folder.name) for name in names
    ]
    for one in opened:
        one.log_parameters({key: value for key, value in recipe.document().items() if key != "track"})
    finished = False
    try:
        yield Trackers(opened)
        finished = True
    finally:
        for one in opened:
            one.close(finished=finished)


def _compared(evidence: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What ships, the teacher, and the first artifact of the baseline."""
    models = evidence["models"]
    yield "shipped", next(one for one in models if one["name"] == evidence["winner"])
    for kind in ("teacher", "baseline"):
        yield from [(kind, one) for one in models if one["kind"] == kind and one.get("quality")][:1]


def _is_figure(name: str, value: object) -> bool:
    """Whether a figure of a model is one by which people compare runs."""
    if isinstance(value, bool) or not isinstance(value, int | float) or "interval" in name or "examples" in name:
        return False
    known = ("quality_", "validation_", "size_bytes", "parameters", "macs", "peak_memory_bytes", "agreement")
    return name.startswith(known) or (name.startswith("latency_") and name.endswith("median_ms"))
