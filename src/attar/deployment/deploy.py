"""Deploying: a student as the files that a runtime executes, which are run before they count.

The folder of an artifact appears whole or not at all.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attar.deployment.artifact import Artifact
from attar.deployment.backends import PORTABLE
from attar.deployment.backends.backend import Runner, Written
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidate_of
from attar.deployment.checked import answers, checked, tolerance_of
from attar.deployment.interface import Interface
from attar.deployment.manifest import FORMAT, FORMAT_WITH_ORIGIN, MANIFEST, described
from attar.deployment.prepared import Prepared, prepared
from attar.deployment.refused import DeploymentError, refused, telling
from attar.errors import AttarError, BadInput, CorruptFile, must
from attar.named_inputs import NamedInputs
from attar.network.entry_point import entry_point
from attar.network.spec import Spec
from attar.network.standardize import Standardize
from attar.network.weights import digest
from attar.quantization.attach import input_formats
from attar.quantization.edit import Quantize
from attar.records import to_text
from attar.tables.column import Unseen
from attar.tables.columns import Columns
from attar.tables.tokens import Tokens
from attar.tasks.task import Task
from attar.workspace import new_folder, write_file

_CHECKED_ROWS = 256
"""How many calibration rows a deployment is run on before it counts as written."""


@entry_point
def deploy(
    student: nn.Module | Prepared,
    candidate: Candidate | str,
    folder: Path | str,
    *,
    task: Task,
    example: Tensor | None = None,
    calibration: Tensor | None = None,
    spec: Spec | None = None,
    columns: Columns | None = None,
    tokens: Tokens | None = None,
    named: NamedInputs | None = None,
    unseen: Unseen = "error",
    scale: float | int | None = None,
    origin: NDArray[np.float64] | None = None,
) -> Artifact:
    """Write a student as files that one runtime executes, and make sure that it does.

    Before this returns, the runtime has opened the files and run the example and up to 256 calibration rows, together,
    in parts, in another order and alone. A row must be answered the same each time, by torch and by the runtime. Logits
    must be finite, and in float32 equal those of torch within 0.001 of the largest. The same
    holds for packed files (on nine rows of ten where activations are rounded); those with floats of 16 bits, and
    layers executed with low-bit weights, must be within 0.05 of the largest.

    Args:
        student: Any module from ``[batch, ...]`` to outputs of the task, alone or among other outputs. It is
            not changed. Numbers of another type than float32 are deployed in float32, if the network runs in it. Of
            several candidates of one student, which share its graph and its codes, a student that was `prepared`.
        candidate: One of `candidates`, its name, or a runtime's name, which means the first that it has: float32,
            where it has that.
        folder: Where to write; made if need be. An artifact that is there is replaced.
        task: What the outputs mean: names and shape of the logits, log-odds or values; that of the data set.
        example: One input, ``[1, ...]`` float32, of the shape that the student takes; one that was prepared has its
            own.
        calibration: Training inputs, ``[rows, ...]`` float32, from which int8 ranges are taken; needed for int8.
        spec: How to build the student's network again; needed for ``torch``. The formats that are attached to the
            student need not be among its edits.
        columns: Of the table whose rows the student takes as ``[rows, columns]``; NaN then means missing. With them the
            artifact takes tables, too.
        tokens: What the sequences hold that the student takes; the artifact then takes ``ids`` and ``mask``. Needed
            where inputs are int64.
        named: What rows hold where the student takes several inputs; the artifact then takes them by their names.
        unseen: What the artifact does with a name that ``columns`` do not have: an error, or as if it were missing.
        scale: What uint8 numbers were divided by in training, 255 for pixels. The artifact then takes such numbers,
            too, and divides them itself; None where it is to take nothing but what the student takes.
        origin: ``[values]``, of a regression, what its values are counted from. The artifact adds it to what the
            student gives, in float64, as float32 does not tell large numbers that differ by little apart.

    Raises:
        BadInput: If an argument breaks its rule.
        MissingExtra: If the runtime or its quantizer is not installed.
        DeploymentError: If this student cannot be deployed this way, or not at all, since it answers at random or by
            the rest of the batch; the message has the size of the difference.
    """
    _check_task(task)
    beside: dict[str, Any] = {"tokens": tokens, "named": named, "unseen": unseen, "scale": scale, "origin": origin}
    interface = Interface(task=task, columns=columns, **beside)
    chosen = _chosen(candidate)
    with ExitStack() as stack:
        if not isinstance(student, Prepared):
            _check_student(student)
            student = stack.enter_context(prepared(student, _given(example), Path(folder).parent))
        return _deployed(student, chosen, Path(folder), interface, calibration, spec)


def _deployed(
    student: Prepared,
    chosen: Candidate,
    target: Path,
    interface: Interface,
    calibration: Tensor | None,
    spec: Spec | None,
) -> Artifact:
    example = _given(student.example)
    calibration = None if calibration is None else torch.as_tensor(calibration)
    backend, kind, task = chosen.backend, chosen.kind, interface.task
    if kind.calibrated and calibration is None:
        raise must("calibration", "deploy", f"given for {chosen.name!r}", None, "Pass some hundred training inputs")
    interface.check(example, calibration)
    if interface.named is not None and not kind.named:
        raise DeploymentError(
            f"{chosen.name} takes one input, and the student takes {', '.join(interface.named.names)}. Choose another "
            "runtime or precision, such as the float32 of the runtime that every installation has."
        )
    if backend.rebuilds(chosen) and spec is None:
        raise DeploymentError(
            f"{type(student.student).__name__} cannot be deployed to {chosen.runtime} without a spec, because nothing "
            "is ever unpickled. Pass spec=Spec('package.module:function', {...}), or choose another runtime."
        )
    if kind.quantized and not student.is_quantized:
        rule = f"quantized for {chosen.name!r}"
        got = type(student.student).__name__
        raise must("student", "deploy", rule, got, "Pass what quantize() gave, or choose fp32")
    # What has the formats of the student is held against the student itself, with its formats.
    form = student.quantized if kind.quantized else student.floats
    rows = torch.cat([example] if calibration is None else [example, calibration[:_CHECKED_ROWS]]).detach().cpu()
    expected = answers(form.network, rows, task.shape)

    _refuse_foreign(target)
    with new_folder(target) as unfinished:
        written = _written(student, chosen, unfinished, calibration)
        weights = form.keep(unfinished) if written.weights is None else written.weights
        network = form.as_kept if written.network is None else written.network
        manifest: dict[str, Any] = {
            "format": FORMAT if interface.origin is None else FORMAT_WITH_ORIGIN,
            "attar": version("attar"),
            "candidate": chosen.name,
            "runtime": chosen.runtime,
            "precision": chosen.precision,
            "settings": dict(chosen.settings),
            "input": interface.input_document(rows, _in_graph(spec, network)),
            "output": interface.output_document(),
            "files": [
                described(unfinished / name, name in written.files) for name in dict.fromkeys((*written.files, weights))
            ],
            "network": {**_rebuilt_by(spec, network), "weights": weights, "digest": digest(network)},
        }
        notes = written.notes
        if form.converted:
            notes += (f"The student has numbers of {' and '.join(form.converted)}; it is deployed in float32.",)
        if student.is_quantized and not kind.quantized:
            notes += ("The student was quantized: these are its quantized weights, without formats of activations.",)
        if spec is None:
            notes += ("Deployed without a spec: the network cannot be rebuilt in torch from this folder alone.",)
        if notes:
            manifest["note"] = " ".join(notes)
        allow = ("attar",) if spec is None else ("attar", spec.reference.partition(":")[0].partition(".")[0])
        bound = backend.tolerance(chosen)
        artifact = Artifact(unfinished, manifest, _allow=allow)
        manifest["checked"] = checked(
            chosen.name,
            _opened(artifact),
            rows.numpy(),
            expected.numpy(),
            tolerance=None if bound is None else max(bound, tolerance_of(network)),
            rounds=kind.quantized and bool(input_formats(student.on_cpu)),
            of_labels=task.target == "log_odds",
        )
        write_file(unfinished / MANIFEST, to_text(manifest, indent=2))
    return Artifact(target, manifest, _allow=allow)


def _in_graph(spec: Spec | None, network: nn.Module) -> dict[str, Any]:
    """What of the preparation of inputs the model does itself: the statistics that are subtracted and divided by."""
    if spec is not None and spec.mean is not None and spec.std is not None:
        return {"mean": list(spec.mean), "std": list(spec.std)}
    if isinstance(network, Standardize):
        return {"mean": network.mean.tolist(), "std": network.std.tolist()}
    return {}


def _rebuilt_by(spec: Spec | None, network: nn.Module) -> dict[str, Any]:
    """How the deployed network is built again: its weights are decoded, and only formats of inputs are attached."""
    edits = () if spec is None else spec.without_edits(Quantize).edits
    inputs = input_formats(network)
    edits += (Quantize(inputs=inputs),) if inputs else ()
    if spec is None:
        return {"edits": [edit.to_json() for edit in edits]}
    return replace(spec, edits=edits).to_json()


def _chosen(candidate: object) -> Candidate:
    if isinstance(candidate, Candidate):
        return candidate
    if not isinstance(candidate, str):
        remedy = f"Pass one of attar.candidates(), or a runtime's name such as {PORTABLE!r}"
        raise must("candidate", "deploy", "a Candidate or a name", candidate, remedy)
    return candidate_of(candidate)


def _check_task(task: object) -> None:
    if not isinstance(task, Task):
        remedy = "Pass dataset.task, or attar.Classification(('a', 'b'))"
        raise must("task", "deploy", "what the outputs mean", task, remedy)


def _given(example: Tensor | None) -> Tensor:
    if example is None:
        raise must("example", "deploy", "a single input, [1, ...]", None, "Pass inputs[:1]")
    return example


def _check_student(student: object) -> None:
    """It is a network whose weights are all there."""
    if not isinstance(student, nn.Module):
        hint = "Pass the network itself, such as fit(...).model"
        raise must("student", "deploy", "a torch.nn.Module", type(student).__name__, hint)
    for name, weight in student.named_parameters():
        if weight.is_meta:
            raise BadInput(
                f"{type(student).__name__} has no numbers in {name!r}, which is on the device 'meta'. Load its weights "
                "before it is deployed."
            )
        if is_lazy(weight):
            raise BadInput(
                f"{type(student).__name__} has no weights yet in {name!r}, as its lazy layers have seen no input. "
                "Train it, or run it once, before it is deployed."
            )


def _written(student: Prepared, chosen: Candidate, folder: Path, calibration: Tensor | None) -> Written:
    """Write the files.

    Raises:
        DeploymentError: If the student cannot be written this way.
    """
    try:
        return chosen.backend.write(student, chosen, folder, calibration)
    except (AttarError, OSError):
        raise
    except Exception as error:  # whatever the packages raise that a backend is made of
        raise refused(chosen.name, type(student.student).__name__, error) from error


def _opened(artifact: Artifact) -> Runner:
    """What runs the files that were just written.

    Raises:
        DeploymentError: If the runtime cannot open them; they are not damaged.
    """
    try:
        return artifact.runner()
    except Exception as error:
        if isinstance(error, AttarError) and not isinstance(error, CorruptFile):
            raise
        reason = telling(error.__cause__ or error)
        raise DeploymentError(
            f"{artifact.candidate} cannot run the student's graph: {reason}. Choose another runtime, or change the "
            "part of the network that this is about."
        ) from error


def _refuse_foreign(target: Path) -> None:
    """Only an empty folder or an artifact may be replaced."""
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise must("folder", "deploy", "new, empty or an artifact", target, "Choose another folder")
    if target.exists() and not target.is_dir():
        raise must("folder", "deploy", "a folder", target, "Choose another name")
