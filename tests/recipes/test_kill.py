"""A killed run that is started again must come to the evidence of a run that was left alone, and leave no litter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kill_resume.py"


@pytest.mark.slow
def test_killed_runs_and_pairs_come_to_the_same(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    line = [sys.executable, str(BENCHMARK), "--runtimes", "torch", "--kills", "3", "--pairs", "1", "--halves", "1"]
    with subprocess.Popen(
        [*line, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as running:
        try:
            said, _ = running.communicate(timeout=600)
        finally:
            if running.poll() is None:  # with it go the runs that it started
                os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 0, said
    result = json.loads(out.read_text(encoding="utf-8"))
    assert [claim["reached"] for claim in result["claims"]] == [3, 1, 1], said
    assert [claim["met"] for claim in result["claims"]] == [True] * 3
