"""Networks of several named inputs, such as the tokens of a sequence and their mask, as networks of one."""

from __future__ import annotations

import inspect

from torch import Tensor, nn

PAIRS = (("ids", "mask"), ("input_ids", "attention_mask"))
"""What the two inputs of a network for sequences may be called."""


class Named(nn.Module):
    """A network whose inputs have names, as one whose single input holds them all, stacked along axis 1.

    So a batch stays one tensor wherever examples are drawn, moved, cut and stored, and has names where a network is
    called and where one is exported.

    Attributes:
        network: Takes the inputs by their names.
        names: These names, in the order in which the inputs are stacked.
    """

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        """Let a network be called with one tensor.

        Args:
            network: Kept as it is.
            names: Of its inputs.
        """
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, inputs: Tensor) -> object:
        """What the network gives for ``[batch, names, ...]``."""
        return self.by_name(*inputs.unbind(1))

    def by_name(self, *inputs: Tensor) -> object:
        """What the network gives for inputs ``[batch, ...]``, one for each name."""
        return self.network(**dict(zip(self.names, inputs, strict=True)))


def taking_one(network: nn.Module) -> nn.Module:
    """The network itself; or, where its ``forward`` takes the inputs of a sequence by name, a `Named` one.

    Example:
        >>> class Counts(nn.Module):
        ...     def forward(self, ids, mask):
        ...         return mask.sum(1, keepdim=True)
        >>> import torch
        >>> taking_one(Counts())(torch.tensor([[[5, 6, 0], [1, 1, 0]]]))
        tensor([[2]])
    """
    try:
        taken = inspect.signature(network.forward).parameters
    except (TypeError, ValueError):  # compiled code without a signature
        return network
    return next((Named(network, names) for names in PAIRS if all(name in taken for name in names)), network)
