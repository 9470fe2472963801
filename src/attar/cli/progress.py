"""Progress bars, drawn on standard error and only where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Progress

errors = Console(stderr=True, highlight=False)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """One bar for one piece of work; it disappears into a line when the work is done.

    The bar is redrawn when it is moved, never by a thread of its own, which would disturb what is being timed.
    """
    if not errors.is_terminal:
        yield lambda steps: None
        return
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, auto_refresh=False) as shown:
        bar = _Bar(shown, shown.add_task(title, total=total))
        yield bar
        shown.refresh()


class _Bar:
    """Moves a bar, and calls it anew; it is drawn ten times a second at most."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown, self._task, self._drawn = shown, task, 0.0

    def __call__(self, steps: int) -> None:
        self._shown.advance(self._task, steps)
        self._draw()

    def retitle(self, title: str, total: int) -> None:
        self._shown.update(self._task, description=title, total=total)
        self._draw()

    def _draw(self) -> None:
        now = self._shown.get_time()
        if now - self._drawn >= 0.1:
            self._shown.refresh()
            self._drawn = now
