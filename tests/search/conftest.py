"""What tests of searches share: proposals by a number, and an evaluation that takes no time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from attar.budget import Limit
from attar.network.spec import Spec
from attar.search.goal import Goal
from attar.search.proposal import Outcome, Proposal, Trial
from attar.training.progress import Progress

MLP = "attar.network.architectures:mlp"

sys.path.append(str(Path(__file__).parent))  # of tiny_search, which workers and processes that are killed import, too


@pytest.fixture(scope="session")
def proposal() -> Callable[..., Proposal]:
    """A perceptron of a width."""

    def made(width: int, epochs: int = 1, seed: int = 0) -> Proposal:
        spec = Spec(MLP, {"inputs": 64, "classes": 10, "hidden": [width]})
        return Proposal(spec=spec, epochs=epochs, seed=seed, choices={"width": width})

    return made


@pytest.fixture(scope="session")
def goal() -> Goal:
    """At most 5 points lost of a teacher's 95%, and 1000 bytes; the smallest is preferred."""
    limits = (Limit.read("quality_loss", "5%"), Limit.read("bytes", 1000))
    return Goal(limits=limits, prefer="bytes", teacher={"quality_loss": 0.95})


@dataclass
class Clock:
    """Seconds that move when somebody says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Fake:
    """An evaluation: of a width w the score is 1 - 1/w, and it has 10 w bytes; each step takes a second of the clock.

    What measures a width, once, takes ``measuring`` seconds before.

    Attributes:
        clock: Moved on.
        known: What was evaluated, by key.
        evaluated: Widths, as they were.
        steps: Of a training, by width; 10 for those that are not named.
        measuring: Seconds.
    """

    clock: Clock = field(default_factory=Clock)
    known: dict[str, Outcome] = field(default_factory=dict)
    evaluated: list[int] = field(default_factory=list)
    steps: dict[int, int] = field(default_factory=dict)
    measuring: float = 0.0

    def __call__(self, proposal: Proposal, progress: Progress) -> Outcome:
        width = proposal.choices["width"]
        measuring = 0.0 if width in self.evaluated else self.measuring
        self.clock.now += measuring
        self.evaluated.append(width)
        figures = {"bytes": 10.0 * width, "latency": 1.0 + width % 3}
        if width > 200:
            self.known[proposal.key] = Outcome(state="over_budget", figures=figures, reason="Not trained: too large.")
            return self.known[proposal.key]
        with progress("train", self.size(proposal)) as advance:
            for _ in range(self.size(proposal)):
                self.clock.now += 1
                advance(1)
        score = 1 - 1 / width + 0.001 * proposal.seed
        figures |= {"score": score, "quality_loss": 0.95 - score}
        training = float(self.size(proposal))
        self.known[proposal.key] = Outcome(
            state="trained", figures=figures, seconds=measuring + training, training_seconds=training
        )
        return self.known[proposal.key]

    def found(self, proposal: Proposal) -> Outcome | None:
        return self.known.get(proposal.key)

    def give_up(self, proposal: Proposal, reason: str) -> Outcome:
        self.known[proposal.key] = Outcome(state="failed", reason=reason)
        return self.known[proposal.key]

    def size(self, proposal: Proposal) -> int:
        return self.steps.get(proposal.choices["width"], 10) * proposal.epochs


@dataclass(frozen=True)
class Batches:
    """A strategy that has its batches."""

    batches: Sequence[Sequence[Proposal]]
    asked: list[Sequence[Trial]] = field(default_factory=list)

    def propose(self, history: Sequence[Trial]) -> Sequence[Proposal]:
        self.asked.append(history)
        gone = 0
        for batch in self.batches:
            if gone == len(history):
                return batch
            gone += len(batch)
        return []


@pytest.fixture
def fake() -> Fake:
    """An evaluation that nothing was asked of yet."""
    return Fake()


@pytest.fixture(scope="session")
def batches() -> Callable[..., Batches]:
    """A strategy from its batches."""
    return lambda *given: Batches(given)
