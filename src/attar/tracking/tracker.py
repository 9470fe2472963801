"""What a tracker is: it takes the figures of a training while it goes on, and never ends it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from attar.deployment.refused import telling
from attar.processes import rank
from attar.tasks.metrics.metric import Metric, validation_figure
from attar.training.callbacks import Callback, TrainState
from attar.training.results import Epoch

log = logging.getLogger(__name__)


class Tracker(ABC):
    """Takes parameters, figures and files. What it cannot write is said once, and nothing more is given to it.

    Of several processes that torchrun started, that of rank 0 writes.

    Attributes:
        title: What it is called in messages.
        failure: A sentence on why it takes nothing more; None while it does.
    """

    title: ClassVar[str]
    failure: str | None = None

    @abstractmethod
    def _write_parameters(self, values: Mapping[str, str]) -> None: ...

    @abstractmethod
    def _write_figures(self, of: str, figures: Mapping[str, float], step: int) -> None: ...

    @abstractmethod
    def _write_files(self, paths: Sequence[Path]) -> None: ...

    @abstractmethod
    def _end(self, finished: bool) -> None: ...

    def log_parameters(self, values: Mapping[str, Any]) -> None:
        """Remember what was asked.

        Args:
            values: Tables within tables; they are written by dotted keys, ``student.training.epochs``.
        """
        self._try(lambda: self._write_parameters(dict(_dotted(values))))

    def log_figures(self, of: str, figures: Mapping[str, float], step: int = 0) -> None:
        """Remember some numbers.

        Args:
            of: What they are of, such as ``student/0``.
            figures: By name.
            step: Epoch, from 0.
        """
        self._try(lambda: self._write_figures(of, figures, step))

    def log_files(self, paths: Sequence[Path]) -> None:
        """Remember files, and folders with all that is in them."""
        self._try(lambda: self._write_files(paths))

    def curves(self, of: str, metric: Metric | None = None) -> Curves:
        """A callback for `attar.fit` that writes the losses and the validation score of each epoch.

        Args:
            of: What the training is called.
            metric: Whose score is chosen by, for its name; None calls it ``validation_score``.
        """
        return Curves(self, of, metric)

    def close(self, *, finished: bool = True) -> None:
        """Write what is left. Nothing may be logged afterwards.

        Args:
            finished: Whether all was done that was to be done.
        """
        self._try(lambda: self._end(finished))

    def _try(self, write: Callable[[], None]) -> None:
        if self.failure is not None or rank() > 0:
            return
        try:
            write()
        except Exception as error:  # a full disk, a server that is gone: each library raises types of its own
            self.failure = f"{self.title} takes no more figures ({why(error)}); the run goes on without it."
            log.warning("%s", self.failure)


class Curves(Callback):
    """Writes what `attar.fit` remembers of each epoch; it changes nothing, and a checkpoint does not depend on it."""

    observes = True

    def __init__(self, tracker: Tracker, of: str, metric: Metric | None = None) -> None:
        """Write nothing yet.

        Args:
            tracker: Takes the figures.
            of: What the training is called.
            metric: As for `Tracker.curves`.
        """
        self.tracker, self.of, self.metric = tracker, of, metric
        self.written = 0

    def after_validation(self, state: TrainState, history: Sequence[Epoch]) -> None:
        """Write the epochs that are new; of a training that is resumed those from before, too."""
        for epoch in history[self.written :]:
            self.tracker.log_figures(self.of, figures_of(epoch.to_json(), self.metric), epoch.epoch)
        self.written = len(history)


def why(error: BaseException) -> str:
    """What an error of a tracker's library says: of a chain of them what the system refused, where it refused anything.

    Example:
        >>> why(ConnectionRefusedError(111, "Connection refused"))
        '[Errno 111] Connection refused'
    """
    first, inner = error, error.__cause__ or error.__context__
    while inner is not None:
        first = inner if isinstance(inner, OSError) else first
        inner = inner.__cause__ or inner.__context__
    return telling(first)


def figures_of(epoch: Mapping[str, Any], metric: Metric | None) -> dict[str, float]:
    """The figures of one entry of a history: mean loss and terms, learning rate, and the score on validation."""
    figures = {"loss": epoch["loss"], "learning_rate": epoch["learning_rate"]}
    figures |= {f"loss_{name}": value for name, value in epoch["terms"].items()}
    if epoch["score"] is not None:
        score = epoch["score"]
        figures |= {"validation_score": score} if metric is None else validation_figure(score, metric)
    return figures


def _dotted(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", str(value)
