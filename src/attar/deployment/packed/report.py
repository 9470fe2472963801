"""What each tensor of a quantized student takes: bits, entropy, bytes; and where its weights and its numbers lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from attar.deployment.packed.container import table_bytes
from attar.deployment.packed.content import Content, shared
from attar.deployment.packed.network import content
from attar.deployment.prepared import Prepared
from attar.ops.entropy import entropy, histogram
from attar.quantization.attach import attached_inputs
from attar.quantization.format import Encoded, Format, Ranged
from attar.quantization.formats.named import to_table

_BINS = 64
_FEW_CODES = 16
"""Formats with more codes are reported without each of them."""


def size_report(student: nn.Module | Prepared) -> list[dict[str, Any]]:
    """What each parameter and buffer takes, in the order of the packed file: plain data, ready for JSON.

    What has two names, as tied weights do, is told once.

    Each has ``name``, ``shape``, ``values`` (how many), ``format`` (None where it stays float; else its name, under
    ``use``, and its settings), ``bits`` of a code, ``entropy_bits`` of a code, and bytes: ``bytes_packed`` (codes in
    their bits, and the table), ``bytes_coded`` (codes in the fewest bytes, and the table), ``bytes_table`` (of these),
    ``bytes_float32``. The index of the file, some hundred bytes, is not among them. ``inputs`` is what the layer
    multiplies with the tensor, where that has a format, too: its ``format``, ``bits`` and ``range``, else None.

    Quantized tensors also have ``weights``: a histogram (``edges``, ``counts``) of the float weights below, in which
    equal widths go from the smallest to the largest; ``numbers``: for each of at most 16 codes how many weights it
    stands for (``counts``), and the ``lowest``, ``mean`` and ``highest`` number that it means (they differ where groups
    have scales of their own; None where it stands for none), else None; and ``points``: those that training placed, on
    the scale of their groups, else None.

    Args:
        student: What `quantize` gave, trained or not. It is not changed. Where it was prepared to be deployed, its
            codes are computed no second time.

    Raises:
        BadInput: If nothing is quantized.
        DeploymentError: If the codes are not all there is to a weight, see `content`.

    Example:
        >>> from attar.quantization.formats.uniform import Uniform
        >>> from attar.quantization.quantize import quantize
        >>> weights, bias = size_report(quantize(nn.Linear(64, 8), weights=Uniform(bits=2)))
        >>> weights["name"], weights["bits"], weights["bytes_packed"], weights["bytes_float32"]
        ('weight', 2, 144, 2048)
        >>> bias["format"], bias["bytes_packed"]
        (None, 32)
    """
    if isinstance(student, Prepared):
        # Of a network in other numbers than float32, what is deployed is another one.
        packed = content(student.student) if student.quantized.converted else student.quantized.content
        student = student.student
    else:
        packed = content(student)
    same = shared(packed.tensors).keys()
    tensors = [
        *(_quantized(student, packed, name) for name in packed.codes),
        *(_float(name, tensor) for name, tensor in packed.tensors.items() if name not in same | packed.exact),
    ]
    inputs = {name: _inputs(each.form, each.table) for name, each in attached_inputs(student).items()}
    # Biases and what else has one dimension is not multiplied with them.
    return [
        entry | {"inputs": inputs.get(entry["name"].rpartition(".")[0]) if len(entry["shape"]) > 1 else None}
        for entry in tensors
    ]


def _quantized(student: nn.Module, packed: Content, name: str) -> dict[str, Any]:
    form, codes = packed.codes[name]
    values = codes.codes.detach().cpu().numpy()
    counts, table = histogram(values, form.codes), table_bytes(codes.table)
    points = codes.table.get("points") if getattr(form, "learned", ()) else None
    return {
        "name": name,
        "shape": list(codes.shape),
        "values": values.size,
        "format": to_table(form),
        "bits": form.bits,
        "entropy_bits": entropy(counts),
        "bytes_packed": len(packed.coded(name, "bits")[1]) + table,
        "bytes_coded": len(packed.coded(name, "smallest")[1]) + table,
        "bytes_table": table,
        "bytes_float32": 4 * values.size,
        "weights": _weights(student, name),
        "numbers": _numbers(form, codes, packed.decoded()[name]) if len(form.codes) <= _FEW_CODES else None,
        "points": None if points is None else points.double().tolist(),
    }


def _float(name: str, tensor: Tensor) -> dict[str, Any]:
    taken = tensor.numel() * tensor.element_size()
    return {
        "name": name,
        "shape": list(tensor.shape),
        "values": tensor.numel(),
        "format": None,
        "bits": 8 * tensor.element_size(),
        "entropy_bits": None,
        "bytes_packed": taken,
        "bytes_coded": taken,
        "bytes_table": 0,
        "bytes_float32": 4 * tensor.numel() if tensor.is_floating_point() else taken,
    }


def _inputs(form: Format, table: Mapping[str, Tensor]) -> dict[str, Any]:
    assert isinstance(form, Ranged)
    scale, zero = form.grid(table)
    ends = (form.codes.start - zero) * scale, (form.codes.stop - 1 - zero) * scale
    return {"format": to_table(form), "bits": form.bits, "range": [float(end) for end in ends]}


def _weights(student: nn.Module, name: str) -> dict[str, list[float]]:
    """The float weights below the format."""
    layer, _, attribute = name.rpartition(".")
    module: Any = student.get_submodule(layer)
    assert parametrize.is_parametrized(module, attribute)
    original: Tensor = module.parametrizations[attribute].original
    counts, edges = np.histogram(original.detach().cpu().double().numpy(), bins=_BINS)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _numbers(form: Format, codes: Encoded, decoded: Tensor) -> Mapping[str, list[Any]]:
    place = codes.codes.detach().cpu().reshape(-1).long() - form.codes.start
    values = decoded.detach().cpu().reshape(-1).double()
    kinds = len(form.codes)
    counts = torch.bincount(place, minlength=kinds)

    def each(reduce: str) -> list[float | None]:
        found = torch.zeros(kinds, dtype=torch.float64).scatter_reduce(0, place, values, reduce, include_self=False)
        return [value if count else None for value, count in zip(found.tolist(), counts.tolist(), strict=True)]

    return {"counts": counts.tolist(), "lowest": each("amin"), "mean": each("mean"), "highest": each("amax")}
