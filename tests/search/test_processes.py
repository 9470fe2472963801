"""Worker processes that evaluate proposals: those that die, hang, raise, or never begin."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import psutil
import pytest

from attar.errors import AttarError, CorruptFile
from attar.pipeline.worker import Job, WorkerProcess
from attar.search.goal import Goal
from attar.search.processes import Processes
from attar.search.proposal import Outcome, Proposal
from attar.search.search import search
from attar.search.time_limit import TimeLimit

Make = Callable[..., Proposal]

MODULE = """
import fcntl, json, os, time
from pathlib import Path

def evaluate(folder, key, width, progress):
    folder = Path(folder)
    turn = (folder / "turn").open("w")
    if width == 3:
        fcntl.flock(turn, fcntl.LOCK_EX)
    begun = folder / f"{width}.begun"
    first = not begun.exists()
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if width == 20:
        time.sleep(1.2)  # to open what it needs
    if width == 7:  # its time begins after that of the one that hangs
        while not (folder / "3.hangs").exists():
            time.sleep(0.01)
        time.sleep(0.2)
    with progress("evaluate", 0) as advance:
        advance(0)
    if width == 1 or (width == 2 and first):
        os._exit(1)
    if width == 3:
        (folder / "3.hangs").touch()
        time.sleep(600)
    if width == 7:  # it measures something in turn, once somebody else lets it
        fcntl.flock(turn, fcntl.LOCK_EX)
        time.sleep(0.1)
    if width == 4:
        raise ValueError("on purpose")
    if width == 5:
        raise OSError(28, "on purpose", "a file")
    if width == 6:
        from attar.errors import CorruptFile
        raise CorruptFile("A node is damaged. Delete it.")
    with progress("train", 10) as advance:
        for _ in range(10):
            advance(1)
    (folder / f"{key}.json").write_text(json.dumps({"score": 1 - 1 / width, "bytes": 10.0 * width}))
"""


class InFolder:
    """What workers leave in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.given_up = folder, dict[str, Outcome]()

    def __call__(self, proposal: Proposal, progress: Any) -> Outcome:
        raise AssertionError("nothing is evaluated in the process that asks")

    def found(self, proposal: Proposal) -> Outcome | None:
        path = self.folder / f"{proposal.key}.json"
        if not path.exists():
            return self.given_up.get(proposal.key)
        return Outcome(state="trained", figures=json.loads(path.read_text()), seconds=1.0)

    def give_up(self, proposal: Proposal, reason: str) -> Outcome:
        return self.given_up.setdefault(proposal.key, Outcome(state="failed", reason=reason))

    def size(self, proposal: Proposal) -> int:
        return 10

    def job(self, proposal: Proposal) -> Job:
        width = proposal.choices["width"]
        arguments = {"folder": str(self.folder), "key": proposal.key, "width": width}
        return Job(f"width {width}", "evaluates_for_tests:evaluate", arguments, 10)

    def begun(self, width: int) -> list[int]:
        """The processes that began with a proposal."""
        path = self.folder / f"{width}.begun"
        return list(map(int, path.read_text().split())) if path.exists() else []


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InFolder:
    (tmp_path / "evaluates_for_tests.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "torch.py").write_text("def set_num_threads(count): pass")  # it takes long to import
    monkeypatch.syspath_prepend(tmp_path)
    return InFolder(tmp_path)


def test_those_that_die_hang_or_raise_cost_nobody_else_anything(
    in_folder: InFolder, batches: Any, proposal: Make, goal: Goal
) -> None:
    strategy = batches([proposal(width) for width in (3, 1, 10, 2, 4, 20)], [proposal(30)])
    with Processes(2, in_folder.job) as pool:
        found = search(strategy, in_folder, goal, pool=pool, seconds_each=lambda _: 1.0)
    died, hung = "the process that worked on it ended", "it took longer than the 1.0\xa0s of search.time_each"
    assert {one.proposal.choices["width"]: one.reason for one in found.trials} == {
        3: f"Given up after 2 attempts: {hung}.",
        1: f"Given up after 2 attempts: {died}.",
        10: "",
        2: "",
        4: "Given up after 2 attempts: its process raised ValueError: on purpose.",
        20: "",
        30: "",
    }
    assert [len(in_folder.begun(width)) for width in (3, 1, 10, 2, 4, 20, 30)] == [2, 2, 1, 2, 2, 1, 1]
    assert not any(psutil.pid_exists(one) for width in (3, 4, 20, 30) for one in in_folder.begun(width))


def test_one_that_waits_for_another_that_hangs_does_not_pay_for_it(
    in_folder: InFolder, batches: Any, proposal: Make, goal: Goal
) -> None:
    with Processes(2, in_folder.job) as pool:
        found = search(batches([proposal(3), proposal(7)]), in_folder, goal, pool=pool, seconds_each=lambda _: 1.0)
    assert [one.state for one in found.trials] == ["failed", "trained"]
    assert [len(in_folder.begun(width)) for width in (3, 7)] == [2, 1]


@pytest.mark.parametrize(
    ("width", "error", "message"),
    [(5, OSError, "No space left on device"), (6, CorruptFile, r"^A node is damaged\. Del")],
)
def test_a_folder_that_cannot_be_used_ends_the_search_and_is_no_fault_of_a_proposal(
    width: int, error: type[Exception], message: str, in_folder: InFolder, batches: Any, proposal: Make, goal: Goal
) -> None:
    with Processes(1, in_folder.job) as pool, pytest.raises(error, match=message):
        search(batches([proposal(width)]), in_folder, goal, pool=pool)
    assert not in_folder.given_up and len(in_folder.begun(width)) == 1
    assert not any(psutil.pid_exists(one) for one in in_folder.begun(width))


def test_when_the_time_is_over_what_runs_is_ended(
    in_folder: InFolder, batches: Any, proposal: Make, goal: Goal
) -> None:
    with Processes(1, in_folder.job) as pool:
        search(batches([proposal(10)]), in_folder, goal, pool=pool)  # by then it has begun
        time = TimeLimit(1.0)
        found = search(batches([proposal(3), proposal(20)]), in_folder, goal, pool=pool, time=time)
    assert [one.reason for one in found.trials] == ["Stopped when the time was over.", "Not begun: the time was over."]
    assert found.ended == "time" and 1.0 <= found.seconds < 5.0


def test_one_that_ended_while_it_had_nothing_to_do_costs_no_attempt(
    in_folder: InFolder, batches: Any, proposal: Make, goal: Goal
) -> None:
    with Processes(1, in_folder.job) as pool:
        search(batches([proposal(10)]), in_folder, goal, pool=pool)
        (idle,) = in_folder.begun(10)
        psutil.Process(idle).kill()
        psutil.wait_procs([psutil.Process(idle)], timeout=30) if psutil.pid_exists(idle) else None
        found = search(batches([proposal(2)]), in_folder, goal, pool=pool)  # whose first process dies
    assert [one.state for one in found.trials] == ["trained"] and len(in_folder.begun(2)) == 2


def test_one_that_never_begins_is_ended_and_one_that_waits_for_it_ends_in_time(
    in_folder: InFolder, batches: Any, proposal: Make, goal: Goal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr("attar.interpreter.command", lambda _: sleeps)
    with Processes(1, in_folder.job) as pool:
        late = search(batches([proposal(10)]), in_folder, goal, pool=pool, time=TimeLimit(0.1))
        assert [one.reason for one in late.trials] == ["Not begun: the time was over."]
    monkeypatch.setattr("attar.pipeline.worker.WorkerProcess.ready", partialmethod(WorkerProcess.ready, 0.2))
    with Processes(2, in_folder.job) as pool, pytest.raises(AttarError, match="end before they can do anything"):
        search(batches([proposal(10)]), in_folder, goal, pool=pool)


def test_processes_that_cannot_begin_are_an_error(
    in_folder: InFolder, batches: Any, proposal: Make, goal: Goal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.interpreter.command", lambda _: [sys.executable, "-c", ""])
    with Processes(2, in_folder.job) as pool, pytest.raises(AttarError, match="end before they can do anything"):
        search(batches([proposal(10)]), in_folder, goal, pool=pool)
    monkeypatch.setattr("attar.interpreter.command", lambda _: ["/no/such/interpreter"])
    with pytest.raises(AttarError, match="No worker process can be started"), Processes(2, in_folder.job):
        pass
