"""How a network is built again: a function, its arguments, and the edits that were made since."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import nn

from attar import formatting
from attar.errors import BadInput, must
from attar.memory import installed
from attar.network.named import taking_one
from attar.network.references import ARCHITECTURES, raised, resolve, summary
from attar.network.standardize import Standardize


@runtime_checkable
class Edit(Protocol):
    """A change to the tensors that a network has: to their names, their shapes, or how they are used.

    It says what has to be done to a freshly built network so that the tensors of the edited one fit into it. The
    numbers are in these tensors, and not in the edit.

    Attributes:
        replaces_earlier: Whether it takes the place of earlier edits of its kind, and does not come on top of them.
    """

    replaces_earlier: ClassVar[bool]

    def apply(self, network: nn.Module) -> nn.Module:
        """Make the edit.

        Args:
            network: With all edits before this one; may be changed in place. Its tensors may be without memory, on the
                ``meta`` device: no value of a weight may be looked at.

        Returns:
            The edited network, the same each time, at a cost that the size of the network and of the edit bounds.

        Raises:
            BadInput: If the network has not what is to be edited.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """The edit as a plain document, with the name of its kind under ``use``."""
        ...


@dataclass(frozen=True)
class Spec:
    """What is needed to build a network again: a function and its arguments as plain data, and the edits made since.

    Attributes:
        reference: ``package.module:function``; called with ``arguments`` it returns a `torch.nn.Module`.
        arguments: Keyword arguments; anything that JSON can hold.
        mean: Per channel, taken from the inputs before the network; None for inputs as they come.
        std: Per channel, by which the inputs are divided then; goes with ``mean``.
        edits: What was done to the network since, in order.
    """

    reference: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    edits: tuple[Edit, ...] = ()

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            given = {"mean": self.mean, "std": self.std}
            raise must("mean and std", "the spec", "given together", given, "Give both or neither")

    def with_edit(self, edit: Edit) -> Spec:
        """The spec of the network with one more edit, which takes the place of earlier ones where it replaces them."""
        edits = self.without_edits(type(edit)).edits if edit.replaces_earlier else self.edits
        return replace(self, edits=(*edits, edit))

    def without_edits(self, kind: type) -> Spec:
        """The spec of the network without all edits of a kind."""
        return replace(self, edits=tuple(edit for edit in self.edits if not isinstance(edit, kind)))

    def build(self) -> nn.Module:
        """Call the function, and make the edits. The weights are new; those of the edited network fit into them.

        Raises:
            BadInput: If there is no such function, it does not take these arguments, it raises anything, it returns no
                module, or that module has not what is to be edited.
        """
        return self.edited(self.standardized(self.called()))

    def called(self) -> nn.Module:
        """What the function returns; a network for sequences takes its named inputs as one, see `Named`.

        Raises:
            BadInput: As `build`.
        """
        make = resolve(self.reference)
        try:
            _check_room(self.reference, make, self.arguments)
            network = make(**self.arguments)
        except BadInput:
            raise
        except (Exception, SystemExit) as error:
            # What Attar's own functions and torch say (of a negative width) is about the arguments; what the user's
            # own code says may be about anything.
            module = self.reference.partition(":")[0]
            if module != ARCHITECTURES and _takes(make, self.arguments):
                raise raised(self.reference, error, arguments=self.arguments) from error
            raise must(
                "arguments", self.reference, "what the function takes", dict(self.arguments), summary(error)
            ) from error
        if not isinstance(network, nn.Module):
            raise must("network", self.reference, "a torch.nn.Module", type(network).__name__, "Return the module")
        return taking_one(network)

    def standardized(self, network: nn.Module) -> nn.Module:
        """The network behind the statistics of its inputs, if the spec has any."""
        return network if self.mean is None or self.std is None else Standardize(network, self.mean, self.std)

    def edited(self, network: nn.Module) -> nn.Module:
        """The network with all edits; it may be changed in place.

        Raises:
            BadInput: If it has not what is to be edited.
        """
        for edit in self.edits:
            network = edit.apply(network)
        return network

    def to_json(self) -> dict[str, Any]:
        """The spec as a plain document."""
        document: dict[str, Any] = {"reference": self.reference, "arguments": dict(self.arguments)}
        if self.mean is not None and self.std is not None:
            document |= {"mean": list(self.mean), "std": list(self.std)}
        return document | {"edits": [edit.to_json() for edit in self.edits]}


def _check_room(reference: str, make: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """See that the weights of a network have room, before they are made: a width may be a slip.

    Where all numbers are small they have. A function of the user's that cannot be called so is not asked.

    Raises:
        BadInput: If they take more than half of the memory.
    """
    if max(_numbers(arguments), default=0) < _LARGE_ARGUMENT:
        return
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes, and no memory
            network = make(**arguments)
    except (Exception, SystemExit):
        if reference.partition(":")[0] == ARCHITECTURES:
            raise
        return
    count = sum(weight.numel() for weight in network.parameters()) if isinstance(network, nn.Module) else 0
    size = count * torch.float32.itemsize
    if size > installed() // 2:
        raise BadInput(
            f"arguments of {reference} are for {count:,} weights, which are {formatting.size(size)} and more than half "
            "of the memory. Give smaller numbers."
        )


def _numbers(value: object) -> Iterator[int]:
    """All whole numbers in plain values."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int):
        yield value


_LARGE_ARGUMENT = 4096
"""Networks with a number in their arguments from here on are measured before they are built."""


def _takes(make: Callable[..., Any], arguments: Mapping[str, Any]) -> bool:
    """Whether a function can be called with these arguments at all."""
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError:
        return False
    except ValueError:  # a function of C that does not say
        return True
    return True
