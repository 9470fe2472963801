"""What one model is worth: its quality, size, cost, memory and latency, each with its unit and sample count.

Quality comes from outputs alone, so that it is measured on what a runtime gives back, not on the graph that was
trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.data.datasets import Split
from attar.deployment.artifact import Artifact
from attar.deployment.backends import EAGER
from attar.deployment.backends.backend import ROUNDED, Runner
from attar.deployment.checked import tolerance_of
from attar.deployment.torch_runner import open_torch
from attar.errors import AttarError, Words, must
from attar.evidence.evidence import Evidence, Kind, Parity
from attar.evidence.latency import race
from attar.evidence.memory import peak_memory
from attar.network.consistency import check_consistent
from attar.network.cost import cost
from attar.network.entry_point import entry_point
from attar.network.evaluating import evaluating
from attar.tasks.task import Task
from attar.training.progress import Progress, silent

_ASKED = 32
"""Rows that a model is asked again about, in other batches."""

_PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}


def parity(
    outputs_a: NDArray[np.floating],
    outputs_b: NDArray[np.floating],
    task: Task,
    *,
    tolerance: float | None = None,
) -> Parity:
    """How far two ways of running one network are apart, such as the trained graph and its artifact.

    Args:
        outputs_a: ``[n, ...]``, the ones to hold to.
        outputs_b: ``[n, ...]``, of the same examples.
        task: What they mean.
        tolerance: Largest difference allowed, as a share of the largest absolute output of ``outputs_a`` or of 1,
            whichever is more; None allows any. 0.001 suits one float32 runtime against another.

    Raises:
        BadInput: If the shapes differ, there is no example, or an output is not finite.
        AttarError: If the difference is beyond the tolerance.

    Example:
        >>> from attar.tasks.classification import Classification
        >>> print(parity(np.array([[1.0, 2.0]]), np.array([[1.0, 2.5]]), Classification(("no", "yes"))))
        outputs differ by 0.250 on average, 0.500 at most; same class on 100.0%
    """
    if outputs_a.shape[1:] != task.shape or outputs_a.shape != outputs_b.shape or not outputs_a.size:
        got = (outputs_a.shape, outputs_b.shape)
        rule = f"two [n, {', '.join(map(str, task.shape))}] arrays of one shape"
        raise must("outputs", "parity", rule, got, "Run both on the same split")
    for parameter, outputs in (("outputs_a", outputs_a), ("outputs_b", outputs_b)):
        if not np.isfinite(outputs).all():
            raise must(parameter, "parity", "finite", Words("NaN or infinity"), "Choose another runtime or precision")
    first = outputs_a.astype(np.float64)
    apart = np.abs(first - outputs_b)
    found = Parity(float(apart.max()), float(apart.mean()), task.agreement(outputs_a, outputs_b))
    if tolerance is not None and found.max_difference > tolerance * max(1.0, float(np.abs(first).max())):
        raise AttarError(
            f"The outputs of the two runs must agree within {tolerance:g} of the largest; {found}. "
            "The artifact does not compute what was trained: deploy it again, or choose another runtime."
        )
    return found


def predict_all(
    runner: Runner,
    inputs: NDArray[np.floating] | Tensor | Split,
    *,
    batch: int = 256,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Outputs for many examples, ``[n, ...]`` float32, computed batch by batch.

    Args:
        runner: What to run.
        inputs: ``[n, ...]`` floating numbers, or a split, whose pixels are then scaled as in training.
        batch: Examples in one call.
        progress: Where to show how far it is.

    Raises:
        BadInput: If there is no example, they are not floating numbers, or the runner does not give one row of outputs
            for each.

    Example:
        >>> predict_all(lambda x: 2 * x, np.ones((3, 2), np.float32), batch=2).shape
        (3, 2)
    """
    if batch < 1:
        raise must("batch", "predict_all", "at least 1", batch, "Use 256")
    total = len(inputs)
    if not total:
        raise must("inputs", "predict_all", "at least one example", 0, "Give a split that is not empty")
    rows = _rows(inputs)
    batches = []
    with progress("predict", total=total) as advance:
        for start in range(0, total, batch):
            given = rows(slice(start, start + batch))
            outputs = np.asarray(runner(given), dtype=np.float32)
            if outputs.ndim < 2 or len(outputs) != len(given):
                rule = f"[{len(given)}, ...] for inputs {given.shape}"
                raise must("outputs", "the runner", rule, outputs.shape, "Return one row of outputs for each input")
            batches.append(outputs)
            advance(len(given))
    return np.concatenate(batches)


@entry_point
def measure(
    model: Artifact | nn.Module | Runner,
    split: Split,
    *,
    name: str | None = None,
    kind: Kind = "student",
    validation: Split | None = None,
    teacher: NDArray[np.floating] | None = None,
    reference: NDArray[np.floating] | None = None,
    batches: Sequence[int] = (1, 64),
    threads: int = 1,
    seconds: float = 1.0,
    memory: bool = True,
    allow: Sequence[str] = ("attar",),
    progress: Progress = silent,
) -> Evidence:
    """Everything that can be measured of one model on its own.

    An artifact is run by its runtime, a module by torch as it stands, and anything else is called. To compare
    latencies, time the models together with `attar.evidence.latency.race`.

    Args:
        model: What to measure; not changed.
        split: The test split, with labels.
        name: What tables call it; by default the artifact's candidate, or the class of the module.
        kind: Its part in the run.
        validation: Another split to judge it on.
        teacher: ``[n, ...]`` outputs of the teacher on ``split``, for the agreement.
        reference: ``[n, ...]`` outputs of the trained graph on ``split``, for the parity.
        batches: Batch sizes to time; empty times nothing.
        threads: Threads for every run.
        seconds: Time for each batch size.
        memory: Whether to measure the peak memory of an artifact, which starts another interpreter.
        allow: Packages from which that interpreter may build a torch artifact's network.
        progress: Where to show how far it is.

    Returns:
        The evidence. Size and memory are known for artifacts, parameters and multiply-adds for modules.

    Raises:
        BadInput: If the split has no labels, shapes do not fit, the model is none, or it answers at random or by the
            rest of the batch; the message has the size of the difference.
        AttarError: If memory could not be measured.
    """
    _check_model(model)
    _check_split(split)
    if split.labels is None or (validation is not None and validation.labels is None):
        raise must("split", "measure", "labelled", Words("no labels"), "Use predict_all on splits without labels")
    with evaluating(model) if isinstance(model, nn.Module) else nullcontext():
        runner, known = _opened(model, split, threads)
        outputs = predict_all(runner, split, progress=progress)
        if not isinstance(model, nn.Module):
            _check_consistent(model, runner, split, name or known.name)
        # The race has no bar of its own, and as many rows as the largest batch.
        rows = split.floats(slice(0, max([1, *batches]))).numpy()
        label = name or known.name
        latency = {
            batch: race({label: runner}, rows, batch, threads=threads, seconds=seconds).latencies[label]
            for batch in batches
        }
        judged = None
        if validation is not None:
            judged = split.task.quality(predict_all(runner, validation, progress=progress), labels_of(validation))
    peak = None
    if memory and isinstance(model, Artifact):
        peak = peak_memory(model.folder, threads=threads, allow=allow)
    return replace(
        known,
        name=label,
        kind=kind,
        quality=split.task.quality(outputs, labels_of(split)),
        validation=judged,
        peak_memory_bytes=peak,
        latency=latency,
        agreement_with_teacher=None if teacher is None else split.task.agreement(teacher, outputs),
        parity=None if reference is None else parity(reference, outputs, split.task),
    )


def _check_model(model: object) -> None:
    if isinstance(model, Artifact | nn.Module) or callable(model):
        return
    if isinstance(model, str | Path):
        raise must("model", "measure", "a model, not where it lies", model, f"Pass attar.load({str(model)!r})")
    rule = "an artifact, a torch.nn.Module, or a function of arrays"
    raise must("model", "measure", rule, Words(type(model).__name__), "Pass what deploy, load or fit(...).model give")


def _check_split(split: object) -> None:
    if not isinstance(split, Split):
        hint = "Pass dataset.test" if hasattr(split, "test") else "Make one with attar.from_arrays(...).test"
        raise must("split", "measure", "a split of a data set", Words(type(split).__name__), hint)


def _check_consistent(model: Artifact | nn.Module | Runner, runner: Runner, split: Split, name: str) -> None:
    """A figure of a model that answers at random, or by the rest of the batch, would be another one next time."""
    if isinstance(model, nn.Module):
        tolerance = tolerance_of(model)
    elif isinstance(model, Artifact):
        tolerance = model.manifest["checked"]["tolerance"]
    else:
        tolerance = ROUNDED  # nobody knows how it computes

    def predict(some: Tensor) -> Tensor:
        return torch.from_numpy(np.array(runner(some.numpy().copy()), dtype=np.float32))

    check_consistent(predict, split.floats(slice(0, _ASKED)), of=name, tolerance=tolerance)


def _opened(model: Artifact | nn.Module | Runner, split: Split, threads: int) -> tuple[Runner, Evidence]:
    """Something to call, and what is known of the model before it runs."""
    if isinstance(model, Artifact):
        deployed = model.candidate
        about = Evidence(deployed.name, "candidate", deployed.runtime, deployed.precision, size_bytes=model.size_bytes)
        return model.open(threads), about
    if isinstance(model, nn.Module):
        tensors = [*model.parameters(), *model.buffers()]
        elsewhere = {tensor.device.type for tensor in tensors} - {"cpu"}
        if elsewhere:
            raise must("model", "measure", "on the CPU", Words(", ".join(sorted(elsewhere))), "Call .cpu() on it first")
        runner = open_torch(model, threads)
        _check_consistent(model, runner, split, type(model).__name__)
        figures = cost(model, split.floats(slice(0, 1)))
        kinds = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
        precision = _PRECISIONS.get(kinds[0], str(kinds[0])) if kinds else "fp32"
        about = Evidence(type(model).__name__, "candidate", EAGER, precision)
        return runner, replace(about, parameters=figures.parameters, macs=figures.macs)
    return model, Evidence(getattr(model, "__name__", type(model).__name__), "candidate", "python", "unknown")


def _rows(inputs: NDArray[Any] | Tensor | Split) -> Callable[[slice], NDArray[Any]]:
    """How to get some of the inputs as contiguous float32, in memory of their own: a runner may work in place."""
    if isinstance(inputs, Split):
        return lambda rows: np.array(inputs.floats(rows).cpu().numpy(), order="C")
    array = inputs.detach().cpu().numpy() if isinstance(inputs, Tensor) else inputs
    if not np.issubdtype(array.dtype, np.floating):
        remedy = "Give the split, which scales pixels as in training, or scale them first"
        raise must("inputs", "predict_all", "floating numbers", str(array.dtype), remedy)
    return lambda rows: np.array(array[rows], dtype=np.float32, order="C")


def labels_of(split: Split) -> NDArray[Any]:
    """The labels of a split that has some, as its task judges by them."""
    assert split.labels is not None, "data sets have labels in validation and test"
    labels: NDArray[Any] = split.labels.cpu().numpy()
    return labels
