"""What the tests of this folder share; pytest itself puts no folder of tests on the path."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the page out, which takes as long as all the rest and has tests of its own."""
    monkeypatch.setattr("attar.report.page.render", lambda _, path: path.write_text("a page", encoding="utf-8"))
