"""A student to try, and what came of trying it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from attar.models.rebuild import spec_from_json
from attar.network.spec import Spec

State = Literal["trained", "over_budget", "failed", "skipped"]
"""What became of a proposal: trained and scored; never trained, as it is beyond the budget; it raised or was given up;
nobody came to it before the time was over."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A student to try: its network, what is done to it, and for how long it is trained.

    Attributes:
        spec: How its network is built.
        steps: Tables of what is done to it after the training, as in a recipe: ``{"use": "quantize", ...}``.
        epochs: Of training; of every step that trains and does not say itself for how long.
        start: Key of the proposal whose trained weights it begins with, as far as they fit; ``teacher`` for the
            teacher's; None for new ones.
        seed: Added to the seed of the search: other first weights, another order of the examples.
        on_all: Whether it is trained on all examples, where the short trainings of a search see a part of them.
        choices: What was chosen for it, by name: plain values, for people and for the strategy that proposed it.
        intermediate: Whether a smaller one is to be made of it, so that it is trained even where it is beyond what may
            be used.
    """

    spec: Spec
    steps: Sequence[Mapping[str, Any]] = ()
    epochs: int = 1
    start: str | None = None
    seed: int = 0
    on_all: bool = False
    choices: Mapping[str, Any] = field(default_factory=dict)
    intermediate: bool = False

    @cached_property
    def key(self) -> str:
        """What it is known by: the same for all that come to the same trained network."""
        about = {name: value for name, value in self.to_json().items() if name not in ("choices", "intermediate")}
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def student(self) -> str:
        """What its student is known by, however long it is trained and whatever it begins with."""
        return json.dumps([self.spec.to_json(), [dict(step) for step in self.steps]], sort_keys=True)

    def to_json(self) -> dict[str, Any]:
        """The proposal as plain values."""
        return {
            "spec": self.spec.to_json(),
            "steps": [dict(step) for step in self.steps],
            "epochs": self.epochs,
            "start": self.start,
            "seed": self.seed,
            "on_all": self.on_all,
            "choices": dict(self.choices),
            "intermediate": self.intermediate,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any], allow: Collection[str] = ("attar",)) -> Proposal:
        """The proposal that `to_json` wrote.

        Args:
            document: What it gave.
            allow: Packages or modules whose functions may build a network; ``attar`` stands for its architectures.

        Raises:
            BadInput: If the network is one of another function.
        """
        return Proposal(**{**document, "spec": spec_from_json(document["spec"], allow)})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of trying a student.

    Attributes:
        state: What became of it.
        figures: What is known of it, by name, in own units: ``score`` (on validation, higher is better; only of a
            trained one), ``quality_loss`` (the teacher's score less this one), ``bytes``, ``latency`` (milliseconds),
            ``memory``, ``macs``, ``parameters``.
        reason: Why it was not trained, in a sentence; empty for a trained one.
        seconds: How long it took; of what was killed and gone on with, the last attempt.
        training_seconds: How long of these its training took, without what measured it.
    """

    state: State
    figures: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    training_seconds: float = 0.0

    @property
    def score(self) -> float | None:
        """On validation; None of one that was not trained."""
        return self.figures.get("score") if self.state == "trained" else None


@dataclass(frozen=True, kw_only=True)
class Trial(Outcome):
    """A proposal and what came of it.

    Attributes:
        number: Of the proposal, from 0, in the order in which they were made.
        proposal: What was tried.
    """

    number: int
    proposal: Proposal
