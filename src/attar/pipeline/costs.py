"""What a network costs while it is pruned: counted, or measured on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from attar.deployment.export import to_onnx
from attar.evidence.layer_timer import LayerTimer, time_network
from attar.evidence.layer_times import LayerTimes
from attar.network.copying import copied
from attar.pipeline.turns import Turns
from attar.pruning.cost import Cost, Kept
from attar.pruning.latency import Latency, NetworkTime
from attar.pruning.structure import Structure, costs

What = Literal["latency", "macs", "bytes", "parameters", "activations"]
"""What may be brought down by pruning."""


class Counted:
    """A cost that follows from shapes alone: nothing has to be measured."""

    def __init__(self, structure: Structure, what: What) -> None:
        """Count.

        Args:
            structure: Of the network.
            what: Which cost; any but latency.
        """
        self.cost: Cost = costs(structure)[what]

    def look(self, network: nn.Module, kept: Kept) -> None:
        """Nothing, as all is known."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


class Measured:
    """Milliseconds of a call in ONNX Runtime: times of layers, calibrated against the whole network.

    Attributes:
        looks: What was measured of the network: what it kept, what was predicted, and its time, in order.
    """

    def __init__(
        self, structure: Structure, network: nn.Module, example: Tensor, times: LayerTimes, turns: Turns | None
    ) -> None:
        """Measure the network as it is.

        Args:
            structure: Of the network.
            network: It is not changed.
            example: One input, ``[1, ...]``.
            times: The table of single layers.
            turns: Whom measuring keeps from computing; None for nobody.
        """
        self._structure, self._example, self._times, self._turns = structure, example, times, turns
        self.looks: list[dict[str, Any]] = []
        first = self._timed(network)
        self._latency: Latency = structure.latency(times, first)
        self._note({}, first)
        self._first = first

    @property
    def cost(self) -> Cost:
        """As the last look at the network has it."""
        return self._latency

    def look(self, network: nn.Module, kept: Kept) -> None:
        """Time the network as it is now, and calibrate the prediction with that."""
        measured = self._timed(network)
        self._note(kept, measured)
        self._latency = self._latency.calibrated(measured, kept)
        self._times.keep()

    def _note(self, kept: Kept, measured: NetworkTime) -> None:
        self.looks.append(
            {
                "kept": dict(kept),
                "predicted_ms": self._latency.total(kept),
                "measured_ms": measured.total * self._latency.unit_ms,
                "time": asdict(measured),
            }
        )

    def _timed(self, network: nn.Module) -> NetworkTime:
        with tempfile.TemporaryDirectory() as folder, _alone(self._turns):
            path = Path(folder) / "network.onnx"
            to_onnx(copied(network).cpu().eval(), self._example, path)
            return time_network(path, np.ascontiguousarray(self._example.numpy()))

    def state_dict(self) -> dict[str, Any]:
        """What was measured."""
        self._times.keep()
        return {"looks": [{**one, "kept": dict(one["kept"]), "time": dict(one["time"])} for one in self.looks]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Believe what was measured before, not what was measured just now."""
        self.looks = [dict(one) for one in state["looks"]]
        first, *others = self.looks
        self._latency = self._structure.latency(self._times, NetworkTime(**first["time"]))
        for one in others:
            self._latency = self._latency.calibrated(NetworkTime(**one["time"]), one["kept"])


def costs_of(
    what: What, structure: Structure, network: nn.Module, example: Tensor, turns: Turns | None
) -> Counted | Measured:
    """The costs of a network.

    Args:
        what: Which.
        structure: Of the network.
        network: It is not changed.
        example: One input, ``[1, ...]``.
        turns: Whom measuring keeps from computing, and where times are kept; None for nobody and nowhere.
    """
    if what != "latency":
        return Counted(structure, what)
    timer = LayerTimer()
    folder = None if turns is None else turns.folder
    times = LayerTimes(timer, timer.conditions(), folder, alone=partial(_alone, turns))
    return Measured(structure, network, example, times, turns)


def _alone(turns: Turns | None) -> AbstractContextManager[None]:
    return nullcontext() if turns is None else turns.alone()
