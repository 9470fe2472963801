"""Worker processes: what they do, what becomes of what they do not finish, and that none outlives who asked."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from attar.pipeline.worker import Job
from attar.pipeline.workers import Workers, available
from attar.training.progress import Bar, Progress

MODULE = """
import os, time
from pathlib import Path

def write(path, progress):
    with progress("write", 10) as advance:
        for _ in range(10):
            advance(1)
    print("what a library prints")
    Path(path).write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")

def tell(path, progress):
    from attar.training.progress import note
    with progress("tell", 10) as advance:
        note(advance, "accuracy 97.2%")
        time.sleep(0.2)  # so that each of two has one

def fail(path, progress):
    raise ValueError("on purpose")

def vanish(path, progress):
    os._exit(1)

def sleep(path, progress):
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)
"""


class Recorded:
    """A progress that counts."""

    def __init__(self) -> None:
        self.titles: list[tuple[str, int]] = []
        self.steps = 0

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        self.titles.append((title, total))

        def advance(count: int) -> None:
            self.steps += count

        yield advance


class Noted(Recorded):
    """One that keeps what stands beside its bars."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        yield Bar(lambda steps: None, self.notes.append)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Job]]:
    (tmp_path / "asked_for.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def made(*functions: str) -> list[Job]:
        return [
            Job(f"{name}/{place}", f"asked_for:{name}", {"path": str(tmp_path / f"{place}.txt")}, 10)
            for place, name in enumerate(functions)
        ]

    return made


def here(job: Job, progress: Progress) -> None:
    """Do a job as a worker does it."""
    module, _, name = job.function.partition(":")
    with suppress(ValueError):
        getattr(importlib.import_module(module), name)(**job.arguments, progress=progress)


class RunLocally:
    """Does a job in this process, once another process has done one."""

    def __init__(self, after: Path) -> None:
        self.after = after
        self.done: list[str] = []

    def __call__(self, job: Job, progress: Progress) -> None:
        wait_until(self.after.exists)
        self.done.append(job.name)
        here(job, progress)


def test_jobs_are_shared_and_seen_as_one(jobs: Callable[..., list[Job]], tmp_path: Path) -> None:
    progress = Recorded()
    with Workers(2) as workers:
        workers.do(jobs("write", "fail", "write", "write"), RunLocally(tmp_path / "2.txt"), progress, "all")
        processes = {place: int((tmp_path / f"{place}.txt").read_text().split()[0]) for place in (0, 2, 3)}
        workers.do(jobs("write"), here, progress, "again")
    assert processes[0] == os.getpid() != processes[2]
    assert (tmp_path / "2.txt").read_text().split()[1] == "1"
    assert progress.titles == [("all", 40), ("again", 10)] and progress.steps == 50
    assert not psutil.pid_exists(processes[2])


def test_a_worker_that_dies_takes_nothing_with_it(
    jobs: Callable[..., list[Job]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def slowly(job: Job, progress: Progress) -> None:
        wait_until(lambda: "ended while it did vanish/1" in caplog.text)
        here(job, progress)

    progress = Recorded()
    with caplog.at_level("INFO"), Workers(2) as workers:
        workers.do(jobs("write", "vanish", "write"), slowly, progress, "all")
    assert (tmp_path / "0.txt").exists() and (tmp_path / "2.txt").exists() and progress.steps == 30


def test_what_is_for_later_is_begun_by_others_and_waited_for_when_it_is_asked_for(
    jobs: Callable[..., list[Job]], tmp_path: Path
) -> None:
    done: list[str] = []

    def noted(job: Job, progress: Progress) -> None:
        done.append(job.name)
        here(job, progress)

    asked, (*_, later) = jobs("write"), jobs("write", "write")
    progress = Recorded()
    with Workers(2) as workers:
        workers.do(asked, noted, progress, "now", later=[later])
        assert done == ["write/0"] and progress.titles == [("now", 10)]
        wait_until((tmp_path / "1.txt").exists)
        workers.do([later], noted, progress, "later")
    assert done == ["write/0"] and progress.titles == [("now", 10), ("later", 10)] and progress.steps == 20
    assert int((tmp_path / "1.txt").read_text().split()[0]) != os.getpid()


def test_what_fails_here_ends_the_work(jobs: Callable[..., list[Job]], tmp_path: Path) -> None:
    begun = tmp_path / "1.txt"

    def fails(job: Job, progress: Progress) -> None:
        wait_until(lambda: begun.exists() and bool(begun.read_text()))
        raise ValueError("on purpose")

    with Workers(2) as workers, pytest.raises(ValueError, match="on purpose"):
        workers.do(jobs("write", "sleep"), fails, Recorded(), "all")
    worker = int(begun.read_text())
    assert not psutil.pid_exists(worker)


def test_a_module_of_the_working_folder_takes_no_librarys_place(
    jobs: Callable[..., list[Job]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "json.py").write_text("raise SystemExit('this is no library')", encoding="utf-8")
    monkeypatch.chdir(here)
    with Workers(2) as workers:
        workers.do(jobs("write", "write"), RunLocally(tmp_path / "1.txt"), Recorded(), "all")
    assert (tmp_path / "0.txt").exists()


def test_a_worker_that_ends_before_it_has_read_what_it_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.interpreter.command", lambda _: [sys.executable, "-c", ""])
    large = [Job(name, "asked_for:write", {"path": "x" * 1_000_000}, 10) for name in "ab"]  # beyond what a pipe holds
    progress = Recorded()
    with Workers(2) as workers:
        workers.do(large, lambda *_: time.sleep(0.2), progress, "all")
    assert progress.titles == [("all", 20)]


def test_a_worker_that_answers_nonsense_is_done_without(
    jobs: Callable[..., list[Job]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "attar.interpreter.command", lambda _: [sys.executable, "-c", "print('[1]'); print('[1]', flush=True); input()"]
    )
    with Workers(2) as workers:
        workers.do(jobs("write", "write", "write"), here, Recorded(), "all")
    assert (tmp_path / "0.txt").exists()


def test_workers_that_cannot_be_started_are_done_without(
    jobs: Callable[..., list[Job]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("attar.interpreter.command", lambda _: ["/no/such/interpreter"])
    with caplog.at_level("INFO"), Workers(2) as workers:
        workers.do(jobs("write", "write"), here, Recorded(), "all")
    assert "no more than 0 workers could be started" in caplog.text and (tmp_path / "1.txt").exists()


def test_no_worker_outlives_a_process_that_was_killed(jobs: Callable[..., list[Job]], tmp_path: Path) -> None:
    script = f"""
import sys, time
from attar.pipeline.worker import Job
from attar.pipeline.workers import Workers
from attar.training.progress import silent
sys.path.insert(0, {str(tmp_path)!r})
with Workers(2) as workers:
    jobs = [Job(name, "asked_for:sleep", {{"path": {str(tmp_path / "0.txt")!r}}}, 1) for name in "ab"]
    workers.do(jobs, lambda *_: time.sleep(600), silent, "sleep")
"""
    with subprocess.Popen([sys.executable, "-c", script]) as asking:
        wait_until((tmp_path / "0.txt").exists)
        worker = int((tmp_path / "0.txt").read_text())
        asking.kill()
    wait_until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)


def wait_until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_by_default_there_may_be_one_on_each_core() -> None:
    assert Workers().count == available() >= 1
    assert Workers().only_if_worthwhile and not Workers(3).only_if_worthwhile


def test_what_stands_beside_the_bar_says_of_which_job(jobs: Callable[..., list[Job]]) -> None:
    noted = Noted()
    with Workers(2) as workers:
        workers.do(jobs("tell", "tell", "tell", "tell"), here, noted, "tell")
    assert sorted(noted.notes) == [f"tell/{place} accuracy 97.2%" for place in range(4)]
