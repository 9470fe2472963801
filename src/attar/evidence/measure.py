"""What one model is worth: its quality, size, cost, memory and latency, each with its unit and sample count.

Quality comes from logits alone, so that it is measured on what a runtime gives back, not on the graph that was trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from scipy.special import logsumexp, ndtri  # type: ignore[import-untyped]
from torch import Tensor, nn

from attar.deployment.artifact import Artifact
from attar.deployment.backends.backend import ROUNDED, Runner
from attar.deployment.checked import tolerance_of
from attar.deployment.torch_runner import open_torch
from attar.errors import AttarError, Words, must
from attar.evidence.latency import Latency, race
from attar.evidence.memory import peak_memory
from attar.formatting import count, milliseconds, percent, percent_interval, significant, size
from attar.network.consistency import check_consistent
from attar.network.cost import cost
from attar.network.evaluating import evaluating
from attar.training.progress import Progress, silent
from attar.transfer.datasets import Split

Kind = Literal["teacher", "member", "baseline", "student", "candidate"]
"""What part a model plays in a run; a member is the best single model of a teacher that has several, a baseline the
student's network trained without a teacher."""

_ASKED = 32
"""Rows that a model is asked again about, in other batches."""

BINS = 15
"""Bins of the calibration error, as in the paper that made it common."""

_PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """How good a model is on the examples of one class.

    Attributes:
        examples: How many there are.
        accuracy: Share of them that it gets right, in 0..1; None without examples.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a model is on labelled examples.

    Attributes:
        examples: How many were judged.
        accuracy: Share of them that it gets right, in 0..1.
        interval: 95% Wilson interval of the accuracy.
        per_class: The same for each class by name, in the order of the logits.
        log_loss: Mean negative log-likelihood of the true class, in nats.
        calibration_error: Expected calibration error over `BINS` bins of equal width, in 0..1.
        rmse: Root of the mean squared difference of probabilities and one-hot labels, over examples and classes, in
            0..1; for two classes that of the positive class's probability.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    examples: int
    accuracy: float
    interval: tuple[float, float]
    per_class: dict[str, ClassQuality]
    log_loss: float
    calibration_error: float
    rmse: float

    def __str__(self) -> str:
        return (
            f"{percent(self.accuracy, self.examples)} right (95% interval "
            f"{percent_interval(self.interval, self.examples)}, {self.examples} examples), "
            f"log loss {significant(self.log_loss)} nats, calibration error {significant(self.calibration_error)}, "
            f"RMSE of probabilities {significant(self.rmse)}"
        )


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two ways of running one network are apart on the same examples.

    Attributes:
        max_difference: Largest absolute difference of a logit.
        mean_difference: Mean absolute difference of the logits.
        top1_agreement: Share of examples, in 0..1, on which both name the same class.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_difference: float
    mean_difference: float
    top1_agreement: float

    def __str__(self) -> str:
        mean, largest = significant(self.mean_difference), significant(self.max_difference)
        return f"logits differ by {mean} on average, {largest} at most; same class on {percent(self.top1_agreement)}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was measured of one model; None wherever something was not measured.

    Attributes:
        name: What tables call it.
        kind: Its part in the run.
        runtime: What ran it: ``torch``, ``onnxruntime``, ``openvino``, or ``python`` for a bare function.
        precision: How its numbers are stored, such as ``fp32`` or ``int8``.
        quality: On the test split; a candidate that was not chosen never sees it.
        validation: On the validation split, where every choice is made.
        size_bytes: Bytes on disk of what is needed to run.
        parameters: Numbers that were trained.
        macs: Multiply-adds for one example.
        peak_memory_bytes: Growth of memory by loading and running, as `attar.evidence.memory` defines it.
        latency: Time of a call for each batch size.
        agreement_with_teacher: Share of examples, in 0..1, on which it names the teacher's class.
        parity: Against the graph that was trained.
        refused: Why it cannot be chosen; None if it can.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    kind: Kind
    runtime: str
    precision: str
    quality: Quality | None = None
    validation: Quality | None = None
    size_bytes: int | None = None
    parameters: int | None = None
    macs: int | None = None
    peak_memory_bytes: int | None = None
    latency: dict[int, Latency] = field(default_factory=dict)
    agreement_with_teacher: float | None = None
    parity: Parity | None = None
    refused: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The evidence as plain values, ready for ``json.dumps``; batch sizes become text, as JSON's keys are."""
        document: dict[str, Any] = _EVIDENCE.dump_python(self, mode="json")
        return document

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Evidence:
        """The evidence that `to_json` wrote, equal to it in every value.

        Raises:
            BadInput: If a key is missing, unknown or of the wrong type.
        """
        try:
            return _EVIDENCE.validate_python(dict(document))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            rule = f"as Attar writes it ({first['msg'][:1].lower()}{first['msg'][1:]})"
            raise must(key, "the evidence", rule, first["input"], "Run the recipe again") from error

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.kind}, {self.runtime} {self.precision})"]
        if self.refused is not None:
            lines.append(f"refused: {self.refused}")
        if self.quality is not None:
            lines.append(f"test: {self.quality}")
        if self.validation is not None:
            lines.append(f"validation: {self.validation}")
        if self.agreement_with_teacher is not None:
            lines.append(f"names the teacher's class on {percent(self.agreement_with_teacher)}")
        if self.parity is not None:
            lines.append(f"against the trained graph: {self.parity}")
        figures = [
            (self.size_bytes, size, "on disk"),
            (self.parameters, count, "parameters"),
            (self.macs, count, "multiply-adds"),
            (self.peak_memory_bytes, size, "of memory"),
        ]
        known = [f"{shown(value)} {what}" for value, shown, what in figures if value is not None]
        if known:
            lines.append(", ".join(known))
        lines += [
            f"batch {batch}: {milliseconds(one.median_ms)} (p90 {milliseconds(one.p90_ms)}), threads: {one.threads}"
            for batch, one in self.latency.items()
        ]
        return "\n  ".join(lines)


_EVIDENCE = TypeAdapter(Evidence)


def wilson(successes: int, examples: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Unlike the textbook's plus-minus it stays in 0..1 and holds its level near the ends.

    Args:
        successes: How many, from 0 to ``examples``.
        examples: Of how many, at least 1.
        level: Coverage, between 0 and 1.

    Raises:
        BadInput: If a number is out of range.

    Example:
        >>> low, high = wilson(90, 100)
        >>> round(low, 4), round(high, 4)
        (0.8256, 0.9448)

    References:
        Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22, 1927.
    """
    if not 0 <= successes <= examples or examples < 1:
        raise must("successes", "wilson", "from 0 to examples, of at least 1", (successes, examples), "Count again")
    if not 0 < level < 1:
        raise must("level", "wilson", "between 0 and 1", level, "Use 0.95")
    z = float(ndtri((1 + level) / 2))
    share, weight = successes / examples, z * z / examples
    center = (share + weight / 2) / (1 + weight)
    margin = z / (1 + weight) * math.sqrt(share * (1 - share) / examples + weight / (4 * examples))
    # At the ends the interval touches 0 or 1 exactly; say so without rounding.
    return (0.0 if successes == 0 else center - margin, 1.0 if successes == examples else center + margin)


def quality(logits: NDArray[np.floating], labels: NDArray[np.integer], classes: Sequence[str]) -> Quality:
    """How good logits are, given the labels. Examples whose label is -1 (not known) are left out.

    The class named is the first of the largest logits. Computed in float64 whatever comes in.

    Args:
        logits: ``[n, classes]``, finite.
        labels: ``[n]``, class numbers.
        classes: Their names.

    Raises:
        BadInput: If shapes do not fit, a logit is not finite, a label is out of range, or no label is known.

    Example:
        >>> print(quality(np.array([[4.0, 0.0], [0.0, 4.0]]), np.array([0, 1]), ["cat", "dog"]).accuracy)
        1.0

    References:
        Guo, Pleiss, Sun, Weinberger, *On calibration of modern neural networks*, 2017, equation 3. arXiv:1706.04599
    """
    if len(set(classes)) != len(classes) or not len(classes):
        raise must("classes", "quality", "different names, at least one", list(classes), "Rename the classes")
    if logits.ndim != 2 or logits.shape[1] != len(classes) or labels.shape != logits.shape[:1]:
        rule = f"[n, {len(classes)}] and [n]"
        raise must("logits and labels", "quality", rule, (logits.shape, labels.shape), "Judge the split that was run")
    if len(labels) and not -1 <= labels.min() <= labels.max() < len(classes):
        got = (int(labels.min()), int(labels.max()))
        raise must("labels", "quality", f"from 0 to {len(classes) - 1}, or -1 for not known", got, "Check the data")
    known = labels >= 0
    scores, truth = logits[known].astype(np.float64), labels[known].astype(np.int64)
    if not len(truth):
        raise must("labels", "quality", "known for at least one example", Words("none"), "Give a split with labels")
    if not np.isfinite(scores).all():
        bad = int(np.flatnonzero(known)[~np.isfinite(scores).all(axis=1)][0])
        raise must(
            "logits", "quality", "finite", Words(f"row {bad}: {logits[bad]}"), "The model overflows on this example"
        )
    log_probabilities = scores - logsumexp(scores, axis=1, keepdims=True)
    right = scores.argmax(axis=1) == truth
    examples, hits = len(truth), int(right.sum())
    totals = np.bincount(truth, minlength=len(classes))
    hits_of = np.bincount(truth[right], minlength=len(classes))
    return Quality(
        examples=examples,
        accuracy=hits / examples,
        interval=wilson(hits, examples),
        per_class={
            name: ClassQuality(int(total), int(hit) / int(total) if total else None)
            for name, total, hit in zip(classes, totals, hits_of, strict=True)
        },
        log_loss=float(-log_probabilities[np.arange(examples), truth].mean()),
        calibration_error=_calibration_error(np.exp(log_probabilities.max(axis=1)), right),
        rmse=float(np.sqrt(squared_errors(scores, truth).mean())),
    )


def squared_errors(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Squared difference of probabilities and one-hot label, mean over the classes, for each labelled example.

    Examples whose label is -1 (not known) are left out.

    Args:
        logits: ``[n, classes]``.
        labels: ``[n]``, class numbers.

    Example:
        >>> squared_errors(np.log([[0.75, 0.25]]), np.array([0]))
        array([0.0625])
    """
    known = labels >= 0
    scores = logits[known].astype(np.float64)
    errors = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    errors[np.arange(len(errors)), labels[known]] -= 1.0
    squared: NDArray[np.float64] = np.square(errors).mean(axis=1)
    return squared


def correct(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each labelled example is right, ``[known]`` bool; what `attar.evidence.compare` starts from.

    Examples whose label is -1 (not known) are left out; models judged on the same labels still pair.

    Args:
        logits: ``[n, classes]``.
        labels: ``[n]``, class numbers.

    Raises:
        BadInput: If the shapes do not fit.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        got = (logits.shape, labels.shape)
        raise must("logits and labels", "correct", "[n, classes] and [n]", got, "Judge the split that was run")
    known = labels >= 0
    right: NDArray[np.bool_] = logits[known].argmax(axis=1) == labels[known]
    return right


def parity(
    logits_a: NDArray[np.floating],
    logits_b: NDArray[np.floating],
    *,
    tolerance: float | None = None,
) -> Parity:
    """How far two ways of running one network are apart, such as the trained graph and its artifact.

    Args:
        logits_a: ``[n, classes]``, the ones to hold to.
        logits_b: ``[n, classes]``, of the same examples.
        tolerance: Largest difference allowed, as a share of the largest absolute logit of ``logits_a`` or of 1,
            whichever is more; None allows any. 0.001 suits one float32 runtime against another.

    Raises:
        BadInput: If the shapes differ, there is no example, or a logit is not finite.
        AttarError: If the difference is beyond the tolerance.

    Example:
        >>> print(parity(np.array([[1.0, 2.0]]), np.array([[1.0, 2.5]])))
        logits differ by 0.250 on average, 0.500 at most; same class on 100.0%
    """
    if logits_a.ndim != 2 or logits_a.shape != logits_b.shape or not logits_a.size:
        got = (logits_a.shape, logits_b.shape)
        raise must("logits", "parity", "two [n, classes] arrays of one shape", got, "Run both on the same split")
    for parameter, logits in (("logits_a", logits_a), ("logits_b", logits_b)):
        if not np.isfinite(logits).all():
            raise must(parameter, "parity", "finite", Words("NaN or infinity"), "Choose another runtime or precision")
    first = logits_a.astype(np.float64)
    apart = np.abs(first - logits_b)
    found = Parity(float(apart.max()), float(apart.mean()), agreement(logits_a, logits_b))
    if tolerance is not None and found.max_difference > tolerance * max(1.0, float(np.abs(first).max())):
        raise AttarError(
            f"The logits of the two runs must agree within {tolerance:g} of the largest; {found}. "
            "The artifact does not compute what was trained: deploy it again, or choose another runtime."
        )
    return found


def agreement(logits_a: NDArray[np.floating], logits_b: NDArray[np.floating]) -> float:
    """Share of examples, in 0..1, on which two models name the same class.

    Args:
        logits_a: ``[n, classes]``.
        logits_b: ``[n, classes]``, of the same examples.

    Raises:
        BadInput: If the shapes differ, or there is no example.
    """
    if logits_a.ndim != 2 or logits_a.shape != logits_b.shape or not logits_a.size:
        got = (logits_a.shape, logits_b.shape)
        raise must("logits", "agreement", "two [n, classes] arrays of one shape", got, "Run both on the same split")
    return float((logits_a.argmax(axis=1) == logits_b.argmax(axis=1)).mean())


def predict_all(
    runner: Runner,
    inputs: NDArray[np.floating] | Tensor | Split,
    *,
    batch: int = 256,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Logits of many examples, ``[n, classes]`` float32, computed batch by batch.

    Args:
        runner: What to run.
        inputs: ``[n, ...]`` floating numbers, or a split, whose pixels are then scaled as in training.
        batch: Examples in one call.
        progress: Where to show how far it is.

    Raises:
        BadInput: If there is no example, they are not floating numbers, or the runner does not give one row of logits
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
            logits = np.asarray(runner(given), dtype=np.float32)
            if logits.ndim != 2 or len(logits) != len(given):
                rule = f"[{len(given)}, classes] for inputs {given.shape}"
                raise must("logits", "the runner", rule, logits.shape, "Return one row of logits for each input")
            batches.append(logits)
            advance(len(given))
    return np.concatenate(batches)


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
        teacher: ``[n, classes]`` logits of the teacher on ``split``, for the agreement.
        reference: ``[n, classes]`` logits of the trained graph on ``split``, for the parity.
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
        raise must(
            "split", "measure", "labelled", Words("no labels"), "Use predict_all and agreement on splits without labels"
        )
    with evaluating(model) if isinstance(model, nn.Module) else nullcontext():
        runner, known = _opened(model, split, threads)
        logits = predict_all(runner, split, progress=progress)
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
            judged = quality(
                predict_all(runner, validation, progress=progress), _labels(validation), validation.classes
            )
    peak = None
    if memory and isinstance(model, Artifact):
        peak = peak_memory(model.folder, threads=threads, allow=allow)
    return replace(
        known,
        name=label,
        kind=kind,
        quality=quality(logits, _labels(split), split.classes),
        validation=judged,
        peak_memory_bytes=peak,
        latency=latency,
        agreement_with_teacher=None if teacher is None else agreement(teacher, logits),
        parity=None if reference is None else parity(reference, logits),
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
        about = Evidence(type(model).__name__, "candidate", "torch", precision)
        return runner, replace(about, parameters=figures.parameters, macs=figures.macs)
    return model, Evidence(getattr(model, "__name__", type(model).__name__), "candidate", "python", "unknown")


def _rows(inputs: NDArray[Any] | Tensor | Split) -> Callable[[slice], NDArray[np.float32]]:
    """How to get some of the inputs as contiguous float32, in memory of their own: a runner may work in place."""
    if isinstance(inputs, Split):
        return lambda rows: np.array(inputs.floats(rows).cpu().numpy(), order="C")
    array = inputs.detach().cpu().numpy() if isinstance(inputs, Tensor) else inputs
    if not np.issubdtype(array.dtype, np.floating):
        remedy = "Give the split, which scales pixels as in training, or scale them first"
        raise must("inputs", "predict_all", "floating numbers", str(array.dtype), remedy)
    return lambda rows: np.array(array[rows], dtype=np.float32, order="C")


def _labels(split: Split) -> NDArray[np.int64]:
    assert split.labels is not None
    labels: NDArray[np.int64] = split.labels.cpu().numpy()
    return labels


def _calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean gap between confidence and accuracy over bins (0, 1/BINS], ..., weighted by their examples."""
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    # Within a bin, examples times |accuracy - mean confidence| is the absolute sum of the gaps.
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))
