"""How images lie in memory: channels last, in which convolutions run faster (see benchmarks/kd_step.py).

That is an optimization and nothing else: it is tried on a few rows first and given up where a network then fails (a
``view`` after a convolution does) or answers otherwise. A network of the caller's gets its weights back as they were.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.forward import floating_types, forward

_ROWS = 2
"""How many rows a layout is tried on: batch normalization learns from two at least."""


def suits_channels_last(network: nn.Module, inputs: Tensor, *, learns: bool = False) -> bool:
    """Whether a network has two-dimensional convolutions, and runs channels last with the same outputs.

    It is asked in evaluation mode, in both layouts; neither its weights, its modes nor the caller's random numbers are
    changed. What one layout computes in another order may differ in the last half of the digits.

    Args:
        network: The network.
        inputs: ``[rows, ...]``, at least one row, as the network is going to be asked; the first two are used.
        learns: Whether it must also run forward and backward in training mode, which is tried on a copy.
    """
    if inputs.dim() != 4 or not any(isinstance(layer, nn.Conv2d) for layer in network.modules()):
        return False
    device = next((tensor.device for tensor in network.parameters()), inputs.device)
    rows = inputs[:_ROWS].to(device) if len(inputs) >= _ROWS else inputs[:1].repeat(_ROWS, 1, 1, 1).to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if rows.numel() and bool((rows == rows.flatten()[0]).all()):
            rows = torch.rand_like(rows)  # what is the same everywhere looks the same in any order
        try:
            with evaluating(network):
                expected = forward(network, rows.contiguous())
                with ChannelsLast(network):
                    found = forward(network, laid_out(rows))
            bound = _bound(network) * max(1.0, float(expected.nan_to_num(0.0, 0.0, 0.0).abs().max()))
            alike = torch.allclose(found, expected, rtol=0.0, atol=bound, equal_nan=True)
            if alike and learns:
                forward(lay_out_(copied(network)).train(), laid_out(rows)).sum().backward()  # type: ignore[no-untyped-call]
        except Exception:  # a network may raise anything; in the layout that it was written for it may not
            return False
    return alike


def lay_out_(network: nn.Module) -> nn.Module:
    """Lay out the weights of a network channels last, in place, and return it.

    Only for a network that nobody else has, and that `suits_channels_last`.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def laid_out(inputs: Tensor) -> Tensor:
    """The same inputs, images ``[batch, channels, height, width]`` among them channels last."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


class ChannelsLast:
    """A context in which the weights of a network that belongs to the caller lie channels last.

    Afterwards, also after an error, each weight has the very memory again that it had before. The copies are held from
    one time to the next, for a network that is asked often; a weight that has changed is copied anew.
    """

    def __init__(self, network: nn.Module) -> None:
        self._weights = [weight for weight in network.parameters() if weight.dim() == 4]
        self._copies: list[tuple[Tensor, int, Tensor] | None] = [None] * len(self._weights)
        self._before: list[Tensor] = []

    def __enter__(self) -> None:
        before = [weight.data for weight in self._weights]
        with torch.inference_mode(False):  # else the weights could not learn later
            copies = [self._copy(index, data) for index, data in enumerate(before)]
            self._before = before
            for weight, data in zip(self._weights, copies, strict=True):
                weight.data = data

    def __exit__(self, *error: object) -> None:
        for weight, data in zip(self._weights, self._before, strict=True):
            weight.data = data

    def _copy(self, index: int, data: Tensor) -> Tensor:
        held, version = self._copies[index], self._weights[index]._version
        if held is None or held[0].data_ptr() != data.data_ptr() or held[1] != version:
            # contiguous() would leave one channel as it is
            held = self._copies[index] = data, version, data.to(memory_format=torch.channels_last)
        return held[2]


def _bound(network: nn.Module) -> float:
    """The half of the digits that the coarsest numbers of a network have."""
    return float(max(torch.finfo(kind).eps for kind in {*floating_types(network), torch.float32}) ** 0.5)
