from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.network.consistency import batch_difference, check_consistent, repeat_difference

ROWS = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])


def test_a_network_that_sees_each_row_alone_differs_nowhere() -> None:
    network = nn.Sequential(nn.Linear(1, 8), nn.LayerNorm(8), nn.Linear(8, 2)).eval()
    with torch.no_grad():
        assert batch_difference(network, ROWS) < 1e-5
        assert repeat_difference(network, ROWS) == 0.0


def test_differences_are_shares_of_the_largest_output() -> None:
    # Minus the mean: 0 .. 5 become -2.5 .. 2.5, and each row alone becomes 0. The largest output is 2.5, and so is the
    # largest difference: that of the first row, alone.
    assert batch_difference(lambda rows: rows - rows.mean(0), ROWS) == pytest.approx(1.0)


def test_outputs_below_one_count_as_one() -> None:
    # Answers of 0.01 together and 0 alone.
    assert batch_difference(lambda rows: torch.full_like(rows, 0.01 * (len(rows) > 1)), ROWS) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "predict",
    [
        lambda rows: rows * rows[:1],  # looks at the first row
        lambda rows: rows.cumsum(0),  # looks at the rows before
        lambda rows: rows if rows.mean() > 1 else -rows,  # takes a branch by what the batch holds
        lambda rows: rows if len(rows) > 1 else rows + 1,  # by how large it is
        lambda rows: rows.squeeze(),  # the batch axis is gone where it is 1
        lambda rows: rows.sum(),
        lambda rows: rows[:1].expand(1, 1),
    ],
)
def test_whatever_mixes_rows_differs(predict: object) -> None:
    assert batch_difference(predict, ROWS) > 0.1  # type: ignore[arg-type]


def test_batch_norm_without_running_statistics_cannot_answer_a_row_alone() -> None:
    network = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4, track_running_stats=False)).eval()
    with torch.no_grad():
        assert batch_difference(network, ROWS) == math.inf


def test_chance_differs() -> None:
    def noisy(rows: Tensor) -> Tensor:
        return rows + torch.rand(rows.shape)

    assert repeat_difference(noisy, ROWS) > 0.01


def test_the_same_infinities_are_no_difference() -> None:
    masked = lambda rows: torch.cat([rows, torch.full_like(rows, -math.inf)], dim=1)  # noqa: E731
    assert batch_difference(masked, ROWS) == 0.0
    assert repeat_difference(masked, ROWS) == 0.0


def test_infinite_in_one_answer_alone_is_infinitely_far() -> None:
    answers = iter([torch.zeros(6, 1), torch.full((6, 1), math.nan)])
    assert repeat_difference(lambda rows: next(answers), ROWS) == math.inf


def test_models_that_answer_each_row_by_itself_are_consistent() -> None:
    check_consistent(lambda rows: rows * 2, torch.tensor([[1.0], [2.0]]), of="It", tolerance=0.0)


def test_answers_at_random_are_refused_with_the_size() -> None:
    answers = iter([torch.tensor([[4.0]]), torch.tensor([[5.0]])])
    with pytest.raises(
        BadInput, match=r"^It answers at random: asked twice about the same input, .* differ by 0\.25 of"
    ):
        check_consistent(lambda rows: next(answers), torch.ones(1, 1), of="It", tolerance=0.2)


def test_answers_that_depend_on_the_batch_are_refused_with_the_size() -> None:
    # The mean of both rows is 0.5, that of each row alone is the row.
    with pytest.raises(
        BadInput, match=r"^It gives answers that depend on the rest .* the same 2 inputs, .* by 0\.5 of"
    ):
        check_consistent(
            lambda rows: rows.mean(0).expand(len(rows), 1), torch.tensor([[0.0], [1.0]]), of="It", tolerance=0.1
        )


def test_answers_that_exist_for_some_batches_alone_are_refused() -> None:
    with pytest.raises(BadInput, match="differ by their shape, or in being finite"):
        check_consistent(lambda rows: rows.squeeze(), torch.ones(3, 2), of="It", tolerance=0.1)


def test_a_rounding_that_falls_to_the_other_side_in_one_row_is_no_dependence() -> None:
    # Row 0 gives 1 more where all 20 rows are asked at once.
    def answers(rows: torch.Tensor) -> torch.Tensor:
        return rows + ((rows == 0) & (len(rows) == 20))

    rows = torch.arange(20.0)[:, None] / 20
    assert batch_difference(answers, rows) == 1.0
    check_consistent(answers, rows, of="It", tolerance=0.1)


def test_the_size_is_told_where_single_rows_cannot_be_answered() -> None:
    network = nn.BatchNorm1d(1, affine=False, track_running_stats=False)
    with pytest.raises(BadInput, match=r"differ by [\d.]+ of the largest in a part of the rows, and by their shape"):
        check_consistent(network, ROWS, of="It", tolerance=0.1)
