"""The best shift of some classes' logits, against trying every one that matters."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import BadInput
from attar.ops.class_shift import best_class_shift


def right(logits: torch.Tensor, labels: torch.Tensor, chosen: list[int], shift: float) -> int:
    moved = logits.double().clone()
    moved[:, chosen] += shift
    return int((moved.argmax(1) == labels).sum())


@given(
    st.lists(
        st.tuples(st.lists(st.integers(-6, 6), min_size=4, max_size=4), st.integers(0, 3)), min_size=1, max_size=12
    ),
    st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
)
def test_no_other_shift_is_right_more_often(rows: list[tuple[list[int], int]], chosen: list[int]) -> None:
    logits = torch.tensor([row for row, _ in rows], dtype=torch.float32)
    logits += torch.linspace(0, 0.1, 4)  # no ties within a row
    labels = torch.tensor([label for _, label in rows])
    found = best_class_shift(logits, labels, torch.tensor(chosen))
    assert found.before == right(logits, labels, chosen, 0.0)
    assert found.after == right(logits, labels, chosen, found.shift)
    tried = [right(logits, labels, chosen, shift / 40 + 0.0123) for shift in range(-560, 561, 4)]
    assert found.after >= max(tried)
    if found.before == found.after:
        assert found.shift == 0.0


def test_a_class_that_is_always_second_is_raised() -> None:
    logits = torch.tensor([[2.0, 0.0, -9.0], [3.0, 1.5, -9.0], [2.0, -1.0, -9.0], [4.0, 1.0, -9.0]])
    labels = torch.tensor([1, 1, 0, 0])
    found = best_class_shift(logits, labels, torch.tensor([1]))
    assert (found.shift, found.before, found.after) == (2.5, 2, 4)


def test_all_rows_beyond_the_last_turn() -> None:
    found = best_class_shift(torch.tensor([[5.0, 0.0], [9.0, 0.0]]), torch.tensor([1, 1]), torch.tensor([1]))
    assert (found.shift, found.after) == (10.0, 2)
    found = best_class_shift(torch.tensor([[5.0, 9.0], [5.0, 7.0]]), torch.tensor([0, 0]), torch.tensor([1]))
    assert (found.shift, found.after) == (-5.0, 2)


def test_what_cannot_be_shifted_is_said() -> None:
    logits, labels = torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)
    for chosen in ([], [0, 1, 2]):
        with pytest.raises(BadInput, match="some of the classes, not all"):
            best_class_shift(logits, labels, torch.tensor(chosen, dtype=torch.int64))
    with pytest.raises(BadInput, match="one row or more"):
        best_class_shift(logits[:0], labels[:0], torch.tensor([1]))


def test_a_tie_at_0_is_no_gain_that_a_shift_of_0_could_have() -> None:
    found = best_class_shift(torch.tensor([[1.0, 1.0]]), torch.tensor([1]), torch.tensor([1]))
    assert found.shift > 0 and (found.before, found.after) == (0, 1)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(-2, 2), min_size=4, max_size=4), st.integers(0, 3)), min_size=1, max_size=8
    ),
    st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
)
def test_both_counts_are_true_where_logits_tie(rows: list[tuple[list[int], int]], chosen: list[int]) -> None:
    logits = torch.tensor([row for row, _ in rows], dtype=torch.float32)
    labels = torch.tensor([label for _, label in rows])
    found = best_class_shift(logits, labels, torch.tensor(chosen))
    assert found.before == right(logits, labels, chosen, 0.0)
    assert found.after == right(logits, labels, chosen, found.shift)
    assert found.after >= max(found.before, *(right(logits, labels, chosen, step + 0.5) for step in range(-6, 6)))
    assert (found.shift == 0.0) == (found.after == found.before)
