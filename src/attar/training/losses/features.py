"""Losses on what hidden layers give: the student's against the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from attar.errors import BadInput, must
from attar.ops.divergence import squared_error
from attar.ops.feature_maps import attention, channels_axis, same_size
from attar.training.batch import Batch
from attar.training.features import Features

_POINTWISE = {4: nn.Conv2d, 5: nn.Conv3d}


@dataclass(frozen=True, kw_only=True)
class HiddenMatch:
    """Mean squared difference of a student's layer, behind a linear projector, and a teacher's.

    Where the layers have different widths, `attar.training.fit.fit` trains a projector along with the student, and
    leaves it out of the network that it returns: a 1x1 convolution for maps ``[batch, channels, ...]``, a linear layer
    on the last axis for everything else. Maps of different sizes are averaged down to the smaller one. The paper has
    half the sum instead of the mean, which depends on the size of the layer, and a regressor that convolves maps down
    to the teacher's size.

    Attributes:
        student_layer: Dotted name of the layer of the student, as ``student.named_modules()`` gives it.
        teacher_layer: Dotted name of the layer of the teacher.

    References:
        Romero, Ballas, Kahou, Chassang, Gatta, Bengio, *FitNets: Hints for Thin Deep Nets*, 2015, equation 3.
        arXiv:1412.6550
    """

    student_layer: str
    teacher_layer: str

    def __post_init__(self) -> None:
        check_layers(self.student_layer, self.teacher_layer, "HiddenMatch")

    def projector(self, student: Tensor, teacher: Tensor) -> nn.Module | None:
        """A 1x1 convolution or a linear layer from the student's channels to the teacher's; None if they agree."""
        mine, theirs = student.shape[channels_axis(student)], teacher.shape[channels_axis(teacher)]
        if mine == theirs:
            return None
        pointwise = _POINTWISE.get(student.dim())
        return nn.Linear(mine, theirs) if pointwise is None else pointwise(mine, theirs, kernel_size=1)

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over all values of the layer of the squared differences, per example."""
        features = features_of(batch, "HiddenMatch")
        student, teacher = same_size(features.student, features.teacher)
        if student.shape != teacher.shape:
            rule = f"as wide as the teacher's, {tuple(teacher.shape)}"
            raise must("student features", "HiddenMatch", rule, tuple(student.shape), "Give them through a projector")
        return squared_error(student.flatten(1), teacher.flatten(1))


@dataclass(frozen=True, kw_only=True)
class AttentionMaps:
    """Mean squared difference of where a student's layer and a teacher's are active, each map of length 1.

    Maps of different sizes are averaged down to the smaller one first; widths need not agree. This is the loss of the
    authors' code, whose weights are in the hundreds; equation 2 of the paper has the length of the difference instead
    of the mean of its squares.

    Attributes:
        student_layer: Dotted name of the layer of the student; it gives maps or ``[batch, position, features]``.
        teacher_layer: Dotted name of the layer of the teacher.
        power: Exponent of the activations whose sum over channels is the attention, at least 1.

    References:
        Zagoruyko, Komodakis, *Paying More Attention to Attention*, 2017, section 3.1. arXiv:1612.03928
    """

    student_layer: str
    teacher_layer: str
    power: float = 2.0

    def __post_init__(self) -> None:
        check_layers(self.student_layer, self.teacher_layer, "AttentionMaps")
        if not 1 <= self.power < 100:
            raise must("power", "AttentionMaps", "from 1 up to but not 100", self.power, "2 is usual")

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean over positions of the squared differences, per example."""
        features = features_of(batch, "AttentionMaps")
        student, teacher = same_size(features.student, features.teacher)
        return squared_error(attention(student, power=self.power), attention(teacher, power=self.power))


def check_layers(student_layer: str | None, teacher_layer: str | None, of: str) -> None:
    """See that both layers are named, or neither.

    Raises:
        BadInput: If one is, or a name is empty.
    """
    for name, value in (("student_layer", student_layer), ("teacher_layer", teacher_layer)):
        other = teacher_layer if name == "student_layer" else student_layer
        if value == "" or (value is None and other is not None):
            raise must(name, of, "the name of a layer", value, "See network.named_modules() for the names")


def features_of(batch: Batch, term: str) -> Features:
    """The features that the loop gave a term.

    Raises:
        BadInput: If there are none.
    """
    if batch.features is None:
        raise BadInput(
            f"features of the batch must be present for {term}; got none. Give a teacher network, or drop the term."
        )
    return batch.features
