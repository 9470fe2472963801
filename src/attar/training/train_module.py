"""What is trained, as one module: student, projectors, a teacher that learns along; and the layers that terms read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.errors import must
from attar.network.evaluating import evaluating
from attar.network.forward import number_type, output_of
from attar.network.layout import laid_out, lay_out_, suits_channels_last
from attar.network.taps import find_layer, tapped
from attar.network.unchanged import Unchanged
from attar.training.features import Projects, ReadsLayers
from attar.training.objective import Objective

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureTap:
    """The two layers that one term reads.

    Attributes:
        student_layer: Name of the layer of the student.
        teacher_layer: Name of the layer of the feature teacher, or of the teacher that learns along with the student.
        of_live_teacher: Whether it is the latter's.
        projector: Key of the term's projector among `TrainModule.projectors`, if it has one.
    """

    student_layer: str
    teacher_layer: str
    of_live_teacher: bool
    projector: str


class TrainModule(nn.Module):
    """All that learns in a training, as one module, so that one wrapper holds it.

    It is the student, the teacher where one learns along, and the projectors of terms that read hidden layers. Of
    what a network gives, its logits alone are taken (see `attar.network.forward.output_of`).
    """

    def __init__(self, student: nn.Module, teacher: nn.Module | None) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher
        self.projectors = nn.ModuleDict()
        self.feature_taps: Mapping[str, FeatureTap] = {}
        self._calls = Unchanged(), Unchanged()
        self._logged_several_outputs = False

    def forward(
        self, inputs: Tensor, terms: tuple[str, ...] = ()
    ) -> tuple[Tensor, Tensor | None, dict[str, tuple[Tensor, Tensor | None]]]:
        """The outputs of both, and for each of the ``terms`` what its layers gave.

        A term that reads a feature teacher's layer, which is not in here, has None in its place.
        """
        if not terms:
            return self._output(inputs), None if self.teacher is None else self._teacher_output(inputs), {}
        feature_taps = {term: self.feature_taps[term] for term in terms}
        with tapped(self.student, (tap.student_layer for tap in feature_taps.values())) as mine:
            output = self._output(inputs)
        teacher_output = None
        if self.teacher is not None:
            names = [tap.teacher_layer for tap in feature_taps.values() if tap.of_live_teacher]
            with tapped(self.teacher, names) as theirs:
                teacher_output = self._teacher_output(inputs)
        layer_outputs = {}
        for term, tap in feature_taps.items():
            features = mine[tap.student_layer]
            if tap.projector in self.projectors:
                features = self.projectors[tap.projector](features)
            layer_outputs[term] = features, theirs[tap.teacher_layer] if tap.of_live_teacher else None
        return output, teacher_output, layer_outputs

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The student, and the teacher where there is one."""
        return (self.student,) if self.teacher is None else (self.student, self.teacher)

    def _output(self, inputs: Tensor) -> Tensor:
        result = self._calls[0](self.student, inputs)
        if isinstance(result, Tensor):
            return result
        if not self._logged_several_outputs and self.training:
            self._logged_several_outputs = True
            log.info("the student gives a %s: its logits are trained, and no other output of it", type(result).__name__)
        return output_of(result, "The student")

    def _teacher_output(self, inputs: Tensor) -> Tensor:
        assert self.teacher is not None
        return output_of(self._calls[1](self.teacher, inputs), "The teacher")

    def add_projectors_(self, objective: Objective, feature_teacher: FeatureTeacher | None, inputs: Tensor) -> None:
        """Build the projectors of the terms that have one, from the shapes of the features of some inputs."""
        with evaluating(self):
            _, _, layer_outputs = self(inputs, tuple(self.feature_taps))
        teacher_features = {} if feature_teacher is None else feature_teacher.features(inputs, self.feature_taps)
        for term, (student, teacher) in layer_outputs.items():
            loss = objective.terms[term].loss
            if isinstance(loss, Projects):
                projector = loss.projector(student, teacher_features[term] if teacher is None else teacher)
                if projector is not None:
                    self.projectors[self.feature_taps[term].projector] = projector.to(student.dtype)

    def zero_for_idle(self, output: Tensor, terms: Sequence[str], busy: Sequence[str]) -> Tensor:
        """Zero, with a gradient of zero for what no term of a step reaches: several processes wait for each weight's.

        Args:
            output: The student's.
            terms: Those of the step.
            busy: Those of them that read layers.
        """
        idle = [tap.projector for term, tap in self.feature_taps.items() if term not in busy]
        unused = [self.projectors[key] for key in idle if key in self.projectors]
        values = [parameter.sum() for module in unused for parameter in module.parameters()]
        if len(busy) == len(terms):
            values.append(output.sum())
        return 0 * torch.stack([value.float() for value in values]).sum() if values else output.new_zeros(())


class FeatureTeacher:
    """A frozen network whose layers terms read.

    Attributes:
        network: A copy of the caller's, which nothing here changes.
        fingerprint: What tells it from others in a checkpoint.
    """

    def __init__(self, network: nn.Module, fingerprint: str) -> None:
        self.network = network.requires_grad_(False).eval()
        self.fingerprint = fingerprint
        self._numbers = number_type(network)
        self._channels_last: bool | None = None
        self._call = Unchanged()

    def to(self, device: torch.device) -> None:
        """Move it."""
        self.network.to(device)

    def features(self, inputs: Tensor, taps: Mapping[str, FeatureTap]) -> dict[str, Tensor]:
        """What its layers give for some inputs, by the term that reads them."""
        if self._channels_last is None:
            self._channels_last = suits_channels_last(self.network, inputs)
            if self._channels_last:
                lay_out_(self.network)
        inputs = laid_out(inputs) if self._channels_last else inputs.contiguous()
        if self._numbers is not None and inputs.is_floating_point():
            inputs = inputs.to(self._numbers)
        with torch.no_grad(), tapped(self.network, (tap.teacher_layer for tap in taps.values())) as layer_outputs:
            self._call(self.network, inputs)
        return {term: layer_outputs[tap.teacher_layer] for term, tap in taps.items()}


def reads_layers(objective: Objective) -> bool:
    """Whether a term of the objective reads hidden layers, so that `attar.training.fit.fit` needs a network for them.

    Example:
        >>> from attar.training.losses.outputs import SoftTargets
        >>> from attar.training.objective import Term
        >>> reads_layers(Objective({"soft": Term(loss=SoftTargets())}))
        False
    """
    return any(True for _ in _reading_terms(objective))


def feature_taps(
    objective: Objective, student: nn.Module, teacher: nn.Module | None, feature_teacher: nn.Module | None
) -> dict[str, FeatureTap]:
    """Which layers the terms of an objective read, by the names of the terms.

    Args:
        objective: The objective.
        student: The student.
        teacher: The teacher that learns along with it.
        feature_teacher: The frozen network; terms read it rather than that teacher.

    Raises:
        BadInput: If a layer does not exist, a term has no network to read, or no term reads the feature teacher.
    """
    found = {}
    for place, (name, loss) in _reading_terms(objective):
        of = f"term {name!r}"
        read = teacher if feature_teacher is None else feature_teacher
        if read is None:
            remedy = "Pass feature_teacher= to fit, a torch module, or drop the term"
            raise must(
                "feature_teacher", "fit", f"the network whose layer {loss.teacher_layer!r} {of} reads", None, remedy
            )
        if objective.terms[name].of == "teacher":
            raise must("of", of, "'student' where it reads hidden layers", "teacher", "Leave it out")
        assert loss.student_layer is not None
        teacher_layer = loss.teacher_layer
        if teacher_layer is None:
            raise must("teacher_layer", of, "the name of a layer", None, "Name one beside student_layer")
        find_layer(student, loss.student_layer, parameter="student_layer", of=of)
        find_layer(read, teacher_layer, parameter="teacher_layer", of=of)
        found[name] = FeatureTap(loss.student_layer, teacher_layer, feature_teacher is None, str(place))
    if feature_teacher is not None and not found:
        remedy = "Add a term that reads its layers, such as HiddenMatch; outputs become targets through a TransferSet"
        raise must(
            "feature_teacher",
            "fit",
            "left out where no term reads hidden layers",
            type(feature_teacher).__name__,
            remedy,
        )
    return found


def _reading_terms(objective: Objective) -> Iterable[tuple[int, tuple[str, ReadsLayers]]]:
    for place, (name, term) in enumerate(objective.terms.items()):
        loss = term.loss
        if isinstance(loss, ReadsLayers) and loss.student_layer is not None:
            yield place, (name, loss)
