"""Terms that read hidden layers: who hears which layer, and the modules that the loop keeps for them."""

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
class Reading:
    """Which layers one term reads.

    Attributes:
        student_layer: Name of the layer of the student.
        teacher_layer: Name of the layer of the guide, or of the teacher that learns beside the student.
        beside: Whether it is the latter's.
        projector: Key of the term's projector among `Learners.projectors`, if it has one.
    """

    student_layer: str
    teacher_layer: str
    beside: bool
    projector: str


class Learners(nn.Module):
    """All that learns in a training, as one module, so that one wrapper holds it.

    It is the student, the teacher where one learns beside it, and the projectors of terms that read hidden layers. Of
    what a network gives, its logits alone are taken (see `attar.network.forward.output_of`).
    """

    def __init__(self, student: nn.Module, teacher: nn.Module | None) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher
        self.projectors = nn.ModuleDict()
        self.readings: Mapping[str, Reading] = {}
        self._asks = Unchanged(), Unchanged()
        self._several = False

    def forward(
        self, inputs: Tensor, terms: tuple[str, ...] = ()
    ) -> tuple[Tensor, Tensor | None, dict[str, tuple[Tensor, Tensor | None]]]:
        """The outputs of both, and for each of the ``terms`` what its layers said.

        A term that reads a guide's layer, which is not in here, has None in its place.
        """
        if not terms:
            return self._answer(inputs), None if self.teacher is None else self._teacher_answer(inputs), {}
        readings = {term: self.readings[term] for term in terms}
        with tapped(self.student, (reading.student_layer for reading in readings.values())) as mine:
            output = self._answer(inputs)
        said = None
        if self.teacher is not None:
            names = [reading.teacher_layer for reading in readings.values() if reading.beside]
            with tapped(self.teacher, names) as theirs:
                said = self._teacher_answer(inputs)
        heard = {}
        for term, reading in readings.items():
            features = mine[reading.student_layer]
            if reading.projector in self.projectors:
                features = self.projectors[reading.projector](features)
            heard[term] = features, theirs[reading.teacher_layer] if reading.beside else None
        return output, said, heard

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The student, and the teacher where there is one."""
        return (self.student,) if self.teacher is None else (self.student, self.teacher)

    def _answer(self, inputs: Tensor) -> Tensor:
        result = self._asks[0](self.student, inputs)
        if isinstance(result, Tensor):
            return result
        if not self._several and self.training:
            self._several = True
            log.info("the student gives a %s: its logits are trained, and no other output of it", type(result).__name__)
        return output_of(result, "The student")

    def _teacher_answer(self, inputs: Tensor) -> Tensor:
        assert self.teacher is not None
        return output_of(self._asks[1](self.teacher, inputs), "The teacher")

    def add_projectors_(self, objective: Objective, guide: Guide | None, inputs: Tensor) -> None:
        """Build the projectors of the terms that have one, from the shapes of the features of some inputs."""
        with evaluating(self):
            _, _, heard = self(inputs, tuple(self.readings))
        guided = {} if guide is None else guide.hear(inputs, self.readings)
        for term, (student, teacher) in heard.items():
            loss = objective.terms[term].loss
            if isinstance(loss, Projects):
                projector = loss.projector(student, guided[term] if teacher is None else teacher)
                if projector is not None:
                    self.projectors[self.readings[term].projector] = projector.to(student.dtype)

    def idle(self, output: Tensor, terms: Sequence[str], busy: Sequence[str]) -> Tensor:
        """Zero, with a gradient of zero for what no term of a step reaches: several processes wait for each weight's.

        Args:
            output: The student's.
            terms: Those of the step.
            busy: Those of them that read layers.
        """
        silent = [reading.projector for term, reading in self.readings.items() if term not in busy]
        kept = [self.projectors[key] for key in silent if key in self.projectors]
        values = [parameter.sum() for module in kept for parameter in module.parameters()]
        if len(busy) == len(terms):
            values.append(output.sum())
        return 0 * torch.stack([value.float() for value in values]).sum() if values else output.new_zeros(())


class Guide:
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
        self._ask = Unchanged()

    def to(self, device: torch.device) -> None:
        """Move it."""
        self.network.to(device)

    def hear(self, inputs: Tensor, readings: Mapping[str, Reading]) -> dict[str, Tensor]:
        """What its layers say of some inputs, by the term that reads them."""
        if self._channels_last is None:
            self._channels_last = suits_channels_last(self.network, inputs)
            if self._channels_last:
                lay_out_(self.network)
        inputs = laid_out(inputs) if self._channels_last else inputs.contiguous()
        if self._numbers is not None and inputs.is_floating_point():
            inputs = inputs.to(self._numbers)
        with torch.no_grad(), tapped(self.network, (reading.teacher_layer for reading in readings.values())) as heard:
            self._ask(self.network, inputs)
        return {term: heard[reading.teacher_layer] for term, reading in readings.items()}


def reads_layers(objective: Objective) -> bool:
    """Whether a term of the objective reads hidden layers, so that `attar.training.fit.fit` needs a network for them.

    Example:
        >>> from attar.training.losses.outputs import SoftTargets
        >>> from attar.training.objective import Term
        >>> reads_layers(Objective({"soft": Term(loss=SoftTargets())}))
        False
    """
    return any(True for _ in _reading_terms(objective))


def readings_of(
    objective: Objective, student: nn.Module, teacher: nn.Module | None, guide: nn.Module | None
) -> dict[str, Reading]:
    """Which layers the terms of an objective read, by the names of the terms.

    Args:
        objective: The objective.
        student: The student.
        teacher: The teacher that learns beside it.
        guide: The frozen network; terms read it rather than that teacher.

    Raises:
        BadInput: If a layer does not exist, a term has nobody to read, or a guide has no reader.
    """
    found = {}
    for place, (name, loss) in _reading_terms(objective):
        of = f"term {name!r}"
        read = teacher if guide is None else guide
        if read is None:
            remedy = "Pass guide= to fit, a torch module, or drop the term"
            raise must("guide", "fit", f"the network whose layer {loss.teacher_layer!r} {of} reads", None, remedy)
        if objective.terms[name].of == "teacher":
            raise must("of", of, "'student' where it reads hidden layers", "teacher", "Leave it out")
        assert loss.student_layer is not None
        teacher_layer = loss.teacher_layer
        if teacher_layer is None:
            raise must("teacher_layer", of, "the name of a layer", None, "Name one beside student_layer")
        find_layer(student, loss.student_layer, parameter="student_layer", of=of)
        find_layer(read, teacher_layer, parameter="teacher_layer", of=of)
        found[name] = Reading(loss.student_layer, teacher_layer, guide is None, str(place))
    if guide is not None and not found:
        remedy = "Add a term that reads its layers, such as HiddenMatch; outputs become targets through a TransferSet"
        raise must("guide", "fit", "left out where no term reads hidden layers", type(guide).__name__, remedy)
    return found


def _reading_terms(objective: Objective) -> Iterable[tuple[int, tuple[str, ReadsLayers]]]:
    for place, (name, term) in enumerate(objective.terms.items()):
        loss = term.loss
        if isinstance(loss, ReadsLayers) and loss.student_layer is not None:
            yield place, (name, loss)
