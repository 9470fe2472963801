"""What does jobs for somebody, and the usual one: a process of its own that does one after the other, with one thread.

The process is not a copy of the one that asks, whose script may do anything when it is imported. It ends when its
standard input does, so that none outlives a process that was killed.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TextIO, runtime_checkable

from attar import interpreter
from attar.errors import CorruptFile
from attar.training.progress import Bar, note
from attar.workspace import UNWRITABLE


@dataclass(frozen=True)
class Job:
    """One piece of work for a worker.

    Attributes:
        name: What it is called in the log.
        function: ``package.module:function`` of Attar; it gets ``arguments`` and ``progress``.
        arguments: Plain JSON values.
        size: How far the progress of its work goes, in optimizer steps.
    """

    name: str
    function: str
    arguments: Mapping[str, Any]
    size: int


_BEGINS = 300.0
"""Seconds in which a process has to be ready; on a machine with much to do it may need a minute."""


class WorkerEnded(Exception):
    """A worker's process ended before it had done what it was asked for; why, as far as that is known."""


class FolderError(Exception):
    """The folder of the run cannot be written, or a file in it is damaged: nobody can go on.

    Attributes:
        error: What whoever asked is to raise.
    """

    def __init__(self, error: OSError | CorruptFile) -> None:
        super().__init__(str(error))
        self.error = error


@runtime_checkable
class Worker(Protocol):
    """Does jobs, one after the other, for whoever started it.

    What a job makes are nodes of a run, in whose folder whoever asked finds them: nothing is handed back.
    """

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        ...

    def ready(self) -> None:
        """Wait until it can begin at once.

        Raises:
            WorkerEnded: If it ended before.
        """
        ...

    def do(self, job: Job, advance: Callable[[int], None]) -> str | None:
        """Have it do a job, and wait for that.

        Args:
            job: What to do.
            advance: Gets optimizer steps, as they are done, and notes where it takes any.

        Returns:
            What the job raised, in words; None where it raised nothing.

        Raises:
            WorkerEnded: If it ended meanwhile.
            FolderError: If it cannot use the folder of the run.
        """
        ...

    def kill(self) -> None:
        """End it, whatever it is doing; any thread may do so."""
        ...

    def end(self) -> None:
        """End it, and let go of it."""
        ...


class WorkerProcess:
    """A process on this machine that does jobs."""

    def __init__(self) -> None:
        """Start it, in a session of its own: Ctrl-C is for the process that asks.

        Raises:
            OSError: If it cannot be started.
        """
        self._process = subprocess.Popen(
            interpreter.command("attar.pipeline.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=interpreter.environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1"),
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def ready(self, seconds: float = _BEGINS) -> None:
        """See `Worker`; a process that is not ready after so many seconds is ended."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            if not self._stdout.readline():
                raise WorkerEnded
        finally:
            timer.cancel()

    def do(self, job: Job, advance: Callable[[int], None]) -> str | None:
        """See `Worker`.

        Raises:
            WorkerEnded: If the process ended meanwhile.
            FolderError: If it cannot use the folder of the run.
            OSError: If it cannot be reached; with others, if what it answers makes no sense.
        """
        self._stdin.write(json.dumps({"function": job.function, "arguments": dict(job.arguments)}) + "\n")
        self._stdin.flush()
        for line in self._stdout:
            answer = json.loads(line)
            if "ready" in answer:
                continue
            if answer.get("damaged"):
                raise FolderError(CorruptFile(str(answer["damaged"])))
            if answer.get("errno") in UNWRITABLE:
                raise FolderError(OSError(answer["errno"], os.strerror(answer["errno"])))
            if "ended" in answer:
                raised: str | None = answer["ended"]
                return raised
            if "note" in answer:
                note(advance, str(answer["note"]))
            else:
                advance(int(answer["advance"]))
        raise WorkerEnded

    def kill(self) -> None:
        """See `Worker`."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End the process, and let go of it."""
        self.kill()
        for stream in (self._stdin, self._stdout):
            with suppress(OSError):  # what it was sent and did not live to read
                stream.close()


# -- the other side ----------------------------------------------------------------------------------------------------


def main() -> None:
    """What a worker does: a line of JSON in for each job, lines of JSON out."""
    # What libraries print must not get between the lines.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(lines,), daemon=True).start()
    import torch

    torch.set_num_threads(1)
    _answer(answers, ready=True)
    while True:
        job = json.loads(lines.get())
        module, _, name = str(job["function"]).partition(":")
        ended, of_folder = None, dict[str, Any]()
        try:
            getattr(importlib.import_module(module), name)(**job["arguments"], progress=_Reporting(answers))
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
            if isinstance(error, OSError):
                of_folder = {"errno": error.errno}
            elif isinstance(error, CorruptFile):
                of_folder = {"damaged": str(error)}
        _answer(answers, ended=ended, **of_folder)


def _read_jobs(lines: queue.SimpleQueue[str]) -> None:
    """Take jobs; the end of them ends the process, whatever it is doing."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _answer(answers: TextIO, **fields: Any) -> None:
    answers.write(json.dumps(fields) + "\n")
    answers.flush()


class _Reporting:
    """A `Progress` that tells the process that asked how far the work is, now and then."""

    def __init__(self, answers: TextIO) -> None:
        self.answers = answers

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        done = reported = 0

        def advance(count: int) -> None:
            nonlocal done, reported
            done += count
            if (done - reported) * 50 >= total:
                _answer(self.answers, advance=done - reported)
                reported = done

        yield Bar(advance, lambda text: _answer(self.answers, note=text))


if __name__ == "__main__":
    main()
