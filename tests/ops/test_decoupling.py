"""Logits taken apart and standardized: by hand, by loops, at extremes."""

import math

import numpy as np
import pytest
import torch

from attar.errors import BadInput
from attar.ops.decoupling import decoupled, standardized
from attar.ops.dtypes import at_least_float32


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_two_sets_have_the_probabilities_that_they_should():
    x, labels = logits(9, 5), torch.arange(9) % 5
    pair, others = decoupled(x, labels)
    for row, label in enumerate(labels.tolist()):
        p = x[row].softmax(0).numpy()
        np.testing.assert_allclose(pair[row].softmax(0).numpy(), [p[label], 1 - p[label]], rtol=1e-12)
        np.testing.assert_allclose(others[row].softmax(0).numpy(), np.delete(p, label) / (1 - p[label]), rtol=1e-12)


def test_positions_are_taken_apart_one_by_one():
    x, labels = logits(6, 4), torch.tensor([0, 3, 1, 2, 3, 0])
    flat, folded = decoupled(x, labels), decoupled(x.view(2, 3, 4), labels.view(2, 3))
    for one, other in zip(flat, folded, strict=True):
        assert torch.equal(one, other.flatten(0, 1))


def test_a_sure_network_is_taken_apart_too():
    # 1 - p is e^-20000, which no number holds; its logarithm does.
    pair, others = decoupled(torch.tensor([[1e4, -1e4, -1e4]]), torch.tensor([0]))
    torch.testing.assert_close(pair.log_softmax(-1), torch.tensor([[0.0, -2e4 + math.log(2)]]))
    torch.testing.assert_close(others.softmax(-1), torch.full((1, 2), 0.5))


def test_standardized_logits_have_mean_0_and_deviation_1():
    x = standardized(logits(7, 6))
    torch.testing.assert_close(x.mean(-1), torch.zeros(7, dtype=torch.float64))
    torch.testing.assert_close(x.std(-1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(standardized(5 * logits(7, 6) - 3), x)


def test_two_classes_say_which_is_larger():
    half = math.sqrt(0.5)
    torch.testing.assert_close(standardized(torch.tensor([[1.0, 9.0]])), torch.tensor([[-half, half]]))


@pytest.mark.parametrize("function", [standardized, lambda x: decoupled(x, torch.zeros(2, dtype=torch.int64))])
def test_one_class_is_refused(function):
    with pytest.raises(BadInput, match="of two classes at least"):
        function(torch.zeros(2, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_widened_and_double_is_kept(dtype):
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert at_least_float32(torch.zeros(2, dtype=dtype)).dtype == expected
