"""Real processes on one folder: several at once, and those that torchrun starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HURRIED = """
import sys
import attar.recipes.measured, attar.report.page
attar.recipes.measured.peak_memory = lambda *_, **__: 123_456
attar.report.page.render = lambda _, path: path.write_text("a page")
from attar.cli import main
main()
"""
"""The command line without what takes long and has tests of its own."""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "attar_hurried.py"
    path.write_text(HURRIED, encoding="utf-8")
    return path


def started(line: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *line], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and standard output."""
    out, err = process.communicate(timeout=300)
    assert process.returncode in (0, 1), err
    return process.returncode, out


def test_two_processes_share_the_work_of_one_folder_and_two_of_torchrun_go_on(
    script: Path, tiny_file: Path, tmp_path: Path
) -> None:
    line = [str(script), "compress", str(tiny_file)]
    both = [started(line, tmp_path) for _ in range(2)]
    one, other = map(ended, both)
    assert one == other, "both come to the same"
    run = tmp_path / "runs" / "tiny"
    log = (run / "log.txt").read_text(encoding="utf-8")
    for name in ("teacher/0", "student/0", "baseline/0"):
        assert log.count(f": {name}: 4 epochs") == 1, "each training took place once"
    assert not list(run.rglob(".*")), "no lock, nothing unfinished"

    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *line]
    _, out = ended(started([*torchrun, "--set", "student.training.epochs=5"], tmp_path))
    assert out.count("Report:") == 1, "the first process prints, and no other"
    evidence = json.loads((run / "evidence.json").read_text(encoding="utf-8"))
    assert {"teacher/0", "targets"} <= {one["name"] for one in evidence["stages"] if one["reused"]}
    assert {"student/0", "baseline/0"} <= {one["name"] for one in evidence["stages"] if not one["reused"]}
    assert not list(run.rglob(".*")), "no lock, nothing unfinished"


def test_the_package_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "attar", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
