"""A network whose weights, and what goes into its layers, are in low-bit formats.

Formats are attached to the network as parametrizations: the layers stay what they are, any training works on the float
values below, and removing the formats gives back ordinary layers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize

from attar.errors import BadInput, NothingMatched, Words, must, near
from attar.network.copying import copied
from attar.network.entry_point import entry_point
from attar.ops.grid import check_finite
from attar.quantization.activations import INPUT, InputFormat, attach_input_, calibrate_
from attar.quantization.attach import WeightFormat, attach_, is_quantized
from attar.quantization.format import Format, Learned

log = logging.getLogger(__name__)

WEIGHTS: Mapping[type[nn.Module], tuple[str, ...]] = MappingProxyType(
    {
        nn.Linear: ("weight",),
        nn.Bilinear: ("weight",),
        nn.Conv1d: ("weight",),
        nn.Conv2d: ("weight",),
        nn.Conv3d: ("weight",),
        nn.ConvTranspose1d: ("weight",),
        nn.ConvTranspose2d: ("weight",),
        nn.ConvTranspose3d: ("weight",),
        nn.Embedding: ("weight",),
        nn.EmbeddingBag: ("weight",),
        nn.MultiheadAttention: ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
    }
)
"""The weights of each type of layer that formats can be attached to; subclasses count as their type."""

_BIASES = ("bias_k", "bias_v")
"""Tensors of several dimensions that are biases all the same, of `torch.nn.MultiheadAttention`."""

_PLACES = ("first", "last", "first_parameter", "last_parameter")


@dataclass(frozen=True)
class _Place:
    """One tensor of one layer."""

    layer: str
    attribute: str
    module: nn.Module

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.attribute}" if self.layer else self.attribute


@entry_point
def quantize(
    student: nn.Module,
    *,
    weights: Format | Mapping[str, Format] | None = None,
    activations: Format | Mapping[str, Format] | None = None,
    skip: Sequence[str] = (),
    tensors: Literal["weights", "all"] = "weights",
    calibration: Tensor | Iterable[Tensor] | None = None,
) -> nn.Module:
    """A copy of a network with formats attached to the weights of layers, and to what goes into them.

    The copy is trained like any other module: the float values are its parameters, and each use of a weight sees what
    the format makes of it. Patterns name layers or tensors (``"0"``, ``"blocks.*"``, ``"head.weight"``) as
    ``named_modules`` and ``named_parameters`` do, with ``*``, ``?`` and ``[...]``. ``"first"`` and ``"last"`` are
    the first and last layer with weights, in the order of ``named_modules``. ``"first_parameter"`` and
    ``"last_parameter"`` are the first and last of all parameter tensors: the rule of the code of Polino et al. (2018),
    which spares the bias of a last layer and not its weights.

    Args:
        student: Any module; it is not changed.
        weights: The format of all weights, or of those that a pattern names. The first pattern that fits counts;
            what none fits stays as it is. So do the matrices of recurrent layers and plain parameters, such as
            embeddings of positions, with a warning in the log.
        activations: The format of the inputs of the same layers, likewise.
        skip: Patterns of what stays as it is, weights and inputs.
        tensors: ``weights`` are those of `WEIGHTS`; ``all`` is every parameter of every layer, biases and batch
            normalization among them.
        calibration: Inputs from the training set, one batch or several, on which ranges of activations are measured;
            needed by formats that measure one. The student should be trained by then: in an untrained one batch
            normalization has not seen the data, and ranges would be those of another network.

    Raises:
        NothingMatched: If a pattern fits nothing, or everything is skipped.
        BadInput: If a pattern names nothing but what no format can be attached to, something else works weights out of
            others, they are shared between layers or quantized already, NaN or infinite, or a format is not made for
            its place.

    Example:
        >>> import torch
        >>> from attar.quantization.formats.uniform import Uniform
        >>> small = quantize(torch.nn.Linear(4, 2), weights=Uniform(bits=1))
        >>> len(small.weight.unique())
        2
    """
    if weights is None and activations is None:
        rule = "given, or activations"
        raise must("weights", "quantize", rule, None, "Pass a format such as Uniform(bits=4)")
    if tensors not in ("weights", "all"):
        raise must("tensors", "quantize", "'weights' or 'all'", tensors, near(str(tensors), ("weights", "all")))
    if is_quantized(student):
        raise must("student", "quantize", "not quantized yet", type(student).__name__, "Use dequantize() first")
    student = copied(student)
    patterns = (skip,) if isinstance(skip, str) else tuple(skip)
    every = _places(student, tensors)
    places = [place for place in every if not _skipped(place, patterns, every, student)]
    _check_used("skip", patterns, every, student)
    if not places:
        got = f"{len(every)} tensors, {len(every)} of them skipped"
        raise NothingMatched(f"quantize must find weights in {type(student).__name__}; got {got}. Skip less.")
    unfit = [place for place in places if _is_unfit(place, tensors)]
    places = [place for place in places if place not in unfit]
    if weights is not None:
        _leave_float(unfit, places, weights, every, student, tensors)
        _attach_weights(student, _assigned("weights", weights, places, every, student))
    if activations is not None:
        layers = [place for place in _layers(places) if not isinstance(place.module, nn.Embedding | nn.EmbeddingBag)]
        if not layers:
            rule = "find layers that multiply their inputs with weights"
            raise NothingMatched(f"activations of quantize must {rule}; got none. Leave them out, or skip less.")
        _attach_inputs(student, _assigned("activations", activations, layers, every, student), calibration)
    return student


# -- which tensors ---------------------------------------------------------------------------------------------------


def _places(student: nn.Module, tensors: str) -> list[_Place]:
    """Every tensor that may get a format; one that cannot is an error only where it is not skipped."""
    places = []
    for name, layer in student.named_modules():
        wanted = next((names for kind, names in WEIGHTS.items() if isinstance(layer, kind)), ())
        for attribute, parameter in layer.named_parameters(recurse=False):
            matrix = parameter.dim() > 1 and not (wanted and attribute in _BIASES)
            if tensors == "all" or attribute in wanted or matrix:
                places.append(_Place(name, attribute, layer))
    if not places:
        raise NothingMatched(f"quantize must find layers with weights; got none in {type(student).__name__}.")
    return places


def _layers(places: Sequence[_Place]) -> list[_Place]:
    """One place a layer that has inputs which are numbers and weights that multiply them."""
    return list({place.layer: place for place in places if place.attribute in _weights_of(place.module)}.values())


def _weights_of(layer: nn.Module) -> tuple[str, ...]:
    return next((names for kind, names in WEIGHTS.items() if isinstance(layer, kind)), ())


def _is_unfit(place: _Place, tensors: str) -> bool:
    """Whether no format can be attached to it, or none is meant to be.

    A recurrent layer holds its weights a second time, in a list that a parametrization does not reach; and what another
    parametrization makes a weight of is not that weight.
    """
    if place.attribute in _weights_of(place.module):
        return False
    return tensors == "weights" or isinstance(place.module, nn.RNNBase | parametrize.ParametrizationList)


def _is_worked_out(place: _Place) -> bool:
    """Whether it is what the weights of a layer are computed from, which would then not be quantized in silence."""
    known = _weights_of(place.module)
    computed = bool(known) and not any(place.module._parameters.get(name) is not None for name in known)
    return computed or isinstance(place.module, parametrize.ParametrizationList)


def _leave_float(
    unfit: Sequence[_Place],
    places: Sequence[_Place],
    weights: Format | Mapping[str, Format],
    every: Sequence[_Place],
    student: nn.Module,
    tensors: str,
) -> None:
    """Say which matrices stay float; those that a pattern of its own names are an error."""
    patterns = list(weights) if isinstance(weights, Mapping) else ["*"]
    for pattern in patterns:
        named = [place for place in unfit if _fits(pattern, place, every, student)]
        worked_out = [place for place in named if _is_worked_out(place)]
        if worked_out or (named and not any(_fits(pattern, place, every, student) for place in places)):
            place = (worked_out or named)[0]
            rule = f"one of {', '.join(kind.__name__ for kind in WEIGHTS)}"
            if known := _weights_of(place.module):
                rule = f"one whose matrices are {', '.join(known)} alone"
            remedy = f"Skip it with skip=[{place.name!r}]"
            remedy += "" if _is_unfit(place, "all") else ", or include it with tensors='all'"
            kind = parametrize.type_before_parametrizations(place.module)
            raise must(f"layer of {place.name!r}", "quantize", rule, kind.__name__, remedy)
    left = [place for place in unfit if any(_fits(pattern, place, every, student) for pattern in patterns)]
    if left:
        names = ", ".join(
            f"{place.name!r} ({parametrize.type_before_parametrizations(place.module).__name__})" for place in left
        )
        hint = "" if all(_is_unfit(place, "all") for place in left) else "; tensors='all' takes parameters of all kinds"
        log.warning("quantize leaves %s in float, as no format is made for them%s", names, hint)


def _skipped(place: _Place, patterns: Sequence[str], every: Sequence[_Place], student: nn.Module) -> bool:
    return any(_fits(pattern, place, every, student) for pattern in patterns)


def _fits(pattern: str, place: _Place, every: Sequence[_Place], student: nn.Module) -> bool:
    if pattern in ("first", "last"):
        with_weights = [each.layer for each in every if each.attribute in _weights_of(each.module)]
        return bool(with_weights) and place.layer == with_weights[0 if pattern == "first" else -1]
    if pattern in ("first_parameter", "last_parameter"):
        names = [name for name, _ in student.named_parameters()]
        return place.name == names[0 if pattern == "first_parameter" else -1]
    return fnmatchcase(place.layer, pattern) or fnmatchcase(place.name, pattern)


def _check_used(of: str, patterns: Iterable[str], every: Sequence[_Place], student: nn.Module) -> None:
    for pattern in patterns:
        # These two name a tensor that is there, whether or not formats are attached to its kind.
        if pattern in ("first_parameter", "last_parameter"):
            continue
        if not any(_fits(pattern, place, every, student) for place in every):
            names = [*{place.layer for place in every if place.layer}, *(place.name for place in every), *_PLACES]
            raise NothingMatched(f"{of} of quantize must fit a layer; {pattern!r} fits none. {near(pattern, names)}")


def _assigned(
    of: str,
    given: Format | Mapping[str, Format],
    places: Sequence[_Place],
    every: Sequence[_Place],
    student: nn.Module,
) -> list[tuple[_Place, Format]]:
    """The format of each tensor, all checked."""
    if isinstance(given, Mapping):
        _check_used(of, given, places, student)
        choices = list(given.items())
    else:
        choices = [("*", given)]
    for _, form in choices:
        if not isinstance(form, Format):
            raise must(of, "quantize", "a format, or patterns to formats", form, "Pass for example Uniform(bits=4)")
        if of not in form.supports:
            raise must(of, "quantize", f"a format that is made for {of}", form, "Affine is made for both")
    first = {place: next((key for key, _ in choices if _fits(key, place, every, student)), None) for place in places}
    for key, _ in choices:
        if key not in first.values():
            before = next(first[place] for place in places if _fits(key, place, every, student))
            rule = f"before {before!r}, as the first pattern that fits counts"
            raise must(f"{key!r} in {of}", "quantize", rule, Words("behind it"), "Put the narrower pattern first")
    chosen = dict(choices)
    return [(place, chosen[key]) for place, key in first.items() if key is not None]


# -- attaching -------------------------------------------------------------------------------------------------------


def _attach_weights(student: nn.Module, assigned: Sequence[tuple[_Place, Format]]) -> None:
    users: dict[int, list[str]] = {}
    for name, parameter in student.named_parameters(remove_duplicate=False):
        users.setdefault(id(parameter), []).append(name)
    for place, form in assigned:
        weight = getattr(place.module, place.attribute)
        remedy = f"Skip it with skip=[{place.name!r}]"
        if len(users[id(weight)]) > 1:
            raise must(f"weights {place.name!r}", "quantize", "of one layer alone", users[id(weight)], remedy)
        check_finite(weight, f"quantize, weights {place.name!r},")
        try:
            table = form.initial_table(weight.detach()) if isinstance(form, Learned) else {}
            attach_(place.module, place.attribute, WeightFormat(form, table))
        except BadInput as error:
            raise type(error)(f"weights {place.name!r}: {error}") from error
        # Finite weights may be so far apart that their scale is not.
        check_finite(getattr(place.module, place.attribute), f"quantize, weights {place.name!r} in {form},")


def _attach_inputs(
    student: nn.Module,
    assigned: Sequence[tuple[_Place, Format]],
    calibration: Tensor | Iterable[Tensor] | None,
) -> None:
    for place, form in assigned:
        if isinstance(place.module, nn.MultiheadAttention | NonDynamicallyQuantizableLinear | nn.Bilinear):
            rule = "one whose only input is its first argument"
            remedy = "Name the layers that you mean, as in activations={'mlp.*': Affine()}"
            raise must(f"layer {place.layer!r}", "quantize, activations", rule, type(place.module).__name__, remedy)
        inputs = InputFormat(form).to(getattr(place.module, place.attribute).device).train(place.module.training)
        attach_input_(place.module, inputs)
    waiting = {place.layer: getattr(place.module, INPUT) for place, _ in assigned}
    calibrate_(student, waiting, calibration)
