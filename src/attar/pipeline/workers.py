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
from collections import deque
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


RunLocally = Callable[[Job, Progress], object]
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
        self._works: dict[str, _Work] = {}
        self._waiting: deque[_Work] = deque()
        self._changed = threading.Condition()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the others, whatever they are doing: what they did not finish is gone on with by the next one."""
        for process in self._running:
            _end(process)
        self._running = []
        with self._changed:
            self._waiting.clear()
            self._works.clear()
            self._changed.notify_all()

    def do(
        self, jobs: Sequence[Job], run_locally: RunLocally, progress: Progress, title: str, later: Sequence[Job] = ()
    ) -> None:
        """Do jobs, the first ones first, and wait for all of them.

        Args:
            jobs: What there is to do. A job that was asked for before, by its name, is not begun again.
            run_locally: Does a job in this process; what it raises ends all of the work.
            progress: Sees all of the jobs as one piece of work.
            title: Of this work.
            later: What the other processes go on with, and nobody waits for until it is among the jobs.
        """
        with self._changed:
            works = [self._work(job) for job in jobs]
            for job in later:
                self._work(job)
        try:
            with _one_bar(progress, title, works):
                work = self._take(works)  # before the others begin: this process need not wait
                self._start_others(min(self.count, len(jobs) + len(later)) - 1)
                while work is not None:
                    run_locally(work.job, work)
                    self._finish(work)
                    work = self._take(works)
        except BaseException:
            self.close()
            raise

    def _work(self, job: Job) -> _Work:
        if job.name not in self._works:
            work = self._works[job.name] = _Work(job)
            self._waiting.append(work)
        return self._works[job.name]

    def _take(self, works: Sequence[_Work]) -> _Work | None:
        """One of these for this process, as soon as there is one; None when all are over."""
        with self._changed:
            while True:
                taken = next((work for work in works if work in self._waiting), None)
                if taken is not None:
                    self._waiting.remove(taken)
                self._changed.notify_all()
                if taken is not None or all(work.over for work in works):
                    return taken
                self._changed.wait()

    def _finish(self, work: _Work) -> None:
        work.end()
        with self._changed:
            work.over = True
            self._changed.notify_all()

    def _start_others(self, count: int) -> None:
        """Have so many other processes running, as far as they can be started; each is given work by a thread."""
        for one in [one for one in self._running if one.poll() is not None]:
            self._running.remove(one)
            _end(one)
        try:
            while len(self._running) < count:
                process = _start()
                self._running.append(process)
                threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        except OSError as error:
            log.info("no more than %d workers could be started: %s", len(self._running), error)

    def _feed(self, process: subprocess.Popen[str]) -> None:
        """Give one worker whatever there is to do, as long as it lives."""
        while True:
            with self._changed:
                while not self._waiting and process.poll() is None:
                    self._changed.wait()
                if process.poll() is not None:
                    return
                work = self._waiting.popleft()
            lives = False
            try:
                lives = _run_in_worker(process, work)
            except Exception as error:
                log.info("a worker could not be reached: %s: %s", type(error).__name__, error)
            finally:
                self._finish(work)
            if not lives:
                process.kill()  # so that another one takes its place
                return


class _Work:
    """A job that was asked for, as a `Progress` of its own whose bars are part of one that all jobs share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.over = False
        self._done = 0
        self._shown: Callable[[int], None] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        yield self.add

    def show(self, shown: Callable[[int], None] | None) -> None:
        """Move another bar from now on, and at once as far as the work is."""
        with self._lock:
            self._shown = shown
            if shown is not None:
                shown(self._done)

    def add(self, steps: int) -> None:
        """Go on by some steps, but never beyond the job's size."""
        with self._lock:
            steps = min(self.job.size - self._done, steps)
            self._done += steps
            if self._shown is not None:
                self._shown(steps)

    def end(self) -> None:
        """Go on to the end."""
        self.add(self.job.size)


@contextmanager
def _one_bar(progress: Progress, title: str, works: Sequence[_Work]) -> Iterator[None]:
    """A bar that all of this work moves, whichever thread sees it done."""
    if not works:
        yield
        return
    lock = threading.Lock()
    with progress(title, sum(work.job.size for work in works)) as advance:

        def shown(steps: int) -> None:
            with lock:
                advance(steps)

        try:
            for work in works:
                work.show(shown)
            yield
        finally:
            for work in works:
                work.show(None)


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


def _run_in_worker(process: subprocess.Popen[str], work: _Work) -> bool:
    """Have a worker do something, and see how far it is; whether it lives on."""
    assert process.stdin is not None and process.stdout is not None
    job = work.job
    process.stdin.write(json.dumps({"function": job.function, "arguments": dict(job.arguments)}) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if "ended" not in answer:
            work.add(int(answer["advance"]))
            continue
        if answer["ended"] is not None:
            log.info("a worker could not do %s, which is tried again here: %s", job.name, answer["ended"])
        return True
    log.info("a worker ended while it did %s, which is tried again here", job.name)
    return False


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
