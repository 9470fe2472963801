"""OpenVINO: an exported graph in its own pair of files, in float32, or quantized to int8 by NNCF.

Eight-bit ranges come from training inputs, with settings that overflow on no processor; see `onnxruntime`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.deployment.backends.backend import (
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
from attar.deployment.quiet import import_untracked, quiet
from attar.deployment.refused import refused, telling
from attar.errors import CorruptFile, must, near

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attar.deployment.candidate import Candidate
    from attar.deployment.prepared import Prepared

MODEL = "model.xml"

GRID: Mapping[str, Mapping[str, Any]] = {"int8": {"preset": "mixed", "overflow_fix": "enable", "ranges": "minmax"}}
"""What each int8 setting is called, and the keywords of `quantize_openvino`."""

RUNTIMES: tuple[str, ...] = ("openvino",)
PACKAGES: tuple[str, ...] = ("openvino", "nncf")
PORTABLE = False
TITLES: Mapping[str, str] = {"openvino": "OpenVINO"}
PRECISIONS: Mapping[str, Precision] = {
    "fp32": Precision(MODEL, exact=True),
    "int8": Precision(
        MODEL,
        {
            "preset": ("mixed", "performance"),
            "overflow_fix": ("enable", "first_layer_only", "disable"),
            "ranges": ("minmax", "mean_minmax"),
        },
        calibrated=True,
    ),
}


def precisions(student: Prepared | None) -> Precisions:
    """Float32 and the grid of int8."""
    return {"fp32": ("fp32", {}), **{name: ("int8", settings) for name, settings in GRID.items()}}


def write(student: Prepared, candidate: Candidate, folder: Path, calibration: Tensor | None) -> Written:
    """Write the pair of files."""
    if candidate.precision == "int8":
        assert calibration is not None, "deploy has refused that"
        quantize_openvino(student.floats.graph, folder / MODEL, calibration, **candidate.settings)
    else:
        to_openvino(student.floats.graph, folder / MODEL)
    return Written(tuple(sorted(file.name for file in folder.iterdir())))


def open(folder: Path, candidate: Candidate, threads: int, rebuild: Callable[[], nn.Module]) -> Runner:
    """Run the pair of files."""
    return open_openvino(folder / MODEL, threads)


def rebuilds(candidate: Candidate) -> bool:
    """Never."""
    return False


def preload(candidate: Candidate) -> None:
    """Import OpenVINO; asking for a property loads the plugin that will run the model."""
    _imported(f"Running {candidate.name!r}").Core().get_property("CPU", "FULL_DEVICE_NAME")


def tolerance(candidate: Candidate) -> float | None:
    """Arithmetic that is not int8 stays in float32."""
    return TOLERANCE if candidate.precision == "fp32" else None


def title(candidate: Candidate) -> str:
    """Float32 or int8."""
    return {"fp32": "float32"}.get(candidate.precision, candidate.precision)


def without_attar(candidate: Candidate, folder: str) -> Opened | None:
    """A compiled model of OpenVINO."""
    opening = f'model = openvino.compile_model("{folder}/{MODEL}", "CPU")'
    return Opened("openvino", opening, "outputs = model(inputs)[0]")


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
    check_threads(threads, "open_openvino")
    openvino = _imported("Running an OpenVINO artifact")
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

    count = len(request.model_inputs)

    def run(inputs: Inputs) -> Array:
        # Several are stacked along axis 1.
        given = [inputs] if count == 1 else [np.ascontiguousarray(inputs[:, place]) for place in range(count)]
        request.infer(given, share_inputs=True)
        # The request reuses its output memory in the next call.
        logits: Array = request.get_output_tensor(0).data.copy()
        return logits

    return run


def to_openvino(source: Path, path: Path) -> None:
    """Write an ONNX file as OpenVINO's pair of files, ``<path>`` (.xml) and the .bin beside it, in float32.

    Args:
        source: The ONNX file.
        path: Where to write; ends in ``.xml``.

    Raises:
        MissingExtra: If OpenVINO is not installed.
        DeploymentError: If OpenVINO cannot read or convert the graph.
    """
    openvino = _imported("Deploying to OpenVINO")
    try:
        with quiet("openvino"):
            save_openvino(openvino.Core().read_model(source), path)
    except Exception as error:  # OpenVINO raises plain RuntimeError and its own unrelated types
        raise refused("OpenVINO", "The student", error) from error


def save_openvino(model: Any, path: Path) -> None:
    """Write an `openvino.Model` with its operations numbered by their place.

    OpenVINO names operations by a counter of the whole process: without this, the bytes of a file would depend on what
    else the process had done before.
    """
    openvino = _imported("Deploying to OpenVINO")
    for place, operation in enumerate(model.get_ordered_ops()):
        if operation.get_type_name() not in ("Parameter", "Result"):
            operation.set_friendly_name(str(place))
    openvino.save_model(model, path, compress_to_fp16=False)


def quantize_openvino(
    source: Path,
    path: Path,
    calibration: Tensor,
    *,
    preset: str = "mixed",
    overflow_fix: str = "enable",
    ranges: str = "minmax",
) -> None:
    """Quantize an ONNX file with NNCF and write it as OpenVINO's pair of files.

    Weights are int8 per channel, activations per tensor.

    Args:
        source: The float32 ONNX file.
        path: Where to write; ends in ``.xml``.
        calibration: Training inputs, ``[rows, ...]`` float32.
        preset: ``mixed`` (asymmetric activations) or ``performance`` (symmetric ones).
        overflow_fix: ``enable`` (weights of 7 bits), ``first_layer_only`` or ``disable``.
        ranges: ``minmax``, from the smallest to the largest value that any row gives an activation, or ``mean_minmax``,
            the average of the rows' own ranges, which is NNCF's default. The average clips the rows with the largest
            activations, and those are the ones that a small classifier is surest of: on four networks for 8x8 digits
            the logits were then 2 to 5 times farther from float32.

    Raises:
        BadInput: If a setting has another value.
        MissingExtra: If OpenVINO or NNCF is not installed.
        DeploymentError: If the quantizer refuses the graph.
    """
    import torch

    from attar.deployment.export import by_name

    openvino = _imported("Deploying to OpenVINO in int8")
    nncf = _imported("Deploying to OpenVINO in int8", "nncf")
    presets = {"mixed": nncf.QuantizationPreset.MIXED, "performance": nncf.QuantizationPreset.PERFORMANCE}
    fixes = {fix.value: fix for fix in nncf.OverflowFix}
    estimators = nncf.quantization.range_estimator.RangeEstimatorParametersSet
    estimated = {"minmax": estimators.MINMAX, "mean_minmax": estimators.MEAN_MINMAX}
    if ranges not in estimated:
        raise must("ranges", "quantize_openvino", "a known estimate", ranges, near(ranges, estimated))
    if preset not in presets:
        raise must("preset", "quantize_openvino", "a known preset", preset, near(preset, presets))
    if overflow_fix not in fixes:
        raise must("overflow_fix", "quantize_openvino", "a known fix", overflow_fix, near(overflow_fix, fixes))
    try:
        with quiet("nncf"):
            quantized = nncf.quantize(
                openvino.Core().read_model(source),
                # One row at a time: the ranges of a batch would be averages of maxima over its rows.
                nncf.Dataset([by_name(row) for row in torch.split(calibration.detach().cpu(), 1)]),
                preset=presets[preset],
                target_device=nncf.TargetDevice.CPU,
                subset_size=len(calibration),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=fixes[overflow_fix], activations_range_estimator_params=estimated[ranges]
                ),
            )
            save_openvino(quantized, path)
    except Exception as error:  # NNCF and OpenVINO raise plain RuntimeError and types of their own
        raise refused("OpenVINO in int8", "The student", error) from error


def _imported(purpose: str, package: str = "openvino") -> ModuleType:
    return import_untracked(package, purpose, "openvino")
