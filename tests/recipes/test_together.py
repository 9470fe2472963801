"""Real processes on one folder: those that torchrun starts. Several at once, killed or not: `test_kill`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attar.cli.main import run

HURRIED = """
import attar.recipes.measured, attar.report.page
attar.recipes.measured.peak_memory = lambda *_, **__: 123_456
attar.report.page.render = lambda _, path: path.write_text("a page")
from attar.cli import main
main()
"""
"""The command line without what takes long and has tests of its own."""


@pytest.mark.slow
@pytest.mark.usefixtures("hurried", "undrawn")
def test_two_processes_of_torchrun_go_on_with_a_run(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "attar_hurried.py"
    script.write_text(HURRIED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["compress", str(tiny_file)]) in (0, 1)
    folder = tmp_path / "runs" / "tiny"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run(
        [*torchrun, "compress", str(tiny_file), "--set", "student.training.epochs=5"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.count("Report:") == 1, "the first process prints, and no other"
    evidence = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    assert {"teacher/0", "targets"} <= {one["name"] for one in evidence["stages"] if one["reused"]}
    assert {"student/0", "baseline/0"} <= {one["name"] for one in evidence["stages"] if not one["reused"]}
    assert not list(folder.rglob(".*")), "no lock, nothing unfinished"


def test_the_package_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "attar", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
