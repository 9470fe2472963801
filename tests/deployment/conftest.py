"""A student that is sure of itself, on inputs that are far apart."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.evidence.machine import machine
from attar.network.spec import Spec

CLASSES = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture(scope="session")
def saturating() -> frozenset[str]:
    """Settings of int8 whose sums saturate on this processor: weights of 8 bits, without a dot product of bytes."""
    flags = machine()["flags"]
    exact = flags is None or any(re.search("vnni|amx_int8|asimddp|i8mm", flag) for flag in flags)  # type: ignore[attr-defined]
    return frozenset() if exact else frozenset({"int8 u8", "int8 s8"})


class Trained(NamedTuple):
    """A student, how to build its network again, and rows of which it knows the class."""

    student: nn.Module
    spec: Spec
    inputs: Tensor
    labels: Tensor


@pytest.fixture(scope="session")
def trained() -> Trained:
    """A convolutional student after some steps on five noisy pictures; left partly in training mode on purpose."""
    torch.manual_seed(0)
    patterns = torch.rand(len(CLASSES), 1, 8, 8)
    labels = torch.arange(len(CLASSES)).repeat(40)
    inputs = (patterns[labels] + 0.05 * torch.randn(len(labels), 1, 8, 8)).clamp(0, 1)
    spec = Spec("attar.network.architectures:convnet", {"classes": 5, "widths": [4, 8]})
    student = spec.build()
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(student(inputs), labels).backward()
        optimizer.step()
    student.eval()
    with torch.no_grad():
        top = student(inputs).softmax(1).topk(2).values
    assert bool((top[:, 0] - top[:, 1] > 0.5).all()), "the contracts need decisions that rounding cannot turn"
    student.train()
    next(part for part in student.modules() if isinstance(part, nn.BatchNorm2d)).eval()
    return Trained(student, spec, inputs, labels)
