"""One training as a value: everything that `attar.training.fit.fit` was given, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import nn

from attar.errors import must
from attar.training.batch import Source
from attar.training.callbacks import Callback
from attar.training.objective import Objective
from attar.training.scoring import Scorer
from attar.training.settings import MakeOptimizer, Training


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What is to be trained, on what, and how; see `attar.training.fit.fit` for each of them.

    Raises:
        BadInput: If there are no data, nothing to train, or patience without validation.
    """

    student: nn.Module
    objective: Objective
    data: Source
    settings: Training
    validation: Source | None
    metric: Scorer
    teacher: nn.Module | None
    detach_teacher: bool
    feature_teacher: nn.Module | None
    callbacks: Sequence[Callback]
    make_optimizer: MakeOptimizer | None
    checkpoint_file: Path | None
    fabric: Fabric

    def __post_init__(self) -> None:
        for name, source in (("data", self.data), ("validation", self.validation)):
            if source is not None and len(source) == 0:
                raise must(name, "fit", "not empty", 0, "Give at least one example")
        if self.settings.patience is not None and self.validation is None:
            rule = "None without validation data, which it waits for"
            raise must("patience", "Training", rule, self.settings.patience, "Pass validation= to fit")
        if not any(parameter.requires_grad for parameter in self.student.parameters()):
            rule = "a module with a parameter that requires a gradient"
            raise must("student", "fit", rule, type(self.student).__name__, "Call its requires_grad_(True)")
        if getattr(self.fabric.strategy.precision, "scaler", None) is not None:
            rule = "of precision 32-true or bf16-mixed, which need no scaling of gradients"
            raise must("fabric", "fit", rule, self.fabric.strategy.precision.precision, "Use make_fabric")

    @property
    def kept_callbacks(self) -> list[Callback]:
        """Those whose state a checkpoint keeps: all but what only looks on."""
        return [callback for callback in self.callbacks if not callback.observes]

    def identity(self) -> dict[str, str]:
        """What tells this training from others, in words that are the same in another process."""
        settings = asdict(self.settings)
        settings.pop("checkpoint_seconds")
        return {
            "settings": repr(settings),
            "objective": _in_words(self.objective),
            "examples": str(len(self.data)),
            "teacher": "none" if self.teacher is None else f"detached: {self.detach_teacher}",
            "callbacks": repr([type(callback).__qualname__ for callback in self.kept_callbacks]),
        }


def check_kinds(
    student: object,
    objective: object,
    data: object,
    settings: object,
    teacher: object,
    feature_teacher: object,
    validation: object,
    callbacks: object,
) -> None:
    """See that nothing was given in another's place.

    Raises:
        BadInput: Naming the first argument that is of another kind.
    """
    expected: tuple[tuple[str, object, Any, str], ...] = (
        ("student", student, nn.Module, "a torch.nn.Module"),
        ("objective", objective, Objective, "an attar.Objective of terms"),
        ("data", data, Source, "an attar.TransferSet(split), or another source of batches"),
        ("settings", settings, Training | None, "an attar.Training"),
        ("teacher", teacher, nn.Module | None, "a torch.nn.Module that learns too"),
        ("feature_teacher", feature_teacher, nn.Module | None, "a torch.nn.Module whose layers terms read"),
        ("validation", validation, Source | None, "an attar.TransferSet(split), or another source of batches"),
    )
    for name, value, kind, words in expected:
        if not isinstance(value, kind):
            raise must(name, "fit", words, value, "fit(student, objective, data) is the order")
    if not (isinstance(callbacks, Sequence) and all(isinstance(one, Callback) for one in callbacks)):
        rule = "a list of attar.training.callbacks.Callback"
        raise must("callbacks", "fit", rule, callbacks, "Derive the class from it, and define the hooks it needs")


def _in_words(objective: Objective) -> str:
    """The objective in words that are the same in another process, where functions have other addresses."""
    described = []
    for name, term in objective.terms.items():
        loss: Any = term.loss
        owner = loss if hasattr(loss, "__qualname__") else type(loss)
        words = repr(loss) if is_dataclass(loss) else f"{owner.__module__}.{owner.__qualname__}"
        rest = {each.name: getattr(term, each.name) for each in fields(term) if each.name != "loss"}
        described.append((name, words, rest))
    return repr(described)
