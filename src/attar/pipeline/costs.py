"""What a network costs while it is pruned: counted, or measured on this machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from attar.deployment.export import to_onnx
from attar.errors import CorruptFile
from attar.evidence.layer_timer import LayerTimer, time_network
from attar.evidence.layer_times import LayerTimes
from attar.network.copying import copied
from attar.pipeline.turns import Turns
from attar.processes import by_first, rank
from attar.pruning.cost import Cost, Kept
from attar.pruning.latency import Latency, NetworkTime
from attar.pruning.structure import Structure, costs
from attar.records import read_record, to_text
from attar.workspace import write_file

What = Literal["latency", "macs", "bytes", "parameters", "activations"]
"""What may be brought down by pruning."""

_SURPRISING = 0.15
"""Share by which a time is off its prediction from which on it is not believed before it was taken again."""

TIMES_FILE = "costs.json"
"""What was measured of whole networks in a step, by which one that was killed goes on."""


class Counted:
    """A cost that follows from shapes alone: nothing has to be measured."""

    def __init__(self, structure: Structure, what: What) -> None:
        """Count.

        Args:
            structure: Of the network.
            what: Which cost; any but latency.
        """
        self.cost: Cost = costs(structure)[what]

    def total(self, kept: Kept) -> float:
        """What the network costs where its groups keep so many units."""
        return self.cost.total(kept)

    def agreed(self, work: Callable[[], Any]) -> Any:
        """What the first process makes of the cost, in every process."""
        return by_first(work)

    def look(self, network: nn.Module, kept: Kept) -> None:
        """Nothing, as all is known."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


class Measured:
    """Milliseconds of a call in ONNX Runtime: times of layers, calibrated against the whole network.

    Of several processes the first measures, and the others compute nothing meanwhile.

    Attributes:
        looks: What was measured of the network: what it kept, what was predicted, and its time, in order.
    """

    def __init__(
        self,
        structure: Structure,
        network: nn.Module,
        example: Tensor,
        times: LayerTimes,
        turns: Turns | None,
        folder: Path | None,
    ) -> None:
        """Measure the network as it is.

        Args:
            structure: Of the network.
            network: It is not changed.
            example: One input, ``[1, ...]``.
            times: The table of single layers.
            turns: Whom measuring keeps from computing; None for nobody.
            folder: Where times of whole networks are kept, and believed if they are there; None for nowhere.
        """
        self._structure, self._example, self._times, self._turns = structure, example, times, turns
        self._file = None if folder is None else folder / TIMES_FILE
        self._latency: Latency | None = None
        self.looks: list[dict[str, Any]] = []
        self.look(network, {})

    @property
    def cost(self) -> Cost:
        """As the last look at the network has it; the first of several processes knows it."""
        assert self._latency is not None, "the first process asks"
        return self._latency

    def total(self, kept: Kept) -> float:
        """Milliseconds of the network where its groups keep so many units."""
        total: float = self.agreed(lambda: self.cost.total(kept))
        return total

    def agreed(self, work: Callable[[], Any]) -> Any:
        """What the first process makes of the cost, in every process."""
        with nullcontext() if self._turns is None or rank() == 0 else self._turns.away():
            return by_first(work)

    def look(self, network: nn.Module, kept: Kept) -> None:
        """Time the network as it is now, and calibrate the prediction with that."""

        def looked() -> None:
            known = self._kept()
            key = json.dumps(kept, sort_keys=True)
            if key not in known:
                known[key] = asdict(self._believed(network, kept))
                self._keep(known)
            self._take(kept, NetworkTime(**known[key]))

        self.agreed(looked)

    def _take(self, kept: Kept, measured: NetworkTime) -> None:
        before = self._latency
        if before is None:
            self._latency = before = self._structure.latency(self._times, measured)
        else:
            self._latency = before.calibrated(measured, kept)
        self.looks.append(
            {
                "kept": dict(kept),
                "predicted_ms": before.total(kept),
                "measured_ms": measured.total * before.unit_ms,
                "time": asdict(measured),
            }
        )

    def _kept(self) -> dict[str, Any]:
        """Times of whole networks by what they keep, as an attempt of this step that was killed left them."""
        if self._file is None or not self._file.is_file():
            return {}
        remedy = f"Delete {self._file}; it is measured again."
        try:
            times = read_record(self._file, remedy)["times"]
            return {str(key): asdict(NetworkTime(**one)) for key, one in times.items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptFile(f"{self._file} has no times of networks. {remedy}") from error

    def _keep(self, known: Mapping[str, Any]) -> None:
        if self._file is not None:
            write_file(self._file, to_text({"times": known}))

    def _believed(self, network: nn.Module, kept: Kept) -> NetworkTime:
        """What the network takes; of a surprise, which another process may have caused, the middle one of three."""
        first = self._timed(network)
        if self._latency is None or abs(self._latency.error(first, kept)) < _SURPRISING:
            return first
        return sorted([first, self._timed(network), self._timed(network)], key=lambda one: one.total)[1]

    def _timed(self, network: nn.Module) -> NetworkTime:
        with tempfile.TemporaryDirectory() as folder, _alone(self._turns):
            path = Path(folder) / "network.onnx"
            to_onnx(copied(network).cpu().eval(), self._example, path)
            return time_network(path, np.ascontiguousarray(self._example.numpy()))

    def state_dict(self) -> dict[str, Any]:
        """What was measured."""
        return {"looks": [{**one, "kept": dict(one["kept"]), "time": dict(one["time"])} for one in self.looks]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Believe what was measured before, not what was measured just now."""

        def recalled() -> None:
            self._latency, self.looks = None, []
            for one in state["looks"]:
                self._take(one["kept"], NetworkTime(**one["time"]))

        self.agreed(recalled)


def costs_of(
    what: What,
    structure: Structure,
    network: nn.Module,
    example: Tensor,
    turns: Turns | None = None,
    folder: Path | None = None,
) -> Counted | Measured:
    """The costs of a network.

    Args:
        what: Which.
        structure: Of the network.
        network: It is not changed.
        example: One input, ``[1, ...]``.
        turns: Whom measuring keeps from computing, and where times of layers are kept; None for nobody and nowhere.
        folder: Where times of whole networks are kept, for a step that is killed; None for nowhere.
    """
    if what != "latency":
        return Counted(structure, what)
    timer = LayerTimer()
    table = None if turns is None else turns.folder
    times = LayerTimes(timer, timer.conditions(), table, alone=partial(_alone, turns))
    return Measured(structure, network, example, times, turns, folder)


def _alone(turns: Turns | None) -> AbstractContextManager[None]:
    return nullcontext() if turns is None else turns.alone()
