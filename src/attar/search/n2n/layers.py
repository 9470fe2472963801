"""A network as a list of layer states: what a policy sees of it, and which of its layers may go or get narrower."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from attar.errors import must
from attar.network.spec import Spec
from attar.pruning.group import Groups
from attar.search.n2n.trace import Sum

LayerKind = Literal[
    "convolution",
    "depthwise",
    "linear",
    "attention",
    "embedding",
    "recurrent",
    "batch_norm",
    "norm",
    "activation",
    "softmax",
    "max_pool",
    "average_pool",
    "dropout",
    "flatten",
    "unknown",
]
"""What a layer is, as far as a policy is concerned."""

KINDS: tuple[LayerKind, ...] = get_args(LayerKind)

WEIGHTLESS: frozenset[LayerKind] = frozenset(
    ("activation", "softmax", "max_pool", "average_pool", "dropout", "flatten")
)
"""Kinds whose layers have no weights: a network without one of them is no smaller."""

FEATURES = len(KINDS) + 6
"""Numbers by which a policy knows a layer; as many for every network, so that a policy serves for another one."""


@dataclass(frozen=True, slots=True)
class LayerState:
    """A layer as a policy sees it.

    Attributes:
        name: Of the module, as `torch.nn.Module.named_modules` has it.
        kind: What it is.
        kernel: Side of its kernel; 0 for a layer without one. Of several sides the first.
        stride: Step of its kernel; 0 for a layer without one.
        padding: What its input is widened by on each side.
        inputs: Channels or units that it takes, if it multiplies them with weights; else 0.
        outputs: Channels or units that it makes; 0 for a layer that makes none of its own.
        skip_start: If it lies in a branch that is added to what passes the branch by: place of the branch's first layer
            in the list, from 1; 0 for a layer in none.
        skip_end: Likewise of the last one.
        group: Name of the group of coupled channels that it makes; empty where it makes none that can get fewer.
        stays: Why it cannot be removed, as the end of a sentence; empty where it can.
        full: Why its width stays, or what it gets narrower with, as the end of a sentence; empty where a share decides.
        kernel_shrinks: Whether a share of its kernel's sides can be chosen: of a convolution in no branch, with odd
            sides, a stride of 1, and zeros around its maps.
    """

    name: str
    kind: LayerKind
    kernel: int = 0
    stride: int = 0
    padding: int = 0
    inputs: int = 0
    outputs: int = 0
    skip_start: int = 0
    skip_end: int = 0
    group: str = ""
    stays: str = ""
    full: str = ""
    kernel_shrinks: bool = False

    @property
    def removable(self) -> bool:
        """Whether a network without it can be computed."""
        return not self.stays

    @property
    def shrinkable(self) -> bool:
        """Whether a share of its outputs can be chosen; what its channels are coupled with follows."""
        return not self.full


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What may become of a network, and which results count for a network at all.

    Attributes:
        fixed: Layers that are never removed: ``"first"`` (with weights), ``"last"`` (with weights, and all after it),
            ``"strided"`` (convolutions with a stride), ``"linear"``, ``"average_pool"``, or names and patterns
            (``"0"``, ``"blocks.*"``).
        fixed_widths: Likewise of layers that keep all of their outputs.
        tie: Of channels that are added to those of other layers: ``"group"`` lets them get fewer together, as the share
            of the first of these layers says; ``"inner"`` lets only others get fewer, such as those inside of residual
            blocks.
        min_channels: So many channels or units stay of each layer that has as many.
        most_inputs: A linear layer takes no more inputs once others are removed, or no more than its teacher's where
            that takes more.
        least_inputs: Likewise no fewer.
        smaller: Whether a network with as many parameters as its teacher, or more, is none.
    """

    fixed: Sequence[str] = ("first", "last", "strided", "average_pool")
    fixed_widths: Sequence[str] = ()
    tie: Literal["group", "inner"] = "group"
    min_channels: int = 10
    most_inputs: int = 50_000
    least_inputs: int = 10
    smaller: bool = True

    def __post_init__(self) -> None:
        for name in ("min_channels", "most_inputs", "least_inputs"):
            if getattr(self, name) < 1:
                raise must(name, "the rules of n2n", "at least 1", getattr(self, name), "Leave it out for its default")


PAPER = Rules(
    fixed=("first", "last", "strided", "linear", "average_pool"), fixed_widths=("strided", "linear"), tie="inner"
)
"""As the experiments of the paper had it: in residual blocks only inner convolutions get narrower."""

RULES: Mapping[str, Rules] = MappingProxyType({"usual": Rules(), "paper": PAPER})
"""Rules by name."""


@dataclass(frozen=True, eq=False)
class Layers:
    """A network as a list of layers, in the order in which they are called first.

    Attributes:
        spec: How the network is built.
        example: One input, ``[1, ...]``.
        rules: What may become of it.
        states: The layers.
        sums: Where branches are added.
        groups: Coupled channels that can get fewer.
        parameters: Of the network.
        output: Shape of what it gives for the example.
        stretched: Where an operation stretches one operand to the other's size, by module and axes.
    """

    spec: Spec
    example: Tensor
    rules: Rules
    states: tuple[LayerState, ...]
    sums: tuple[Sum, ...]
    groups: Groups
    parameters: int
    output: tuple[int, ...]
    stretched: frozenset[tuple[str, tuple[int, ...]]]

    def features(self) -> Float[Tensor, "layers features"]:
        """What a policy sees: kind (one of `KINDS` is 1), kernel, stride, padding, outputs, start and end of the skip.

        Outputs are ``log2(1 + outputs) / 10``, kernel, stride and padding tenths, places in the list shares of its
        length: all of about the same size, whatever the network.

        References:
            Ashok, Rhinehart, Beainy, Kitani, *N2N Learning*, 2018, section 3.1. arXiv:1709.06030; there the kind is one
            number.
        """
        found = torch.zeros(len(self.states), FEATURES)
        for row, state in zip(found, self.states, strict=True):
            row[KINDS.index(state.kind)] = 1
            sizes = [state.kernel / 10, state.stride / 10, state.padding / 10, math.log2(1 + state.outputs) / 10]
            places = [state.skip_start / len(self.states), state.skip_end / len(self.states)]
            row[len(KINDS) :] = torch.tensor(sizes + places)
        return found


@dataclass(frozen=True)
class Invalid:
    """Actions that lead to no network.

    Attributes:
        reason: Why, as a sentence.
    """

    reason: str
