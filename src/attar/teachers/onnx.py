"""A teacher that is an ONNX file, whatever made it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from attar.errors import CorruptFile, must


class OnnxTeacher:
    """An ONNX file as a teacher, run by ONNX Runtime on the CPU.

    The file must take one float32 input ``[batch, ...]`` and give one output ``[batch, classes]`` that holds logits. (A
    file that ends in a softmax gives probabilities: cut that layer off, or add a logarithm.)

    Attributes:
        path: The file.
        classes: How many classes it tells apart.
    """

    def __init__(self, path: str | Path, threads: int = 1, *, classes: int | None = None) -> None:
        """Open an ONNX file.

        Args:
            path: The file; external data is looked for beside it, as its own header says.
            threads: How many threads one prediction uses.
            classes: How many classes it has; needed only where the file does not fix the size of its output.

        Raises:
            BadInput: If there is no such file, its input or output is not of the form above, or ``classes`` contradicts
                it.
            CorruptFile: If ONNX Runtime cannot read the file.
        """
        # Here, not above: most jobs never open an ONNX teacher, and the import takes a third of a second.
        import onnxruntime

        self.path = Path(path)
        if not self.path.is_file():
            raise must("path", "OnnxTeacher", "an existing ONNX file", self.path, "Check the path")
        if threads < 1:
            raise must("threads", "OnnxTeacher", "at least 1", threads, "Use 1 for timings")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # What goes wrong comes as an exception; nothing else may write to the terminal.
        try:
            self._session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this one.
            raise CorruptFile(
                f"path of OnnxTeacher must be a file that ONNX Runtime can read; got {str(self.path)!r} ({error}). "
                "Restore it or export it again, together with its external data file if it has one."
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            got = {value.name: value.type for value in inputs}
            raise must("inputs", repr(self), "one float32 tensor", got, "Export the network with one float32 input")
        if len(outputs) != 1 or outputs[0].type != "tensor(float)" or len(outputs[0].shape) not in (0, 2):
            got = {value.name: f"{value.type} {value.shape}" for value in outputs}
            raise must(
                "outputs",
                repr(self),
                "one float32 tensor [batch, classes]",
                got,
                "Export the network to give its logits alone",
            )
        self._input, self._shape = inputs[0].name, list(inputs[0].shape)
        fixed = outputs[0].shape[1] if len(outputs[0].shape) == 2 and isinstance(outputs[0].shape[1], int) else None
        if classes is not None and (classes < 1 or fixed not in (None, classes)):
            raise must(
                "classes", repr(self), f"{fixed or 'at least 1'}", classes, "Leave it out where the file says it"
            )
        known = classes if classes is not None else fixed
        if known is None:
            raise must("classes", repr(self), "known", outputs[0].shape, "The file leaves it open: pass classes=10")
        self.classes = known

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes"]:
        """Logits of ``[batch, ...]`` inputs, on the device of the inputs.

        Raises:
            BadInput: If the inputs are not of the shape that the file takes, or the output is not ``[batch, classes]``.
        """
        fits = len(self._shape) == inputs.dim() and all(
            not isinstance(wanted, int) or wanted == size
            for wanted, size in zip(self._shape, inputs.shape, strict=True)
        )
        if not fits:
            remedy = "Give the inputs that the network was exported for"
            if self._shape and isinstance(self._shape[0], int):
                remedy = "Export it again with a dynamic batch dimension"
            raise must("inputs", repr(self), f"of shape {self._shape}", list(inputs.shape), remedy)
        array = np.ascontiguousarray(inputs.detach().cpu().numpy(), dtype=np.float32)
        logits = torch.from_numpy(self._session.run(None, {self._input: array})[0])
        if logits.shape != (len(inputs), self.classes):
            rule = f"a tensor [{len(inputs)}, {self.classes}]"
            raise must("output", repr(self), rule, list(logits.shape), "Export the network to give [batch, classes]")
        return logits.to(inputs.device)

    def fingerprint(self) -> str:
        """SHA-256 over the bytes of the file and of its external data files.

        Raises:
            CorruptFile: If one of the files is gone.
        """
        total = hashlib.sha256(b"onnx")
        for file in [self.path, *_external_data(self.path)]:
            try:
                total.update(hashlib.sha256(file.read_bytes()).digest())
            except FileNotFoundError as error:
                raise CorruptFile(f"{self!r} needs the file {str(file)!r}, which is gone. Restore it.") from error
        return total.hexdigest()

    def __repr__(self) -> str:
        return f"OnnxTeacher({self.path.name!r})"


def _external_data(path: Path) -> list[Path]:
    """The files beside an ONNX file that hold a part of its tensors."""
    import onnx

    def tensors(graphs: Iterable[onnx.GraphProto]) -> Iterator[onnx.TensorProto]:
        for graph in graphs:
            yield from graph.initializer
            yield from attributes(graph.node)

    def attributes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
        for node in nodes:
            for attribute in node.attribute:
                yield from [attribute.t, *attribute.tensors]
                yield from tensors([attribute.g, *attribute.graphs])

    model = onnx.load(path, load_external_data=False)
    found = [*tensors([model.graph]), *(t for function in model.functions for t in attributes(function.node))]
    outside = [tensor for tensor in found if tensor.data_location == onnx.TensorProto.EXTERNAL]
    locations = {entry.value for tensor in outside for entry in tensor.external_data if entry.key == "location"}
    return [path.parent / location for location in sorted(locations)]
