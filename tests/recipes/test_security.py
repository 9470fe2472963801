"""Nothing that is read can run code: no unpickling in the source, and names from outside come out as text."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attar.recipes.compress import compress
from attar.recipes.read import from_document

SOURCES = sorted(Path(str(resources.files("attar"))).rglob("*.py"))
FORBIDDEN = re.compile(
    r"\b(pickle|cloudpickle|dill|marshal|shelve)\b|\btorch \. load\b|(?<!\. )\b(eval|exec) \("
    # joblib runs work in processes of our own; its files are pickles.
    r"|\bfrom joblib\b|\bjoblib \. (load|dump|Memory)\b"
    r"|\ballow_pickle = True\b|\bweights_only = False\b|\bos \. system\b|\bshell = True\b"
)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def code_of(path: Path) -> Iterator[str]:
    """The lines of code of a file as tokens with one space between, without comments, strings and docstrings."""
    line: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            continue
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            yield " ".join(line)
            line = []
        elif token.string.strip():
            line.append(token.string)


def test_the_rule_finds_what_it_is_for(tmp_path: Path) -> None:
    bad = ["import pickle", "x = torch.load(p)", "eval('1')", "exec(open(p).read())", "np.load(p, allow_pickle=True)"]
    bad += ["joblib.load(p)", "from joblib import load"]
    good = ["# pickle", "'eval(1)'", "model.eval()", "torch.load_state = 1", "np.load(p, allow_pickle=False)"]
    good += ["joblib.Parallel(2)"]
    file = tmp_path / "code.py"
    for line in bad + good:
        file.write_text(line + "\n", encoding="utf-8")
        assert any(map(FORBIDDEN.search, code_of(file))) == (line in bad), line


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    assert [line for line in code_of(path) if FORBIDDEN.search(line)] == []


def test_every_file_was_looked_at() -> None:
    assert len(SOURCES) > 50


@pytest.mark.usefixtures("hurried")
def test_hostile_names_come_out_as_text(
    tiny: dict[str, Any], arrays: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """The title of a recipe and the names of classes are from whoever wrote recipe and data."""
    np.savez(tmp_path / "data.npz", **arrays(classes=(HOSTILE, "</script>", "'\"&{{7*7}}")))
    tiny["data"]["use"] = str(tmp_path / "data.npz")
    tiny["title"] = HOSTILE
    run = compress(from_document(tiny), tmp_path / "run")
    page = run.report.read_text(encoding="utf-8")
    assert run.evidence["task"]["classes"][0] == HOSTILE
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
