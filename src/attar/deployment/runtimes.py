"""Running deployed files: numpy in, numpy out, with a stated number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from attar.deployment.export import INPUT, OUTPUT
from attar.deployment.quiet import import_untracked, quiet
from attar.errors import CorruptFile, must
from attar.network.layout import laid_out, lay_out_

Array = npt.NDArray[np.float32]
Runner = Callable[[Array], Array]
"""Takes float32 ``[batch, ...]`` and gives logits, float32 ``[batch, classes]``, in memory of their own."""


def open_torch(module: nn.Module, threads: int = 1) -> Runner:
    """Run a torch module as it is, eagerly and in evaluation mode.

    Args:
        module: The network; it is put into evaluation mode and laid out channels last for good, since it is handed
            over.
        threads: Threads inside one operation, > 0. Torch has one count for the whole process: each call sets it and
            puts the former one back.
    """
    _check_threads(threads, "open_torch")
    lay_out_(module.eval())

    def run(inputs: Array) -> Array:
        before = torch.get_num_threads()
        if before != threads:
            torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                # Torch warns about sharing memory that it must not write, such as a memory-mapped file.
                rows = torch.from_numpy(inputs if inputs.flags.writeable else inputs.copy())
                logits: Array = module(laid_out(rows)).numpy()
                return logits
        finally:
            if before != threads:
                torch.set_num_threads(before)

    return run


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
        raise CorruptFile(f"{path} cannot be read by ONNX Runtime ({_first_line(error)}). Deploy again.") from error
    wanted = [OUTPUT]

    def run(inputs: Array) -> Array:
        logits: Array = session.run(wanted, {INPUT: inputs})[0]
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
        raise CorruptFile(f"{path} cannot be read by OpenVINO ({_first_line(error)}). Deploy again.") from error

    def run(inputs: Array) -> Array:
        request.infer([inputs], share_inputs=True)
        # The request reuses its output memory in the next call.
        logits: Array = request.get_output_tensor(0).data.copy()
        return logits

    return run


def _check_threads(threads: int, of: str) -> None:
    if threads < 1:
        raise must("threads", of, "at least 1", threads, "Use 1 for timings that can be compared")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
