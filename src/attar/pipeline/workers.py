"""Worker processes: trainings that do not depend on each other, done at once, one thread each.

The process that asks works along: it has everything open already, while the others begin. A worker fills nodes of a run
and gives nothing back: whoever asked then finds them done. What a worker does not finish, for whatever reason, is done
where it was asked for, and raises there what there is to raise.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from attar.pipeline.worker import Job, Worker, WorkerEnded, WorkerProcess
from attar.training.progress import Bar, Progress, note

log = logging.getLogger(__name__)


RunLocally = Callable[[Job, Progress], object]
"""Does a job in the process that asks."""


class Workers:
    """Processes that work at once: this one, and others that are started when there is work, and kept until closed."""

    def __init__(self, count: int | None = None, start: Callable[[], Worker] = WorkerProcess) -> None:
        """Start none yet.

        Args:
            count: How many there may be, this one among them; by default as many as it has cores, where the work is
                worth it.
            start: Starts one of the others.
        """
        self.count = available() if count is None else count
        self.only_if_worthwhile = count is None
        self._start = start
        self._running: list[Worker] = []
        self._works: dict[str, _Work] = {}
        self._waiting: deque[_Work] = deque()
        self._changed = threading.Condition()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the others, whatever they are doing: what they did not finish is gone on with by the next one."""
        for worker in self._running:
            worker.end()
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
        for one in [one for one in self._running if not one.alive]:
            self._running.remove(one)
            one.end()
        try:
            while len(self._running) < count:
                worker = self._start()
                self._running.append(worker)
                threading.Thread(target=self._feed, args=(worker,), daemon=True).start()
        except OSError as error:
            log.info("no more than %d workers could be started: %s", len(self._running), error)

    def _feed(self, worker: Worker) -> None:
        """Give one worker whatever there is to do, as soon as it has begun and as long as it lives."""
        try:
            worker.ready()
        except Exception as error:
            log.info("a worker did not begin: %s: %s", type(error).__name__, error)
            worker.kill()
            return
        while True:
            with self._changed:
                while not self._waiting and worker.alive:
                    self._changed.wait()
                if not worker.alive:
                    return
                work = self._waiting.popleft()
            lives = False
            try:
                lives = _run_in_worker(worker, work)
            except Exception as error:
                log.info("a worker could not be reached: %s: %s", type(error).__name__, error)
            finally:
                self._finish(work)
            if not lives:
                worker.kill()  # so that another one takes its place
                return


class _Work:
    """A job that was asked for, as a `Progress` of its own whose bars are part of one that all jobs share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.over = False
        self._done = 0
        self._shown: Callable[[int], None] | None = None
        self.bar = Bar(self.add, self.note)
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        yield self.bar

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

    def note(self, text: str) -> None:
        """Say so of this work beside the bar of all."""
        with self._lock:
            if self._shown is not None:
                note(self._shown, f"{self.job.name} {text}")

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

        def noted(text: str) -> None:
            with lock:
                note(advance, text)

        try:
            for work in works:
                work.show(Bar(shown, noted))
            yield
        finally:
            for work in works:
                work.show(None)


def available() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_in_worker(worker: Worker, work: _Work) -> bool:
    """Have a worker do something, and see how far it is; whether it lives on."""
    try:
        raised = worker.do(work.job, work.bar)
    except WorkerEnded:
        log.info("a worker ended while it did %s, which is tried again here", work.job.name)
        return False
    if raised is not None:
        log.info("a worker could not do %s, which is tried again here: %s", work.job.name, raised)
    return True
