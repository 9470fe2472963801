"""What changes from step to step of a training: the networks, their optimizer and its schedule, the average of weights.

One thing, so that it is saved, restored and rebuilt as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from attar.errors import BadInput
from attar.network.copying import copied
from attar.network.layout import lay_out_
from attar.network.weights import digest
from attar.training.callbacks import Edit
from attar.training.forward_pass import ForwardPass
from attar.training.job import Job
from attar.training.prepare import learn_channels_last, prepared, probed
from attar.training.rebuild import rebuild_
from attar.training.settings import make_schedule, settings_optimizer
from attar.training.train_module import FeatureTeacher, TrainModule, feature_taps


class Learner:
    """What changes from step to step of a training.

    Attributes:
        train_module: Copies of the networks that learn.
        forward_pass: Takes batches through them, on the device.
        optimizer: Of all of their parameters.
        average: The running mean of the weights; None where none is kept.
        parameters: All that learns, in the shapes that it has now.
    """

    def __init__(self, job: Job, steps_per_epoch: int) -> None:
        """Copy the networks of a training, and build what trains them.

        Args:
            job: The training.
            steps_per_epoch: For the schedule.

        Raises:
            BadInput: If a network cannot be trained, or a layer that a term reads does not exist.
        """
        self._settings = settings = job.settings
        taps = feature_taps(job.objective, job.student, job.teacher, job.feature_teacher)
        live_teacher = None if job.teacher is None else prepared(job.teacher, job.data, "The teacher")
        self.train_module = TrainModule(prepared(job.student, job.data, "The student"), live_teacher)
        self.train_module.feature_taps = taps
        feature_teacher: FeatureTeacher | None = None
        if job.feature_teacher is not None:
            fingerprint = digest(job.feature_teacher) if job.checkpoint_file else ""
            feature_teacher = FeatureTeacher(copied(job.feature_teacher), fingerprint)
        if taps:
            self.train_module.add_projectors_(job.objective, feature_teacher, probed(job.data))
        channels_last = learn_channels_last(self.train_module.networks, job.data)
        if channels_last:
            lay_out_(self.train_module)
        if self.train_module.teacher is not None:
            # It learns, also one that was frozen where it comes from.
            self.train_module.teacher.requires_grad_(True)
        self.optimizer = (job.make_optimizer or settings_optimizer(settings))(self.train_module.parameters())
        self._schedule = make_schedule(self.optimizer, settings, steps_per_epoch)
        self.forward_pass = ForwardPass(
            self.train_module,
            feature_teacher,
            job.fabric,
            channels_last=channels_last,
            detach_teacher=job.detach_teacher,
        )
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            average: Any = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.train_module, multi_avg_fn=average)
        self.parameters = list(self.train_module.parameters())
        self._feature_fingerprint = None if feature_teacher is None else feature_teacher.fingerprint

    @property
    def candidate(self) -> TrainModule:
        """The weights that would be returned now: the average where there is one."""
        if self.average is None:
            return self.train_module
        averaged = self.average.module
        assert isinstance(averaged, TrainModule)
        return averaged

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def clear_gradients(self) -> None:
        """Forget the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None  # as the optimizer's zero_grad does, which takes ten times as long

    def clip_gradients(self, norm: float) -> float:
        """Shorten the gradient to a length of ``norm`` at most; the length that it had."""
        parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
        return float(nn.utils.clip_grad_norm_(parameters, norm))

    def step(self) -> None:
        """Change the weights by the gradients."""
        self.optimizer.step()
        if self._schedule is not None:
            self._schedule.step()
        if self._settings.max_norm is not None:
            _shorten_(self.train_module, self._settings.max_norm)
        if self.average is not None:
            self.average.update_parameters(self.train_module)

    def rebuild(self, edits: Sequence[Edit], best: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the student another shape, and all that goes with its weights.

        Args:
            edits: Each changes a network of the student's shape in place.
            best: A state of the module as it was; it may be empty.

        Returns:
            That state after the edits.
        """
        edited = dict(best)
        for edit in edits:
            edited = rebuild_(edit, self.train_module, self.optimizer, self.average, edited)
        self.parameters = list(self.train_module.parameters())
        self.forward_pass.follow_shapes()
        return edited

    def identity(self) -> dict[str, str]:
        """What a checkpoint must be of, so that it fits."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self.train_module.state_dict().items()}
        teacher = {} if self._feature_fingerprint is None else {"feature_teacher": self._feature_fingerprint}
        return {**teacher, "network": repr(shapes), "optimizer": type(self.optimizer).__qualname__}

    def state_dict(self) -> dict[str, Any]:
        """The same as tensors and values that a checkpoint holds."""
        return {
            "train_module": self.train_module.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self._schedule is None else self._schedule.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], path: object) -> None:
        """Take up what `state_dict` gave.

        Args:
            state: What a checkpoint holds.
            path: Where it lies; for messages.

        Raises:
            BadInput: If the student has other shapes.
        """
        try:
            self.train_module.load_state_dict(state["train_module"])
        except RuntimeError as error:
            raise BadInput(
                f"The weights in {path} have other shapes than the student has after its callbacks rebuilt it. Let "
                "their rebuild() repeat every edit that they had asked for, or delete the checkpoint."
            ) from error
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self._schedule is not None:
            self._schedule.load_state_dict(state["schedule"])


def _shorten_(module: nn.Module, longest: float) -> None:
    """Bring the weights into each unit to a length of ``longest`` at most."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1 and parameter.requires_grad:
                parameter.copy_(parameter.renorm(2, 0, longest))
