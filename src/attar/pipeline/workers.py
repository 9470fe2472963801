"""Worker processes: trainings that do not depend on each other, done at once, one thread each.

The process that asks works along: it has everything open already, while the others begin. A worker fills nodes of a run
and gives nothing back: whoever asked then finds them done. What a worker does not finish, for whatever reason, is done
where it was asked for, and raises there what there is to raise.

Workers are programs of their own and not copies of the process that asks, whose script may do anything when it is
imported. They end when their standard input does, so that none outlives a process that was killed.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

from attar import interpreter
from attar.training.progress import Progress

log = logging.getLogger(__name__)


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


Here = Callable[[Job, Progress], object]
"""Does a job in the process that asks."""


class Workers:
    """Processes that work at once: this one, and others that are started when there is work, and kept until closed."""

    def __init__(self, count: int | None = None) -> None:
        """Start none yet.

        Args:
            count: How many there may be, this one among them; by default as many as it has cores, where the work is
                worth it.
        """
        self.count = available() if count is None else count
        self.only_if_worthwhile = count is None
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of them, whatever they are doing: what they did not finish is gone on with by the next one."""
        for process in self._running:
            _end(process)
        self._running = []

    def do(self, jobs: Sequence[Job], here: Here, progress: Progress, title: str) -> None:
        """Do jobs, the first ones first, and wait for all of them.

        Args:
            jobs: What there is to do, one or more.
            here: Does a job in this process; what it raises ends all of the work.
            progress: Sees all of it as one piece of work.
            title: Of this work.
        """
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs[1:]:
            waiting.put(job)
        others = self._others(min(self.count, len(jobs)) - 1)
        lock = threading.Lock()
        try:
            with progress(title, sum(job.size for job in jobs)) as shown:

                def advance(steps: int) -> None:
                    with lock:  # the bar is moved by several threads
                        shown(steps)

                feeding = [threading.Thread(target=_feed, args=(one, waiting, advance), daemon=True) for one in others]
                for thread in feeding:
                    thread.start()
                job = jobs[0]
                with suppress(queue.Empty):
                    while True:
                        counted = _Counted(job.size, advance)
                        here(job, counted)
                        counted.end()
                        job = waiting.get_nowait()
                for thread in feeding:
                    thread.join()
        except BaseException:
            self.close()
            raise

    def _others(self, count: int) -> list[subprocess.Popen[str]]:
        """So many other processes, running; fewer where they cannot be started."""
        for one in [one for one in self._running if one.poll() is not None]:
            self._running.remove(one)
            _end(one)
        try:
            while len(self._running) < count:
                self._running.append(_start())
        except OSError as error:
            log.info("no more than %d workers could be started: %s", len(self._running), error)
        return self._running[:count]


def available() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start() -> subprocess.Popen[str]:
    """A worker, in a session of its own: Ctrl-C is for the process that asks."""
    return subprocess.Popen(
        interpreter.command("attar.pipeline.workers"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env=interpreter.environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1"),
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with suppress(OSError):  # what it was sent and did not live to read
            stream.close()


def _feed(process: subprocess.Popen[str], waiting: queue.SimpleQueue[Job], advance: Callable[[int], None]) -> None:
    """Give one worker jobs until there is none, and pass on how far it is."""
    assert process.stdin is not None and process.stdout is not None
    try:
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            process.stdin.write(json.dumps({"function": job.function, "arguments": dict(job.arguments)}) + "\n")
            process.stdin.flush()
            counted = _Counted(job.size, advance)
            for line in process.stdout:
                answer = json.loads(line)
                if "ended" in answer:
                    if answer["ended"] is not None:
                        log.info("a worker could not do %s, which is tried again here: %s", job.name, answer["ended"])
                    break
                counted.add(int(answer["advance"]))
            else:
                log.info("a worker ended while it did %s, which is tried again here", job.name)
                return
            counted.end()
    except (OSError, ValueError) as error:
        log.info("a worker could not be reached: %s", error)


class _Counted:
    """A `Progress` whose bars are part of one that is there already: a job's share of it, never more."""

    def __init__(self, size: int, advance: Callable[[int], None]) -> None:
        self._left = size
        self._advance = advance

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        yield self.add

    def add(self, steps: int) -> None:
        steps = min(self._left, steps)
        self._left -= steps
        self._advance(steps)

    def end(self) -> None:
        self.add(self._left)


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
    while True:
        job = json.loads(lines.get())
        module, _, name = str(job["function"]).partition(":")
        try:
            getattr(importlib.import_module(module), name)(**job["arguments"], progress=_Reporting(answers))
            ended = None
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
        _answer(answers, ended=ended)


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

        yield advance


if __name__ == "__main__":
    main()
