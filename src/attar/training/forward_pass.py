"""One micro-batch through the networks and the terms: losses forward, gradients backward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import Precision
from torch import Tensor

from attar.errors import BadInput, must
from attar.network.layout import laid_out, lay_out_
from attar.training.batch import Batch, of_counted, weighted
from attar.training.features import Features
from attar.training.objective import Active
from attar.training.prepare import check_labels
from attar.training.train_module import FeatureTeacher, TrainModule


class ForwardPass:
    """Runs what is trained on micro-batches, on the devices and in the precision of a fabric.

    Attributes:
        channels_last: Whether images, and the weights of convolutions, lie channels last.
    """

    def __init__(
        self,
        train_module: TrainModule,
        feature_teacher: FeatureTeacher | None,
        fabric: Fabric,
        *,
        channels_last: bool,
        detach_teacher: bool,
    ) -> None:
        """Move all networks to the device.

        Args:
            train_module: What is trained.
            feature_teacher: Whose layers terms read besides.
            fabric: Device, precision and processes.
            channels_last: Whether images lie channels last.
            detach_teacher: Whether the student's terms give a live teacher no gradient.
        """
        self.channels_last = channels_last
        self._train_module, self._feature_teacher, self._fabric = train_module, feature_teacher, fabric
        self._detach_teacher = detach_teacher
        # Fabric's own wrapper of a module takes a third of a step of a tiny network.
        self._precision = fabric.strategy.precision
        self._casts = type(self._precision) is not Precision
        fabric.to_device(self._precision.convert_module(train_module))
        if feature_teacher is not None:
            feature_teacher.to(fabric.device)
        self._gradients: tuple[object, list[Tensor]] = None, []
        self.follow_shapes()

    def follow_shapes(self) -> None:
        """Take up the parameters that the networks have now; to be called again when they have got others."""
        if self.channels_last:
            lay_out_(self._train_module)
        self._model = self._fabric.strategy.setup_module(self._train_module)

    def losses(self, batch: Batch, terms: Sequence[Active]) -> list[Tensor]:
        """The losses of each term, with gradients: one value for each example or position that counts.

        Where terms read layers, one more tensor follows: zero, for what no term reaches (see
        `TrainModule.zero_for_idle`).

        Args:
            batch: A micro-batch, on the device.
            terms: Those of the step.
        """
        taps = self._train_module.feature_taps
        reading_terms = tuple(term.name for term in terms if term.name in taps) if taps else ()
        inputs = laid_out(batch.inputs) if self.channels_last else batch.inputs
        output, teacher_output, layer_outputs = self._outputs(inputs, reading_terms)
        if teacher_output is not None:
            batch = replace(batch, targets=teacher_output.detach() if self._detach_teacher else teacher_output)
        features = self._features(inputs, layer_outputs) if reading_terms else {}
        losses = []
        for term in terms:
            given = replace(batch, features=features[term.name]) if term.name in features else batch
            outputs = output if term.of == "student" else teacher_output
            if outputs is None:
                rule = "'student' unless a teacher learns too"
                raise must("of", f"term {term.name!r}", rule, term.of, "Pass teacher= to fit")
            losses.append(_losses_of(term, outputs, given))
        if taps:
            losses.append(self._train_module.zero_for_idle(output, [term.name for term in terms], reading_terms))
        return losses

    def backward(self, losses: Sequence[Tensor], terms: Sequence[Active], share: float) -> None:
        """Add the gradient of the weighted sum of all losses, times ``share``, to that of the parameters.

        Args:
            losses: What `losses` gave.
            terms: Those of the step.
            share: What each example or position counts.
        """
        weights = [term.weight for term in terms] + [0.0] * (len(losses) - len(terms))
        key = share, weights, [(one.dtype, one.shape) for one in losses]
        if self._gradients[0] != key:
            gradients = [
                (torch.full((), share, dtype=one.dtype, device=one.device) * weight).expand(one.shape)
                for one, weight in zip(losses, weights, strict=True)
            ]
            self._gradients = key, gradients
        roots, gradients = list(losses), self._gradients[1]
        if not all(one.requires_grad for one in losses):
            learned = [place for place, one in enumerate(losses) if one.requires_grad]
            roots, gradients = [losses[place] for place in learned], [gradients[place] for place in learned]
        if not roots:
            raise BadInput(
                "The student's answers depend on no weight that learns. Let its forward use its parameters, "
                "and leave torch.no_grad(), detach() and argmax() out of it."
            )
        torch.autograd.backward(roots, gradients)

    def synchronized(self, last: bool) -> AbstractContextManager[object]:
        """A context in which processes bring their gradients together, after the last micro-batch of a step alone."""
        if last or self._fabric.world_size == 1:
            return nullcontext()
        waiting: AbstractContextManager[object] = self._model.no_sync()  # type: ignore[operator]
        return waiting

    def _outputs(self, inputs: Tensor, reading_terms: tuple[str, ...]) -> Any:
        """What `TrainModule.forward` gives, in the precision of the training."""
        if not self._casts:
            return self._model(inputs, reading_terms)
        with self._precision.forward_context():
            outputs = self._model(self._precision.convert_input(inputs), reading_terms)
        return self._precision.convert_output(outputs)

    def _features(
        self, inputs: Tensor, layer_outputs: Mapping[str, tuple[Tensor, Tensor | None]]
    ) -> dict[str, Features]:
        """What the layers gave, by the name of the term that reads them."""
        teacher_features: Mapping[str, Tensor] = {}
        if self._feature_teacher is not None:
            with self._fabric.autocast():
                taps = {name: self._train_module.feature_taps[name] for name in layer_outputs}
                teacher_features = self._feature_teacher.features(inputs, taps)
        features = {}
        for name, (student, teacher) in layer_outputs.items():
            if teacher is None:
                teacher = teacher_features[name]
            features[name] = Features(student, teacher.detach() if self._detach_teacher else teacher)
        return features


def _losses_of(term: Active, output: Tensor, batch: Batch) -> Tensor:
    """One term's losses of what counts of a batch."""
    try:
        losses = term.loss(output, batch)
    except IndexError:  # what torch raises for the number of a class that has no logit
        check_labels(output, batch.labels, f"The {term.of}")
        raise
    counted = (len(batch),) if batch.mask is None else tuple(batch.mask.shape)
    if losses.shape[: len(counted)] != counted:
        raise must(
            f"loss of term {term.name!r}",
            "the objective",
            f"one value per {'example' if len(counted) == 1 else 'position'} {counted}",
            tuple(losses.shape),
            "Do not reduce it: the loop sums and divides",
        )
    return weighted(of_counted(losses, batch), batch)
