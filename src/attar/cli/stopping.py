"""Being asked to stop: by Ctrl-C or by a signal of the system, also while other code catches every exception."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 10.0
"""Seconds from the request to stop until the process ends itself, where something keeps it from stopping."""

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""Exit code of each signal, as shells give it: 128 and the signal's number."""

SENTENCE = "attar: interrupted; the same command continues where it stopped\n"


class Stop:
    """Whether there was a request to stop, and by which signal."""

    def __init__(self) -> None:
        self.code: int | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Stop here, as Python does on Ctrl-C; a second request, or one that has no effect, ends the process."""
        if self.code is not None:
            end(self.code)
        self.code = CODES[signal.Signals(number)]
        # Code of the user's or of a library may catch this and go on. A run survives being ended at any moment.
        timer = threading.Timer(PATIENCE, end, [self.code])
        timer.daemon = True
        timer.start()
        self._timer = timer
        raise KeyboardInterrupt

    def done(self) -> None:
        """What was asked is being done: there is no need to end the process."""
        if self.code is not None:
            self._timer.cancel()


def end(code: int) -> None:
    """End the process at once, with the sentence."""
    sys.stderr.write(SENTENCE)
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within it, both signals raise `KeyboardInterrupt` in the main thread; a signal that is ignored stays so."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may say what signals do
        return
    before = {number: signal.getsignal(number) for number in CODES}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield stop
    finally:
        stop.done()
        for number, handler in before.items():
            signal.signal(number, handler)
