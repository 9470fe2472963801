"""From a torch module to the ONNX graph that other runtimes read or are given, in float32."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from attar.deployment.quiet import quiet
from attar.deployment.refused import refused
from attar.network.evaluating import evaluating
from attar.network.forward import output_of

INPUT, OUTPUT = "input", "logits"
"""Names of the one input and the one output of every exported graph."""

_SINGLE_FILE_BYTES = 2_000_000_000
"""A protobuf message stays below 2 GiB; larger weights go into a second file beside the graph."""


def to_onnx(module: nn.Module, example: Tensor, path: Path, *, fold: bool = True) -> None:
    """Write the network as one self-contained ONNX file with a free batch dimension.

    The graph takes ``input`` float32 ``[batch, ...]`` and gives ``logits`` float32 ``[batch, classes]``, in evaluation
    mode. Source locations that the exporter records in every node are removed: they name folders of this machine and
    make a small network several times larger. The file is checked before this returns.

    Args:
        module: The network, on the CPU. It is not changed. Of several outputs the logits are taken.
        example: One input, ``[1, ...]`` float32; its values do not matter.
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
        with evaluating(module), _giving_logits(module), quiet("torch"):
            program = torch.onnx.export(
                module,
                (rows,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
                optimize=fold,
            )
            assert program is not None  # the dynamo exporter always returns one
            if not fold:
                _simplify(program, frozenset(module.state_dict()))
            _forget_origins(program)
            _check_form(program)
            program.save(path, external_data=size > _SINGLE_FILE_BYTES)
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the exporter and the checker raise dozens of unrelated types
        raise refused("ONNX", type(module).__name__, error) from error


@contextmanager
def _giving_logits(module: nn.Module) -> Iterator[None]:
    """The network gives its logits alone, as float32, while the context lasts."""
    hook = module.register_forward_hook(lambda network, _, result: output_of(result, type(network).__name__).float())
    try:
        yield
    finally:
        hook.remove()


def _check_form(program: torch.onnx.ONNXProgram) -> None:
    """One input and one output of a free batch; the exporter is content with less.

    Raises:
        ValueError: If the graph has another form.
    """
    inputs, outputs = program.model.graph.inputs, program.model.graph.outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"the graph has {len(inputs)} inputs and {len(outputs)} outputs where each must be one")
    for value in (inputs[0], outputs[0]):
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
