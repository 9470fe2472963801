"""Teachers that count how often they are asked, and what they said, read again: what tests of the store share."""

from __future__ import annotations

import tempfile

import torch
from hypothesis import strategies as st
from torch import Tensor

from attar.data.datasets import Split
from attar.data.store import Targets, label
from attar.data.views import Views
from attar.ops.top_k import full
from attar.tasks.classification import Classification

NAMES = ("ant", "bee", "cat", "dog", "eel")
ONCE = Views()
TWICE = Views(count=2, noise=0.5)


def split(rows: int = 50, seed: int = 0, classes: tuple[str, ...] = NAMES) -> Split:
    """Examples of 6 numbers, with ids that are not their positions."""
    generator = torch.Generator().manual_seed(seed)
    return Split(
        torch.randn(rows, 6, generator=generator),
        None,
        torch.randperm(1000, generator=generator)[:rows],
        Classification(classes),
    )


class Linear:
    """A teacher that multiplies by a fixed matrix and counts how often it is asked."""

    def __init__(self, classes: int = 5, scale: float = 3.0, dies_after: int | None = None) -> None:
        self.classes = classes
        self.scale = scale
        self.dies_after = dies_after
        self.asked = 0

    def predict(self, inputs: Tensor) -> Tensor:
        if self.asked == self.dies_after:
            raise KeyboardInterrupt
        self.asked += 1
        weight = torch.arange(inputs[0].numel() * self.classes).reshape(-1, self.classes).sin() * self.scale
        return inputs.flatten(1) @ weight + 7.0

    def fingerprint(self) -> str:
        return f"linear {self.classes} {self.scale}"


class Says:
    """A teacher that says given logits, in order, whatever it is asked."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.classes = logits.shape[1]
        self.next = 0

    def predict(self, inputs: Tensor) -> Tensor:
        self.next += len(inputs)
        return self.logits[self.next - len(inputs) : self.next]

    def fingerprint(self) -> str:
        return "says"


def all_rows(targets: Targets, view: int = 0) -> Tensor:
    """Everything that is stored of a view, as logits."""
    return full(targets(None, torch.arange(len(targets)), view))


def same(one: Targets, other: Targets) -> bool:
    return all(torch.equal(all_rows(one, view), all_rows(other, view)) for view in range(one.views))


def stored(logits: Tensor, **arguments: object) -> tuple[Tensor, Targets]:
    """The logits, written and read again."""
    names = tuple(f"class {number}" for number in range(logits.shape[1]))
    with tempfile.TemporaryDirectory() as folder:
        targets = label(Says(logits), split(len(logits), classes=names), folder, **arguments)
        return all_rows(targets), targets


@st.composite
def logits(draw: st.DrawFn, least_classes: int = 1) -> Tensor:
    """Float32 logits [rows, classes], from all but equal to far apart, with a constant added to each row."""
    rows, classes = draw(st.integers(1, 12)), draw(st.integers(least_classes, 12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([1e-3, 1.0, 10.0, 300.0]))
    return torch.randn(rows, classes, generator=generator) * scale + torch.randn(rows, 1, generator=generator) * 50
