"""Linear layers that ONNX Runtime executes in 2, 4 or 8 bits, by its operator MatMulNBits.

The codes of the format are the operator's codes: nothing is quantized a second time but, with ``accuracy_level`` 4,
what goes into the layer, to 8 bits for each block. Other runtimes do not have the operator, and ONNX Runtime has none
like it for convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from attar.deployment.packed.content import Content
from attar.deployment.packed.network import name_of_layer
from attar.deployment.packed.settings import WIDTHS
from attar.deployment.prepared import QuantizedForm
from attar.deployment.refused import DeploymentError
from attar.errors import BadInput
from attar.ops.granularity import PER_TENSOR, Granularity
from attar.ops.packing import pack
from attar.quantization.format import Encoded, Format
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn

_BLOCKS = {2: (128, 64, 32), 4: (128, 64, 32, 16), 8: (128, 64, 32, 16)}
"""Weights of one row that share a scale in the operator; the largest that the format allows is taken. With 2 bits there
are kernels for these alone: a product in blocks of 16 or 256 takes a hundred times as long."""


@dataclass(frozen=True)
class _Blocks:
    """A weight matrix as the operator takes it: ``scales * (codes - zeros) + rest``.

    Attributes:
        codes: ``[rows, columns]`` from 0.
        scales: ``[rows, blocks]``.
        zeros: ``[rows, blocks]``, whole numbers.
        rest: ``[rows, blocks]``: what the whole numbers of ``zeros`` do not reach.
        size: Columns of a block.
    """

    codes: NDArray[np.int64]
    scales: NDArray[np.float32]
    zeros: NDArray[np.int64]
    rest: NDArray[np.float32]
    size: int


def width(student: QuantizedForm) -> int | None:
    """The bits of the operator that would execute all quantized weights of a student; None if it cannot."""
    try:
        chosen = _linear(student.content, student.network)
        least = max(_width(form) for form, _ in chosen.values())
    except (BadInput, DeploymentError):
        return None
    for bits in WIDTHS[WIDTHS.index(least) :]:
        with suppress(DeploymentError):
            for name, (form, codes) in chosen.items():
                _blocks(name, form, codes, bits)
            return bits
    return None


def to_low_bits(student: QuantizedForm, bits: int, path: Path, *, accuracy_level: int = 4) -> None:
    """Write a quantized student as an ONNX file whose linear layers are executed with low-bit weights.

    Args:
        student: What `quantize` gave.
        bits: Bits of the operator, of `WIDTHS`; formats with fewer are stored in it.
        path: Where to write.
        accuracy_level: 4 rounds what goes into a layer to 8 bits and is fast; 1 leaves it float32 and is slow, with 2
            bits by a factor of a hundred.

    Raises:
        DeploymentError: If formats are attached to other layers, or one has no even steps within the operator's bits.
    """
    chosen = _linear(student.content, student.network)
    blocks = {name: _blocks(name, form, codes, bits) for name, (form, codes) in chosen.items()}
    model = onnx.load(student.graph)
    for name, each in blocks.items():
        _replace(model.graph, name, each, bits, accuracy_level)
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)


def _linear(packed: Content, student: nn.Module) -> Mapping[str, tuple[Format, Encoded]]:
    """The codes, if all are of linear layers."""
    for name in packed.codes:
        layer, _, attribute = name.rpartition(".")
        module = student.get_submodule(layer)
        if not isinstance(module, nn.Linear) or attribute != "weight":
            raise DeploymentError(
                f"{name!r} of layer {layer!r} ({name_of_layer(module)}) cannot be executed with low-bit weights: ONNX "
                "Runtime has an operator for linear layers alone. Use 'packed', or skip this tensor in quantize."
            )
    if not packed.codes:
        raise DeploymentError("No weights of the student are quantized. Use 'packed', or give weights= to quantize.")
    for form, codes in packed.codes.values():
        _even(form, codes)
    return packed.codes


def _width(form: Format) -> int:
    fitting = [bits for bits in WIDTHS if bits >= form.bits]
    if not fitting:
        raise DeploymentError(
            f"{type(form).__name__} has {form.bits} bits, and the operator at most {WIDTHS[-1]}. Use 'packed'."
        )
    return fitting[0]


def _even(form: Format, codes: Encoded) -> tuple[Tensor, Tensor, Granularity]:
    """Even steps: their length and what code 0 stands for, ``[groups]`` each, and what the groups are."""
    table = {name: entry.double() for name, entry in codes.table.items()}
    if isinstance(form, Uniform):
        return table["scale"], table.get("low", torch.zeros_like(table["scale"])), form.granularity
    if isinstance(form, Affine):
        return table["scale"], -table["zero_point"] * table["scale"], form.granularity
    if isinstance(form, DynamicFixedPoint):
        scale = torch.exp2(-table["fraction"])
        return scale, torch.zeros_like(scale), form.granularity
    if isinstance(form, Ternary) and form.scale == "twn":
        return table["scale"], torch.zeros_like(table["scale"]), form.granularity
    one = torch.ones(1, dtype=torch.float64)
    if isinstance(form, Wrpn):
        return one / form.codes[-1], 0 * one, PER_TENSOR
    if isinstance(form, DoReFa):
        scale = table.get("scale", one)
        return 2 * scale / form.codes[-1], -scale, PER_TENSOR
    raise DeploymentError(
        f"{type(form).__name__} has no even steps, which is all that the operator knows. Use 'packed'."
    )


def _blocks(name: str, form: Format, codes: Encoded, bits: int) -> _Blocks:
    if form.bits > bits:
        raise DeploymentError(
            f"The {form.bits} bits of {name!r} do not fit into {bits}. Use w{_width(form)}, or 'packed'."
        )
    scale, base, granularity = _even(form, codes)
    groups = granularity.rows(codes.codes)
    size, scales, bases = _shared(
        _BLOCKS[bits],
        *(granularity.from_rows(each[:, None].expand(groups.shape), codes.shape).numpy() for each in (scale, base)),
    )
    if not size:
        raise DeploymentError(
            f"Groups of {type(form).__name__} are no blocks of weights of one row of {name!r}. "
            "Use a granularity per tensor, per axis 0, or groups of whole blocks: 16, or with 2 bits 32; or 'packed'."
        )
    start = form.codes.start
    lowest = bases + start * scales
    # A scale of zero, as that of a layer whose weights all are: any code means the same.
    zeros = np.clip(np.rint(-lowest / np.where(scales == 0, 1, scales)), 0, 2**bits - 1).astype(np.int64)
    rest = lowest + zeros * scales
    # What is left of numbers that are equal but for the rounding of this very sum is nothing.
    rest[np.abs(rest) < 1e-12 * scales] = 0
    shifted = codes.codes.numpy().astype(np.int64) - start
    return _Blocks(shifted, scales.astype(np.float32), zeros, rest.astype(np.float32), size)


def _shared(sizes: Sequence[int], *values: NDArray[np.float64]) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """The largest block within which each row of both matrices has one value, and those values by block."""
    rows, columns = values[0].shape
    for size in sizes:
        # A smaller block wastes less of a short row.
        if size > sizes[-1] and size // 2 >= columns:
            continue
        filled = [np.pad(each, ((0, 0), (0, -columns % size)), mode="edge").reshape(rows, -1, size) for each in values]
        if all((each == each[:, :, :1]).all() for each in filled):
            return size, filled[0][:, :, 0], filled[1][:, :, 0]
    return 0, *values  # type: ignore[return-value]


def _replace(graph: Any, name: str, blocks: _Blocks, bits: int, accuracy_level: int) -> None:
    """Put the operator in the place of the product with the matrix of this name."""
    rows, columns = blocks.codes.shape
    count = blocks.scales.shape[1]
    users = [node for node in graph.node if name in node.input]
    product, source, bias = _product(graph, name, users)
    missing = count * blocks.size - columns
    codes = np.concatenate([blocks.codes, np.repeat(blocks.zeros[:, -1:], missing, 1)], 1)
    packed = pack(codes, bits).reshape(rows, count, blocks.size * bits // 8)
    constants = {f"{name}.codes": packed, f"{name}.scales": blocks.scales.reshape(-1)}
    inputs = [source, f"{name}.codes", f"{name}.scales"]
    if (blocks.zeros != 2 ** (bits - 1)).any():
        per = 8 // bits
        zeros = np.pad(blocks.zeros, ((0, 0), (0, -count % per)))
        constants[f"{name}.zeros"] = pack(zeros, bits)
        inputs.append(f"{name}.zeros")
    settings = {"K": columns, "N": rows, "bits": bits, "block_size": blocks.size, "accuracy_level": accuracy_level}
    outputs = [f"{name}.product"]
    nodes = [helper.make_node("MatMulNBits", inputs, [outputs[0]], domain="com.microsoft", **settings)]
    if blocks.rest.any():
        if product.op_type != "Gemm" and (blocks.rest != blocks.rest[:, :1]).any():
            raise DeploymentError(
                f"{name!r} multiplies sequences and has groups within a row that do not have zero among their numbers, "
                "which is not implemented. Use a symmetric format, a granularity per axis 0, or 'packed'."
            )
        more, further = _rest(name, source, blocks)
        nodes += more
        constants |= further
        outputs.append(f"{name}.rest")
    if bias is not None:
        outputs.append(bias)
    while len(outputs) > 2:
        joined = f"{name}.sum{len(outputs)}"
        nodes.append(helper.make_node("Add", [outputs.pop(0), outputs.pop(0)], [joined]))
        outputs.insert(0, joined)
    if len(outputs) == 2:
        nodes.append(helper.make_node("Add", outputs, list(product.output)))
    else:
        nodes[-1].output[0] = product.output[0]
    place = list(graph.node).index(product)
    transposes = [node for node in users if node.op_type == "Transpose"]
    others = [node for node in graph.node if node is not product and node not in transposes]
    place -= len(transposes)
    del graph.node[:]
    graph.node.extend([*others[:place], *nodes, *others[place:]])
    others = [each for each in graph.initializer if each.name != name]
    del graph.initializer[:]
    graph.initializer.extend([*others, *(numpy_helper.from_array(value, key) for key, value in constants.items())])


def _rest(name: str, source: str, blocks: _Blocks) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """What each block adds for the sum of the inputs that it sees."""
    _, columns = blocks.codes.shape
    count, rest, summed = blocks.scales.shape[1], blocks.rest, f"{name}.summed"
    if (rest == rest[:, :1]).all():
        constants: dict[str, NDArray[Any]] = {f"{name}.axis": np.array([-1])}
        nodes = [helper.make_node("ReduceSum", [source, f"{name}.axis"], [summed], keepdims=1)]
        rest = rest[:, :1]
    else:
        missing = count * blocks.size - columns
        constants = {
            f"{name}.pads": np.array([0, 0, 0, missing]),
            f"{name}.shape": np.array([-1, count, blocks.size]),
            f"{name}.axis": np.array([2]),
        }
        nodes = [
            helper.make_node("Pad", [source, f"{name}.pads"], [f"{name}.padded"]),
            helper.make_node("Reshape", [f"{name}.padded", f"{name}.shape"], [f"{name}.cut"]),
            helper.make_node("ReduceSum", [f"{name}.cut", f"{name}.axis"], [summed], keepdims=0),
        ]
    constants[f"{name}.offsets"] = np.ascontiguousarray(rest.T)
    nodes.append(helper.make_node("MatMul", [summed, f"{name}.offsets"], [f"{name}.rest"]))
    return nodes, constants


def _product(graph: Any, name: str, users: Sequence[Any]) -> tuple[Any, str, str | None]:
    """The node that multiplies by the matrix, what it multiplies, and the bias that it adds."""
    settings = {each.name: helper.get_attribute_value(each) for user in users for each in user.attribute}
    if len(users) == 1 and users[0].op_type == "Gemm" and users[0].input[1] == name:
        product_alone = settings.get("alpha", 1.0) == settings.get("beta", 1.0) == 1.0 and not settings.get("transA", 0)
        if product_alone and settings.get("transB", 0) == 1:
            return users[0], users[0].input[0], users[0].input[2] if len(users[0].input) > 2 else None
    if len(users) == 1 and users[0].op_type == "Transpose":
        products = [node for node in graph.node if users[0].output[0] in node.input]
        if len(products) == 1 and products[0].op_type == "MatMul" and products[0].input[1] == users[0].output[0]:
            return products[0], products[0].input[0], None
    used = ", ".join(sorted({user.op_type for user in users})) or "nothing"
    raise DeploymentError(
        f"The weights {name!r} are used by {used} in the exported graph, and not by one product of a linear layer. "
        "Use 'packed', or skip this tensor in quantize."
    )
