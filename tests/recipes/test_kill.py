"""A killed run that is started again must come to the evidence of a run that was left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kill_resume.py"
SMALL = (
    "teacher.members=1",
    "teacher.training.epochs=3",
    "student.training.epochs=3",
    'artifacts.runtimes=["torch"]',
    "artifacts.seconds=0.05",
)


@pytest.mark.slow
def test_killed_twice_gives_the_same_evidence(tmp_path):
    out = tmp_path / "result.json"
    changes = [part for change in SMALL for part in ("--set", change)]
    line = [sys.executable, str(BENCHMARK), "--kills", "2", "--seed", "1", "--out", str(out), *changes]
    with subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    ) as running:
        try:
            said, _ = running.communicate(timeout=600)
        finally:
            if running.poll() is None:  # with it goes the run that it started
                os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 0, said
    result = json.loads(out.read_text(encoding="utf-8"))
    assert len(result["raw"]["kills"]) == 2
    found = result["summary"]
    assert found["values_compared"] > 500
    assert found["differences"] == {}
    assert found["files_compared"] > 5
    assert found["file_differences"] == []
