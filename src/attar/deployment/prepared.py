"""A student on its way to files: what all its candidates need is computed once and passed on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from attar.deployment.export import DeploymentError, to_onnx
from attar.deployment.manifest import rebuilt_from_packed
from attar.deployment.packed.container import Content
from attar.deployment.packed.graph import without_weights
from attar.deployment.packed.network import content, exportable
from attar.network.copying import copied
from attar.network.float32 import in_float32, number_types
from attar.quantization.attach import dequantize, is_quantized


class Form:
    """A network in the form that is deployed: on the CPU, in float32 where it runs in that.

    Attributes:
        network: The network.
        converted: The types of number that it had besides float32; empty where none was converted.
    """

    def __init__(self, network: nn.Module, example: Tensor, folder: Path) -> None:
        """Convert the network if need be.

        Args:
            network: On the CPU; not changed.
            example: One input, ``[1, ...]`` float32, on the CPU.
            folder: An empty one, for graphs.
        """
        kinds = number_types(network)
        floats = in_float32(network, example) if kinds else None
        self.network = network if floats is None else floats
        self.converted = kinds if kinds and not number_types(self.network) else ()
        self._example, self._folder = example, folder
        self._refused: str | None = None

    @cached_property
    def graph(self) -> Path:
        """The ONNX file, which is not to be changed; weights above 2 GB lie beside it.

        Raises:
            DeploymentError: If the network cannot be exported.
        """
        return self._exported(self.network, fold=True)

    def _exported(self, network: nn.Module, *, fold: bool) -> Path:
        if self._refused is not None:  # an export that fails tries everything that there is, and takes longest
            raise DeploymentError(self._refused)
        path = self._folder / "model.onnx"
        try:
            to_onnx(network, self._example, path, fold=fold)
        except DeploymentError as error:
            self._refused = str(error)
            raise
        return path


class QuantizedForm(Form):
    """A network with its formats, as packed files and low-bit execution have it."""

    @cached_property
    def decoded(self) -> nn.Module:
        """The network with decoded weights, in evaluation mode; layers go on rounding their inputs. Not to be changed.

        Raises:
            BadInput: If nothing is quantized.
        """
        return dequantize(self.network, keep_input_formats=True).eval()

    @cached_property
    def content(self) -> Content:
        """What a packed file holds, without a graph.

        Raises:
            DeploymentError: As `attar.deployment.packed.network.content`.
        """
        return content(self.network, self.decoded)

    @cached_property
    def graph(self) -> Path:
        """The ONNX file of the decoded network, in which all weights are as they are, under their own names."""
        return self._exported(exportable(self.decoded), fold=False)

    @cached_property
    def content_with_graph(self) -> Content:
        """The same with the graph, for runtimes other than torch.

        Raises:
            DeploymentError: If the network cannot be exported.
        """
        packed = self.content
        return Content(packed.codes, packed.tensors, without_weights(self.graph, packed.state()), packed.exact)

    def rebuilt(self, floats: str) -> nn.Module:
        """The network as its packed file gives it back, in evaluation mode; not to be changed.

        Args:
            floats: How the file stores numbers that are not quantized, see `write_packed`.
        """
        if floats == "float32":
            return self.decoded  # what the codes say is what it has, or there would be no content
        network = copied(self.decoded)
        network.load_state_dict(self.content.stored_as(floats).state())
        return network


class Prepared:
    """A student and what its candidates share, each made when it is first asked for; see `prepared`.

    Attributes:
        student: As it was given.
        example: One input, ``[1, ...]`` float32.
        on_cpu: The student itself when it is on the CPU, else a copy that is.
    """

    def __init__(self, student: nn.Module, example: Tensor, folder: Path) -> None:
        """Compute nothing yet.

        Args:
            student: Not changed, and not to be changed while this is in use.
            example: One input.
            folder: An empty one, for graphs.
        """
        self.student = student
        self.example = torch.as_tensor(example)
        self._folder = folder

    @cached_property
    def on_cpu(self) -> nn.Module:
        tensors = (*self.student.parameters(), *self.student.buffers())
        return self.student if all(each.device.type == "cpu" for each in tensors) else copied(self.student).cpu()

    def form(self, precision: str) -> Form:
        """The form in which a precision deploys the student."""
        return self.quantized if rebuilt_from_packed(precision) else self.floats

    @cached_property
    def floats(self) -> Form:
        """The student without any format."""
        network = dequantize(self.on_cpu).eval() if is_quantized(self.on_cpu) else self.on_cpu
        return Form(network, self._row, self._subfolder("floats"))

    @cached_property
    def quantized(self) -> QuantizedForm:
        """The student with its formats."""
        return QuantizedForm(self.on_cpu, self._row, self._subfolder("quantized"))

    @property
    def _row(self) -> Tensor:
        return self.example.detach().cpu()

    def _subfolder(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder


@contextmanager
def prepared(student: nn.Module, example: Tensor) -> Iterator[Prepared]:
    """A student of which several candidates are deployed, while the context lasts.

    Args:
        student: Not changed, and not to be changed while the context lasts.
        example: One input, ``[1, ...]`` float32, of the shape that the student takes.
    """
    with tempfile.TemporaryDirectory(prefix="attar-export-") as folder:
        yield Prepared(student, example, Path(folder))
