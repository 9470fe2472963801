"""Proposals evaluated by worker processes, on this machine or others, none of which is the one that asks."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from attar.errors import AttarError, CorruptFile
from attar.pipeline.worker import FolderError, Job, Worker, WorkerEnded, WorkerProcess
from attar.search.pool import TOO_LONG, Assignment, Work
from attar.search.proposal import Proposal
from attar.workspace import UNWRITABLE

log = logging.getLogger(__name__)

_STILLBORN = 3
"""Processes in a row that may end before they can do anything."""

_LOOKS_AGAIN, _ASKS_AGAIN = 3600.0, 1.0
"""Seconds for which news are waited for at most: while something is done, and while none has begun and the time for all
may be over."""

_OPENS = 300.0
"""Seconds that a worker has to open the run, with its data and its teacher, before its first proposal begins."""

JobOf = Callable[[Proposal], Job]
"""Says what a worker does to evaluate a proposal: a function of Attar that opens the run and evaluates it there."""


@dataclass
class _Running:
    """What a worker is doing, and until when it may: the time of a proposal counts from its first news on.

    Attributes:
        assignment: What it is.
        over: When the time of all is over.
        end: When it is stopped.
        started: Whether there was news.
        too_long: Whether it was stopped.
    """

    assignment: Assignment
    over: float
    end: float
    started: bool = False
    too_long: bool = False

    @classmethod
    def given(cls, assignment: Assignment, now: float) -> _Running:
        """What a worker was given, which may have to open the run for it."""
        over = now + assignment.left
        return cls(assignment, over, min(now + _OPENS + assignment.seconds, over))

    def begin(self, now: float) -> None:
        """Count from now on, if there was no news before."""
        if not self.started:
            self.started = True
            self.restart(now)

    def restart(self, now: float) -> None:
        """Give it all of its time from now on."""
        self.end = min(now + self.assignment.seconds, self.over)


@dataclass(frozen=True)
class _Ready:
    """It can be asked."""


@dataclass(frozen=True)
class _Steps:
    """It did so many optimizer steps."""

    count: int


@dataclass(frozen=True)
class _Over:
    """It did what it was asked for, or why not; whether it can be asked again; what nobody can go on with."""

    why: str | None
    lives: bool
    ends_all: OSError | CorruptFile | None = None


_News = tuple[Worker, _Ready | _Steps | _Over]


class Processes:
    """Workers that evaluate proposals, each in a process of its own; kept until closed.

    A worker that dies or takes too long costs its proposal this attempt and nobody else anything: another takes its
    place. What a worker takes to begin, and to open the run, is no part of the time that a proposal has.
    """

    def __init__(
        self,
        count: int,
        job_of: JobOf,
        *,
        start: Callable[[], Worker] = WorkerProcess,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start nothing yet.

        Args:
            count: How many there are, each with one thread.
            job_of: What one does to evaluate a proposal.
            start: Starts one.
            clock: Seconds that only grow.
        """
        self.count = count
        self._job_of, self._start_one, self._clock = job_of, start, clock
        self._starting: list[Worker] = []
        self._idle: list[Worker] = []
        self._running: dict[Worker, _Running] = {}
        self._stillborn = 0
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()

    def __enter__(self) -> Processes:
        """Begin to start them: they need some seconds, in which this process may do something else."""
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all, whatever they are doing."""
        for worker in [*self._starting, *self._idle, *self._running]:
            worker.end()
        self._starting, self._idle, self._running = [], [], {}
        self._news = queue.SimpleQueue()  # to those that speak of a process that was ended, nobody listens

    def do(self, work: Work) -> None:
        """Take what there is, as long as there is something, and be done with all of it in the end.

        Raises:
            AttarError: If no process can be started.
        """
        try:
            while self._running or work.waits():
                self._give(work)
                if self._running or self._starting:
                    self._follow(work)
        except BaseException:
            self.close()
            raise

    def _give(self, work: Work) -> None:
        """Give whoever is idle something to do; those that ended meanwhile cost nobody an attempt."""
        for worker in [one for one in self._idle if not one.alive]:
            self._idle.remove(worker)
            worker.end()
        self._start()
        while self._idle:
            taken = work.take()
            if taken is None:
                return
            worker = self._idle.pop(0)
            self._running[worker] = _Running.given(taken, self._clock())
            self._aside(_do, worker, self._job_of(taken.proposal))

    def _start(self) -> None:
        """Have as many workers as there may be, as far as they can be started."""
        there = len(self._starting) + len(self._idle) + len(self._running)
        try:
            for _ in range(self.count - there):
                worker = self._start_one()
                self._starting.append(worker)
                self._aside(_begin, worker)
                there += 1
        except OSError as error:
            if not there:
                raise AttarError(f"No worker process can be started: {error}. Use one worker.") from error
            log.info("no more than %d workers could be started: %s", there, error)

    def _aside(self, function: Callable[..., None], *arguments: object) -> None:
        """What waits for a worker, in a thread of its own."""
        threading.Thread(target=function, args=(*arguments, self._news), daemon=True).start()

    def _follow(self, work: Work) -> None:
        """Hear of one worker, or end those whose time is over."""
        soonest = min((one.end for one in self._running.values() if not one.too_long), default=math.inf)
        try:
            longest = _LOOKS_AGAIN if self._running else _ASKS_AGAIN
            worker, news = self._news.get(timeout=min(max(0.0, soonest - self._clock()), longest))
        except queue.Empty:
            self._stop_late()
            return
        if worker in self._starting:
            self._welcome(worker, news)
        elif isinstance(news, _Steps):
            self._running[worker].begin(self._clock())
            work.advance(self._running[worker].assignment, news.count)
        elif isinstance(news, _Over):
            if news.ends_all is not None:
                raise news.ends_all
            running = self._running.pop(worker)
            if news.lives:
                self._idle.append(worker)
            else:
                worker.end()
            work.over(running.assignment, TOO_LONG if running.too_long else news.why)

    def _stop_late(self) -> None:
        """End those whose time is over. All others have all of theirs anew: they may have waited for a turn to measure
        something, which whoever hangs does not give away."""
        late = [worker for worker, one in self._running.items() if not one.too_long and one.end <= self._clock()]
        for worker in late:
            self._running[worker].too_long = True
            worker.kill()  # of which its thread will tell
        for one in self._running.values():
            if late and one.started and not one.too_long:
                one.restart(self._clock())

    def _welcome(self, worker: Worker, news: _Ready | _Steps | _Over) -> None:
        self._starting.remove(worker)
        if isinstance(news, _Ready):
            self._idle.append(worker)
            self._stillborn = 0
            return
        worker.end()
        self._stillborn += 1
        if self._stillborn < _STILLBORN:
            return
        there = len(self._starting) + len(self._idle) + len(self._running)
        if there:
            log.info("no more than %d workers begin", there)
            self.count = there
            return
        why = news.why if isinstance(news, _Over) and news.why else "memory may be too small for them. Use one worker"
        raise AttarError(f"Worker processes end before they can do anything; {why}.")


def _begin(worker: Worker, news: queue.SimpleQueue[_News]) -> None:
    """Tell when a worker can be asked."""
    try:
        worker.ready()
        news.put((worker, _Ready()))
    except Exception as error:
        log.info("a worker did not begin: %s: %s", type(error).__name__, error)
        worker.kill()
        news.put((worker, _Over(str(error) or None, lives=False)))


def _do(worker: Worker, job: Job, news: queue.SimpleQueue[_News]) -> None:
    """Have a worker do a job, and tell of it; a worker that makes no sense is ended."""
    lives, ends_all = False, None
    try:
        raised = worker.do(job, lambda steps: news.put((worker, _Steps(steps))))
        why, lives = None if raised is None else f"its process raised {raised}", True
    except FolderError as error:
        why, ends_all = str(error), error.error
    except (WorkerEnded, OSError) as error:
        why = "the process that worked on it ended"
        if isinstance(error, OSError) and error.errno in UNWRITABLE:  # what it made cannot be kept
            ends_all = error
    except Exception as error:
        why = f"its process answered nonsense ({error})"
    if not lives:
        worker.kill()
    if why is not None:
        log.info("a worker did not finish %s: %s", job.name, why)
    news.put((worker, _Over(why, lives, ends_all)))
