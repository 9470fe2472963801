"""How long a slim network takes, from measured times of single layers and of whole networks.

Nothing is measured here: both come in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attar.pruning.cost import Axis, Counts, Floats, Kept, Products

Operator = Literal["Conv", "Gemm", "MatMul"]
"""What multiplies by weights, by its name in ONNX: a convolution, a linear layer of rows, or one of sequences."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """All that the time of a layer depends on but how many channels go in and out.

    Attributes:
        operator: What it is.
        size: Of its input without batch and channels: ``(height, width)`` of an image, ``(length,)`` of a sequence,
            ``()`` of a row.
        kernel, stride, padding, dilation: Of a convolution; else empty.
        groups: In which a convolution divides its channels; 0 where each input channel is a group of its own.
        inputs, outputs: Channels of the unpruned layer: no more will be asked for.
    """

    operator: Operator
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of one layer.

    Attributes:
        name: Of the module.
        shape: What is called.
        inputs, outputs: Its channels.
    """

    name: str
    shape: LayerShape
    inputs: Axis
    outputs: Axis


LayerTime = Callable[[LayerShape, Counts, Counts], Floats]
"""From a layer and ``[n]`` numbers of input and output channels, each at least 1, to ``[n]`` times, in any unit."""


@dataclass(frozen=True, slots=True)
class NetworkTime:
    """Time of a call of a whole network, in units of a reference that was timed in the same moments.

    A processor is faster in one moment than in the next; the ratio to a reference carries over, milliseconds do not.

    Attributes:
        total: From call to answer.
        layers: Of it, in layers that multiply by weights.
        others: Of it, in everything else that computes: additions, pooling, activations.
        unit_ms: How long the reference took, in milliseconds.
    """

    total: float
    layers: float
    others: float
    unit_ms: float


class Latency:
    """Milliseconds of a call: the measured times of single layers, calibrated against whole networks.

    ``scale * layers + others * activations + fixed``: layers in their network need not be as fast as alone; what else
    computes takes time in proportion to the values that layers give; the call itself takes what it takes.
    """

    noise = 0.02

    def __init__(
        self,
        layers: Sequence[Layer],
        activations: Products,
        time: LayerTime,
        measured: Sequence[tuple[Kept, NetworkTime]],
    ) -> None:
        """Calibrate.

        Args:
            layers: All calls of layers that multiply by weights.
            activations: What everything else is in proportion to.
            time: Of single layers.
            measured: Networks that were timed, by what they keep, at least one: the first says how its time is
                divided and what a millisecond is, the others correct that.
        """
        self._layers, self._activations, self._time, self._measured = tuple(layers), activations, time, measured
        self._of: dict[str, list[Layer]] = defaultdict(list)
        for layer in layers:
            for group in layer.inputs.groups | layer.outputs.groups:
                self._of[group].append(layer)
        self.unit_ms = measured[0][1].unit_ms
        terms = np.array([[self._sum(layers, kept, 1).item(), activations.total(kept), 1.0] for kept, _ in measured])
        weights = self.unit_ms * _fitted(terms, [one for _, one in measured])
        self.scale, self.others, self.fixed = map(float, weights)

    def calibrated(self, measured: NetworkTime, kept: Kept) -> Latency:
        """The same with one measurement more: of the network that keeps ``kept``.

        A millisecond stays what it was in the first, so that a target means the same.
        """
        return Latency(self._layers, self._activations, self._time, [*self._measured, (kept, measured)])

    def error(self, measured: NetworkTime, kept: Kept) -> float:
        """By which share of what was measured the prediction for the network that keeps ``kept`` is above it."""
        return self.total(kept) / (measured.total * self.unit_ms) - 1

    def total(self, kept: Kept) -> float:
        """Milliseconds of the whole network."""
        layers = self._sum(self._layers, kept, 1).item()
        return self.scale * layers + self.others * self._activations.total(kept) + self.fixed

    def curve(self, group: str, counts: Sequence[int], kept: Kept) -> Floats:
        """``[counts]``, as `Cost` says."""
        along = {**kept, group: np.asarray(counts, np.int64)}
        layers = self._sum(self._of[group], along, len(counts))
        return self.scale * layers + self.others * self._activations.curve(group, counts, kept)

    def neighbors(self, group: str) -> frozenset[str]:
        """As `Cost` says."""
        return frozenset({group}).union(*(one.inputs.groups | one.outputs.groups for one in self._of[group]))

    def _sum(self, layers: Iterable[Layer], kept: Mapping[str, Any], length: int) -> Floats:
        """``[length]`` times of some layers alone."""
        total = np.zeros(length)
        for layer in layers:
            sides = (np.rint(np.broadcast_to(axis.at(kept), length)) for axis in (layer.inputs, layer.outputs))
            inputs, outputs = (side.astype(np.int64) for side in sides)
            there = (inputs > 0) & (outputs > 0)
            if there.any():
                total[there] += self._time(layer.shape, inputs[there], outputs[there])
        return total


_TRUST = 0.1
"""How much the division of the first network's time weighs beside a measurement."""


def _fitted(terms: Floats, measured: Sequence[NetworkTime]) -> Floats:
    """How many units of the reference each term counts for, so that the terms of each network add up to its time.

    Least squares of relative errors without negative weights. Few networks do not say which term is to blame: then the
    division of the first one's time, which was measured, stays as far as it can.

    Args:
        terms: ``[networks, 3]``: the table's sum over layers, activations, 1.
        measured: What each network took.
    """
    from scipy.optimize import nnls  # type: ignore[import-untyped]  # it takes half a second to import

    first = measured[0]
    divided = np.array([first.layers, first.others, max(0.0, first.total - first.layers - first.others)])
    scales = np.where(terms[0] > 0, terms[0], 1.0)
    # Unknown are the shares of the first network's time.
    times = np.array([one.total for one in measured])
    rows = terms / scales * (first.total / times)[:, None]
    rows = np.concatenate([rows, _TRUST * np.eye(3)])
    shares, _ = nnls(rows, np.concatenate([np.ones(len(times)), _TRUST * divided / first.total]))
    found: Floats = np.where(terms[0] > 0, shares * first.total / scales, 0.0)
    return found
