"""Progress bars, drawn on standard error and only where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
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
        task = shown.add_task(title, total=total)
        drawn = 0.0

        def advance(steps: int) -> None:
            nonlocal drawn
            shown.advance(task, steps)
            now = shown.get_time()
            if now - drawn >= 0.1:
                shown.refresh()
                drawn = now

        yield advance
        shown.refresh()
