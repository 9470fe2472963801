"""Who is measured, who cannot ship because its counterpart is better, and when a baseline is a candidate at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attar.data.arrays import from_arrays
from attar.deployment.artifact import Artifact
from attar.deployment.backends import onnxruntime
from attar.deployment.candidate import Candidate
from attar.deployment.prepared import prepared
from attar.errors import AttarError, MissingExtra
from attar.models.model import Model
from attar.network.architectures import mlp
from attar.network.cost import Cost
from attar.network.spec import Spec
from attar.pipeline.nodes import Nodes
from attar.pipeline.trained import Trained
from attar.recipes import contenders
from attar.recipes.artifacts import artifact_of
from attar.recipes.contenders import Contender, Contenders, deploy_candidates
from attar.recipes.context import Context
from attar.recipes.data import data_of
from attar.recipes.read import from_document
from attar.recipes.students import Trainings
from attar.teachers.teacher import NetworkTeacher
from attar.training.progress import silent

MLP = Spec("attar.network.architectures:mlp", {"inputs": 6, "classes": 3})
FORMS = ("torch fp32", "onnxruntime fp32", "onnxruntime int8 u8")


class Deployed(Artifact):
    """As much of an artifact as a contender knows of."""

    candidate = size_bytes = None  # type: ignore[assignment]

    def __init__(self, form: str) -> None:
        runtime, precision, *_ = form.split()
        for name, value in (("candidate", Candidate(form, runtime, precision)), ("size_bytes", 100)):
            object.__setattr__(self, name, value)

    def open(self, threads: int | None = None) -> Any:
        return lambda inputs: np.zeros((len(inputs), 3), np.float32)


def contender(name: str, kind: Any, form: str) -> Contender:
    made = Deployed(form)
    how = made.candidate
    return Contender(name, kind, how.runtime, how.precision, made.open(), 100, None, made)


def all_of(baselines: tuple[str, ...], reference: str | None = "onnxruntime fp32") -> Contenders:
    all_of_them = [contender(form, "candidate", form) for form in FORMS]
    all_of_them += [contender(f"baseline {form}", "baseline", form) for form in baselines]
    teacher = Contender("teacher torch", "teacher", "torch", "fp32", lambda inputs: inputs, 1000)
    return Contenders({one.name: one for one in [*all_of_them, teacher]}, {}, [], reference)


def test_in_each_form_the_better_of_student_and_baseline_is_left() -> None:
    everybody = all_of(FORMS)
    score = dict.fromkeys(FORMS, 0.8) | {f"baseline {form}": 0.8 for form in FORMS}
    score |= {"baseline torch fp32": 0.7, "baseline onnxruntime int8 u8": 0.9}
    as_good = "the same network trained without the teacher is at least as good on validation in this form"
    assert everybody.beaten(score) == {
        "baseline torch fp32": "the student is better on validation in this form",
        "onnxruntime fp32": as_good,
        "onnxruntime int8 u8": as_good,
    }


def test_where_the_baseline_is_in_one_form_the_student_has_the_others_to_itself() -> None:
    everybody = all_of(("onnxruntime fp32",))
    score = dict.fromkeys([*FORMS, "baseline onnxruntime fp32"], 0.8)
    assert list(everybody.beaten(score)) == ["onnxruntime fp32"]
    assert all_of((), None).beaten(score) == {}


def test_the_clock_is_for_those_that_may_ship_and_for_one_comparison() -> None:
    everybody = all_of(FORMS)
    beaten = ["baseline torch fp32", "baseline onnxruntime fp32", "onnxruntime int8 u8"]
    assert list(everybody.timed(beaten)) == [
        "torch fp32", "onnxruntime fp32", "baseline onnxruntime fp32", "baseline onnxruntime int8 u8", "teacher torch",
    ]  # fmt: skip


def context_of(tiny: dict[str, Any], folder: Path) -> Context:
    recipe = from_document({**tiny, "artifacts": {"runtimes": ["torch", "onnxruntime"], "int8": False}})
    dataset = data_of(recipe, silent)
    return Context(recipe, dataset, dataset.fingerprint(), Nodes(folder), "cpu", silent)


def knowing(context: Context, share: float) -> nn.Module:
    """A network that is right about so much of the validation data: it looks its rows up."""
    validation = context.dataset.validation
    assert validation.labels is not None
    right = torch.arange(len(validation)) < share * len(validation)
    answers = torch.where(right, validation.labels, (validation.labels + 1) % 3)

    class Looking(nn.Module):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            found = torch.cdist(rows, validation.floats()).argmin(1)
            return nn.functional.one_hot(answers[found], 3).float()

    return Looking().eval()


@pytest.mark.parametrize(
    ("student", "baseline", "forms"),
    [
        (1.0, 0.5, ["onnxruntime fp32"]),
        (0.9, 0.875, ["torch fp32", "onnxruntime fp32"]),
        (0.5, 0.9, ["torch fp32", "onnxruntime fp32"]),
    ],
)
def test_a_baseline_that_is_clearly_worse_is_deployed_in_one_form_alone(
    student: float, baseline: float, forms: list[str], tiny: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    context = context_of(tiny, tmp_path)
    trained = [
        Trained(name, "distill", Model(knowing(context, share), MLP), share)
        for name, share in (("s", student), ("c", baseline))
    ]
    teacher = NetworkTeacher(mlp(6, 3, [4]), example=context.example)
    trainings = Trainings(teacher, [], trained[:1], trained[1:])
    monkeypatch.setattr(contenders, "cost", lambda *_: Cost(1, 1, {}))
    monkeypatch.setattr(contenders, "artifact_of", lambda _, name, network, how, spec: Deployed(how.name))
    monkeypatch.setattr(contenders, "teacher_contenders", lambda *_: ({}, []))
    monkeypatch.setattr(
        Contender, "deployed", lambda name, kind, made, figures: contender(name, kind, made.candidate.name)
    )
    everybody = deploy_candidates(context, trainings)
    assert [one.form for one in everybody.by_name.values() if one.kind == "baseline"] == forms
    assert everybody.reference == "onnxruntime fp32"
    assert len(everybody.candidates()) == 2 + len(forms)


def untrained(context: Context) -> Trainings:
    """A run whose student nobody trained."""
    student = Trained("s", "distill", Model(MLP.build(), MLP), 0.5)
    return Trainings(NetworkTeacher(mlp(6, 3, [4]), example=context.example), [], [student], [])


def test_an_artifact_of_pixels_takes_them_as_they_are_stored(tiny: dict[str, Any], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 6), dtype=np.uint8)
    context = replace(context_of(tiny, tmp_path), dataset=from_arrays(pixels, np.arange(60) % 3))
    with prepared(untrained(context).student.network, context.example, tmp_path) as ready:
        made = artifact_of(context, "it", ready, Candidate("onnxruntime fp32", "onnxruntime"), MLP)
    assert not isinstance(made, str)
    assert made.artifact.manifest["input"]["scale"] == 255
    test = context.dataset.test
    np.testing.assert_array_equal(made.artifact(test.inputs), made.runner(test.floats().numpy()))


def failing(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def breaking(stage: str) -> tuple[str, Any]:
    """What of a backend is replaced by what, so that it fails at a stage."""
    opened = onnxruntime.open
    if stage == "write":
        return "write", failing(ZeroDivisionError("a kernel of no size"))
    if stage == "open":
        return "open", failing(RuntimeError("an operation that is not there"))
    if stage == "run":
        return "open", lambda *_: failing(RuntimeError("out of registers"))
    if stage == "parity":
        return "open", lambda *given: lambda rows: opened(*given)(rows) + 1
    calls: list[int] = []
    if stage == "open again":

        def once(*given: Any) -> Any:
            calls.append(1)
            if len(calls) > 1:
                raise MissingExtra("It was uninstalled in the meantime.")
            return opened(*given)

        return "open", once
    assert stage == "answer all of validation"
    return "open", lambda *given: lambda rows: np.where(len(rows) > 8, np.float32(np.nan), opened(*given)(rows))


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ("write", "Sequential cannot be deployed to onnxruntime fp32: a kernel of no size. Choose another runtime"),
        ("open", "onnxruntime fp32 cannot run the student's graph: an operation that is not there. Choose"),
        ("run", "onnxruntime fp32 cannot run the student's graph: out of registers. Choose another runtime."),
        ("parity", "onnxruntime fp32 differs from torch by 1 where"),
        ("open again", "It was uninstalled in the meantime."),
        ("answer all of validation", "Its logits of row 0 of validation are not finite: [nan nan nan]."),
    ],
)
def test_a_candidate_that_fails_is_refused_with_the_reason_and_the_run_goes_on(
    stage: str, why: str, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(tiny, tmp_path)
    name, broken = breaking(stage)
    if stage == "answer all of validation":
        # The teacher's own file is not what is tried.
        monkeypatch.setattr(contenders, "teacher_contenders", lambda *_: ({}, []))
    monkeypatch.setattr(onnxruntime, name, broken)
    left, logits = deploy_candidates(context, untrained(context)).first_run(context)
    assert [one.name for one in left.candidates()] == ["torch fp32"]
    assert list(left.refused) == ["onnxruntime fp32"]
    assert left.refused["onnxruntime fp32"].startswith(why)
    assert logits.keys() == left.by_name.keys()


def test_a_run_without_any_candidate_says_what_was_wrong_with_the_first(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**tiny, "artifacts": {"runtimes": ["onnxruntime"], "int8": False}}
    context = context_of(recipe, tmp_path)
    context = Context(
        from_document(recipe), context.dataset, context.dataset.fingerprint(), context.nodes, "cpu", silent
    )
    monkeypatch.setattr(onnxruntime, "write", failing(ZeroDivisionError("a kernel of no size")))
    with pytest.raises(AttarError, match=r"no candidate could be deployed; onnxruntime fp32: .* a kernel of no size"):
        deploy_candidates(context, untrained(context))
