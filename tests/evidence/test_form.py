"""What an evidence document may hold: the page is drawn from that, and anything else is named by its dotted key."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attar.errors import BadInput
from attar.evidence.form import check
from attar.evidence.page import page
from attar.evidence.report import render

SAMPLE = json.loads((Path(__file__).parent / "sample_document.json").read_text(encoding="utf-8"))
OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1.0,
    0.0,
    0.5,
    1e300,
    1e-300,
    10**30,
    "",
    "x",
    [],
    [None],
    [[1]],
    {},
    {"a": 1},
    {"a": None},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document; of a long list the first two and the last."""
    if path:
        yield path
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else sorted({0, 1, len(value) - 1} & set(range(len(value))))
        for key in keys:
            yield from places(value[key], (*path, key))


def changed(path: tuple[Any, ...], to: Any, base: dict[str, Any] = SAMPLE) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(base)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return document


def test_the_sample_is_fine() -> None:
    check(SAMPLE)


@pytest.mark.parametrize(
    ("path", "to", "said"),
    [
        (
            ("models", 0, "quality", "accuracy"),
            "93%",
            "models.0.quality.accuracy of the evidence must be a number from 0",
        ),
        (
            ("models", 0, "quality", "accuracy"),
            9.3,
            "models.0.quality.accuracy of the evidence must be a number from 0",
        ),
        (("models", 3, "latency", "first"), {}, "models.3.latency of the evidence must be a table of batch sizes"),
        (("models",), {"a": 1}, "models of the evidence must be a list"),
        (("curves", "student/0", 2, "loss"), [1], "curves.student/0.2.loss of the evidence must be a number"),
        (("examples", 0, "image"), [[0.0], [0.0, 1.0]], r"examples.0.image of the evidence must be \[height, width\]"),
        (("seeds", "rmse", "baseline"), [0.1], "seeds.rmse of the evidence must be a table with as many errors"),
        (("recipe", "objective"), [None], "recipe of the evidence must be a table that TOML can hold"),
        (("machine", "memory_bytes"), "much", "machine of the evidence must be a table of facts"),
        (("synthesis",), {"tried": [{"p": 1}]}, "synthesis.tried.0 of the evidence must be a table with score"),
        (("against_single",), {"name": "x"}, "against_single of the evidence must be a table with name and"),
        (
            ("ratios", "faster_batch1", "ratio"),
            0,
            "ratios.faster_batch1.ratio of the evidence must be a number above 0",
        ),
        (("verdict", "interval"), [0.1], "verdict.interval of the evidence must be two numbers"),
    ],
)
def test_what_is_of_another_kind_is_named_by_its_key(path: tuple[Any, ...], to: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        render(changed(path, to), tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_whatever_passes_can_be_drawn() -> None:
    """A sample of all changes of one value, in what costs no chart: refused with its key, or the page is made."""
    draw = random.Random(0)
    drawn = 0
    small = {key: value for key, value in SAMPLE.items() if key not in ("models", "curves", "precision", "recipe")}
    small |= {"models": [{"name": "m", "kind": "student"}], "examples": SAMPLE["examples"][4:]}
    every = [(path, to) for path in places(small) if path[0] != "models" for to in OTHERS]
    for path, to in draw.sample(every, 60):
        document = changed(path, to, small)
        try:
            check(document)
        except BadInput as error:
            assert " of the evidence must be " in str(error)
            continue
        page(document)
        drawn += 1
    assert drawn > 8
