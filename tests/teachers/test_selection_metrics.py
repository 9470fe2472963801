"""Metrics that a selection may go by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from attar.teachers.selection_metrics import METRICS


class TestMetrics:
    """Against scikit-learn, with its own definitions."""

    draws = np.random.default_rng(0)
    labels = draws.integers(0, 3, 50)
    many = draws.dirichlet(np.ones(3), 50)
    two = draws.dirichlet(np.ones(2), 50)
    sides = labels % 2

    def test_log_loss(self):
        assert METRICS["log_loss"](self.many, self.labels) == pytest.approx(sk.log_loss(self.labels, self.many))
        assert METRICS["log_loss"](self.two[:, 1], self.sides) == pytest.approx(sk.log_loss(self.sides, self.two))

    def test_squares(self):
        expected = sk.mean_squared_error(np.eye(3)[self.labels], self.many)
        assert METRICS["brier"](self.many, self.labels) == pytest.approx(expected)
        assert METRICS["rmse"](self.many, self.labels) == pytest.approx(math.sqrt(expected))
        positive = sk.mean_squared_error(self.sides, self.two[:, 1])
        assert METRICS["brier"](self.two, self.sides) == pytest.approx(positive)
        assert METRICS["brier"](self.two[:, 1], self.sides) == pytest.approx(positive)

    def test_accuracy(self):
        expected = sk.accuracy_score(self.labels, self.many.argmax(1))
        assert METRICS["accuracy"](self.many, self.labels) == pytest.approx(expected)

    @given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=20))
    def test_auc_also_with_ties(self, rows):
        scores, labels = np.array([score for score, _ in rows]) / 4, np.array([label for _, label in rows])
        if 0 < labels.sum() < len(labels):
            expected = sk.roc_auc_score(labels, scores)
            assert METRICS["auc"](scores, labels.astype(int)) == pytest.approx(expected)
