"""Values of which some are not known."""

import math

import numpy as np
import pytest

from attar.tasks.regression import Regression

TASK = Regression(("width", "height"))


def test_a_value_that_is_known_of_no_example_has_no_figure():
    labels = np.array([[1.0, math.nan], [3.0, math.nan]])
    quality = TASK.quality(np.array([[2.0, 5.0], [3.0, 5.0]]), labels)
    assert quality.per_value == {"width": math.sqrt(0.5), "height": None}
    assert quality.r2 == pytest.approx(0.5) and quality.rmse == math.sqrt(0.5)


def test_the_best_constant_leaves_out_what_is_not_known():
    found = TASK.best_constant(np.array([[1.0, math.nan], [3.0, math.nan]]))
    assert found.scores.tolist() == [-1.0, -1.0]
    assert TASK.chance(np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[1.0, math.nan]] * 2), "test").sentence is None
