"""How far a run is, on standard error: a row a stage on a terminal, which moves, and a line a stage elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

errors = Console(stderr=True, highlight=False)

_COLUMNS = 80
"""Of a line where there is no terminal."""

_EVERY = 0.1
"""Seconds between two drawings of a row."""

_LEAST_LABEL, _LEAST_BAR = 16, 6
"""Columns that the title has at least where something stands beside the bar; and the bar, or there is none."""


def announce(doing: str) -> None:
    """Say what is about to be done, before PyTorch is imported, which may take ten seconds; after it, nothing waits."""
    if "torch" not in sys.modules:
        _line(errors, f"{doing}: loading PyTorch and the data")


@contextmanager
def watched(*, terminal_only: bool = False) -> Iterator[Shown]:
    """A `Progress` that draws on standard error; what it has begun is ended with a line of its own, whatever happens.

    Rows are redrawn when they are moved, never by a thread of their own, which would disturb what is being timed.

    Args:
        terminal_only: Whether nothing is written where there is no terminal.
    """
    shown = Shown(errors, terminal_only=terminal_only)
    try:
        yield shown
    except BaseException:
        shown.leave()
        raise
    shown.end()


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """One bar for one piece of work, in a row of its own."""
    with watched() as shown, shown(title, total) as bar:
        yield bar


class Shown:
    """One row at a time: of a stage, in which bars come and go, or of a bar that is in none."""

    def __init__(
        self, console: Console, *, terminal_only: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is drawn yet."""
        self._console, self._clock = console, clock
        self._moves = console.is_terminal and not console.is_dumb_terminal
        self._silent = terminal_only and not self._moves
        self._lock = threading.RLock()
        self._stage = ""
        self._number = ""
        self._bars: list[_Bar] = []
        self._began = self._drawn = 0.0
        self._open = False

    def stage(self, title: str, number: int, count: int) -> None:
        """A stage begins, and the one before it is over."""
        with self._lock:
            self.end()
            self._stage, self._number, self._began = title, f"{number}/{count} ", self._clock()
            if self._moves:
                self._draw()
            elif not self._silent:
                _line(self._console, f"{self._number}{title}")

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A piece of work of so many steps begins."""
        bar = _Bar(self, title, total, self._clock())
        with self._lock:
            if not self._bars and not self._stage:
                self._began = self._clock()
            self._bars.append(bar)
            self.move(now=True)
        try:
            yield bar
        finally:
            with self._lock:
                self.move(now=True)
                self._bars.remove(bar)
                if self._stage:  # which may go on without one
                    self.move(now=True)
        with self._lock:
            if not self._stage and not self._bars:
                self._finish(bar.title)

    def move(self, *, now: bool = False) -> None:
        """Draw the row anew, ten times a second at most; the bar that began last is in it."""
        with self._lock:
            if self._moves and (now or self._clock() - self._drawn >= _EVERY):
                self._draw()

    def end(self) -> None:
        """The stage is over: its row stays, with the time that it took."""
        with self._lock:
            if self._stage:
                self._finish(self._number + self._stage)
            self._stage = self._number = ""

    def leave(self) -> None:
        """Something is written that is no row: it begins in a line of its own."""
        with self._lock:
            if self._open:
                self._console.print()
            self._open, self._stage, self._number = False, "", ""

    def _finish(self, words: str) -> None:
        """Leave the row as it is in the end, and the line that it is in."""
        if self._moves:
            took = _minutes(self._clock() - self._began)
            width = min(self._width(), _COLUMNS - 1)
            words = _cut(words, width - len(took) - 1, self._console)
            self._write(Text(words + took.rjust(width - cell_len(words))))
            self._console.print()
            self._open = False

    def _row(self) -> Text:
        """What is being done, a bar, what stands beside it, percent and time left, as far as there is room.

        Where there is little, the note goes first, then the bar, then the end of the title.
        """
        width = self._width()
        if not self._bars:
            return Text(_cut(self._number + self._stage, width, self._console))
        bar = self._bars[-1]
        label, beside, right = self._number + bar.title, bar.beside, bar.right(self._clock())
        room = width - len(right) - 1
        if cell_len(beside) + 1 > room - _LEAST_LABEL:
            beside = ""
        if cell_len(label) > room and (bar.says_itself or room < _LEAST_BAR):
            return Text(_cut(label, width, self._console))
        room -= cell_len(beside) + 1 if beside else 0
        label = _cut(label, room, self._console)
        room -= cell_len(label)
        row = Text(label)
        if room > _LEAST_BAR:
            row.append(" ").append(self._bar(bar.share, room - 1))
        else:
            row.append(" " * room)
        if beside:
            row.append(f" {beside}", style="cyan")
        return row.append(f" {right}", style="green")

    def _bar(self, share: float, width: int) -> Text:
        done = int(width * share)
        full = "\N{BOX DRAWINGS HEAVY HORIZONTAL}" if _unicode(self._console) else "-"
        colored = not self._console.no_color and self._console.color_system is not None
        rest = full if colored and _unicode(self._console) else " "
        return Text(full * done, style="magenta").append(rest * (width - done), style="bright_black")

    def _width(self) -> int:
        return max(10, self._console.width - 1)  # in the last column some terminals begin another line

    def _draw(self) -> None:
        self._write(self._row())
        self._drawn = self._clock()

    def _write(self, row: Text) -> None:
        self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
        self._console.print(row, end="", soft_wrap=True)
        self._open = True


class _Bar:
    """A piece of work: what it is called, how far it is, how fast it goes on, and what stands beside it."""

    def __init__(self, shown: Shown, title: str, total: int, now: float) -> None:
        self._shown, self.title, self.total, self.beside = shown, title, total, ""
        self.says_itself = False
        self._done = 0
        self._seen = deque([(now, 0)], maxlen=300)

    def __call__(self, steps: int) -> None:
        self._done += steps
        self._shown.move()

    def retitle(self, title: str, total: int) -> None:
        """Call it so from now on; it is of so many steps. Such a title says how far it is."""
        self.title, self.total, self.says_itself = title, total, True
        self._shown.move()

    def note(self, text: str) -> None:
        """Let this stand beside it."""
        self.beside = text
        self._shown.move()

    @property
    def share(self) -> float:
        """How much of it is done, in 0..1."""
        return min(1.0, self._done / self.total) if self.total > 0 else 0.0

    def right(self, now: float) -> str:
        """Percent done and time left, 15 columns; the time is known from the second second on."""
        first, before = self._seen[0]
        left = ""
        if now - first < 1:
            if now - first < 0.2:  # what is done at once was done before
                self._seen[0] = first, self._done
        elif self._done > before:
            left = f"{_minutes(max(0, self.total - self._done) * (now - first) / (self._done - before))} left"
        self._seen.append((now, self._done))
        return f"{100 * self.share:3.0f}% {left:>10}"


def _minutes(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    Example:
        >>> _minutes(65.4), _minutes(3725.0)
        ('1:05', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _line(console: Console, text: str) -> None:
    """Write a line that is as wide as 80 columns have room for."""
    console.print(Text(_cut(text, _COLUMNS - 1, console)), soft_wrap=True)


def _cut(text: str, width: int, console: Console) -> str:
    """A text on one line that has so many columns at most."""
    cut = Text(" ".join(text.split()))
    cut.truncate(max(1, width), overflow="ellipsis" if _unicode(console) else "crop")
    return cut.plain


def _unicode(console: Console) -> bool:
    return console.encoding.startswith("utf")
