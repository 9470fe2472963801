"""Families of small networks for a data set: each is one network by its width and its depth."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from attar.data.split import Dataset
from attar.network.references import ARCHITECTURES, resolve
from attar.network.spec import Spec
from attar.quantization.edit import Quantize
from attar.search.image_stages import halvings_of, pooled_stages, strided_stages
from attar.search.input_statistics import input_statistics
from attar.search.kinds import kind_of
from attar.tasks.gaze import Gaze

_SCALINGS = 64
"""A network's widths are scaled in steps of one by so many."""

_SCALED = ("hidden", "widths", "width", "readout")
"""Arguments of Attar's architectures that are widths."""


@dataclass(frozen=True)
class Family:
    """Networks of one kind that take the inputs of a data set and give its outputs.

    Attributes:
        name: By which people know it.
        make: The network of a width (its narrowest layer, or the factor of its layers) and a depth.
        widest: The largest width.
        narrowest: The smallest.
        depths: What depths there are, rising.
    """

    name: str
    make: Callable[[int, int], Spec]
    widest: int
    narrowest: int = 1
    depths: Sequence[int] = (1,)
    _counted: dict[tuple[int, int], int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def smallest(self, depth: int | None = None) -> int:
        """Parameters of its narrowest network, of a depth, or of the least depth."""
        return self._parameters(self.narrowest, self.depths[0] if depth is None else depth)

    def within(self, parameters: int, depth: int) -> Spec:
        """The widest network with at most so many parameters.

        Args:
            parameters: If even the narrowest has more, that is the one.
            depth: The nearest that the family has; where the narrowest network of it has too many parameters, the next
                smaller one that has not.
        """
        near = min(max(depth, self.depths[0]), self.depths[-1])
        fitting = [one for one in self.depths if one <= near and self.smallest(one) <= parameters]
        depth = max(fitting, default=self.depths[0])
        low, high = self.narrowest, self.widest
        while low < high:
            middle = (low + high + 1) // 2
            if self._parameters(middle, depth) <= parameters:
                low = middle
            else:
                high = middle - 1
        return self.make(low, depth)

    def _parameters(self, width: int, depth: int) -> int:
        if (width, depth) not in self._counted:
            self._counted[width, depth] = parameters_of(self.make(width, depth))
        return self._counted[width, depth]


def parameters_of(spec: Spec) -> int:
    """How many numbers training sets in a network, counted without memory for them; formats do not count."""
    spec = spec.without_edits(Quantize)
    with torch.device("meta"):
        network = spec.called()
    return sum(one.numel() for one in spec.edited(spec.standardized(network)).parameters())


def families_for(dataset: Dataset) -> list[Family]:
    """The families for a data set: perceptrons for rows and vectors, convolutional ones for images, others for tokens.

    Raises:
        BadInput: If no family of Attar's networks suits it.
    """
    kind = kind_of(dataset)
    shape, outputs, scale = (
        tuple(dataset.train.inputs.shape[1:]),
        dataset.task.shape[0],
        input_statistics(kind, dataset),
    )
    known: dict[str, Any]
    if dataset.tokens is not None:
        known = {"vocabulary": dataset.tokens.vocabulary, "outputs": outputs}
        encoder = partial(_token_encoder, {**known, "length": dataset.tokens.length})
        return [
            Family("token_mean", partial(_token_mean, known, 1), 256),
            Family("token_windows", partial(_token_mean, known, 3), 256),
            Family("token_encoder", encoder, 256, 8, (1, 2, 3)),
        ]
    if dataset.columns is not None:
        known = {"columns": dataset.columns.to_json(), "outputs": outputs}
        return [Family("tabular", partial(_perceptron, "tabular", known, None), 2048, 2, (1, 2, 3))]
    if isinstance(dataset.task, Gaze):
        known = {"size": list(dataset.task.size), "channels": shape[0]}
        stages = min(3, int(math.log2(min(shape[1:]))))
        return [
            Family(f"gaze_{one}", partial(_gaze, {**known, "backbone": one}, scale, stages), 64, 2, (1, 2, 3))
            for one in ("vgg", "densenet")
        ]
    if kind == "maps":
        known = {"classes": outputs, "channels": shape[0]}
        return [Family("segmenter", partial(_segmenter, known, scale), 256, 2, (2, 3, 4, 5))]
    known = {"inputs": math.prod(shape), "classes": outputs}
    perceptron = Family("mlp", partial(_perceptron, "mlp", known, scale), 2048, 2, (1, 2, 3))
    return [*(_of_images(shape, outputs, scale) if kind == "images" else []), perceptron]


def scalings_of(spec: Spec) -> Family | None:
    """The family of one of Attar's networks with all of its widths scaled, from a 64th to what they are.

    Its widths are 64ths, and its depth is always that of the network. None for a network of the user's own.
    """
    module, _, name = spec.reference.partition(":")
    if module != ARCHITECTURES:
        return None
    taken = inspect.signature(resolve(spec.reference)).parameters
    given = {key: spec.arguments.get(key, taken[key].default) for key in _SCALED if key in taken}
    heads = spec.arguments.get("heads", taken["heads"].default) if "heads" in taken else 1
    own = Spec(spec.reference, spec.arguments, spec.mean, spec.std)

    def make(width: int, depth: int) -> Spec:
        scaled = {
            key: _scaled(value, width / _SCALINGS, heads if key == "width" else 1) for key, value in given.items()
        }
        return Spec(own.reference, {**own.arguments, **scaled}, own.mean, own.std)

    return Family(f"teacher's {name}", make, _SCALINGS) if given else None


Statistics = tuple[Sequence[float], Sequence[float]] | None


def _of_images(shape: tuple[int, ...], outputs: int, scale: Statistics) -> list[Family]:
    """Convolutional families: pooled and averaged, pooled and flattened, strided, depthwise."""
    side = min(shape[1:])
    halvings = halvings_of(side)
    depths = tuple(range(max(2, halvings - 1), max(3, halvings + 1) + 1))
    known = {"classes": outputs, "channels": shape[0]}
    flat = [] if shape[1] != shape[2] else [("convnet_flat", {**known, "side": side})]
    return [
        *(
            Family(name, partial(_pooled, arguments, scale, side), 256, 2, depths)
            for name, arguments in [("convnet", known), *flat]
        ),
        Family("convnet_strided", partial(_strided, known, scale, side), 256, 2, depths),
        Family("depthwise_net", partial(_depthwise, known, scale, side), 256, 4, depths),
    ]


def _spec(name: str, arguments: Mapping[str, Any], scale: Statistics = None) -> Spec:
    mean, std = scale or (None, None)
    return Spec(f"{ARCHITECTURES}:{name}", dict(arguments), mean, std)


def _perceptron(name: str, known: Mapping[str, Any], scale: Statistics, width: int, depth: int) -> Spec:
    return _spec(name, {**known, "hidden": [width] * depth}, scale)


def _pooled(known: Mapping[str, Any], scale: Statistics, side: int, width: int, depth: int) -> Spec:
    """Channels double from layer to layer."""
    strides, pools = pooled_stages(side, depth)
    strided = {"strides": strides} if max(strides) > 1 else {}
    return _spec("convnet", {**known, "widths": _doubling(width, depth), **strided, "pools": pools}, scale)


def _strided(known: Mapping[str, Any], scale: Statistics, side: int, width: int, depth: int) -> Spec:
    """Channels double from layer to layer."""
    arguments = {**known, "widths": _doubling(width, depth), "strides": strided_stages(side, depth)}
    return _spec("convnet", arguments, scale)


def _depthwise(known: Mapping[str, Any], scale: Statistics, side: int, width: int, depth: int) -> Spec:
    """A plain layer, then two depthwise ones for each further doubling of the channels."""
    strides = strided_stages(side, depth)
    widths = [width, *(size for size in _doubling(width, depth)[1:] for _ in range(2))]
    between = [step for stride in strides[1:] for step in (stride, 1)]
    return _spec("depthwise_net", {**known, "widths": widths, "strides": [strides[0], *between]}, scale)


def _segmenter(known: Mapping[str, Any], scale: Statistics, width: int, depth: int) -> Spec:
    return _spec("segmenter", {**known, "widths": [width] * depth}, scale)


def _gaze(known: Mapping[str, Any], scale: Statistics, stages: int, width: int, depth: int) -> Spec:
    return _spec("gaze_network", {**known, "widths": _doubling(width, stages), "depth": depth}, scale)


def _token_mean(known: Mapping[str, Any], window: int, width: int, depth: int) -> Spec:
    return _spec("token_mean", {**known, "width": width, "hidden": 2 * width, "window": window})


def _token_encoder(known: Mapping[str, Any], width: int, depth: int) -> Spec:
    heads = 2 if width < 32 else 4
    return _spec("token_encoder", {**known, "width": width // heads * heads, "heads": heads, "blocks": depth})


def _doubling(width: int, count: int) -> list[int]:
    return [width * 2**place for place in range(count)]


def _scaled(value: Any, factor: float, multiple: int) -> Any:
    """A width or a list of widths times a factor: at least one, and whole multiples of a number."""
    if isinstance(value, int):
        return max(1, round(value * factor / multiple)) * multiple
    return [_scaled(one, factor, multiple) for one in value]
