"""The command that a report repeats: all that was typed, however Attar was started."""

from __future__ import annotations

import sys

import pytest

from attar.cli.typed import as_typed

OPTIONS = ["compress", "my.npz", "--teacher", "big.onnx", "--budget", "bytes<=50kB"]
TYPED = "attar compress my.npz --teacher big.onnx --budget 'bytes<=50kB'"


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("venv/bin/attar", TYPED),
        ("site-packages/attar/__main__.py", TYPED),
        ("site-packages/pytest/__main__.py", None),
        ("mine.py", None),
        ("", None),
    ],
)
def test_the_command_has_all_that_was_typed(monkeypatch: pytest.MonkeyPatch, program: str, command: str | None) -> None:
    monkeypatch.setattr(sys, "argv", [program, *OPTIONS])
    assert as_typed() == command
