import math

import pytest
import torch
from torch import Tensor

from attar.errors import BadInput
from attar.ops.binary import binary_cross_entropy, binary_kl
from attar.ops.divergence import forward_kl


def numbers(seed: int, *shape: int) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_cross_entropy_by_hand():
    # Sigmoids of 3/4 and 1/4.
    logits = torch.tensor([[math.log(3), -math.log(3), 5.0]])
    found = binary_cross_entropy(logits, torch.tensor([[1, 1, -1]]))
    torch.testing.assert_close(found, torch.tensor([[-math.log(3 / 4), -math.log(1 / 4), 0.0]]))


def test_what_is_not_known_has_no_gradient():
    logits = numbers(0, 4, 3).requires_grad_()
    labels = torch.tensor([[1, 0, -1]] * 4)
    (gradient,) = torch.autograd.grad(binary_cross_entropy(logits, labels).sum(), logits)
    assert (gradient[:, 2] == 0).all()
    torch.testing.assert_close(gradient[:, :2], (logits.sigmoid() - labels)[:, :2])


def test_kl_by_hand():
    # Of 3/4 and 1/4 yes: 3/4 ln 3 + 1/4 ln 1/3.
    found = binary_kl(torch.tensor([[-math.log(3)]]), torch.tensor([[math.log(3)]]))
    torch.testing.assert_close(found, torch.tensor([[math.log(3) / 2]]))
    # At temperature 2 the logits are half as large.
    softer = binary_kl(torch.tensor([[-2 * math.log(3)]]), torch.tensor([[2 * math.log(3)]]), temperature=2.0)
    torch.testing.assert_close(softer, found)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_kl_is_that_of_two_classes(temperature):
    student, teacher = numbers(1, 5, 4), numbers(2, 5, 4)
    pairs = [torch.stack([torch.zeros_like(one), one], -1) for one in (student, teacher)]
    found = binary_kl(student, teacher, temperature=temperature)
    torch.testing.assert_close(found, forward_kl(*pairs, temperature=temperature), rtol=1e-4, atol=1e-6)
    assert (found > 0).all() and (binary_kl(student, student, temperature=temperature) == 0).all()


def test_value_and_gradient_are_finite_at_extreme_values():
    student = torch.tensor([[1e4, -1e4, 1e4, 0.0]], requires_grad=True)
    losses = binary_kl(student, torch.tensor([[-1e4, 1e4, 1e4, 1e4]]))
    (gradient,) = torch.autograd.grad(losses.sum(), student)
    assert losses.isfinite().all() and (losses >= 0).all() and gradient.isfinite().all()


def test_what_does_not_fit_is_told():
    with pytest.raises(BadInput, match="temperature of binary_kl must be finite and greater than 0; got 0"):
        binary_kl(torch.zeros(1, 2), torch.zeros(1, 2), temperature=0.0)
