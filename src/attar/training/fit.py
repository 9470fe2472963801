"""THE loop. Everything that trains in Attar goes through `fit`, and the loss is divided in exactly one place."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from attar.errors import BadInput, CorruptFile, Diverged, must
from attar.network.copying import copied
from attar.network.entry_point import entry_point
from attar.training.batch import Batch, Source, micro_batches
from attar.training.callbacks import AfterValidation, Callback, Edit, Hook, Hooks, TrainState
from attar.training.checkpoint import load_state, save_state
from attar.training.collectives import Collectives
from attar.training.fabric import make_fabric
from attar.training.job import Job, check_kinds
from attar.training.learner import Learner
from attar.training.loop_state import LoopState
from attar.training.objective import Active, Objective
from attar.training.prepare import check_student, check_suited
from attar.training.progress import Progress, note, silent
from attar.training.randomness import own_randomness, random_state, seed_torch, set_random_state
from attar.training.results import Epoch, Fitted
from attar.training.scoring import OfTask, Scorer, in_words, total_score, usual_score
from attar.training.settings import MakeOptimizer, Training
from attar.training.train_module import TrainModule


@entry_point
def fit(
    student: nn.Module,
    objective: Objective,
    data: Source,
    *,
    settings: Training | None = None,
    validation: Source | None = None,
    metric: Scorer | None = None,
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

    Started by torchrun, each process takes its even part of every step and of the validation data; the first one alone
    writes the checkpoint, in a place that all see, and all resume from it. Batch normalization then learns from the
    examples of one process, with the first one's statistics in the end; dropout draws other units in each process, and
    others than one process would. Without them the weights are those of one process but for rounding.

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
        metric: Score per example, higher is better; its mean is the validation score. By default that of the task that
            ``validation`` is of, which for classes is the accuracy.
        teacher: A module that learns along with the student: its output becomes the targets, and terms with
            ``of="teacher"`` judge it (Mishra, Marr, *Apprentice*, 2018, scheme A).
        detach_teacher: Whether the student's terms leave that teacher alone.
        feature_teacher: A frozen network whose layers terms read: it sees the inputs that the student sees, in
            evaluation mode. A copy is used; its outputs are no targets.
        callbacks: Called at the start, before and after each step, and after each epoch; they may change the student,
            or look on, as `attar.TensorBoard` and `attar.MLflow` do with their ``curves``.
        make_optimizer: Builds another optimizer than ``settings.optimizer`` names.
        checkpoint_file: File to write state to and to continue from.
        fabric: Devices, precision and processes; by default the CPU, and the processes that torchrun started.
        progress: Sees each step.
        title: Name of the progress bar.

    Raises:
        BadInput: If there are no data, the student answers at random or by the rest of the batch, the checkpoint is
            another training's, the device lacks the precision, a layer that a term reads does not exist, or such a term
            lacks a feature teacher, or a feature teacher such a term.
        CorruptFile: If the checkpoint is truncated or altered.
        Diverged: If a term, the gradient or a weight becomes NaN or infinite; the message names the step, and the term.
    """
    check_kinds(student, objective, data, settings, teacher, feature_teacher, validation, callbacks)
    if isinstance(data, OfTask):
        check_suited([term.loss for term in objective.terms.values()], data.task)
    settings = settings or Training()
    job = Job(
        student=student,
        objective=objective,
        data=data,
        settings=settings,
        validation=validation,
        metric=metric or usual_score(validation),
        teacher=teacher,
        detach_teacher=detach_teacher,
        feature_teacher=feature_teacher,
        callbacks=tuple(callbacks),
        make_optimizer=make_optimizer,
        checkpoint_file=checkpoint_file,
        fabric=fabric or make_fabric("cpu", settings.precision),
    )
    with own_randomness(settings.seed, job.fabric.device):
        return _Run(job).go(progress, title)


class _Run:
    """One training under way."""

    def __init__(self, job: Job) -> None:
        self.job, self.settings = job, job.settings
        self.device = job.fabric.device
        self.together = Collectives(job.fabric)
        self.hooks = Hooks.of(job.callbacks)
        self.steps_per_epoch = math.ceil(len(job.data) / self.settings.batch_size)
        processes = self.together.processes
        if (smallest := len(job.data) // self.steps_per_epoch) < processes:
            # A process without an example would leave the others waiting for its gradient.
            rule = f"at least one example for each of the {processes} processes"
            raise must("the smallest step", "fit", rule, smallest, "Raise batch_size, or use fewer processes")
        self.learner = Learner(job, self.steps_per_epoch)
        self.train_module = self.learner.train_module
        self.edits: list[Edit] = []
        self.identity = {**job.identity(), **self.learner.identity()}
        self.loop = LoopState()
        self._terms: list[Active] = []
        self._terms_epoch = -1

    def go(self, progress: Progress, title: str) -> Fitted:
        file = self.job.checkpoint_file
        if file is not None and self.together.agreed(file.exists()):
            self._resume(file)
        saved = time.monotonic()
        stopped = self.loop.out_of_patience(self.settings.patience)
        self._call(self.hooks.on_start)
        self._rebuild()
        with progress(title, self.settings.epochs * self.steps_per_epoch) as advance:
            advance(self.loop.step)
            while self.loop.epoch < self.settings.epochs and not stopped:
                rows_of_steps = self._rows_of_steps(self.loop.epoch)
                while self.loop.step_in_epoch < self.steps_per_epoch:
                    self._step(rows_of_steps[self.loop.step_in_epoch])
                    advance(1)
                    if file is not None and time.monotonic() - saved >= self.settings.checkpoint_seconds:
                        self._save(file)
                        saved = time.monotonic()
                self._finish_epoch()
                if (score := self.loop.history[-1].score) is not None:
                    note(advance, in_words(score, self.job.metric))
                stopped = self.loop.out_of_patience(self.settings.patience)
        return self._result(stopped)

    # -- one step ----------------------------------------------------------------------------------------------------

    def _step(self, rows: Tensor) -> None:
        loop, settings, learner = self.loop, self.settings, self.learner
        if not (self.train_module.training and self.train_module.student.training):  # to set it anew takes a while
            self.train_module.train()
        batch = self._batch(rows)
        terms = self._active_terms()
        if loop.step == 0:
            task = self.job.data.task if isinstance(self.job.data, OfTask) else None
            check_student(self.train_module.student, batch, [term.loss for term in terms if term.of == "student"], task)
        count = self.together.total(batch.count())
        # The one place that divides: by what counts in all micro-batches and processes. Processes average gradients,
        # hence their number.
        share = self.together.processes / max(count, 1)
        pieces = micro_batches(batch, settings.micro_batch_size)
        sums: list[Tensor] = []
        learner.clear_gradients()
        for number, piece in enumerate(pieces, 1):
            with learner.forward_pass.synchronized(last=number == len(pieces)):
                losses = self._losses(piece, terms)
                learner.forward_pass.backward(losses, terms, share)
            added = [each.detach().sum().float() for each in losses[: len(terms)]]
            sums = [one + other for one, other in zip(sums, added, strict=True)] if sums else added
        self._note(terms, sums, count)
        if self.hooks.before_step:
            self._call(self.hooks.before_step, batch, count)
        if settings.max_gradient_norm is not None:
            norm = learner.clip_gradients(settings.max_gradient_norm)
            if not math.isfinite(norm):
                raise self._diverged(f"the gradient became {norm}", loop.step)
        learner.step()
        loop.step += 1
        loop.step_in_epoch += 1
        if self.hooks.after_step:
            self._call(self.hooks.after_step, batch, count)
        if self.edits:
            self._rebuild()

    def _batch(self, rows: Tensor) -> Batch:
        """The examples of a step, or this process's even part of them, on its device."""
        processes, rank = self.together.processes, self.together.rank
        if processes > 1:
            # From the step alone, so that a resumed process drops the same units; each process drops others.
            seed_torch((self.settings.seed * 1_000_003 + self.loop.step) * processes + rank, self.device)
            rows = rows.tensor_split(processes)[rank]
        batch = self.job.data.batch(rows, self.loop.epoch)
        on_cpu = self.device.type == "cpu" and batch.inputs.device == self.device
        return batch if on_cpu else batch.to(self.device)

    def _active_terms(self) -> list[Active]:
        """The terms of the step; they are asked for once in an epoch where nothing moves within it."""
        epoch, objective = self.loop.epoch, self.job.objective
        if epoch != self._terms_epoch or objective.moves:
            self._terms = objective.at(epoch + self.loop.step_in_epoch / self.steps_per_epoch)
            self._terms_epoch = epoch
        return self._terms

    def _losses(self, batch: Batch, terms: Sequence[Active]) -> list[Tensor]:
        try:
            return self.learner.forward_pass.losses(batch, terms)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise BadInput(
                f"batch normalization cannot learn from {len(batch)} example, as the {len(self.job.data)} examples in "
                f"{self.steps_per_epoch} steps leave it at step {self.loop.step}. Raise batch_size (and "
                "micro_batch_size), or normalize each example by itself, as nn.LayerNorm and nn.GroupNorm do."
            ) from error

    def _note(self, terms: Sequence[Active], sums: Sequence[Tensor], count: int) -> None:
        """Add the losses of a step to those of the epoch."""
        if self.together.processes > 1:
            sums = self.together.added_up(torch.stack(list(sums))).unbind()
        loop = self.loop
        for term, each in zip(terms, sums, strict=True):
            value = each.item()
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

    def _rows_of_steps(self, epoch: int) -> Sequence[Tensor]:
        """The steps of an epoch: an order that depends on seed and epoch alone, cut into even pieces."""
        order = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        return torch.randperm(len(self.job.data), generator=order).tensor_split(self.steps_per_epoch)

    def _finish_epoch(self) -> None:
        loop = self.loop
        for name, parameter in self.train_module.named_parameters():
            # A last step may spoil the weights with no loss after it that would show it.
            if not bool(parameter.isfinite().all()):
                raise self._diverged(f"weights {name!r} were NaN or infinite", loop.step - 1)
        self._call(self.hooks.after_epoch)
        self._rebuild()
        self.together.share_buffers((self.train_module, self.learner.average))
        score = self._score(self.learner.candidate)
        if loop.best_is_edited:
            if loop.best and self.settings.checkpoint == "best":
                edited = copied(self.train_module)
                edited.load_state_dict(loop.best)
                loop.best_score = self._score(edited)
            loop.best_is_edited = False
        better = score is not None and (loop.best_score is None or score > loop.best_score)
        loop.history.append(loop.epoch_so_far(score, self.learner.learning_rate))
        if better or score is None or self.settings.checkpoint == "last":
            weights = self.learner.candidate.state_dict()
            loop.best_epoch, loop.best_score = loop.epoch, score
            loop.best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        if self.hooks.after_validation:
            seen = tuple(loop.history)
            self._call([partial(_with_history, hook, seen) for hook in self.hooks.after_validation])
        loop.begin_epoch(loop.epoch + 1)

    def _score(self, module: TrainModule) -> float | None:
        """The mean score of a student on all validation data, of which each process scores a part."""
        job, together = self.job, self.together
        if job.validation is None:
            return None
        mine = torch.arange(len(job.validation)).tensor_split(together.processes)[together.rank]
        channels_last = self.learner.forward_pass.channels_last
        numbers: Sequence[float] = total_score(
            module.eval().student, job.validation, mine, job.metric, self.device, channels_last
        )
        if together.processes > 1:
            numbers = together.added_up(torch.tensor(numbers, dtype=torch.float64, device=self.device)).tolist()
        total, count = numbers
        score = total / (count or 1.0)
        if not math.isfinite(score):
            raise must("the validation score", "fit", "finite", score, "Look at the metric, or lower learning_rate")
        return score

    def _result(self, stopped: bool) -> Fitted:
        loop = self.loop
        self.train_module.load_state_dict(loop.best)
        trained = self.train_module.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        trained.eval()
        return Fitted(
            trained.student,
            tuple(loop.history),
            loop.best_epoch,
            loop.best_score,
            loop.step,
            stopped,
            trained.teacher,
        )

    # -- callbacks ---------------------------------------------------------------------------------------------------

    def _call(self, hooks: Sequence[Hook], batch: Batch | None = None, count: int = 0) -> None:
        """Call one hook of all callbacks."""
        loop, student = self.loop, self.train_module.student
        state = TrainState(
            student, self.learner.optimizer, loop.epoch, loop.step, self.steps_per_epoch, batch, count, self.edits
        )
        for hook in hooks:
            hook(state)

    def _rebuild(self) -> None:
        """Give the student the shapes that callbacks asked for; all that goes with its weights follows."""
        if not self.edits:
            return
        self.loop.best = self.learner.rebuild(self.edits, self.loop.best)
        self.edits.clear()
        self.loop.best_is_edited, self.loop.shape_epoch = True, self.loop.epoch
        self._call(self.hooks.after_rebuild)

    # -- surviving a crash -------------------------------------------------------------------------------------------

    def _save(self, path: Path) -> None:
        """Write a checkpoint, by the first process alone: the others are in the same state but for random numbers."""
        if self.together.rank != 0:
            return
        save_state(
            {
                "identity": self.identity,
                "callbacks": [callback.state_dict() for callback in self.job.kept_callbacks],
                **self.learner.state_dict(),
                "random": random_state(self.device),
                "loop": self.loop.to_state(),
            },
            path,
        )

    def _resume(self, path: Path) -> None:
        state = load_state(path)
        if not isinstance(state, dict) or not isinstance(state.get("identity"), dict):
            raise CorruptFile(f"{path} is not a checkpoint of a training. Delete it to start that training anew.")
        for name, value in self.identity.items():
            if state["identity"].get(name) != value:
                found = state["identity"].get(name)
                remedy = "Delete it, or write elsewhere"
                raise must(f"{name} of the checkpoint", str(path), "what this training has", found, remedy)
        # The callbacks come first: they know the shape of the student, in which the weights then fit.
        for callback, its in zip(self.job.kept_callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(its)
        self.edits += self.hooks.rebuild
        self._rebuild()
        self.learner.load_state_dict(state, path)
        self.loop = LoopState.from_state(state["loop"])
        set_random_state(state["random"], self.device)


def _with_history(hook: AfterValidation, history: Sequence[Epoch], state: TrainState) -> None:
    hook(state, history)
