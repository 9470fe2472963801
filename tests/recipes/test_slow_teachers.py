"""Teachers that take their time: asked in blocks, once, also where a run was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attar.errors import BadInput
from attar.network.references import Trust
from attar.recipes.compress import compress, label
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import Recipe

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")

SLOW = '''
"""A model that writes down how many rows it was asked about at once, and stops where it is told."""

from pathlib import Path

import numpy as np
import pandas as pd


class Slow:
    classes_ = np.array(["no", "yes"])
    feature_names_in_ = np.array(["width", "height"])

    def predict_proba(self, frame):
        calls = Path("calls.txt")
        before = calls.read_text().split() if calls.exists() else []
        if Path("stop").exists() and before.count("16") == 2:
            raise RuntimeError("out of power")
        calls.write_text(" ".join([*before, str(len(frame))]))
        yes = 1 / (1 + np.exp(-frame["width"] - frame["height"]))
        return pd.DataFrame({"yes": yes, "no": 1 - yes})

    def fingerprint(self):
        return "as of today"

    def __reduce__(self):
        raise TypeError("is at the other end of a wire")


def model():
    return Slow()
'''


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    draws = np.random.default_rng(0)
    frame = pd.DataFrame({"height": draws.normal(size=120), "width": draws.normal(size=120)})
    frame.assign(paid=np.where(frame["width"] + frame["height"] > 0, "yes", "no")).to_csv("rows.csv", index=False)
    Path("slow_model.py").write_text(SLOW)
    return {
        "name": "slow",
        "data": {"use": "rows.csv", "target": "paid"},
        "teacher": {"estimator": "slow_model:model", "rows_at_once": 16},
        "student": {
            "network": {"use": "attar.network.architectures:tabular", "arguments": {"hidden": [4]}},
            "training": {"epochs": 1},
        },
        "artifacts": {"runtimes": ["onnxruntime"], "int8": False, "seconds": 0.01},
    }


def recipe_of(document: dict[str, Any]) -> Recipe:
    return from_document(document, trust=Trust(Path.cwd()))


def calls() -> list[int]:
    """How many rows it was asked about in each call since the last look."""
    found = [int(one) for one in Path("calls.txt").read_text().split()]
    Path("calls.txt").unlink()
    return found


def test_a_stopped_pass_asks_only_for_the_rest(document: dict[str, Any]) -> None:
    Path("stop").touch()
    with pytest.raises(BadInput, match="out of power"):
        label(recipe_of(document), "run")
    assert calls().count(16) == 2
    Path("stop").unlink()
    stored = label(recipe_of(document), "run")
    assert len(stored) == 86
    asked = calls()
    assert max(asked) <= 16 and asked[-4:] == [16, 16, 16, 6]  # of 86 rows 32 were kept
    assert stored.task.names == ("no", "yes")


def test_a_run_asks_once_about_every_row(document: dict[str, Any]) -> None:
    compress(recipe_of(document), "run")
    first = calls()
    assert max(first) <= 16
    run = compress(recipe_of(document), "run")
    assert max(calls()) <= 4  # a look at a few rows
    teacher = next(model for model in run.evidence["models"] if model["kind"] == "teacher")
    assert teacher["quality"]["accuracy"] == 1.0  # columns of its frame are classes in another order


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": {"onnx": ["a.onnx"], "rows_at_once": 5}}, "rows_at_once is for estimator and use"),
        ({"transfer": {"cached": False}}, r"teacher\.rows_at_once needs stored targets"),
    ],
)
def test_where_it_cannot_be(document: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        recipe_of({**document, **change})
