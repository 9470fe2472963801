"""A student on its way to files: what all its candidates need is computed once and passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from attar.deployment.export import to_onnx
from attar.deployment.packed.container import write_packed
from attar.deployment.packed.content import Content
from attar.deployment.packed.graph import without_weights
from attar.deployment.packed.network import content, decoded, exportable
from attar.deployment.refused import DeploymentError
from attar.deployment.weight_files import PACKED, WEIGHTS
from attar.network.copying import copied
from attar.network.float32 import in_float32, number_types
from attar.network.named import taking_one
from attar.network.weights import save_weights
from attar.quantization.attach import attached_inputs, dequantize, is_quantized
from attar.workspace import scratch


class Form:
    """A network in the form that is deployed: on the CPU, in float32 where it runs in that.

    Attributes:
        network: The network.
        converted: The types of number that it had besides float32; empty where none was converted.
    """

    def __init__(self, network: nn.Module, example: Tensor | None, folder: Callable[[], Path] | None) -> None:
        """Convert the network if need be.

        Args:
            network: On the CPU; not changed.
            example: One input, ``[1, ...]`` float32, on the CPU; None where it is neither converted nor exported.
            folder: Gives the folder where graphs are written, which is made if need be.
        """
        kinds = number_types(network)
        floats = in_float32(network, example) if kinds and example is not None else None
        self.network = network if floats is None else floats
        self.converted = kinds if kinds and not number_types(self.network) else ()
        self._example, self._folder = example, folder
        self._refused: str | None = None

    @property
    def as_kept(self) -> nn.Module:
        """The network that is built again from what `keep` writes; not to be changed."""
        return self.network

    def keep(self, folder: Path) -> str:
        """Write what the network is built again from; the name of the file, one of `weight_files`."""
        save_weights(self.network, folder / WEIGHTS)
        return WEIGHTS

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
        assert self._example is not None and self._folder is not None, "a form to be exported has an example"
        folder = self._folder()
        folder.mkdir(exist_ok=True)
        path = folder / "model.onnx"
        try:
            to_onnx(network, self._example, path, fold=fold)
        except DeploymentError as error:
            self._refused = str(error)
            raise
        return path


class QuantizedForm(Form):
    """A network with its formats, as packed files and low-bit execution have it."""

    @property
    def as_kept(self) -> nn.Module:
        return self.decoded

    def keep(self, folder: Path) -> str:
        """Write its codes, and what stays float; the name of the file."""
        write_packed(self.content, folder / PACKED)
        return PACKED

    @cached_property
    def decoded(self) -> nn.Module:
        """The network with decoded weights, in evaluation mode; layers go on rounding their inputs. Not to be changed.

        Raises:
            DeploymentError: As `attar.deployment.packed.network.content`.
        """
        return decoded(self.network, self.content)

    @cached_property
    def content(self) -> Content:
        """What a packed file holds, without a graph.

        Raises:
            DeploymentError: As `attar.deployment.packed.network.content`.
        """
        return content(self.network)

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
        return self.content.with_graph(without_weights(self.graph, self.content.state()))

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
        example: One input, ``[1, ...]`` float32; None where nothing is to be exported.
        on_cpu: The student itself when it is on the CPU, else a copy that is.
    """

    def __init__(
        self, student: nn.Module, example: Tensor | None = None, folder: Callable[[], Path] | None = None
    ) -> None:
        """Compute nothing yet.

        Args:
            student: Not changed, and not to be changed while this is in use.
            example: One input; None where nothing is to be exported.
            folder: Gives an empty one, for graphs; the same each time.
        """
        self.student = taking_one(student)
        self.example = None if example is None else torch.as_tensor(example)
        self._folder = folder

    @cached_property
    def on_cpu(self) -> nn.Module:
        tensors = (*self.student.parameters(), *self.student.buffers())
        return self.student if all(each.device.type == "cpu" for each in tensors) else copied(self.student).cpu()

    @cached_property
    def is_quantized(self) -> bool:
        """Whether `quantize` made the student."""
        return is_quantized(self.student)

    @cached_property
    def floats(self) -> Form:
        """The student without any format."""
        return Form(self._dequantized(), self._row, self._subfolder("floats"))

    def _dequantized(self) -> nn.Module:
        if not self.is_quantized:
            return self.on_cpu
        if number_types(self.on_cpu):
            return dequantize(self.on_cpu).eval()  # in its own numbers, before these are converted
        try:
            network = copied(self.quantized.decoded)
        except DeploymentError:  # its codes are not all there is to a weight
            return dequantize(self.on_cpu).eval()
        for name, inputs in attached_inputs(network).items():
            inputs.detach_from_(network.get_submodule(name))
        return network

    @cached_property
    def quantized(self) -> QuantizedForm:
        """The student with its formats."""
        return QuantizedForm(self.on_cpu, self._row, self._subfolder("quantized"))

    @property
    def _row(self) -> Tensor | None:
        return None if self.example is None else self.example.detach().cpu()

    def _subfolder(self, name: str) -> Callable[[], Path] | None:
        folder = self._folder
        return None if folder is None else lambda: folder() / name


@contextmanager
def prepared(student: nn.Module, example: Tensor, inside: Path) -> Iterator[Prepared]:
    """A student of which several candidates are deployed, while the context lasts.

    Args:
        student: Not changed, and not to be changed while the context lasts.
        example: One input, ``[1, ...]`` float32, of the shape that the student takes.
        inside: A folder of the caller's, in which graphs lie while they are needed.
    """
    with ExitStack() as stack:
        yield Prepared(student, example, cache(lambda: stack.enter_context(scratch(inside))))
