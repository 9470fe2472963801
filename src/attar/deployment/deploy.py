"""Deploying: a student as the files that a runtime executes, which are run before they count.

The folder of an artifact appears whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attar.deployment.artifact import Artifact
from attar.deployment.backends import RUNTIMES, backends_of
from attar.deployment.backends.backend import Runner, Written
from attar.deployment.backends.packed import FLOATS, PACKED
from attar.deployment.backends.torch import WEIGHTS
from attar.deployment.candidate import Candidate
from attar.deployment.checked import answers, checked, tolerance_of
from attar.deployment.export import INPUT, OUTPUT
from attar.deployment.manifest import FORMAT, MANIFEST, described
from attar.deployment.packed.container import write_packed
from attar.deployment.prepared import Prepared, QuantizedForm, prepared
from attar.deployment.refused import DeploymentError, refused, telling
from attar.errors import AttarError, BadInput, CorruptFile, Words, must, near
from attar.network.spec import Spec
from attar.network.standardize import Standardize
from attar.network.weights import digest, save_weights
from attar.quantization.attach import input_formats
from attar.quantization.edit import Quantize
from attar.records import to_text
from attar.tables.columns import Columns
from attar.tables.tokens import NAMES, Tokens
from attar.workspace import new_folder, write_file

_CHECKED_ROWS = 256
"""How many calibration rows a deployment is run on before it counts as written."""


def candidates(
    runtimes: Sequence[str] = RUNTIMES, int8: bool = True, student: nn.Module | Prepared | None = None
) -> list[Candidate]:
    """Every way to deploy that is worth measuring on the machine at hand.

    Args:
        runtimes: Which runtimes to consider.
        int8: Whether to add the int8 settings of those runtimes that have them.
        student: What is to be deployed. If `quantize` made it, its packed files are added, and low-bit execution where
            ONNX Runtime has it for all quantized weights. Where it was prepared, its codes are computed no second time.

    Raises:
        BadInput: If a runtime is unknown, or none is given.

    Example:
        >>> [candidate.name for candidate in candidates(["torch", "onnxruntime"], int8=False)]
        ['torch fp32', 'onnxruntime fp32']
    """
    if not runtimes:
        raise must("runtimes", "candidates", "at least one runtime", list(runtimes), near("", RUNTIMES))
    for runtime in runtimes:
        if runtime not in RUNTIMES:
            raise must("runtimes", "candidates", "known runtimes", runtime, near(runtime, RUNTIMES))
    ready = Prepared(student) if isinstance(student, nn.Module) else student
    return [
        Candidate(f"{runtime} {name}", runtime, precision, settings)
        for runtime in dict.fromkeys(runtimes)
        for backend in backends_of(runtime)
        for name, (precision, settings) in backend.precisions(ready).items()
        if int8 or precision != "int8"
    ]


def deploy(
    student: nn.Module,
    candidate: Candidate | str,
    folder: Path | str,
    *,
    example: Tensor,
    classes: Sequence[str],
    calibration: Tensor | None = None,
    spec: Spec | None = None,
    columns: Columns | None = None,
    tokens: Tokens | None = None,
    unseen: Literal["error", "missing"] = "error",
    scale: float | int | None = None,
    output: Literal["logits", "log_odds", "values"] = "logits",
    size: Sequence[int] = (),
) -> Artifact:
    """Write a student as files that one runtime executes, and make sure that it does.

    Before this returns, the runtime has opened the files and run the example and up to 256 calibration rows, together,
    in parts, in another order and alone. A row must be answered the same each time, by torch and by the runtime. Logits
    must be finite, and in float32 equal those of torch within 0.001 of the largest. The same
    holds for packed files (on nine rows of ten where activations are rounded); those with floats of 16 bits, and
    layers executed with low-bit weights, must be within 0.05 of the largest.

    Args:
        student: Any module from ``[batch, ...]`` to logits ``[batch, classes]`` (of maps ``[batch, classes, height,
            width]``), alone or among other outputs. It is
            not changed. Numbers of another type than float32 are deployed in float32, if the network runs in it.
        candidate: One of `candidates`, its name, or a runtime's name (which means float32).
        folder: Where to write; made if need be. An artifact that is there is replaced.
        example: One input, ``[1, ...]`` float32, of the shape that the student takes.
        classes: Names of the classes, in the order of the logits; of the outputs in a regression.
        calibration: Training inputs, ``[rows, ...]`` float32, from which int8 ranges are taken; needed for int8.
        spec: How to build the student's network again; needed for ``torch``. The formats that are attached to the
            student need not be among its edits.
        columns: Of the table whose rows the student takes as ``[rows, columns]``; NaN then means missing. With them the
            artifact takes tables, too.
        tokens: What the sequences hold that the student takes; the artifact then takes ``ids`` and ``mask``. Needed
            where inputs are int64.
        unseen: What the artifact does with a name that ``columns`` do not have: an error, or as if it were missing.
        scale: What uint8 numbers were divided by in training, 255 for pixels. The artifact then takes such numbers,
            too, and divides them itself; None where it is to take nothing but what the student takes.
        output: Whether the student gives logits of classes, log-odds of labels of which any may hold, or the values of
            a regression.
        size: Height and width of the maps that it gives, ``[batch, classes, height, width]``; empty for others.

    Raises:
        BadInput: If an argument breaks its rule.
        MissingExtra: If the runtime or its quantizer is not installed.
        DeploymentError: If this student cannot be deployed this way, or not at all, since it answers at random or by
            the rest of the batch; the message has the size of the difference.
    """
    _check_student(student)
    _check_named(candidate, classes)
    with prepared(student, example) as ready:
        return deploy_prepared(
            ready,
            candidate,
            folder,
            classes=classes,
            calibration=calibration,
            spec=spec,
            columns=columns,
            tokens=tokens,
            unseen=unseen,
            scale=scale,
            output=output,
            size=size,
        )


def deploy_prepared(
    student: Prepared,
    candidate: Candidate | str,
    folder: Path | str,
    *,
    classes: Sequence[str],
    calibration: Tensor | None = None,
    spec: Spec | None = None,
    columns: Columns | None = None,
    tokens: Tokens | None = None,
    unseen: Literal["error", "missing"] = "error",
    scale: float | int | None = None,
    output: Literal["logits", "log_odds", "values"] = "logits",
    size: Sequence[int] = (),
) -> Artifact:
    """Do what `deploy` does for one of several candidates of a student, which share its graph and its codes.

    The arguments are those of `deploy`.

    Raises:
        AttarError: As `deploy`.
    """
    example = student.example
    assert example is not None, "what is deployed is prepared with an example"
    calibration = None if calibration is None else torch.as_tensor(calibration)
    chosen = _find(candidate) if isinstance(candidate, str) else candidate
    if chosen.precision == "int8" and calibration is None:
        raise must("calibration", "deploy", f"given for {chosen.name!r}", None, "Pass some hundred training inputs")
    _check_rows("example", example, None, tokens, missing=columns is not None)
    if calibration is not None:
        _check_rows("calibration", calibration, example, tokens, missing=columns is not None)
    if scale is not None and not 0 < scale < math.inf:
        raise must("scale", "deploy", "a positive number", scale, "Pass 255 for pixels")
    if columns is not None and tuple(example.shape[1:]) != (len(columns),):
        rule = f"of the example's {list(example.shape[1:])} values"
        raise must("columns", "deploy", rule, f"{len(columns)} columns", "Pass the columns of the training table")
    backend, kind = chosen.backend, chosen.kind
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
    network = form.network
    rows = torch.cat([example] if calibration is None else [example, calibration[:_CHECKED_ROWS]]).detach().cpu()
    expected = answers(network, rows, (len(classes), *size))

    target = Path(folder)
    _refuse_foreign(target)
    with new_folder(target) as unfinished:
        needed, notes = _written(student, chosen, unfinished, calibration)
        rebuilding = WEIGHTS
        if isinstance(form, QuantizedForm):
            rebuilding = PACKED
            if PACKED not in needed:
                write_packed(form.content, unfinished / PACKED)
            network = form.rebuilt(chosen.settings.get("floats", FLOATS[0]))
        elif WEIGHTS not in needed:
            save_weights(network, unfinished / WEIGHTS)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "attar": version("attar"),
            "candidate": chosen.name,
            "runtime": chosen.runtime,
            "precision": chosen.precision,
            "settings": dict(chosen.settings),
            "input": {
                "name": INPUT if tokens is None else list(NAMES),
                "shape": ["batch", *example.shape[1:]],
                "dtype": "float32" if tokens is None else "int64",
                "seen": _range(rows),
                "scale": scale,
                "in_graph": _in_graph(spec, network),
                "note": "as the student was trained on them: uint8 numbers divided by 'scale' (null: none are taken), "
                "images with their channels first, names in 'columns' as their places in 'categories'. What 'in_graph' "
                "has is done by the model itself. 'seen' is the range of the rows used here."
                if tokens is None
                else "two inputs [batch, length]: the numbers of tokens, and 1 where one counts or 0 for padding. "
                "'shape' is that of both, stacked along axis 1.",
            },
            "output": {
                "name": OUTPUT,
                "shape": ["batch", len(classes), *size],
                "dtype": "float32",
                "classes": list(classes),
                "kind": output,
            },
            "files": [described(unfinished / name, name in needed) for name in dict.fromkeys((*needed, rebuilding))],
            "network": {**_rebuilt_by(spec, network), "weights": rebuilding, "digest": digest(network)},
        }
        if columns is not None:
            manifest["input"] |= {"columns": columns.to_json(), "unseen": unseen}
        if tokens is not None:
            manifest["input"]["tokens"] = tokens.to_json()
        if form.converted:
            notes += (f"The student has numbers of {' and '.join(form.converted)}; it is deployed in float32.",)
        if student.is_quantized and not kind.quantized:
            notes += ("The student was quantized: these are its quantized weights, without formats of activations.",)
        if spec is None:
            notes += ("Deployed without a spec: the network cannot be rebuilt in torch from this folder alone.",)
        if notes:
            manifest["note"] = " ".join(notes)
        allow = ("attar",) if spec is None else ("attar", spec.reference.partition(":")[0].partition(".")[0])
        rounds = kind.quantized and bool(input_formats(student.on_cpu))
        bound = backend.tolerance(chosen)
        artifact = Artifact(unfinished, manifest, _allow=allow)
        manifest["checked"] = checked(
            chosen.name,
            _opened(artifact),
            rows.numpy(),
            expected.numpy(),
            tolerance=None if bound is None else max(bound, tolerance_of(network)),
            rounds=rounds,
            of_labels=output == "log_odds",
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


def _check_named(candidate: object, classes: object) -> None:
    if not isinstance(candidate, str | Candidate):
        remedy = "Pass one of attar.candidates(), or a runtime's name such as 'onnxruntime'"
        raise must("candidate", "deploy", "a Candidate or a name", candidate, remedy)
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not all(isinstance(c, str) for c in classes):
        remedy = "Pass dataset.classes, or ['a', 'b']"
        raise must("classes", "deploy", "the names of the classes, a list of texts", classes, remedy)


def _find(name: str) -> Candidate:
    known = {candidate.name: candidate for candidate in candidates()}
    for runtime in RUNTIMES:
        known[runtime] = known[f"{runtime} fp32"]
        for backend in backends_of(runtime):
            formats = [precision for precision, kind in backend.PRECISIONS.items() if kind.quantized]
            known |= {f"{runtime} {one}": Candidate(f"{runtime} {one}", runtime, one) for one in formats}
    if name not in known:
        raise must("candidate", "deploy", "a known name", name, near(name, known))
    return known[name]


def _range(rows: Tensor) -> list[float] | None:
    """Smallest and largest number; None where all are missing."""
    known = rows[~rows.isnan()]
    return [float(known.min()), float(known.max())] if len(known) else None


def _check_rows(name: str, rows: Tensor, like: Tensor | None, tokens: Tokens | None, *, missing: bool) -> None:
    """Rows are float32, finite (or NaN where values may be missing), shaped like the example, which is a single one.

    Where there are tokens, they are sequences of these.
    """
    got = f"{rows.dtype} {list(rows.shape)}"
    if rows.dtype == torch.int64 and tokens is None:
        remedy = "Pass tokens=dataset.tokens, or floats where they are no tokens"
        raise must("tokens", "deploy", f"given where {name} is int64", None, remedy)
    if tokens is not None:
        tokens.check(rows.numpy(force=True), f"deploy ({name})")
    elif rows.dtype != torch.float32 or rows.dim() < 2 or len(rows) == 0:
        raise must(name, "deploy", "float32 [rows, ...]", got, "Pass inputs as the student was trained on them")
    if (like is None and len(rows) != 1) or not len(rows):
        raise must(name, "deploy", "a single input, [1, ...]", got, "Pass inputs[:1]")
    if like is not None and rows.shape[1:] != like.shape[1:]:
        raise must(name, "deploy", f"[rows, ...] like the example {list(like.shape)}", got, "Pass training inputs")
    if not bool((rows.isfinite() | (rows.isnan() & missing)).all()):
        raise must(name, "deploy", "finite", Words("NaN or infinity"), "Clean the inputs")


def _check_student(student: object) -> None:
    """It is a network whose weights are all there."""
    if not isinstance(student, nn.Module):
        hint = "Pass the network itself, such as fit(...).model"
        raise must("student", "deploy", "a torch.nn.Module", type(student).__name__, hint)
    for name, weight in student.named_parameters():
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
