"""What can be read off an ONNX file without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attar.errors import BadInput, CorruptFile
from attar.network.output_kind import Kind

if TYPE_CHECKING:
    import onnx

_ON_THE_WAY = {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout"}
"""Operators behind which an output is still what it was before them."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What an ONNX file says of itself.

    Attributes:
        path: The file.
        beside: The files beside it that hold a part of its tensors, sorted.
        kinds: Of each output, what its last operator makes of it; None where that does not show.
        chance: Operators in it that draw random numbers.
        dynamic: Whether it chooses ranges of integers from the rows that are asked together.
        maps: Of each output that is a list of dictionaries, the tensor that they are made of, and its classes in order.
    """

    path: Path
    beside: tuple[Path, ...]
    kinds: dict[str, Kind | None]
    chance: tuple[str, ...]
    dynamic: bool
    maps: dict[str, tuple[str, tuple[str, ...]]]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are needed to run it."""
        return self.path, *self.beside

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of all files that are needed to run it."""
        return sum(file.stat().st_size for file in self.files)

    @classmethod
    def read(cls, path: Path) -> OnnxFile:
        """Read the graph of a file, its weights left where they are.

        Raises:
            BadInput: If there is no such file, or it names a file of weights outside of its folder.
            CorruptFile: If it is no ONNX file, or a file of its weights is missing.
        """
        import onnx

        if not path.is_file():
            raise BadInput(f"There is no ONNX file {str(path)!r}. Check the path.")
        try:
            model = onnx.load(str(path), format="protobuf", load_external_data=False)
        except Exception as error:  # the parser's errors are not of this package
            raise not_readable(path, "it is no ONNX graph") from error
        if not model.graph.output:
            raise not_readable(path, "it is no ONNX graph with an output")
        nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
        every = {node.op_type for node in _all_nodes(nodes)}
        producer = {name: node for node in model.graph.node for name in node.output}
        return cls(
            path=path,
            beside=_all_beside(path, _outside(model)),
            kinds={value.name: _kind(value.name, producer) for value in model.graph.output},
            chance=tuple(
                sorted(one for one in every if one.startswith("Random") or one in ("Bernoulli", "Multinomial"))
            ),
            dynamic=any(one.startswith("DynamicQuantize") for one in every),
            maps={
                value.name: (producer[value.name].input[0], _labels(producer[value.name]))
                for value in model.graph.output
                if value.name in producer and producer[value.name].op_type == "ZipMap" and producer[value.name].input
            },
        )


def not_readable(path: Path, why: str) -> CorruptFile:
    """The error for a file that ONNX Runtime cannot run."""
    return CorruptFile(
        f"{str(path)!r} is no file that ONNX Runtime can read: {why}. Restore it or export it again, together with its "
        "external data file if it has one."
    )


def _kind(name: str, producer: dict[str, onnx.NodeProto]) -> Kind | None:
    """What an output is by the operator that makes it."""
    node, seen = producer.get(name), set[str]()
    while node is not None and node.op_type in _ON_THE_WAY and node.input and name not in seen:  # a file may go round
        seen.add(name)
        name = node.input[0]
        node = producer.get(name)
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Sigmoid":
        return "sigmoids"
    if node.op_type not in ("Softmax", "LogSoftmax"):
        return None
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), -1)
    if axis not in (1, -1):
        return None
    return "probabilities" if node.op_type == "Softmax" else "log_probabilities"


def _labels(node: onnx.NodeProto) -> tuple[str, ...]:
    """The classes that a ZipMap names, in the order of the numbers."""
    for attribute in node.attribute:
        if attribute.name == "classlabels_strings" and attribute.strings:
            return tuple(one.decode("utf-8", "replace") for one in attribute.strings)
        if attribute.name == "classlabels_int64s" and attribute.ints:
            return tuple(str(one) for one in attribute.ints)
    return ()


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes and those in the graphs inside of them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)


def _outside(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The tensors whose numbers are not in the file."""
    import onnx

    def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)

    nodes = [*_all_nodes(model.graph.node), *_all_nodes(node for one in model.functions for node in one.node)]
    attributes = [attribute for node in nodes for attribute in node.attribute]
    graphs = [model.graph, *(graph for one in attributes for graph in (one.g, *one.graphs))]
    found = [tensor for graph in graphs for tensor in tensors(graph)]
    found += [tensor for one in attributes for tensor in (one.t, *one.tensors)]
    return [tensor for tensor in found if tensor.data_location == onnx.TensorProto.EXTERNAL]


def _all_beside(path: Path, tensors: Iterable[onnx.TensorProto]) -> tuple[Path, ...]:
    """The files that hold tensors of a graph, sorted, each once.

    Raises:
        BadInput: If one lies elsewhere.
        CorruptFile: If there is no such file, or it ends before a tensor does.
    """
    files: dict[Path, Path] = {}
    for tensor in tensors:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if "location" not in place:
            raise not_readable(path, f"the tensor {tensor.name!r} is in another file, and nothing names it")
        file = _beside(path, place["location"])
        files.setdefault(file.resolve(), file)
        offset, length = place.get("offset", "0"), place.get("length", "0")
        if not (offset.isdecimal() and length.isdecimal()) or len(offset + length) > 40:
            what = f"the tensor {tensor.name!r} has {length[:20]!r} bytes from {offset[:20]!r} on, which are no numbers"
            raise not_readable(path, what)
        end, size = int(offset) + int(length), file.stat().st_size
        if end > size:
            raise CorruptFile(
                f"{str(path)!r} needs {end:,} bytes of the file of weights {file.name!r}, for its tensor "
                f"{tensor.name!r}, and there are {size:,}. It was cut short, or is of another graph: copy both files "
                "together again."
            )
    return tuple(sorted(files.values()))


def _beside(path: Path, location: str) -> Path:
    """The file of weights that a graph names, once it is sure that it lies in the graph's folder.

    Raises:
        BadInput: If it lies elsewhere.
        CorruptFile: If there is no such file.
    """
    folder = path.parent.resolve()
    # What is written may be a path of Windows, and what is there may be a link to elsewhere.
    relative = Path(location.replace("\\", "/"))
    inside = "\0" not in location and not relative.is_absolute() and ".." not in relative.parts and ":" not in location
    if not inside or not (folder / location).resolve().is_relative_to(folder):
        raise BadInput(
            f"{str(path)!r} names {location!r} as the file of its weights, which lies outside of its own folder. Files "
            "of weights are read from beside the graph alone: put them there, and export it again."
        )
    if not (folder / location).is_file():
        raise CorruptFile(
            f"{str(path)!r} needs the file of weights {location!r}, which is not beside it. Copy both files together."
        )
    if (folder / location).samefile(path):
        raise not_readable(path, "it names itself as the file of its weights")
    return path.parent / location
