"""Rows set aside, rows made up, units: what happens around the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attar.tables.columns import Columns
from attar.tabular import build
from attar.tabular.build import MimicBuilder
from attar.tabular.mimic import Mimic
from attar.tabular.plan import checked
from attar.training.progress import Progress
from attar.transfer.synthesis.synthesize import Synthesis

DEFAULTS = Mimic(None).get_params(deep=False)


def _label(matrix: np.ndarray, progress: Progress, title: str) -> Tensor:
    return torch.from_numpy(np.stack([matrix[:, 0], -matrix[:, 0]], axis=1)).float()


def _builder(size: int = 100, kind: str = "classifier", rare: int = 10, **given: Any) -> MimicBuilder:
    """Rows of which the first ``rare`` are of the first class."""
    first = np.where(np.arange(size) < rare, 1.0, -1.0)
    matrix = np.stack([first, np.linspace(0, 9, size)], axis=1)
    plan = checked(seed=0, **DEFAULTS | given)
    outputs = _label(matrix, build.silent, "")
    return MimicBuilder(plan, kind, Columns.infer(matrix), _label, matrix, outputs)  # type: ignore[arg-type]


@pytest.mark.parametrize(("validation", "amount"), [(0.1, 10), (0.2, 20), (30, 30), (0.001, 1)])
def test_validation_rows_are_set_aside(validation: float, amount: int) -> None:
    builder = _builder(validation=validation)
    assert len(builder.validation_rows) == amount
    assert sorted([*builder.validation_rows, *builder.training_rows]) == list(range(100))


def test_every_class_has_its_share_of_the_validation_rows() -> None:
    assert (_builder(validation=0.2, rare=10).validation_rows < 10).sum() == 2


@pytest.mark.parametrize(("size", "asked", "synthetic"), [(100, None, 2250), (10_000, None, 100_000), (100, 7, 7)])
def test_how_many_rows_are_made_up(size: int, asked: int | None, synthetic: int) -> None:
    synthesis, trials = _builder(size, rows=asked, p=0.5, s=2.0).tuned()
    assert synthesis is not None
    assert (synthesis.rows, synthesis.p, synthesis.s) == (synthetic, 0.5, 2.0)
    assert trials == []


@pytest.mark.parametrize(
    ("given", "grid"),
    [
        ({}, {(p, s) for p in (0.2, 0.5, 0.8) for s in (1.0, 5.0)}),
        ({"p": 0.3}, {(0.3, 1.0), (0.3, 5.0)}),
        ({"s": 3.0}, {(0.2, 3.0), (0.5, 3.0), (0.8, 3.0)}),
    ],
)
def test_tuning_is_small_and_leaves_alone_what_is_given(
    given: dict[str, float], grid: set[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Synthesis] = []

    def score(_: MimicBuilder, synthesis: Synthesis) -> float:
        seen.append(synthesis)
        assert synthesis.p is not None
        return -abs(synthesis.p - 0.5)

    monkeypatch.setattr(MimicBuilder, "_score", score)
    best, trials = _builder(1000, **given).tuned()
    assert {(one.p, one.s) for one in seen} == grid
    assert {one.rows for one in seen} == {build.TRIAL_ROWS}
    assert len(trials) == len(grid)
    assert all(isinstance(trial, Mapping) for trial in trials)
    assert best is not None
    assert best.rows == 22_500
    assert best.p == given.get("p", 0.5)


def test_synthetic_rows_are_made_from_the_rows_that_are_kept() -> None:
    builder = _builder(validation=50, p=0.5, s=1.0, rows=500)
    synthesis, _ = builder.tuned()
    synthetic = builder.synthetic(synthesis)
    assert synthetic.shape == (500, 2)
    training_rows = np.linspace(0, 9, 100)[builder.training_rows]
    assert synthetic[:, 1].min() >= training_rows.min()
    assert synthetic[:, 1].max() <= training_rows.max()
    np.testing.assert_array_equal(synthetic, builder.synthetic(synthesis), "and the seed says which")


def test_lesson_holds_what_the_teacher_says_of_each_row() -> None:
    builder = _builder(p=0.5, s=1.0, rows=60)
    data = builder.data(builder.synthetic(builder.tuned()[0]))
    assert len(data) == 60 + 90
    torch.testing.assert_close(data.targets[:, 0], data.inputs[:, 0])
    assert len(_builder(include_original=False).data(builder.synthetic(builder.tuned()[0]))) == 60


def test_values_are_learned_in_units_of_their_own() -> None:
    builder = _builder(kind="regressor", rare=50, validation=20, p=0.5, s=1.0, rows=60)
    data = builder.data(builder.synthetic(None))
    torch.testing.assert_close(data.targets.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(data.targets.std(0, correction=0), torch.ones(2))
    torch.testing.assert_close(data.targets[:, 0] * builder.scale[0] + builder.center[0], data.inputs[:, 0])
