"""The figures of a report, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from attar.estimators.report import of_labels, of_probabilities, of_values


def test_probabilities() -> None:
    mine, its = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([[0.7, 0.3], [0.6, 0.4]])
    # Differences of 0.2 everywhere; the decisions agree in the first row.
    assert of_probabilities(mine, its) == pytest.approx({"agreement": 0.5, "rmse": 0.2})


def test_labels() -> None:
    said = np.array([[0.9, 0.1], [0.4, 0.6]])
    # Of the second class: 0.1 where 0 is true, and 0.6 where 0 is true.
    expected = {"accuracy": 0.5, "rmse": np.sqrt((0.01 + 0.36) / 2)}
    assert of_labels(said, np.array([0, 0])) == pytest.approx(expected)


def test_values() -> None:
    against = np.array([[0.0, 5.0], [2.0, 5.0]])
    said = np.array([[0.0, 5.0], [1.0, 5.0]])
    # First output: error 1/2, variance 1, so 1/2; the second never varies and is met: 1.
    assert of_values(said, against) == pytest.approx({"r2": 0.75, "rmse": 0.5})
    assert of_values(said + np.array([0.0, 1.0]), against)["r2"] == pytest.approx(0.25)
