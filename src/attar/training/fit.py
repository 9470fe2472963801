"""THE loop. Everything that trains in Attar goes through `fit`, and the loss is divided in exactly one place."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from attar.errors import BadInput, CorruptFile, Diverged, must
from attar.network.copying import copied
from attar.network.forward import forward
from attar.network.layout import laid_out, lay_out_
from attar.network.weights import digest
from attar.training.batch import Batch, Source
from attar.training.checkpoint import load_state, save_state
from attar.training.features import Features
from attar.training.objective import Active, Objective
from attar.training.prepare import check_labels, check_student, learn_channels_last, prepared, probed
from attar.training.progress import Progress, silent
from attar.training.scoring import Metric, accuracy
from attar.training.settings import MakeOptimizer, Training, make_schedule, settings_optimizer
from attar.training.train_module import FeatureTeacher, TrainModule, feature_taps


@dataclass(frozen=True)
class Epoch:
    """What is remembered of one epoch: mean losses per example, validation score, learning rate at its end."""

    epoch: int
    loss: float
    terms: Mapping[str, float]
    score: float | None
    learning_rate: float

    def to_json(self) -> dict[str, Any]:
        """The same as a plain document."""
        return asdict(self)


@dataclass(frozen=True)
class Fitted:
    """What came of a training.

    Attributes:
        model: The trained copy of the student, in eval mode, on the CPU.
        history: One entry per epoch.
        best_epoch: The epoch whose weights ``model`` has.
        score: Validation score of that epoch; None without validation.
        steps: Optimizer steps taken.
        stopped_early: True if patience ended it.
        teacher: The trained copy of a teacher that learned along with the student.
    """

    model: nn.Module
    history: Sequence[Epoch]
    best_epoch: int
    score: float | None
    steps: int
    stopped_early: bool = False
    teacher: nn.Module | None = None

    def __str__(self) -> str:
        score = "no validation" if self.score is None else f"validation {self.score:.4f}"
        return f"{len(self.history)} epochs, {self.steps} steps, best epoch {self.best_epoch} ({score})"


@dataclass
class TrainState:
    """What a callback sees: the state of the training right after a step or an epoch.

    Attributes:
        model: The student as it is being trained; a callback may change it in place.
        optimizer: Its optimizer.
        epoch: Epoch under way, from 0.
        step: Optimizer steps taken since the beginning.
        steps_per_epoch: Steps in one epoch.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int
    step: int
    steps_per_epoch: int


@runtime_checkable
class Callback(Protocol):
    """Something that is called from the loop: pruning, schedules, logging. Its state is kept in checkpoints."""

    def after_step(self, state: TrainState) -> None:
        """Called after each optimizer step."""
        ...

    def after_epoch(self, state: TrainState) -> None:
        """Called after each epoch, before validation."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What must survive a crash: tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state again."""
        ...


@dataclass
class LoopState:
    """Everything of a training that changes as it goes: what a checkpoint holds besides the modules."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    total: float = 0.0
    counted: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = -1
    best_score: float | None = None
    best: dict[str, Tensor] = field(default_factory=dict)


def fit(
    student: nn.Module,
    objective: Objective,
    data: Source,
    *,
    settings: Training | None = None,
    validation: Source | None = None,
    metric: Metric = accuracy,
    teacher: nn.Module | None = None,
    detach_teacher: bool = True,
    feature_teacher: nn.Module | None = None,
    callbacks: Sequence[Callback] = (),
    make_optimizer: MakeOptimizer | None = None,
    checkpoint_file: Path | None = None,
    fabric: Fabric | None = None,
    progress: Progress = silent,
    title: str = "train",
) -> Fitted:
    """Train a copy of the student on a source of batches under an objective.

    The gradient is that of the weighted sum of the terms, each summed over all examples (or positions) of the step and
    divided once, by how many of them count over all micro-batches and processes. So micro-batches and several
    processes give the gradient of the one big batch (but for the terms of `attar.training.losses.relations`, which
    relate the examples of one micro-batch). The result depends on the arguments alone, and with a checkpoint a training
    that was killed continues to the same weights.

    Terms that read hidden layers (`attar.training.features.ReadsLayers`) get those of the student and of the
    ``feature_teacher``, or of a ``teacher`` that learns along. Their projectors are trained with the student, as any
    weights are, and are not part of what is returned. While its term does not count, a projector gets the gradient 0,
    and so do the student's layers behind the tapped one where no other term counts: weight decay goes on.

    Args:
        student: Any module from ``[batch, ...]`` to logits, alone or among other outputs, the only one trained;
            it is not changed. What requires no gradient stays frozen. Numbers of other types are trained in float32,
            if the network runs in it. In evaluation mode it must answer each row by itself, and the same each time.
        objective: The loss terms.
        data: Where batches come from.
        settings: How the training goes.
        validation: Scored after each epoch to choose the best one; it never enters the gradient.
        metric: Score per example, higher is better; its mean is the validation score.
        teacher: A module that learns along with the student: its output becomes the targets, and terms with
            ``of="teacher"`` judge it (Mishra, Marr, *Apprentice*, 2018, scheme A).
        detach_teacher: Whether the student's terms leave that teacher alone.
        feature_teacher: A frozen network whose layers terms read: it sees the inputs that the student sees, in
            evaluation mode. A copy is used; its outputs are no targets.
        callbacks: Called after each step and epoch.
        make_optimizer: Builds another optimizer than ``settings.optimizer`` names.
        checkpoint_file: File to write state to and to continue from.
        fabric: Devices, precision and processes; by default one process on the CPU.
        progress: Sees each step.
        title: Name of the progress bar.

    Raises:
        BadInput: If there are no data, the student answers at random or by the rest of the batch, the checkpoint is
            another training's, the device lacks the precision, a layer that a term reads does not exist, or such a term
            lacks a feature teacher, or a feature teacher such a term.
        CorruptFile: If the checkpoint is truncated or altered.
        Diverged: If a term, the gradient or a weight becomes NaN or infinite; the message names the step, and the term.
    """
    wanted = (
        ("student", student, nn.Module, "a torch.nn.Module"),
        ("objective", objective, Objective, "an attar.Objective of terms"),
        ("data", data, Source, "an attar.TransferSet(split), or another source of batches"),
        ("settings", settings, Training | None, "an attar.Training"),
        ("teacher", teacher, nn.Module | None, "a torch.nn.Module that learns too"),
        ("feature_teacher", feature_teacher, nn.Module | None, "a torch.nn.Module whose layers terms read"),
        ("validation", validation, Source | None, "an attar.TransferSet(split), or another source of batches"),
    )
    for name, value, kind, words in wanted:
        if not isinstance(value, kind):
            raise must(name, "fit", words, value, "fit(student, objective, data) is the order")
    settings = settings or Training()
    for name, source in (("data", data), ("validation", validation)):
        if source is not None and len(source) == 0:
            raise must(name, "fit", "not empty", 0, "Give at least one example")
    if settings.patience is not None and validation is None:
        rule = "None without validation data, which it waits for"
        raise must("patience", "Training", rule, settings.patience, "Pass validation= to fit")
    if not any(parameter.requires_grad for parameter in student.parameters()):
        rule = "a module with a parameter that requires a gradient"
        raise must("student", "fit", rule, type(student).__name__, "Call its requires_grad_(True)")
    fabric = fabric or make_fabric("cpu", settings.precision)
    with _own_randomness(settings.seed, fabric.device):
        return _Run(
            student,
            objective,
            data,
            settings,
            validation,
            metric,
            teacher,
            detach_teacher,
            feature_teacher,
            callbacks,
            make_optimizer,
            checkpoint_file,
            fabric,
        ).go(progress, title)


def make_fabric(
    device: str = "cpu", precision: Literal["32-true", "bf16-mixed"] = "32-true", processes: int = 1
) -> Fabric:
    """Devices and precision as Lightning Fabric holds them.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1`` and the like, or ``mps``.
        precision: Of the arithmetic in training.
        processes: Processes that share each step; start them with torchrun.

    Raises:
        BadInput: If there is no such device, or it does not have the precision.
    """
    kind, colon, index = device.partition(":")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(kind, False) or (colon and kind != "cuda"):
        here = ", ".join(name for name, present in available.items() if present)
        raise must("device", "the run", f"one that this machine has ({here})", device, "Choose another or leave it out")
    if kind == "cuda" and colon and not (index.isdigit() and int(index) < torch.cuda.device_count()):
        raise must("device", "the run", f"below cuda:{torch.cuda.device_count()}", device, "Choose another number")
    if precision == "bf16-mixed" and kind == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise must("precision", "Training", "32-true on this CPU, which has no bf16", precision, "Leave it out")
    devices: Any = [int(index)] if index and processes == 1 else processes
    fabric = Fabric(accelerator=kind, devices=devices, precision=precision, strategy="ddp" if processes > 1 else "auto")
    fabric.launch()
    return fabric


class _Run:
    """One training under way."""

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        data: Source,
        settings: Training,
        validation: Source | None,
        metric: Metric,
        teacher: nn.Module | None,
        detach_teacher: bool,
        feature_teacher: nn.Module | None,
        callbacks: Sequence[Callback],
        make_optimizer: MakeOptimizer | None,
        checkpoint_file: Path | None,
        fabric: Fabric,
    ) -> None:
        self.objective, self.data, self.settings = objective, data, settings
        self.validation, self.metric, self.detach_teacher = validation, metric, detach_teacher
        self.callbacks, self.checkpoint_file, self.fabric = callbacks, checkpoint_file, fabric
        taps = feature_taps(objective, student, teacher, feature_teacher)
        live_teacher = None if teacher is None else prepared(teacher, data, "The teacher")
        self.train_module = TrainModule(prepared(student, data, "The student"), live_teacher)
        self.train_module.feature_taps = taps
        self.feature_teacher = (
            None
            if feature_teacher is None
            else FeatureTeacher(copied(feature_teacher), digest(feature_teacher) if checkpoint_file else "")
        )
        if taps:
            self.train_module.add_projectors_(objective, self.feature_teacher, probed(data))
        self.channels_last = learn_channels_last(self.train_module.networks, data)
        if self.channels_last:
            lay_out_(self.train_module)
        if self.train_module.teacher is not None:
            # Teachers are frozen wherever else they come from.
            self.train_module.teacher.requires_grad_(True)
        self.steps_per_epoch = math.ceil(len(data) / settings.batch_size)
        if (smallest := len(data) // self.steps_per_epoch) < fabric.world_size:
            # A process without an example would leave the others waiting for its gradient.
            rule = f"at least one example for each of the {fabric.world_size} processes"
            raise must("the smallest step", "fit", rule, smallest, "Raise batch_size, or use fewer processes")
        optimizer = (make_optimizer or settings_optimizer(settings))(self.train_module.parameters())
        self.optimizer_name = type(optimizer).__qualname__
        self.schedule = make_schedule(optimizer, settings, self.steps_per_epoch)
        self.model, self.optimizer = fabric.setup(self.train_module, optimizer)
        if self.feature_teacher is not None:
            self.feature_teacher.to(fabric.device)
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            average: Any = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.train_module, multi_avg_fn=average)
        self.loop = LoopState()

    def go(self, progress: Progress, title: str) -> Fitted:
        if self.checkpoint_file is not None and self.checkpoint_file.exists():
            self._resume(self.checkpoint_file)
        saved = time.monotonic()
        stopped = self._out_of_patience()
        with progress(title, self.settings.epochs * self.steps_per_epoch) as advance:
            advance(self.loop.step)
            while self.loop.epoch < self.settings.epochs and not stopped:
                batches = self._row_batches(self.loop.epoch)
                while self.loop.step_in_epoch < self.steps_per_epoch:
                    self._step(batches[self.loop.step_in_epoch])
                    advance(1)
                    if (
                        self.checkpoint_file is not None
                        and time.monotonic() - saved >= self.settings.checkpoint_seconds
                    ):
                        self._save(self.checkpoint_file)
                        saved = time.monotonic()
                self._finish_epoch()
                stopped = self._out_of_patience()
        return self._result(stopped)

    # -- one step ----------------------------------------------------------------------------------------------------

    def _step(self, rows: Tensor) -> None:
        loop, fabric = self.loop, self.fabric
        terms = self.objective.at(loop.epoch + loop.step_in_epoch / self.steps_per_epoch)
        if not (
            self.train_module.training and self.train_module.student.training
        ):  # Telling every module takes a while.
            self.train_module.train()
        # Each process takes its even part of the step's examples.
        part = rows.tensor_split(fabric.world_size)[fabric.global_rank]
        batch = self.data.batch(part, loop.epoch).to(fabric.device)
        if loop.step == 0:
            check_student(self.train_module.student, batch, [term.loss for term in terms if term.of == "student"])
        count = batch.count()
        if fabric.world_size > 1:
            total = fabric.all_reduce(torch.tensor(count, device=fabric.device), reduce_op="sum")
            assert isinstance(total, Tensor)
            count = int(total)
        pieces = math.ceil(len(batch) / (self.settings.micro_batch_size or len(batch)))
        cuts = [len(batch) * piece // pieces for piece in range(pieces + 1)]
        sums = torch.zeros(len(terms), device=fabric.device)
        self.optimizer.zero_grad()
        for start, stop in itertools.pairwise(cuts):
            with fabric.no_backward_sync(self.model, enabled=stop < len(batch)):
                values = self._sums(batch.rows(start, stop), terms)
                weighted = torch.stack([term.weight * value for term, value in zip(terms, values, strict=True)]).sum()
                if not weighted.requires_grad:
                    raise BadInput(
                        "The student's answers depend on no weight that learns. Let its forward use its parameters, "
                        "and leave torch.no_grad(), detach() and argmax() out of it."
                    )
                # The one place that divides. Fabric averages gradients over processes, hence the world size.
                fabric.backward(weighted * (fabric.world_size / max(count, 1)))
                sums += torch.stack([value.detach().float() for value in values])
        self._note(terms, sums, count)
        if self.settings.max_gradient_norm is not None:
            longest = self.settings.max_gradient_norm
            norm = fabric.clip_gradients(self.model, self.optimizer, max_norm=longest, error_if_nonfinite=False)
            assert isinstance(norm, Tensor)
            if not bool(norm.isfinite()):
                raise self._diverged(f"the gradient became {float(norm)}", loop.step)
        self.optimizer.step()
        self.schedule.step()
        if self.settings.max_norm is not None:
            _shorten_(self.train_module, self.settings.max_norm)
        if self.average is not None:
            self.average.update_parameters(self.train_module)
        loop.step += 1
        loop.step_in_epoch += 1
        for callback in self.callbacks:
            callback.after_step(self._train_state())

    def _sums(self, batch: Batch, terms: Sequence[Active]) -> list[Tensor]:
        reading_terms = tuple(term.name for term in terms if term.name in self.train_module.feature_taps)
        inputs = laid_out(batch.inputs) if self.channels_last else batch.inputs
        try:
            output, teacher_output, layer_outputs = self.model(inputs, reading_terms)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise BadInput(
                f"batch normalization cannot learn from {len(batch)} example, as the {len(self.data)} examples in "
                f"{self.steps_per_epoch} steps leave it at step {self.loop.step}. Raise batch_size (and "
                "micro_batch_size), or normalize each example by itself, as nn.LayerNorm and nn.GroupNorm do."
            ) from error
        if teacher_output is not None:
            batch = replace(batch, targets=teacher_output.detach() if self.detach_teacher else teacher_output)
        features = self._features(inputs, layer_outputs) if reading_terms else {}
        values = []
        for term in terms:
            if term.of == "teacher" and teacher_output is None:
                raise must(
                    "of",
                    f"term {term.name!r}",
                    "'student' unless a teacher learns too",
                    term.of,
                    "Pass teacher= to fit",
                )
            given = replace(batch, features=features[term.name]) if term.name in features else batch
            output_of_term = output if term.of == "student" else teacher_output
            try:
                losses = term.loss(output_of_term, given)
            except IndexError:  # what torch raises for the number of a class that has no logit
                check_labels(output_of_term, batch.labels, f"The {term.of}")
                raise
            counted = _counted_shape(batch)
            if losses.shape[: len(counted)] != counted:
                raise must(
                    f"loss of term {term.name!r}",
                    "the objective",
                    f"one value per {'example' if len(counted) == 1 else 'position'} {counted}",
                    tuple(losses.shape),
                    "Do not reduce it: the loop sums and divides",
                )
            values.append(_sum_of_counted(losses, batch))
        if self.train_module.feature_taps:
            values[0] = values[0] + self.train_module.zero_for_idle(
                output, [term.name for term in terms], reading_terms
            )
        return values

    def _features(
        self, inputs: Tensor, layer_outputs: Mapping[str, tuple[Tensor, Tensor | None]]
    ) -> dict[str, Features]:
        """What the layers gave, by the name of the term that reads them."""
        teacher_features: Mapping[str, Tensor] = {}
        if self.feature_teacher is not None:
            with self.fabric.autocast():
                teacher_features = self.feature_teacher.features(
                    inputs, {name: self.train_module.feature_taps[name] for name in layer_outputs}
                )
        features = {}
        for name, (student, teacher) in layer_outputs.items():
            if teacher is None:
                teacher = teacher_features[name]
            features[name] = Features(student, teacher.detach() if self.detach_teacher else teacher)
        return features

    def _note(self, terms: Sequence[Active], sums: Tensor, count: int) -> None:
        if self.fabric.world_size > 1:
            sums = self.fabric.all_reduce(sums, reduce_op="sum")  # type: ignore[assignment]
        loop = self.loop
        for term, value in zip(terms, sums.tolist(), strict=True):
            if not math.isfinite(value):
                raise self._diverged(f"loss term {term.name!r} became {value}", loop.step)
            loop.sums[term.name] = loop.sums.get(term.name, 0.0) + value
            loop.counts[term.name] = loop.counts.get(term.name, 0) + count
            loop.total += term.weight * value
        loop.counted += count

    def _diverged(self, what: str, step: int) -> Diverged:
        remedy = f"Lower learning_rate ({self.settings.learning_rate}) or set max_gradient_norm."
        return Diverged(f"{what} at step {step} (epoch {self.loop.epoch}). {remedy}")

    # -- one epoch ---------------------------------------------------------------------------------------------------

    def _row_batches(self, epoch: int) -> Sequence[Tensor]:
        """The steps of an epoch: an order that depends on seed and epoch alone, cut into even pieces."""
        order = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        return torch.randperm(len(self.data), generator=order).tensor_split(self.steps_per_epoch)

    def _finish_epoch(self) -> None:
        loop = self.loop
        for name, parameter in self.train_module.named_parameters():
            # A last step may spoil the weights with no loss after it that would show it.
            if not bool(parameter.isfinite().all()):
                raise self._diverged(f"weights {name!r} were NaN or infinite", loop.step - 1)
        for callback in self.callbacks:
            callback.after_epoch(self._train_state())
        score = self._score()
        means = {name: value / max(loop.counts[name], 1) for name, value in loop.sums.items()}
        rate = float(self.optimizer.param_groups[0]["lr"])
        loop.history.append(Epoch(loop.epoch, loop.total / max(loop.counted, 1), means, score, rate))
        better = score is not None and (loop.best_score is None or score > loop.best_score)
        if better or score is None or self.settings.checkpoint == "last":
            loop.best_epoch, loop.best_score = loop.epoch, score
            loop.best = {name: tensor.detach().cpu().clone() for name, tensor in self._candidate().state_dict().items()}
        loop.epoch, loop.step_in_epoch = loop.epoch + 1, 0
        loop.total, loop.counted, loop.sums, loop.counts = 0.0, 0, {}, {}

    def _candidate(self) -> nn.Module:
        """The weights that would be returned now: the average where one is kept."""
        if self.average is not None:
            averaged = self.average.module
            assert isinstance(averaged, nn.Module)
            return averaged
        return self.train_module

    def _score(self) -> float | None:
        if self.validation is None:
            return None
        student: nn.Module = self._candidate().eval().student  # type: ignore[assignment]
        total, count = 0.0, 0
        with torch.inference_mode():
            for rows in torch.split(torch.arange(len(self.validation)), 512):
                batch = self.validation.batch(rows, 0).to(self.fabric.device)
                inputs = laid_out(batch.inputs) if self.channels_last else batch.inputs
                values = self.metric(forward(student, inputs, of="The student"), batch)
                total += float(_sum_of_counted(values.float(), batch))
                count += batch.count()
        score = total / max(count, 1)
        if self.fabric.world_size > 1:
            # Batch normalization may differ between processes: one decides which epoch is best, and when to stop.
            score = float(self.fabric.broadcast(score))
        if not math.isfinite(score):
            raise must("the validation score", "fit", "finite", score, "Look at the metric, or lower learning_rate")
        return score

    def _out_of_patience(self) -> bool:
        patience, loop = self.settings.patience, self.loop
        if patience is None or loop.best_score is None:
            return False
        scores = [entry.score for entry in loop.history if entry.score is not None]
        return len(scores) - 1 - max(range(len(scores)), key=scores.__getitem__) >= patience

    def _train_state(self) -> TrainState:
        return TrainState(
            self.train_module.student, self.optimizer, self.loop.epoch, self.loop.step, self.steps_per_epoch
        )

    def _result(self, stopped: bool) -> Fitted:
        loop = self.loop
        self.train_module.load_state_dict(loop.best)
        train_module = self.train_module.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        train_module.eval()
        return Fitted(
            train_module.student,
            tuple(loop.history),
            loop.best_epoch,
            loop.best_score,
            loop.step,
            stopped,
            train_module.teacher,
        )

    # -- surviving a crash -------------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, str]:
        settings = asdict(self.settings)
        settings.pop("checkpoint_seconds")
        shapes = {name: tuple(tensor.shape) for name, tensor in self.train_module.state_dict().items()}
        feature_teacher = {} if self.feature_teacher is None else {"feature_teacher": self.feature_teacher.fingerprint}
        return {
            **feature_teacher,
            "settings": repr(settings),
            "objective": _in_words(self.objective),
            "examples": str(len(self.data)),
            "network": repr(shapes),
            "teacher": "none" if self.train_module.teacher is None else f"detached: {self.detach_teacher}",
            "optimizer": self.optimizer_name,
            "callbacks": repr([type(callback).__qualname__ for callback in self.callbacks]),
        }

    def _save(self, path: Path) -> None:
        if self.fabric.global_rank != 0:
            return
        loop = {**vars(self.loop), "history": [entry.to_json() for entry in self.loop.history]}
        save_state(
            {
                "identity": self._identity(),
                "train_module": self.train_module.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "callbacks": [callback.state_dict() for callback in self.callbacks],
                "random": _random_state(self.fabric.device),
                "loop": loop,
            },
            path,
        )

    def _resume(self, path: Path) -> None:
        state = load_state(path)
        if not isinstance(state, dict) or not isinstance(state.get("identity"), dict):
            raise CorruptFile(f"{path} is not a checkpoint of a training. Delete it to start that training anew.")
        for name, value in self._identity().items():
            if state["identity"].get(name) != value:
                raise must(
                    f"{name} of the checkpoint",
                    str(path),
                    "those of this training",
                    state["identity"].get(name),
                    "Delete it, or write elsewhere",
                )
        self.train_module.load_state_dict(state["train_module"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for callback, its in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(its)
        loop = state["loop"]
        self.loop = LoopState(**{**loop, "history": [Epoch(**entry) for entry in loop["history"]]})
        _set_random_state(state["random"], self.fabric.device)


def _shorten_(module: nn.Module, longest: float) -> None:
    """Bring the weights into each unit to a length of ``longest`` at most."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1 and parameter.requires_grad:
                parameter.copy_(parameter.renorm(2, 0, longest))


def _counted_shape(batch: Batch) -> tuple[int, ...]:
    """The shape of what `Batch.count` counts: the mask's, or one for each example."""
    return (len(batch),) if batch.mask is None else tuple(batch.mask.shape)


def _sum_of_counted(values: Tensor, batch: Batch) -> Tensor:
    """The sum over what counts; positions beyond that are averaged, as all examples have equally many."""
    dimensions = len(_counted_shape(batch))
    if values.dim() > dimensions:
        values = values.flatten(dimensions).mean(-1)
    return (values if batch.mask is None else values[batch.mask]).sum()


def _in_words(objective: Objective) -> str:
    """The objective in words that are the same in another process, where functions have other addresses."""
    described = []
    for name, term in objective.terms.items():
        loss: Any = term.loss
        named = loss if hasattr(loss, "__qualname__") else type(loss)
        words = repr(loss) if is_dataclass(loss) else f"{named.__module__}.{named.__qualname__}"
        rest = {each.name: getattr(term, each.name) for each in fields(term) if each.name != "loss"}
        described.append((name, words, rest))
    return repr(described)


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch for the training and give the caller's random state back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # Not torch.manual_seed, which seeds the devices that this training does not use as well.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
