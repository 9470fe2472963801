"""Who measures is alone: others that train wait between two steps, and go on afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from attar.pipeline.turns import Turns
from attar.training.progress import silent

TRAINS = """
import sys, time
from pathlib import Path
from attar.pipeline.turns import Turns
from attar.training.progress import silent
turns = Turns(Path(sys.argv[1]))
with turns.training(silent)("train", 1000) as advance:
    print("begun", flush=True)
    for step in range(100_000):
        time.sleep(0.001)
        Path(sys.argv[2]).write_text(str(step))
        advance(1)
"""


def test_another_process_stands_still_between_two_steps_while_this_one_measures(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    command = [sys.executable, "-c", TRAINS, str(tmp_path), str(steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "begun\n"
            with Turns(tmp_path).alone():
                before = steps.read_text() if steps.exists() else ""
                time.sleep(0.1)
                assert (steps.read_text() if steps.exists() else "") == before
            deadline = time.monotonic() + 30
            while (steps.read_text() if steps.exists() else "") == before and time.monotonic() < deadline:
                time.sleep(0.01)
            assert steps.read_text() != before
        finally:
            process.kill()


def test_what_computes_in_one_piece_is_done_before_anyone_measures(tmp_path: Path) -> None:
    turns, gate = Turns(tmp_path), threading.Event()
    order: list[str] = []

    def measure() -> None:
        gate.set()
        with Turns(tmp_path).alone():
            order.append("measured")

    other = threading.Thread(target=measure)
    with turns.working():
        other.start()
        assert gate.wait(30)
        time.sleep(0.1)
        with turns.training(silent)("train", 1):  # a part of it
            order.append("trained")
        order.append("worked")
    other.join(30)
    with turns.working(), turns.alone():
        order.append("measured in its midst")
    assert order == ["trained", "worked", "measured", "measured in its midst"]


def test_a_training_measures_in_its_midst_and_trains_on(tmp_path: Path) -> None:
    turns, seen = Turns(tmp_path), list[int]()
    with turns.training(silent)("train", 2) as advance:
        advance(1)
        with turns.alone():
            seen.append(1)
        advance(1)
    with Turns(tmp_path).alone():  # it let go at the end
        seen.append(2)
    assert seen == [1, 2]
