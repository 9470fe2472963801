"""Lets the tests of this folder import what they share: pytest itself puts no folder of tests on the path."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers are not tried before they label: stand-ins count how often they are asked, or say what comes next."""
    monkeypatch.setattr("attar.data.store.labelling.trial", lambda teacher, rows: None)
