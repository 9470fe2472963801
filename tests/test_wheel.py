"""The wheel that is built holds all that Attar needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    (wheel,) = folder.glob("*.whl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert wheel.name == f"attar-{project['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


def test_every_file_of_the_package_is_in_the_wheel(names: set[str]) -> None:
    there = {
        path.relative_to(PACKAGE).as_posix()
        for path in (PACKAGE / "attar").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    kinds = {Path(name).suffix for name in there}
    assert kinds >= {".py", ".toml", ".jinja", ".npz", ".css", ".js"}
    assert there <= names, f"not in the wheel: {sorted(there - names)}"


def test_nothing_else_is(names: set[str]) -> None:
    beside = {name.partition("/")[0] for name in names} - {"attar"}
    assert len(beside) == 1 and beside.pop().endswith(".dist-info")
    told = {name for name in names if ".dist-info/" in name}
    assert {Path(name).name for name in told} >= {"METADATA", "LICENSE", "NOTICE", "entry_points.txt"}
    assert not any(name.endswith((".pyc", ".ipynb", ".md")) or "/tests/" in name for name in names - told)
