"""Values that float32 does not tell apart: a mimic counts them from one of them, and its artifact gives them whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

import attar
from attar.deployment.snippet import without_attar
from attar.errors import CorruptFile
from attar.estimators.mimic import Mimic
from attar.estimators.origin import counted_from, origin_of

SMALL: dict[str, Any] = {"hidden": (8,), "rows": 300, "steps": 200, "learning_rate": 0.03, "random_state": 0}
ROWS = np.random.default_rng(0).normal(size=(120, 3))
SHAPE = ROWS[:, 0] - 0.5 * ROWS[:, 1]


def apart(predicted: np.ndarray, values: np.ndarray) -> float:
    """Root mean squared error as a share of the spread."""
    return float(np.sqrt(np.mean((predicted - values) ** 2)) / values.std())


def test_large_values_that_differ_by_little(tmp_path: Path):
    values = 1e9 + 10 * SHAPE
    mimic = Mimic(LinearRegression().fit(ROWS, values), **SMALL).fit(ROWS)
    predicted = mimic.predict(ROWS)
    assert predicted.dtype == np.float64 and apart(predicted, values) < 0.2
    assert mimic.score(ROWS, values) > 0.95 and mimic.report_.fidelity["rmse"] < 3

    artifact = mimic.save(tmp_path / "artifact")
    again = attar.load(tmp_path / "artifact").predict(ROWS)
    assert again.dtype == np.float64
    np.testing.assert_allclose(again, predicted, rtol=0, atol=1e-4)  # steps of float32 around 1e9 are 64
    (line,) = [one for one in (without_attar(artifact) or "").splitlines() if one.startswith("print")]
    (origin,) = artifact.manifest["output"]["origin"]
    assert line == f"print(outputs + np.array([{origin}]))" and values.min() - 5 < origin < values.max()

    path = shutil.copytree(tmp_path / "artifact", tmp_path / "other") / "manifest.json"
    document = json.loads(path.read_text())
    del document["checksum"]
    assert document["format"] == 5
    for changed in ({"origin": [float("1e400")]}, {"origin": [1.0, 2.0]}, {"origin": None}, {"origin": "0"}):
        path.write_text(json.dumps(document | {"output": document["output"] | changed}))
        with pytest.raises(CorruptFile):
            attar.load(path.parent)


def test_of_several_values_those_are_counted_from_another_that_need_it():
    values = np.stack([1.7e9 + 60 * SHAPE, SHAPE, np.full(120, 7.0)], axis=1)
    mimic = Mimic(LinearRegression(), **SMALL).fit(pd.DataFrame(ROWS, columns=["a", "b", "c"]), values)
    frame = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    predicted = mimic.predict(frame)
    assert [apart(predicted[:, place], values[:, place]) < 0.2 for place in (0, 1)] == [True, True]
    assert set(predicted[:, 2]) == {7.0}


@pytest.mark.parametrize("size", [1e-30, 1e37])
def test_values_of_any_size_are_learned(size: float, tmp_path: Path):
    teacher = TransformedTargetRegressor(LinearRegression(), func=lambda y: y / size, inverse_func=lambda y: y * size)
    mimic = Mimic(teacher, **SMALL).fit(ROWS, size * SHAPE)
    assert apart(mimic.predict(ROWS) / size, SHAPE) < 0.2
    assert mimic.report_.fidelity["rmse"] < 0.3 * size and mimic.report_.fidelity["r2"] > 0.95
    if size == 1e37:
        artifact = mimic.save(tmp_path / "artifact")
        assert "origin" not in artifact.manifest["output"] and artifact.manifest["format"] == 4
        given = artifact.predict(ROWS)
        assert given.dtype == np.float32 and apart(given.astype(np.float64) / size, SHAPE) < 0.2


def test_trees_learn_a_choice_of_values_that_are_counted_from_another():
    values = 1e9 + 10 * np.repeat(SHAPE, 3)
    rows = np.repeat(ROWS, 3, axis=0) + np.random.default_rng(1).normal(size=(360, 3)) / 10
    chosen = SMALL | {"steps": 50, "time": "1m"}
    mimic = Mimic(HistGradientBoostingRegressor(max_iter=5), **chosen).fit(rows, values)
    assert mimic.report_.candidates and all(one["loss"] < 2 for one in mimic.report_.candidates)
    assert apart(mimic.predict(rows), values) < 0.8


def test_which_values_need_an_origin():
    def found(*values: float) -> np.ndarray | None:
        return origin_of("regressor", np.array(values).reshape(-1, 1), None, None, None)

    assert found(1e9, 1e9 + 10) == [1e9] and found(1e6 + 1, 1e6) == [1e6]
    assert found(0.0, 1.0) is None and found(1e9, 2e9) is None and found(1e-12, 2e-12) is None
    assert found(1e9, 1e9) is None, "what never varies is a constant of the network"
    assert origin_of("classifier", np.array([[1e9], [1e9 + 1]]), None, None, None) is None
    one = np.array([[3.0]])
    assert counted_from(None, one) is one and counted_from(np.array([2.0]), one) == [[1.0]]
    assert counted_from(np.array([2.0]), None) is None


@pytest.mark.parametrize("known", ["fitted here", "labels beside", "teacher alone"])
def test_copies_are_fitted_on_whole_values(known: str, caplog: pytest.LogCaptureFixture):
    rows, values = np.tile(ROWS, (2, 1)), 1e9 + 10 * np.tile(SHAPE, 2)

    class Positive(LinearRegression):
        """As with a gamma loss, or a logarithm of its values: less their origin these are 0 and below."""

        def fit(self, rows: Any, values: Any) -> Any:
            assert np.min(values) > 0.9e9
            return super().fit(rows, values)

    teacher = Positive() if known == "fitted here" else Positive().fit(rows, values)
    hurried = SMALL | {"rows": 0, "steps": 30, "time": 1e-6}
    mimic = Mimic(teacher, **hurried).fit(rows, None if known == "teacher alone" else values)
    (tried,) = mimic.report_.candidates
    assert tried["loss"] < 2 and "could not be fitted" not in caplog.text
    assert apart(mimic.predict(rows), values) < 1
