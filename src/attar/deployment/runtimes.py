"""Running deployed files: numpy in, numpy out, with a stated number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from attar.deployment.quiet import import_untracked, quiet
from attar.deployment.refused import telling
from attar.errors import CorruptFile, must
from attar.network.copying import copied
from attar.network.forward import number_type, output_of
from attar.network.layout import laid_out, lay_out_, suits_channels_last
from attar.network.unchanged import Unchanged

Array = npt.NDArray[np.float32]
Runner = Callable[[Array], Array]
"""Takes float32 ``[batch, ...]`` and gives logits, float32 ``[batch, classes]``, in memory of their own."""


def open_torch(module: nn.Module, threads: int = 1, *, own: bool = False) -> Runner:
    """Run a torch module as it is, eagerly and in evaluation mode.

    Images are run channels last where that gives the same. The inputs stay as they are, also where the network works
    in place; it gets them in the one type of all its numbers, and of its outputs the logits are taken.

    Args:
        module: The network; it is put into evaluation mode. With the first images a copy of it may take its place.
        threads: Threads inside one operation, > 0. Torch has one count for the whole process: each call sets it and
            puts the former one back.
        own: Whether the network is handed over, so that its own weights may be laid out channels last for good.
    """
    _check_threads(threads, "open_torch")
    layout = _Layout(module.eval(), own)
    ask, numbers, name = Unchanged(), number_type(module), type(module).__name__

    def run(inputs: Array) -> Array:
        before = torch.get_num_threads()
        if before != threads:
            torch.set_num_threads(threads)
        try:
            # Torch warns about sharing memory that it must not write, such as a memory-mapped file.
            given = torch.from_numpy(inputs if inputs.flags.writeable else inputs.copy())
            network, rows = layout.of(given)
            if numbers is not None:
                rows = rows.to(numbers)
            with torch.inference_mode():
                output = output_of(ask(network, rows), name).float()
                logits: Array = (output.clone() if output.data_ptr() == given.data_ptr() else output).numpy()
                return logits
        finally:
            if before != threads:
                torch.set_num_threads(before)

    return run


class _Layout:
    """A network and how it is asked about images: channels last where it suits all the shapes that came so far."""

    def __init__(self, network: nn.Module, own: bool) -> None:
        self._given, self._network, self._own = network, network, own
        self._suits: bool | None = None if any(isinstance(layer, nn.Conv2d) for layer in network.modules()) else False
        self._tried: set[torch.Size] = set()

    def of(self, rows: Tensor) -> tuple[nn.Module, Tensor]:
        """The network that is to be asked, and the rows as they are to be given."""
        if self._suits is not False and rows.shape[1:] not in self._tried:
            self._try(rows)
        return self._network, laid_out(rows) if self._suits else rows

    def _try(self, rows: Tensor) -> None:
        self._tried.add(rows.shape[1:])
        first, self._suits = self._suits is None, suits_channels_last(self._given, rows)
        if self._suits and first:
            self._network = lay_out_(self._given if self._own else copied(self._given))
        elif not self._suits:
            self._network = self._given
            if self._own:
                self._given.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def open_onnxruntime(
    path: Path, threads: int = 1, *, graph: bytes | None = None, weights: Mapping[str, npt.NDArray[Any]] | None = None
) -> Runner:
    """Run an ONNX file with ONNX Runtime on the CPU.

    Args:
        path: The file.
        graph: The ONNX graph, where the file is of another kind and holds it.
        weights: By name, what the graph says is elsewhere.
        threads: Threads inside one operation, > 0; operations run one after the other. One thread means no thread pool
            at all, so that nothing spins while it waits; with more, the runtime's default (spinning) stays, for speed.

    Raises:
        CorruptFile: If ONNX Runtime cannot read the file.
    """
    _check_threads(threads, "open_onnxruntime")
    onnxruntime = import_untracked("onnxruntime", "Running an ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    if weights:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(each)) for each in weights.values()]
        options.add_external_initializers(list(weights), values)
    source = os.fspath(path) if graph is None else graph
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base but Exception
        raise CorruptFile(f"{path} cannot be read by ONNX Runtime ({telling(error)}). Deploy again.") from error
    name, wanted = session.get_inputs()[0].name, [session.get_outputs()[0].name]

    def run(inputs: Array) -> Array:
        logits: Array = session.run(wanted, {name: inputs})[0]
        return logits

    return run


def open_openvino(path: Path, threads: int = 1, *, graph: bytes | None = None) -> Runner:
    """Run an OpenVINO pair of files on the CPU, tuned for the latency of one request at a time.

    Arithmetic that is not int8 stays in float32, also on processors where OpenVINO would choose bfloat16.

    Args:
        path: The ``.xml`` file, with its ``.bin`` beside it.
        threads: Threads of one request, > 0.
        graph: An ONNX graph with all its weights, where the file is of another kind.

    Raises:
        MissingExtra: If OpenVINO is not installed.
        CorruptFile: If OpenVINO cannot read the files.
    """
    _check_threads(threads, "open_openvino")
    openvino = import_untracked("openvino", "Running an OpenVINO artifact")
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    try:
        with quiet("openvino"):
            core = openvino.Core()
            model = path if graph is None else core.read_model(model=graph)
            request = core.compile_model(model, "CPU", settings).create_infer_request()
    except Exception as error:  # plain RuntimeError and its own unrelated types
        raise CorruptFile(f"{path} cannot be read by OpenVINO ({telling(error)}). Deploy again.") from error

    def run(inputs: Array) -> Array:
        request.infer([inputs], share_inputs=True)
        # The request reuses its output memory in the next call.
        logits: Array = request.get_output_tensor(0).data.copy()
        return logits

    return run


def _check_threads(threads: int, of: str) -> None:
    if threads < 1:
        raise must("threads", of, "at least 1", threads, "Use 1 for timings that can be compared")
