"""Settings that have no effect, or seldom a good one, are told before anything is trained."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from attar.recipes.doubts import doubts
from attar.recipes.read import from_document

Document = dict[str, Any]


def said_of(document: Document, **training: Any) -> list[str]:
    document = copy.deepcopy(document)
    document["student"]["training"] |= training
    return doubts(from_document(document), 100)


def test_an_ordinary_recipe_leaves_none(tiny: Document) -> None:
    assert said_of(tiny) == []


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"learning_rate": 20.0}, "student.training.learning_rate = 20 is large for sgd"),
        ({"patience": 4}, "student.training.patience = 4 never stops a training of 4 epochs"),
        ({"micro_batch_size": 32}, "student.training.micro_batch_size = 32 does not divide batches of 32"),
        ({"milestones": [2]}, "with 'cosine' they have no effect"),
        ({"schedule": "multistep", "milestones": [2, 80]}, "student.training.milestones [80] come after the last of 4"),
        ({"weight_decay": 10.0}, "learning_rate times weight_decay is 1"),
        ({"batch_size": 101}, "batch_size = 101 is more than the 100 examples"),
        ({"ema_decay": 0.999}, "averages over 1,000 steps, and the training has 16"),
    ],
)
def test_trainings(training: Document, said: str, tiny: Document) -> None:
    (found,) = said_of(tiny, **training)
    assert said in found and found.endswith(".")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("weight", 0.0, "objective.soft.weight = 0: the term counts for nothing"),
        ("weight", 1e6, "leaves no say to the other terms"),
        ("weight", {"start": 1.0, "end": 0.0, "epochs": 2.0, "begin": 4.0}, "it stays at 1"),
        ("weight", {"start": 1.0, "end": 0.0, "epochs": 8.0}, "comes to 0.5 by the last of 4 epochs, and not to 0"),
        ("temperature", {"start": 4.0, "end": 4.0, "epochs": 2.0}, "one number means the same"),
    ],
)
def test_terms(key: str, value: Any, said: str, tiny: Document) -> None:
    tiny["objective"]["soft"][key] = value
    (found,) = said_of(tiny)
    assert said in found and found.startswith(f"objective.soft.{key}")


def test_views_and_targets(tiny: Document) -> None:
    tiny["transfer"] = {"views": {"count": 7, "noise": 0.1}, "top_k": 1}
    first, second = said_of(tiny)
    assert first == "transfer.views.count = 7 is more than the 4 epochs: the views beyond are never seen."
    assert second.startswith("transfer.top_k = 1 keeps one class")
    tiny["transfer"] = {"views": {"count": 2}}
    assert said_of(tiny)[0].startswith("transfer.views.count = 2 views are all the same")
    tiny["teacher"]["views"] = {"count": 9, "noise": 0.1}
    assert said_of(tiny)[0].startswith("teacher.views.count = 9")


def test_times_of_another_runtime_than_the_one_that_ships(tiny: Document) -> None:
    tiny["student"]["steps"] = [{"use": "distill"}, {"use": "prune", "to": {"latency": "0.5x"}}]
    tiny["artifacts"]["runtimes"] = ["openvino"]
    (said,) = said_of(tiny)
    assert said.startswith("student.steps.1: prune goes by times in onnxruntime, which artifacts.runtimes leaves out")
    tiny["artifacts"]["runtimes"] += ["onnxruntime"]
    assert said_of(tiny) == []


def test_a_limit_above_what_the_teacher_takes(tiny: Document) -> None:
    tiny["budget"] = {"quality_loss": "2x", "bytes": "1.5x", "latency": "1x"}
    assert said_of(tiny) == ['budget.bytes = "1.5x" lets the artifact take more than the teacher.']
