"""Eight-bit integer versions of an exported graph: ranges from training inputs, settings that overflow on no processor.

Processors without a dot product of bytes (VNNI) add two products of bytes in 16 bits, which saturates. The grid
therefore has, for each kind of activation, weights of 7 bits ("reduced") beside those of 8. Which one is kept is
decided by measuring.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from attar.deployment.export import INPUT, save_openvino
from attar.deployment.quiet import import_untracked, quiet
from attar.deployment.refused import refused
from attar.errors import must, near

GRID: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "onnxruntime": {
        "int8 u8 reduced": {"activations": "uint8", "reduce_range": True},
        "int8 u8": {"activations": "uint8", "reduce_range": False},
        "int8 s8 reduced": {"activations": "int8", "reduce_range": True},
        "int8 s8": {"activations": "int8", "reduce_range": False},
    },
    "openvino": {"int8": {"preset": "mixed", "overflow_fix": "enable", "ranges": "minmax"}},
}
"""Per runtime: what each int8 setting is called, and the keywords of its quantizer. The safest comes first."""

_BATCH = 64


def quantize_onnxruntime(
    source: Path, path: Path, calibration: Tensor, *, activations: str = "uint8", reduce_range: bool = True
) -> None:
    """Quantize an ONNX file with ONNX Runtime: int8 weights per output channel, activations per tensor, in QDQ form.

    The range of an activation is from the smallest to the largest value that the calibration rows give it.

    Args:
        source: The float32 ONNX file.
        path: Where to write.
        calibration: Training inputs, ``[rows, ...]`` float32.
        activations: ``uint8`` or ``int8``. On a processor without VNNI, int8 can be slower than float32.
        reduce_range: Weights of 7 bits, so that sums of two products stay within 16.

    Raises:
        BadInput: If ``activations`` is neither.
        DeploymentError: If the quantizer refuses the graph.
    """
    import_untracked("onnxruntime", "Quantizing an ONNX file")
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    kinds = {"uint8": quantization.QuantType.QUInt8, "int8": quantization.QuantType.QInt8}
    if activations not in kinds:
        raise must("activations", "quantize_onnxruntime", "uint8 or int8", activations, near(activations, kinds))

    class Rows(quantization.CalibrationDataReader):  # type: ignore[misc]  # the package carries no types
        """Hands out the calibration rows by batches."""

        def __init__(self) -> None:
            self._batches = _batches(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next batch by input name; None at the end."""
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    try:
        with tempfile.TemporaryDirectory() as scratch, quiet("onnxruntime"):
            prepared = Path(scratch) / "prepared.onnx"
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
        raise refused("ONNX Runtime in int8", source.name, error) from error


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
    openvino = import_untracked("openvino", "Deploying to OpenVINO in int8")
    nncf = import_untracked("nncf", "Deploying to OpenVINO in int8")
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
                nncf.Dataset(list(_batches(calibration, 1))),
                preset=presets[preset],
                target_device=nncf.TargetDevice.CPU,
                subset_size=len(calibration),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=fixes[overflow_fix], activations_range_estimator_params=estimated[ranges]
                ),
            )
            save_openvino(quantized, path)
    except Exception as error:  # NNCF and OpenVINO raise plain RuntimeError and types of their own
        raise refused("OpenVINO in int8", source.name, error) from error


def _batches(rows: Tensor, size: int = _BATCH) -> Iterator[np.ndarray]:
    for batch in torch.split(rows.detach().cpu(), size):
        yield batch.contiguous().numpy()
