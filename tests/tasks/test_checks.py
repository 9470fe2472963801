"""What tasks ask of outputs and labels alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attar.errors import BadInput
from attar.tasks.checks import check_comparable, check_shapes, is_size

MAP = ((2, 4, 5), (4, 5))


@pytest.mark.parametrize(
    ("outputs", "labels", "shapes", "rule"),
    [
        ((2, 3), (3,), ((3,), ()), r"\[n, 3\] and \[n\]"),
        ((2, 2), (2,), ((3,), ()), r"\[n, 3\] and \[n\]"),
        ((3,), (3,), ((3,), ()), r"\[n, 3\] and \[n\]"),
        ((2, 3), (2, 2), ((3,), (3,)), r"\[n, 3\] and \[n, 3\]"),
        ((1, 2, 4, 5), (1, 5, 4), MAP, r"\[n, 2, 4, 5\] and \[n, 4, 5\]"),
    ],
)
def test_outputs_and_labels_of_other_shapes(outputs: Any, labels: Any, shapes: Any, rule: str) -> None:
    check_shapes(np.zeros((2, *shapes[0])), np.zeros((2, *shapes[1])), *shapes)
    with pytest.raises(BadInput, match=f"^values and labels of quality must be {rule}; got .* Give the model as many"):
        check_shapes(np.zeros(outputs), np.zeros(labels), *shapes, "values")


@pytest.mark.parametrize(("one", "other"), [((2, 3), (2, 4)), ((2,), (2,)), ((0, 3), (0, 3))])
def test_outputs_of_two_models_that_cannot_be_compared(one: Any, other: Any) -> None:
    check_comparable(np.zeros((2, 3)), np.ones((2, 3)), ("n", "classes"))
    with pytest.raises(BadInput, match=r"^logits of agreement must be two \[n, classes\] arrays of one shape; got"):
        check_comparable(np.zeros(one), np.zeros(other), ("n", "classes"))


def test_sizes() -> None:
    assert is_size((1, 2))
    assert not any(map(is_size, [(0, 2), (1, 2, 3), [1, 2], (1.0, 2), (True, 2), None]))
