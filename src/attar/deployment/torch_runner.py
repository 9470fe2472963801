"""Running a torch module on arrays, with a stated number of threads."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from attar.deployment.backends.backend import Array, Inputs, Runner, check_threads
from attar.network.copying import copied
from attar.network.forward import number_type, output_of
from attar.network.layout import laid_out, lay_out_, suits_channels_last
from attar.network.unchanged import Unchanged


def open_torch(module: nn.Module, threads: int = 1, *, own: bool = False) -> Runner:
    """Run a torch module as it is, eagerly and in evaluation mode.

    Images are run channels last where that gives the same. The inputs stay as they are, also where the network works
    in place; it gets them in the one type of all its numbers, and of its outputs the logits are taken.

    Args:
        module: The network; it is put into evaluation mode. With the first images a copy of it may take its place.
        threads: Threads inside one operation, > 0. Torch has one count for the whole process: each call sets it and
            puts the former one back.
        own: Whether the network is handed over, so that its own weights may be laid out channels last for good.
    """
    check_threads(threads, "open_torch")
    layout = _Layout(module.eval(), own)
    ask, numbers, name = Unchanged(), number_type(module), type(module).__name__

    def run(inputs: Inputs) -> Array:
        before = torch.get_num_threads()
        if before != threads:
            torch.set_num_threads(threads)
        try:
            # Torch warns about sharing memory that it must not write, such as a memory-mapped file.
            given = torch.from_numpy(inputs if inputs.flags.writeable else inputs.copy())
            network, rows = layout.of(given)
            if numbers is not None and rows.is_floating_point():
                rows = rows.to(numbers)
            # Whatever the caller casts for networks of its own.
            cast = torch.is_autocast_enabled("cpu")
            with torch.inference_mode(), torch.autocast("cpu", enabled=False) if cast else nullcontext():
                output = output_of(ask(network, rows), name).float()
                logits: Array = (output.clone() if output.data_ptr() == given.data_ptr() else output).numpy()
                return logits
        finally:
            if before != threads:
                torch.set_num_threads(before)

    return run


class _Layout:
    """A network and how it is asked about images: channels last where it suits all the shapes that came so far."""

    def __init__(self, network: nn.Module, own: bool) -> None:
        self._given, self._network, self._own = network, network, own
        self._suits: bool | None = None if any(isinstance(layer, nn.Conv2d) for layer in network.modules()) else False
        self._tried: set[torch.Size] = set()

    def of(self, rows: Tensor) -> tuple[nn.Module, Tensor]:
        """The network that is to be asked, and the rows as they are to be given."""
        if self._suits is not False and rows.shape[1:] not in self._tried:
            self._try(rows)
        return self._network, laid_out(rows) if self._suits else rows

    def _try(self, rows: Tensor) -> None:
        self._tried.add(rows.shape[1:])
        first, self._suits = self._suits is None, suits_channels_last(self._given, rows)
        if self._suits and first:
            self._network = lay_out_(self._given if self._own else copied(self._given))
        elif not self._suits:
            self._network = self._given
            if self._own:
                self._given.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
