"""A table of measured times of single layers over their numbers of channels, filled as it is asked.

Which numbers of channels a runtime likes is found, not assumed: nothing is drawn between two counts unless the counts
between were seen to lie on the line. Vector registers hold at most sixteen floats, so that a pattern along the counts
comes again after sixteen: a line is drawn only between counts that are multiples of sixteen apart. Layers of up to
64 channels are measured at every count that is asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from attar.errors import CorruptFile
from attar.evidence.machine import machine
from attar.pruning.cost import Counts, Floats
from attar.pruning.latency import LayerShape
from attar.records import read_record, to_text
from attar.workspace import locked, write_file

Channels = tuple[int, int]
"""Numbers of input and output channels."""

Timer = Callable[[LayerShape, Sequence[Channels]], list[float]]
"""Times of a layer for pairs of channel counts, all in one unit."""

PERIOD = 16
"""Channels after which a pattern of fast and slow counts comes again."""

ALL = 64
"""Channels up to which every count that is asked for is measured."""

_REMEDY = "Remove it; it is measured again"


class LayerTimes:
    """Times of layers, from the table where they are in it, else measured.

    It is called as `attar.pruning.latency.LayerTime`: with a layer and ``[n]`` input and output channels, for ``[n]``
    times in the unit of its timer.
    """

    def __init__(
        self,
        timer: Timer,
        conditions: Mapping[str, object],
        folder: Path | None = None,
        *,
        tolerance: float = 0.05,
        alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Open the table.

        Args:
            timer: Measures.
            conditions: What the times hold for, as plain JSON values: runtime and version, threads, batch; the machine
                is added.
            folder: Where tables are kept, one file for each set of conditions, for this run and others; None for
                nowhere.
            tolerance: By which share of itself a time may lie off the line that is drawn instead of measuring.
            alone: Entered while something is measured, to keep others from computing meanwhile.

        Raises:
            CorruptFile: If the file is there and damaged.
        """
        self._timer, self._tolerance, self._alone = timer, tolerance, alone
        here = machine()
        self._conditions = {**conditions, "machine": {name: here[name] for name in ("cpu", "flags", "threads")}}
        digest = hashlib.sha256(json.dumps(self._conditions, sort_keys=True).encode()).hexdigest()
        self._path = None if folder is None else folder / f"{digest[:16]}.json"
        self._times = dict[str, dict[Channels, float]]()
        self._version: object = None
        self._counts = dict[tuple[LayerShape, int, int], list[int]]()
        self.measured = 0
        """How many times were measured, not found."""
        self._read()

    def __call__(self, shape: LayerShape, inputs: Counts, outputs: Counts) -> Floats:
        """``[n]`` times of a layer with ``[n]`` input and output channels."""
        if shape.groups == 0:  # each input channel has outputs of its own
            outputs = inputs * (shape.outputs // shape.inputs)
        elif shape.groups > 1:
            inputs, outputs = (-(-side // shape.groups) * shape.groups for side in (inputs, outputs))
        cells = list(zip(inputs.tolist(), outputs.tolist(), strict=True))
        around = {cell: self._around(shape, cell) for cell in dict.fromkeys(cells)}
        self._measure(shape, (corner for corners in around.values() for corner in corners))
        times = self._times.get(_key(shape), {})
        found = {cell: sum(share * times[one] for one, share in corners.items()) for cell, corners in around.items()}
        return np.array([found[cell] for cell in cells], np.float64)

    def _around(self, shape: LayerShape, cell: Channels) -> dict[Channels, float]:
        """The measured cells between which a cell lies, with their shares: between two counts, on the line."""
        if shape.groups == 0:
            factor = shape.outputs // shape.inputs
            return {(count, count * factor): share for count, share in self._between(shape, 0, cell[0])}
        sides = [self._between(shape, side, cell[side]) for side in (0, 1)]
        return {(i, o): of_i * of_o for i, of_i in sides[0] for o, of_o in sides[1]}

    def _between(self, shape: LayerShape, side: int, count: int) -> list[tuple[int, float]]:
        """The counts along one side between which a count lies, with their shares."""
        full = (shape.inputs, shape.outputs)[side]
        if full <= ALL or count >= full:
            return [(count, 1.0)]
        at = self._knots(shape, side, count % PERIOD)
        place = int(np.searchsorted(at, count))
        if at[place] == count:
            return [(count, 1.0)]
        low, high = at[place - 1], at[place]
        share = (count - low) / (high - low)
        return [(low, 1 - share), (high, share)]

    def _knots(self, shape: LayerShape, side: int, rest: int) -> list[int]:
        """Counts that leave a rest when divided by sixteen, so close that times lie on the lines between them.

        Found with all channels on the other side, by halving wherever the middle is off the line.
        """
        full = (shape.inputs, shape.outputs)
        known = self._counts.get((shape, side, rest))
        if known is not None:
            return known
        lowest = rest or PERIOD
        highest = full[side] - (full[side] - rest) % PERIOD

        def cell(count: int) -> Channels:
            if shape.groups == 0:
                return count, count * (full[1] // full[0])
            return (count, full[1]) if side == 0 else (full[0], count)

        knots, open_ = {lowest, highest}, [(lowest, highest)]
        while open_:
            middles = {(low, high): low + (high - low) // PERIOD // 2 * PERIOD for low, high in open_}
            self._measure(shape, [cell(count) for (low, high), m in middles.items() for count in (low, m, high)])
            times = self._times[_key(shape)]
            ends, open_ = open_, []
            for low, high in ends:
                middle = middles[low, high]
                if middle == low:
                    continue
                knots.add(middle)
                share = (middle - low) / (high - low)
                line = (1 - share) * times[cell(low)] + share * times[cell(high)]
                at = times[cell(middle)]
                # One middle on the line of a wide stretch may be chance.
                if abs(line - at) > self._tolerance * at or high - low > 8 * PERIOD:
                    open_ += [(low, middle), (middle, high)]
        return self._counts.setdefault((shape, side, rest), sorted(knots))

    def _measure(self, shape: LayerShape, cells: Iterable[Channels]) -> None:
        """Measure what is not in the table, nor in that of anybody else, and keep it.

        So all that ever ask for a time get the same one, also those that go on with what a killed process began.
        """
        times = self._times.setdefault(_key(shape), {})
        cells = [cell for cell in dict.fromkeys(cells) if cell not in times]
        if not cells:
            return
        with self._alone(), nullcontext() if self._path is None else locked(self._path.parent):
            self._read()
            missing = [cell for cell in cells if cell not in times]
            if missing:
                times |= dict(zip(missing, self._timer(shape, missing), strict=True))
                self.measured += len(missing)
                self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        layers = [
            {"layer": json.loads(key), "times": [[*cell, time] for cell, time in sorted(times.items())]}
            for key, times in sorted(self._times.items())
        ]
        write_file(self._path, to_text({"conditions": self._conditions, "layers": layers}, indent=None))
        self._version = _version(self._path)

    def _read(self) -> None:
        """Add what is in the file, if it is another one than before; what this table has itself stays."""
        if self._path is None or not self._path.exists() or _version(self._path) == self._version:
            return
        self._version = _version(self._path)
        record = read_record(self._path, f"{_REMEDY}.")
        try:
            for one in record["layers"]:
                read = {(int(inputs), int(outputs)): float(time) for inputs, outputs, time in one["times"]}
                if not all(0 < time < math.inf for time in read.values()):
                    raise ValueError("a time that cannot be")
                known = self._times.setdefault(_text(one["layer"]), {})
                known |= {cell: time for cell, time in read.items() if cell not in known}
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise CorruptFile(f"{self._path} is no table of times of layers. {_REMEDY}.") from error


def _version(path: Path) -> object:
    """What another file at this place has otherwise."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _key(shape: LayerShape) -> str:
    """A layer as a text, without how many channels it has at most."""
    return _text({name: value for name, value in asdict(shape).items() if name not in ("inputs", "outputs")})


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
