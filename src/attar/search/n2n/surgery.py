"""From actions back to a network: layers are removed, then what is left gets narrower, and all sizes follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from attar.errors import BadInput, must
from attar.network.defaults import with_library_defaults
from attar.network.evaluating import evaluating
from attar.network.forward import forward
from attar.network.spec import Spec
from attar.pruning.attention import open_attention_
from attar.pruning.edit import prune
from attar.pruning.group import Group, Groups
from attar.pruning.groups import find_groups
from attar.pruning.resize import Number, Resize
from attar.search.n2n.fitting import Sizes, Unfit, check_output, fit_
from attar.search.n2n.layers import Invalid, Layers, Rules
from attar.search.n2n.trace import Sum, layers_of


def built(spec: Spec) -> nn.Module:
    """A network in eval mode, its attention open; the caller's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return open_attention_(spec.build()).eval()


@with_library_defaults
def student(
    layers: Layers, keep: Sequence[bool], shares: Sequence[float] = (), kernels: Sequence[float] = ()
) -> Spec | Invalid:
    """The network that actions lead to: layers are removed, then kernels and widths get smaller.

    What cannot be removed or shrunk stays as it is, whatever the actions say. A branch of which no layer with
    parameters is left gives nothing: what it is added to passes it by. Of layers whose channels go together the share
    of the first one counts that is left. Strides stay.

    Args:
        layers: The network.
        keep: Of each layer, whether it stays.
        shares: Of each layer, the share of its outputs that stay, above 0 and at most 1; all stay if left out.
        kernels: Of each layer, the share of its kernel's side, likewise. Sides stay odd and paddings shrink along, so
            that maps keep their sizes; kernels inside of branches that are added to something stay.

    Returns:
        How it is built, from the described network's spec and one edit; or why there is none.

    Raises:
        BadInput: If there are not as many actions as layers, or a share is out of range.

    References:
        Ashok, Rhinehart, Beainy, Kitani, *N2N Learning*, 2018, section 3. arXiv:1709.06030
    """
    _check(layers, keep, shares, kernels)
    with torch.random.fork_rng(devices=[]):
        return _student(layers, keep, shares, kernels)


def _student(layers: Layers, keep: Sequence[bool], shares: Sequence[float], kernels: Sequence[float]) -> Spec | Invalid:
    gone = [state.name for state, kept in zip(layers.states, keep, strict=True) if not kept and state.removable]
    network = built(layers.spec)
    modules = layers_of(network)
    sizes = Sizes()
    try:
        out = taken_out(gone, layers.sums, modules)
        network = out.apply(network)
        _shrink_kernels_(network, layers, kernels, out, sizes)
        if gone or sizes.numbers:
            fitted = fit_(network, layers.example, layers.output, layers.stretched)
            sizes = Sizes(sizes.numbers | fitted.numbers, sizes.shapes | fitted.shapes)
            _check_inputs(network, layers)
        changed = bool(gone or sizes.numbers)
        if any(share < 1 for share in shares):
            groups = find_groups(network, layers.example) if changed else layers.groups
            _shrink_(network, groups, layers, shares, sizes)
        edit = replace(out, numbers=sizes.numbers, shapes=sizes.shapes)
        if edit == Resize():
            return _smaller(layers, layers.spec, layers.parameters)
        spec = layers.spec.with_edit(edit)
        return _tried(layers, spec)
    except Unfit as error:
        return Invalid(str(error))


def taken_out(gone: Sequence[str], sums: Sequence[Sum], modules: Mapping[str, nn.Module]) -> Resize:
    """The edit that removes layers, before any size follows.

    The last layer of a branch of which none with parameters is left gives zeros; a module is left out whole with all of
    its layers.

    Args:
        gone: Their names.
        sums: Where branches are added in the network.
        modules: The network's layers by name.
    """
    zeroed, left_out = set(), set(gone)
    for one in sums:
        inside = [name for name in modules if name.startswith(f"{one.module}.")]
        if one.module and one.in_a_block and inside and all(name in gone for name in inside):
            left_out.add(one.module)
        left = [name for name in one.branch if name not in gone and _learns(modules[name])]
        if not one.beside and not left and any(name in gone for name in one.branch):
            zeroed.add(one.branch[-1])
    removed = tuple(sorted(left_out - zeroed))
    return Resize(removed=removed, zeroed=tuple(sorted(zeroed)))


def _learns(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _check(layers: Layers, keep: Sequence[bool], shares: Sequence[float], kernels: Sequence[float]) -> None:
    for name, given in (("keep", keep), ("shares", shares), ("kernels", kernels)):
        if len(given) != len(layers.states) and (name == "keep" or given):
            rule = f"one for each of {len(layers.states)} layers"
            raise must(name, "student", rule, list(given), "Follow the states of the described network")
    for name, given in (("shares", shares), ("kernels", kernels)):
        for share in given:
            if not 0 < share <= 1:
                raise must(
                    name, "student", "above 0 and at most 1", share, "Remove a layer of which nothing is to stay"
                )


def _shrink_kernels_(network: nn.Module, layers: Layers, kernels: Sequence[float], out: Resize, sizes: Sizes) -> None:
    """Make kernels smaller, in place."""
    modules = layers_of(network)
    for state, share in zip(layers.states, kernels, strict=False):
        module = modules.get(state.name)
        if not isinstance(module, _ConvNd) or not state.kernel_shrinks or share == 1:
            continue
        sides = tuple(2 * round((side * share - 1) / 2 - 1e-9) + 1 for side in module.kernel_size)
        sides = tuple(max(1, min(side, old)) for side, old in zip(sides, module.kernel_size, strict=True))
        if sides == module.kernel_size:
            continue
        numbers: dict[str, Number] = {f"{state.name}.kernel_size": sides}
        if not isinstance(module.padding, str):
            less = (
                d * (old - new) // 2 for d, old, new in zip(module.dilation, module.kernel_size, sides, strict=True)
            )
            paddings = zip(module.padding, less, strict=True)
            numbers[f"{state.name}.padding"] = tuple(max(0, padding - lost) for padding, lost in paddings)
        shape = (*module.weight.shape[:2], *sides)
        sizes.change_(network, Resize(numbers=numbers, shapes={f"{state.name}.weight": shape}))


def _shrink_(network: nn.Module, groups: Groups, layers: Layers, shares: Sequence[float], sizes: Sizes) -> None:
    """Let groups of channels get fewer, in place."""
    removed = {}
    chosen = {state.name: share for state, share in zip(layers.states, shares, strict=True) if state.shrinkable}
    group_of = {state.name: state.group for state in layers.states}
    free = {state.group for state in layers.states if state.shrinkable}
    for group in groups.groups:
        share = next((chosen[name] for name in group.producers if name in chosen), 1.0)
        tied = len(group.producers) > 1 and layers.rules.tie == "inner"
        if share == 1 or tied or any(group_of.get(name) not in free for name in group.producers):
            continue
        count = max(min(least_of(group, layers.rules), group.units), round(share * group.units))
        if count < group.units:
            removed[group.name] = range(count, group.units)
    if not removed:
        return
    cut = prune(network, groups, removed)
    state = network.state_dict(keep_vars=True)
    shapes = {}
    for name, cuts in cut.cuts.items():
        shape = list(state[name].shape)
        for one in cuts:
            shape[one.axis] = one.count
        shapes[name] = tuple(shape)
    sizes.change_(network, Resize(numbers=dict(cut.sizes), shapes=shapes))


def least_of(group: Group, rules: Rules) -> int:
    """How many units of a group stay at least, where it has as many: those that have the channels which have to stay.

    One unit of what a convolution in groups takes are all channels of one of these.
    """
    if group.kind == "heads":
        return 1
    outputs = (one for one in group.sizes if one.layer in group.producers and one.attribute in _OUTPUTS)
    channels = max(1, min((min(one.counts) for one in outputs), default=1))
    return math.ceil(rules.min_channels / channels)


_OUTPUTS = ("out_channels", "out_features")
"""What layers call the number of channels or units that they make."""


def _tried(layers: Layers, spec: Spec) -> Spec | Invalid:
    """A spec whose network can be computed, and is what the rules call a network."""
    try:
        network = built(spec)
        with evaluating(network):
            found = forward(network, layers.example)
    except BadInput as error:
        return Invalid(str(error))
    except Exception as error:  # such as a layer that is used twice, and would have to be of two sizes
        return Invalid(f"The network cannot be computed ({type(error).__name__}: {error}).")
    check_output(found, layers.output)
    return _smaller(layers, spec, sum(parameter.numel() for parameter in network.parameters()))


def _check_inputs(network: nn.Module, layers: Layers) -> None:
    """See that no linear layer takes more or fewer inputs than rules let it.

    Raises:
        Unfit: If one does.
    """
    rules, modules = layers.rules, layers_of(network)
    for state in layers.states:
        module = modules.get(state.name)
        if not isinstance(module, nn.Linear):
            continue
        most, least = max(rules.most_inputs, state.inputs), min(rules.least_inputs, state.inputs)
        if module.in_features > most:
            end = f"{module.in_features:,} inputs, and at most {most:,} are let through."
            raise Unfit(f"Layer {state.name!r} would take {end}")
        if module.in_features < least:
            end = f"{module.in_features} inputs, and at least {least} are asked for."
            raise Unfit(f"Layer {state.name!r} would take {end}")


def _smaller(layers: Layers, spec: Spec, parameters: int) -> Spec | Invalid:
    if layers.rules.smaller and parameters >= layers.parameters:
        return Invalid(
            f"The network has {parameters:,} parameters, and is no smaller than its teacher of {layers.parameters:,}."
        )
    return spec
