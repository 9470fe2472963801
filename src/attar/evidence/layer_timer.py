"""How long a single layer takes in ONNX Runtime where it stands in a network, and how long a whole network takes.

ONNX Runtime's own profile adds some microseconds to every kernel, more than a small layer takes. A layer is therefore
timed by how much longer a call lasts with more copies of it. A processor is a third faster in one second than in the
next: a layer's time is therefore in units of a reference that is timed in the same moments.

What the runtime makes of a layer depends on its numbers of channels: it may bring what goes in or comes out into blocks
of channels and back. So every copy has a layer behind it that takes its output as a next layer would, at a single
position, whose own time is measured alone.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from attar.deployment.backends.backend import Inputs, Runner
from attar.deployment.backends.onnxruntime import open_onnxruntime
from attar.deployment.quiet import import_untracked
from attar.evidence.latency import race
from attar.pruning.latency import LayerShape, NetworkTime

_LAYERS = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "ReorderInput", "ReorderOutput")
"""Operators that multiply by weights, and those that bring channels into blocks for them and back."""

_AT_ONCE = 8
"""Layers timed in turns."""

_ROUNDS = 9

_COPIES = 5

_SLOW = 2e-4
"""Seconds of a call from which two copies are enough to tell them from one."""

_REFERENCE = LayerShape("Conv", (28, 28), (3, 3), (1, 1), (1, 1), (1, 1), 1, 16, 16)
"""Whose time is the unit of all."""

_LEAST = 1e-4
"""A time that could not be told from none, in units of the reference."""

_OPSET, _IR = 18, 10
"""Versions of ONNX that every runtime in use reads."""


@dataclass(frozen=True, slots=True)
class LayerTimer:
    """Times single layers in ONNX Runtime on the CPU.

    Attributes:
        batch: Examples in one call.
        threads: Threads that the runtime is allowed.
        seconds: For each layer, about; each of its graphs is called nine times at least.
    """

    batch: int = 1
    threads: int = 1
    seconds: float = 0.03

    def conditions(self) -> dict[str, object]:
        """What a time holds for, beside the machine."""
        runtime = import_untracked("onnxruntime", "Timing layers")
        return {"runtime": "onnxruntime", "version": runtime.__version__, "batch": self.batch, "threads": self.threads}

    def __call__(self, shape: LayerShape, cells: Sequence[tuple[int, int]]) -> list[float]:
        """Times of a layer for pairs of input and output channels, in units of the reference, in turns by eights."""
        found: list[float] = []
        for start in range(0, len(cells), _AT_ONCE):
            found += self._in_turns(shape, cells[start : start + _AT_ONCE])
        return found

    def _in_turns(self, shape: LayerShape, cells: Sequence[tuple[int, int]]) -> list[float]:
        reference = _Copies(_REFERENCE, (16, 16), replace(self, batch=1))
        with_layer = [_Copies(shape, cell, self) for cell in cells]
        without = {outputs: _Copies(shape, (0, outputs), self) for outputs in {outputs for _, outputs in cells}}
        every = [*with_layer, *without.values()]
        for _ in range(_ROUNDS):
            for one in every:
                one.round(self.seconds / _ROUNDS, reference)
        pairs = zip(cells, with_layer, strict=True)
        return [max(_LEAST, one.time() - without[outputs].time()) for (_, outputs), one in pairs]


@dataclass
class _Copies:
    """One copy of a layer, and some, timed in turns; without input channels, of what comes behind a layer alone."""

    shape: LayerShape
    cell: tuple[int, int]
    timer: LayerTimer
    times: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._one = self._open(1)
        self._copies = 2 if self._one() > _SLOW else _COPIES
        self._more = self._open(self._copies)

    def _open(self, copies: int) -> Any:
        graph, rows = layer_graph(self.shape, *self.cell, batch=self.timer.batch, copies=copies)
        session, fed = _session(graph, self.timer.threads), {"x": rows}

        def call() -> float:
            start = time.perf_counter()
            session.run(None, fed)
            return time.perf_counter() - start

        call()  # allocates
        call()
        return call

    def round(self, seconds: float, reference: _Copies) -> None:
        """Some calls of each, in units of the reference; the first, which finds caches cold, does not count."""
        spent = self._one() + self._more()
        calls = [(self._one(), self._more()) for _ in range(max(1, min(30, int(seconds / spent))))]
        reference._more()
        unit = np.median([reference._more() for _ in range(5)]) / reference._copies
        one, more = np.median(np.array(calls), axis=0) / unit
        self.times.append((float(one), float(more)))

    def time(self) -> float:
        """Of a copy, in units of the reference."""
        return float(np.median([more - one for one, more in self.times])) / (self._copies - 1)


def time_network(path: Path, rows: Inputs, *, threads: int = 1, seconds: float = 1.0) -> NetworkTime:
    """Time a whole network: the call from outside, and by its profile what is not a layer.

    Args:
        path: Its graph, as `attar.deployment.export.to_onnx` writes it.
        rows: What goes in at one call, ``[batch, ...]``; of sequences ids and mask, ``[batch, 2, length]``.
        threads: Threads that the runtime is allowed.
        seconds: For the calls, and about as long for the profile.
    """
    names = [one.name for one in onnx.load(path, load_external_data=False).graph.input]
    inputs = {names[0]: rows} if len(names) == 1 else {name: rows[:, place] for place, name in enumerate(names)}
    # Handing on from kernel to kernel takes time however little each of them computes.
    kernels = _profile(str(path), inputs, threads, 1)
    nothing, little = _session(_nothing(rows, len(kernels)), threads), np.zeros((1, 1), np.float32)
    runners: dict[str, Runner] = {
        "network": open_onnxruntime(path, threads),
        "reference": open_reference(threads),
        "nothing": lambda rows: nothing.run(None, {"x": rows, "y": little})[0],
    }
    raced = race(runners, rows, len(rows), threads=threads, seconds=seconds)
    total, fixed = (_COPIES * raced.ratio(name, "reference").ratio for name in ("network", "nothing"))
    calls = max(10, min(300, int(1000 * seconds / raced.latencies["network"].median_ms)))
    kernels = _profile(str(path), inputs, threads, calls)
    # What profiling adds to every kernel is all that it shows of one that does nothing.
    chain = [helper.make_node("Neg", [f"z{k - 1}" if k else "x"], [f"z{k}"]) for k in range(5)]
    added = min(time for _, time in _profile(_model(chain, [], little, 5), {"x": little}, threads, 100))
    at_work = [(operator, max(0.0, time - added)) for operator, time in kernels]
    others = sum(time for operator, time in at_work if operator not in _LAYERS)
    # Of a network so small that no kernel takes longer than profiling does, all is called layers.
    share = others / max(sum(time for _, time in at_work), 1e-9)
    computing = max(0.0, total - fixed)
    unit_ms = raced.latencies["reference"].median_ms / _COPIES
    return NetworkTime(total, computing * (1 - share), computing * share, unit_ms)


def open_reference(threads: int = 1) -> Runner:
    """A runner that does the same few layers whatever it is given: what others are timed against.

    Args:
        threads: Threads that the runtime is allowed.
    """
    graph, given = layer_graph(_REFERENCE, 16, 16, batch=1, copies=_COPIES)
    session = _session(graph, threads)

    def reference(_: object) -> Any:
        return session.run(None, {"x": given})[0]

    return reference


def _nothing(rows: Inputs, kernels: int) -> bytes:
    """A graph that takes the same rows and computes next to nothing, in as many kernels."""
    nodes = [helper.make_node("Identity", ["x"], ["z0"])]
    nodes += [helper.make_node("Neg", [f"y{k}" if k else "y"], [f"y{k + 1}"]) for k in range(kernels)]
    model = onnx.load_model_from_string(_model(nodes, [], rows, 1))
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1)))
    model.graph.output.append(helper.make_tensor_value_info(f"y{kernels}", TensorProto.FLOAT, (1, 1)))
    graph: bytes = model.SerializeToString()
    return graph


def _profile(graph: bytes | str, inputs: dict[str, Any], threads: int, calls: int) -> list[tuple[str, float]]:
    """The operator of each kernel, as they run, and its milliseconds, with those that profiling adds."""
    with tempfile.TemporaryDirectory() as folder:
        session = _session(graph, threads, Path(folder) / "profile")
        for _ in range(calls):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_bytes())
    nodes = [one for one in events if one.get("cat") == "Node" and one["name"].endswith("_kernel_time")]
    times = np.array([one["dur"] for one in nodes], np.float64).reshape(calls, -1)
    operators = [one["args"]["op_name"] for one in nodes[: times.shape[1]]]
    return list(zip(operators, (np.median(times, axis=0) / 1000).tolist(), strict=True))


def _session(graph: bytes | str, threads: int, profile: Path | None = None) -> Any:
    runtime = import_untracked("onnxruntime", "Timing layers")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def layer_graph(
    shape: LayerShape, inputs: int, outputs: int, *, batch: int, copies: int
) -> tuple[bytes, NDArray[np.float32]]:
    """A graph of some copies of a layer side by side, with random weights, and what goes in as ``x``.

    Behind each copy is a layer that takes its output: behind a convolution one of 1x1, at the first position alone.

    Args:
        shape: The layer.
        inputs: Its input channels; 0 for a graph of what is behind the copies, without them.
        outputs: Its output channels.
        batch: Examples in one call.
        copies: How many.
    """
    draw = np.random.default_rng(0)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []

    def weight(name: str, *lengths: int) -> str:
        weights.append(numpy_helper.from_array(draw.standard_normal(lengths, np.float32), name))
        return name

    for k in range(copies):
        given, between, gives = "x", f"y{k}" if inputs else "x", f"z{k}"
        if shape.operator == "Conv":
            if inputs:
                groups = shape.groups or inputs
                names = weight(f"w{k}", outputs, inputs // groups, *shape.kernel), weight(f"b{k}", outputs)
                nodes.append(helper.make_node("Conv", [given, *names], [between], **_attributes(shape, groups)))
            behind = weight(f"v{k}", 16, outputs, *(1 for _ in shape.kernel))
            nodes.append(helper.make_node("Conv", [between, behind], [gives], strides=list(shape.size)))
        elif shape.operator == "Gemm":
            if inputs:
                names = weight(f"w{k}", outputs, inputs), weight(f"b{k}", outputs)
                nodes.append(helper.make_node("Gemm", [given, *names], [between], transB=1))
            nodes.append(helper.make_node("Gemm", [between, weight(f"v{k}", 1, outputs)], [gives], transB=1))
        else:
            if inputs:
                nodes.append(helper.make_node("MatMul", [given, weight(f"w{k}", inputs, outputs)], [between]))
            nodes.append(helper.make_node("MatMul", [between, weight(f"v{k}", outputs, 1)], [gives]))
    first = shape.operator == "Conv"
    channels = inputs or outputs
    lengths = (batch, channels, *shape.size) if first else (batch, *shape.size, channels)
    rows = draw.standard_normal(lengths, np.float32)
    return _model(nodes, weights, rows, copies), rows


def _attributes(shape: LayerShape, groups: int) -> dict[str, Any]:
    return {
        "group": groups,
        "kernel_shape": shape.kernel,
        "strides": shape.stride,
        "pads": (*shape.padding, *shape.padding),
        "dilations": shape.dilation,
    }


def _model(nodes: list[NodeProto], weights: list[TensorProto], rows: Inputs, outputs: int) -> bytes:
    """A graph from ``x`` to ``z0``, ``z1`` and so on."""
    given = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(rows.dtype), rows.shape)
    gives = [helper.make_tensor_value_info(f"z{k}", TensorProto.FLOAT, None) for k in range(outputs)]
    graph = helper.make_graph(nodes, "layer", [given], gives, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    data: bytes = model.SerializeToString()
    return data
