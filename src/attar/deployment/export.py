"""From a torch module to the ONNX graph that other runtimes read or are given, in float32."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from attar.deployment.constants import keep_small
from attar.deployment.exporter_tables import tables_shared
from attar.deployment.quiet import quiet
from attar.deployment.refused import refused
from attar.network.evaluating import evaluating
from attar.network.forward import output_of
from attar.network.named import Named
from attar.network.unpacked import Unpacked
from attar.tables.tokens import NAMES

INPUT, OUTPUT = "input", "logits"
"""Names of the one input and the one output of every exported graph; one of sequences has the inputs `NAMES`."""

_SINGLE_FILE_BYTES = 2_000_000_000
"""A protobuf message stays below 2 GiB; larger weights go into a second file beside the graph."""


def to_onnx(module: nn.Module, example: Tensor, path: Path, *, fold: bool = True) -> None:
    """Write the network as one self-contained ONNX file with a free batch dimension.

    The graph takes ``input`` float32 ``[batch, ...]``, of sequences ``ids`` and ``mask`` int64 ``[batch, length]``, and
    gives ``logits`` float32 ``[batch, classes]``, in evaluation
    mode. Source locations that the exporter records in every node are removed: they name folders of this machine and
    make a small network several times larger. The file is checked before this returns.

    Args:
        module: The network, on the CPU. It is not changed. Of several outputs the logits are taken.
        example: One input, ``[1, ...]`` float32, or ``[1, 2, length]`` int64, of tokens; its values do not matter.
        path: Where to write. Weights above 2 GB go to ``<path>.data`` beside it.
        fold: Whether what depends on weights alone is computed now, such as batch normalization drawn into the weights
            of a convolution. Otherwise all parameters and buffers are in the graph as they are, under their own names.

    Raises:
        DeploymentError: If the network cannot be traced, ties the batch to one size, or gives an invalid graph.
    """
    # Two rows: a batch of one would be taken for a constant by the tracer.
    rows = example.expand(2, *example.shape[1:]).contiguous()
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    try:
        given, names = _inputs_of(module, rows)
        batch = torch.export.Dim("batch")
        free: tuple[Any, ...] = tuple({0: batch} for _ in given)
        named = _called_by_name(module) if len(names) > 1 else nullcontext()
        with evaluating(module), _giving_logits(module), named, quiet("torch"), tables_shared():
            program = torch.onnx.export(
                module,
                tuple(one.contiguous() for one in given),
                dynamo=True,
                dynamic_shapes=(free,) if _takes_any(module) else free,
                input_names=names,
                output_names=[OUTPUT],
                verbose=False,
                optimize=fold,
            )
            assert program is not None  # the dynamo exporter always returns one
            if fold:
                keep_small(program.model)
            else:
                _simplify(program, frozenset(module.state_dict()))
            _forget_origins(program)
            _check_form(program, len(names))
            program.save(path, external_data=size > _SINGLE_FILE_BYTES)
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the exporter and the checker raise dozens of unrelated types
        if isinstance(error, OSError) and error.errno is not None:  # a full disk says nothing of the network
            raise
        raise refused("ONNX", type(module).__name__, error) from error


@contextmanager
def _giving_logits(module: nn.Module) -> Iterator[None]:
    """The network gives its logits alone, as float32, while the context lasts."""
    hook = module.register_forward_hook(lambda network, _, result: output_of(result, type(network).__name__).float())
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _called_by_name(module: nn.Module) -> Iterator[None]:
    """The network takes its named inputs apart while the context lasts, and has the same weights."""
    stacked = module.forward

    def forward(ids: Tensor, mask: Tensor) -> object:
        return module.by_name(ids, mask) if isinstance(module, Named) else stacked(torch.stack((ids, mask), 1))

    def forward_named(*inputs: Tensor) -> object:
        if isinstance(module, Unpacked):
            return module.by_name(*inputs)
        return stacked(torch.cat([one.float().reshape(len(one), -1) for one in inputs], 1))

    module.forward = forward if _unpacked_in(module) is None else forward_named  # of this one module
    try:
        yield
    finally:
        del module.forward


def _unpacked_in(module: nn.Module) -> Unpacked | None:
    """The part of a network that takes rows of named inputs apart; None where it has none."""
    return next((one for one in module.modules() if isinstance(one, Unpacked)), None)


def _takes_any(module: nn.Module) -> bool:
    """Whether a forward takes its inputs as ``*args``, of which a tracer makes one argument."""
    first = next(iter(inspect.signature(module.forward).parameters.values()), None)
    return first is not None and first.kind is inspect.Parameter.VAR_POSITIONAL


def _inputs_of(module: nn.Module, rows: Tensor) -> tuple[tuple[Tensor, ...], list[str]]:
    """What a graph takes, and how that is called."""
    unpacked = _unpacked_in(module)
    if unpacked is not None:
        return tuple(unpacked.inputs_of(rows)), list(unpacked.named.names)
    return (rows.unbind(1), list(NAMES)) if rows.dtype == torch.int64 else ((rows,), [INPUT])


def by_name(rows: Tensor) -> dict[str, Any]:
    """Rows as arrays, by the names of the inputs of an exported graph."""
    rows = rows.detach().cpu()
    if rows.dtype != torch.int64:
        return {INPUT: rows.contiguous().numpy()}
    return {name: rows[:, place].contiguous().numpy() for place, name in enumerate(NAMES)}


def _check_form(program: torch.onnx.ONNXProgram, count: int) -> None:
    """So many inputs and one output of a free batch; the exporter is content with less.

    Raises:
        ValueError: If the graph has another form.
    """
    inputs, outputs = program.model.graph.inputs, program.model.graph.outputs
    if len(inputs) != count or len(outputs) != 1:
        wanted = "each must be one" if count == 1 else f"{count} and one are needed"
        raise ValueError(f"the graph has {len(inputs)} inputs and {len(outputs)} outputs where {wanted}")
    for value in (*inputs, outputs[0]):
        if value.shape is None or len(value.shape) == 0 or isinstance(value.shape[0], int):
            raise ValueError(f"the batch dimension of {value.name!r} is not free: {value.shape}")


def _simplify(program: torch.onnx.ONNXProgram, weights: Collection[str]) -> None:
    """Compute what depends on nothing, and leave what weights go into as it is."""
    from onnxscript import optimizer

    def should_fold(node: Any) -> bool | None:
        return False if any(value is not None and value.name in weights for value in node.inputs) else None

    optimizer.inline(program.model)
    optimizer.fold_constants_ir(program.model, should_fold=should_fold)
    optimizer.remove_unused_nodes(program.model)


def _forget_origins(program: torch.onnx.ONNXProgram) -> None:
    """Remove stack traces, scopes and documentation from every node and value of the graph."""
    model = program.model
    _clear(model)
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        _clear(graph)
        for value in (*graph.inputs, *graph.initializers.values()):
            _clear(value)
        for node in graph.all_nodes():
            _clear(node)
            for value in node.outputs:
                _clear(value)


def _clear(sub: Any) -> None:
    sub.metadata_props.clear()
    sub.doc_string = None
