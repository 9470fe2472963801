"""What a run shows while it goes on: on a terminal, elsewhere, and before PyTorch is there."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from attar.cli.progress import Shown, watched
from attar.training.progress import Stages

WATCHING = """
import json, sys

class Watch:
    def find_spec(self, name, *_):
        if name in ("torch", "numpy"):
            sys.stderr.write(f"import {name}\\n")
            raise KeyboardInterrupt

sys.meta_path.insert(0, Watch())
from attar.cli.main import run

for arguments in json.loads(sys.argv[1]):
    code = run(arguments)
    sys.stdout.flush()
    sys.stderr.write(f"code {code}\\n")
"""
"""The command line, several times, in an interpreter that stops it where it would import what takes long."""


def watched_commands(*commands: list[str]) -> list[list[str]]:
    """What each writes to standard error, with its exit code."""
    program = [sys.executable, "-c", WATCHING, json.dumps(commands)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    return [one.splitlines() for one in re.split(r"(?<=code \d)\n|(?<=code \d\d\d)\n", done.stderr) if one]


def test_what_only_lists_imports_nothing_that_takes_long() -> None:
    lists = (["recipes"], ["study"], ["--help"], ["--version"], ["compress", "--help"])
    assert watched_commands(*lists) == [["code 0"]] * len(lists)


def test_the_first_line_comes_before_torch(tmp_path: Path) -> None:
    long = "d" * 100 + ":rows"
    first = {
        "digits: loading PyTorch and the data": ["compress", "digits"],
        "side-by-side: loading PyTorch and the data": ["study", "side-by-side"],
        "measure artifact: loading PyTorch and the data": ["measure", "artifact", "--data", "digits"],
        f"{long[:78]}\N{HORIZONTAL ELLIPSIS}": ["compress", long, "--teacher", "mine:forest"],
    }
    missing = str(tmp_path / "mine.toml")
    *found, (told, code) = watched_commands(*first.values(), ["compress", missing])
    for line, lines in zip(first, found, strict=True):
        assert lines[0] == line and lines[1].startswith("import ") and lines[-1] == "code 130"
        assert len(line) < 80
    assert f"got '{missing}'. There is no such file" in told and code == "code 2", "at once, without a first line"


def test_files_that_are_missing_are_told_before_torch(tmp_path: Path) -> None:
    data, teacher, recipe = tmp_path / "rows.npz", tmp_path / "big.onnx", tmp_path / "mine.toml"
    data.write_bytes(b"")
    recipe.write_text(f'data.use = "{tmp_path}/row.npz"\n[teacher]\nonnx = "big.onnx"\n', encoding="utf-8")
    found = watched_commands(
        ["compress", str(tmp_path / "row.npz"), "--teacher", str(teacher)],
        ["compress", str(data), "--teacher", str(tmp_path / "small.onnx"), "--dry-run"],
        ["compress", str(recipe)],
        ["compress", str(recipe), "--set", f"data.use={data}", "--set", f"teacher.onnx=['{tmp_path}/small.onnx']"],
        ["compress", "digitz", "--teacher", str(teacher)],
    )
    *found, (told, code) = found
    assert "got 'digitz'. Did you mean 'digits'" in told and code == "code 2", "a name that has no ending, too"
    for lines, key, alike in zip(found, ("data.use", "teacher.onnx") * 2, ("'rows.npz'", "") * 2, strict=True):
        assert len(lines) == 2 and lines[1] == "code 2", "neither a first line nor an import of torch"
        assert lines[0].startswith(f"attar: {key}: there is no file ") and alike in lines[0]


class Terminal:
    """What is on a terminal in the end, and every row that was drawn."""

    def __init__(self, width: int = 80, *, encoding: str = "utf-8", terminal: bool = True, **settings: object) -> None:
        self.now = 0.0
        self._bytes = io.BytesIO()
        file = io.TextIOWrapper(self._bytes, encoding=encoding, write_through=True, newline="")
        console = Console(file=file, width=width, force_terminal=terminal, highlight=False, **settings)  # type: ignore[arg-type]
        self.encoding, self.shown = encoding, Shown(console, clock=lambda: self.now)

    @property
    def written(self) -> str:
        return self._bytes.getvalue().decode(self.encoding)

    @property
    def drawn(self) -> list[str]:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.written)
        return [row for row in re.split(r"\r\x1b\[2K|\r?\n", plain) if row]

    @property
    def lines(self) -> list[str]:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.written)
        return [line.rpartition("\x1b[2K")[2] for line in plain.split("\n") if line]


def work(terminal: Terminal) -> None:
    """A run of three stages, of which each takes 65 seconds."""
    shown = terminal.shown
    stages = Stages(["train 5 students and 5 baselines", "predict on validation", "report"], shown)
    stages.begin("train 5 students and 5 baselines")
    with shown("train 10 networks, 2 at once", 650) as bar:
        for second in range(65):
            terminal.now += 1
            bar(10)
            if second == 30:
                bar.note("student/3 accuracy 97.2%")  # type: ignore[attr-defined]
    stages.begin("predict on validation")
    for _ in range(24):
        with shown("predict", 10) as bar:
            terminal.now += 65 / 24
            bar(10)
    stages.begin("report")
    terminal.now += 65
    shown.end()


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_terminal_has_one_row_for_each_stage(width: int) -> None:
    terminal = Terminal(width)
    work(terminal)
    assert max(map(len, terminal.drawn)) <= width - 1
    assert [line[:3] for line in terminal.lines] == ["1/3", "2/3", "3/3"]
    assert all(line.endswith(" 1:05") for line in terminal.lines), "the time that each took"
    if width >= 80:
        assert "1/3 train 5 students and 5 baselines" in terminal.lines[0]
        assert any(row.endswith("student/3 accuracy 97.2%  60%  0:26 left") for row in terminal.drawn)
    if width >= 40:
        assert any(re.search(r" 48%  0:34 left$", row) for row in terminal.drawn), "time left"


def test_elsewhere_there_is_one_line_for_each_stage() -> None:
    terminal = Terminal(terminal=False)
    work(terminal)
    stages = ["1/3 train 5 students and 5 baselines", "2/3 predict on validation", "3/3 report"]
    assert terminal.written.splitlines() == stages


def test_lines_are_no_wider_than_80_columns_wherever_they_go() -> None:
    terminal = Terminal(width=300, terminal=False)
    terminal.shown.stage("a " * 200, 1, 1)
    assert len(terminal.written) == 80 and terminal.written.endswith("\N{HORIZONTAL ELLIPSIS}\n")


def test_without_color_a_bar_is_as_long_as_what_is_done() -> None:
    terminal = Terminal(no_color=True)
    with terminal.shown("train", 4) as bar:
        terminal.now += 1
        bar(1)
    assert "\x1b[3" not in terminal.written
    row = terminal.drawn[-2]
    assert row.count("\N{BOX DRAWINGS HEAVY HORIZONTAL}") == (79 - len("train ") - len("  25%  0:03 left")) // 4


def test_an_ascii_terminal_gets_ascii() -> None:
    terminal = Terminal(width=40, encoding="ascii")
    work(terminal)
    assert "---" in terminal.written


def test_what_ends_a_run_begins_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("attar.cli.progress.errors", Console(file=file, width=80, force_terminal=True))
    with pytest.raises(KeyboardInterrupt), watched() as shown, shown("train", 10) as bar:
        bar(1)
        raise KeyboardInterrupt
    assert file.getvalue().endswith("\n") and file.getvalue().count("\n") == 1


def test_a_stage_that_was_left_is_not_begun_again() -> None:
    terminal = Terminal(terminal=False)
    stages = Stages(["train", "measure"], terminal.shown)
    for title in ("train", "measure", "train", "something else"):
        stages.begin(title)
    assert terminal.written == "1/2 train\n2/2 measure\n"
