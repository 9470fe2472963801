"""ONNX Runtime: an exported graph, in float32, in int8, or with linear layers executed in 2, 4 or 8 bits.

Eight-bit ranges come from training inputs. Processors without a dot product of bytes (VNNI) add two products of bytes
in 16 bits, which saturates. The grid therefore has, for each kind of activation, weights of 7 bits ("reduced") beside
those of 8. Which one is kept is decided by measuring.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attar.deployment.backends.backend import (
    ROUNDED,
    TOLERANCE,
    Array,
    Inputs,
    Opened,
    Precision,
    Precisions,
    Runner,
    Written,
    check_threads,
)
from attar.deployment.packed.settings import WIDTHS
from attar.deployment.quiet import import_untracked, quiet
from attar.deployment.refused import refused, telling
from attar.errors import CorruptFile, must, near
from attar.named_inputs import NamedInput, NamedInputs
from attar.workspace import scratch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attar.deployment.candidate import Candidate
    from attar.deployment.prepared import Prepared

MODEL = "model.onnx"

ACCURACY_LEVELS = (4, 1)
"""Of low-bit execution: what goes into a layer in 8 bits, or in float32."""

GRID: Mapping[str, Mapping[str, Any]] = {
    "int8 u8 reduced": {"activations": "uint8", "reduce_range": True},
    "int8 u8": {"activations": "uint8", "reduce_range": False},
    "int8 s8 reduced": {"activations": "int8", "reduce_range": True},
    "int8 s8": {"activations": "int8", "reduce_range": False},
}
"""What each int8 setting is called, and the keywords of `quantize_onnxruntime`. The safest comes first."""

_LOW_BITS = Precision(MODEL, {"accuracy_level": ACCURACY_LEVELS}, quantized=True, named=True)

RUNTIMES: tuple[str, ...] = ("onnxruntime",)
PACKAGES: tuple[str, ...] = ("onnxruntime",)
PORTABLE = True
TITLES: Mapping[str, str] = {"onnxruntime": "ONNX Runtime"}
PRECISIONS: Mapping[str, Precision] = {
    "fp32": Precision(MODEL, exact=True, named=True),
    "int8": Precision(MODEL, {"activations": ("uint8", "int8"), "reduce_range": (True, False)}, calibrated=True),
    **{f"w{bits}": _LOW_BITS for bits in WIDTHS},
}

_BATCH = 64
_TYPES = {"tensor(int64)": "int64", "tensor(bool)": "bool"}


def precisions(student: Prepared | None) -> Precisions:
    """Float32, the grid of int8, and low bits where its operator has them for all quantized weights of the student."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {"fp32": ("fp32", {})}
    found |= {name: ("int8", settings) for name, settings in GRID.items()}
    if student is not None and student.is_quantized:
        from attar.deployment.packed.low_bits import width

        bits = width(student.quantized)
        found |= {f"w{bits}": (f"w{bits}", {})} if bits else {}
    return found


def write(student: Prepared, candidate: Candidate, folder: Path, calibration: Tensor | None) -> Written:
    """Write the graph; beside it its weights where a graph alone would be too large for its form of file."""
    precision, path, notes = candidate.precision, folder / MODEL, []
    if precision == "fp32":
        for file in sorted(student.floats.graph.parent.glob(f"{MODEL}*")):
            shutil.copyfile(file, folder / file.name)
    elif precision == "int8":
        from torch import nn

        assert calibration is not None, "deploy has refused that"
        quantize_onnxruntime(student.floats.graph, path, calibration, **candidate.settings)
        modules = student.floats.network.named_modules()
        if recurrent := [name for name, layer in modules if isinstance(layer, nn.RNNBase)]:
            stay = f"Recurrent layers ({', '.join(recurrent)}) stay in float32: its quantizer has no form for them."
            notes.append(stay)
    else:
        from attar.deployment.packed.low_bits import to_low_bits

        to_low_bits(student.quantized, int(precision[1:]), path, **candidate.settings)
        notes.append("Linear layers are executed with low-bit weights by ONNX Runtime's MatMulNBits.")
    return Written(tuple(sorted(file.name for file in folder.iterdir())), tuple(notes))


def open(folder: Path, candidate: Candidate, threads: int, rebuild: Callable[[], nn.Module]) -> Runner:
    """Run the graph."""
    return open_onnxruntime(folder / MODEL, threads)


def rebuilds(candidate: Candidate) -> bool:
    """Never."""
    return False


def preload(candidate: Candidate) -> None:
    """Import ONNX Runtime."""
    import_untracked("onnxruntime", f"Running {candidate.name!r}")


def tolerance(candidate: Candidate) -> float | None:
    """In low bits, blocks of a layer's inputs are rounded; in int8, everything."""
    return {"fp32": TOLERANCE, "int8": None}.get(candidate.precision, ROUNDED)


def title(candidate: Candidate) -> str:
    """Bits of weights, and the sign of what goes into layers where it is not the usual one."""
    if candidate.precision == "int8":
        words = ["int8", *(["7-bit weights"] if candidate.settings.get("reduce_range", True) else [])]
        return ", ".join([*words, *(["signed inputs"] if candidate.settings.get("activations") == "int8" else [])])
    return "float32" if candidate.precision == "fp32" else f"{candidate.precision[1:]}-bit weights"


def without_attar(candidate: Candidate, folder: str) -> Opened | None:
    """A session of ONNX Runtime."""
    opening = f'session = onnxruntime.InferenceSession(\n    "{folder}/{MODEL}", providers=["CPUExecutionProvider"]\n)'
    return Opened("onnxruntime", opening, "outputs = session.run(None, inputs)[0]")


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
    check_threads(threads, "open_onnxruntime")
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
    names, wanted = [value.name for value in session.get_inputs()], [session.get_outputs()[0].name]
    name = names[0]
    if len(names) > 1:  # stacked along axis 1, or one behind the other in rows
        rows = NamedInputs(
            tuple(
                NamedInput(value.name, tuple(value.shape[1:]), _TYPES.get(value.type, "float32"))
                for value in session.get_inputs()
            )
        )

        def run_named(inputs: Inputs) -> Array:
            stacked = inputs.ndim == 3
            feed = {one: inputs[:, place] for place, one in enumerate(names)} if stacked else rows.unpacked(inputs)
            answer: Array = session.run(wanted, feed)[0]
            return answer

        return run_named

    def run(inputs: Array) -> Array:
        logits: Array = session.run(wanted, {name: inputs})[0]
        return logits

    return run


def quantize_onnxruntime(
    source: Path, path: Path, calibration: Tensor, *, activations: str = "uint8", reduce_range: bool = True
) -> None:
    """Quantize an ONNX file with ONNX Runtime: int8 weights per output channel, activations per tensor, in QDQ form.

    The range of an activation is from the smallest to the largest value that the calibration rows give it.

    Args:
        source: The float32 ONNX file.
        path: Where to write.
        calibration: Training inputs, ``[rows, ...]``.
        activations: ``uint8`` or ``int8``. On a processor without VNNI, int8 can be slower than float32.
        reduce_range: Weights of 7 bits, so that sums of two products stay within 16.

    Raises:
        BadInput: If ``activations`` is neither.
        DeploymentError: If the quantizer refuses the graph.
    """
    import_untracked("onnxruntime", "Quantizing an ONNX file")
    import onnx
    import torch
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from attar.deployment.export import by_name

    kinds = {"uint8": quantization.QuantType.QUInt8, "int8": quantization.QuantType.QInt8}
    if activations not in kinds:
        raise must("activations", "quantize_onnxruntime", "uint8 or int8", activations, near(activations, kinds))

    class Rows(quantization.CalibrationDataReader):  # type: ignore[misc]  # the package carries no types
        """Hands out the calibration rows by batches."""

        def __init__(self) -> None:
            self._batches = iter(torch.split(calibration.detach().cpu(), _BATCH))

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next batch by input name; None at the end."""
            batch = next(self._batches, None)
            return None if batch is None else by_name(batch)

    try:
        with scratch(source.parent) as folder, quiet("onnxruntime"):
            prepared = folder / "prepared.onnx"
            quant_pre_process(source, prepared)
            quantization.quantize_static(
                prepared,
                path,
                Rows(),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=kinds[activations],
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                reduce_range=reduce_range,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the quantizer raises whatever numpy, onnx and sympy raise
        raise refused("ONNX Runtime in int8", "The student", error) from error
