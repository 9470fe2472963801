"""Looking at a network: its layers in order, what they are, and what may become of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd
from torch.nn.modules.rnn import RNNBase
from torch.nn.parameter import is_lazy

from attar.errors import BadInput, NothingMatched, Words, must, near
from attar.network.copying import copied
from attar.network.defaults import with_library_defaults
from attar.network.spec import Spec
from attar.pruning.group import Group, Groups
from attar.pruning.groups import find_groups
from attar.pruning.layers import ends
from attar.search.n2n.fitting import Unfit, fit_
from attar.search.n2n.layers import LayerKind, Layers, LayerState, Rules
from attar.search.n2n.surgery import built, least_of, taken_out
from attar.search.n2n.trace import Sum, layers_of, run, traced

_NAMED_RULES = ("first", "last", "strided", "linear", "average_pool")


@with_library_defaults
def describe(spec: Spec, example: Tensor, rules: Rules | None = None, *, some_gone: bool = False) -> Layers:
    """A network as a list of layers: what each is, whether a network without it can be computed, what it is tied with.

    Each layer is taken out once to see; and channels that go together are found as pruning finds them.

    Args:
        spec: How the network is built.
        example: One input, ``[1, ...]``, as the network takes it.
        rules: What may become of it; `Rules` if left out.
        some_gone: Whether layers that the rules name may have been removed: a rule that fits none is then no error.

    Raises:
        BadInput: If the network does not run on the example, none of its layers may go or get narrower, or a rule fits
            none.

    Example:
        >>> spec = Spec("attar.network.architectures:mlp", {"inputs": 8, "classes": 3, "hidden": [30, 20]})
        >>> layers = describe(spec, torch.zeros(1, 8))
        >>> [(state.name, state.kind, state.outputs) for state in layers.states if state.shrinkable]
        [('1', 'linear', 30), ('3', 'linear', 20)]
        >>> [state.name for state in layers.states if state.removable]
        ['2', '3', '4']
    """
    rules = rules or Rules()
    network = built(spec)
    if any("_orig_mod" in layer._modules for layer in network.modules()):  # as torch.compile wraps it
        raise must("network", "describe", "one that is not compiled", Words("one that is"), "Compile it afterwards")
    if any(is_lazy(tensor) for tensor in network.parameters()):
        remedy = "Say how many inputs its lazy layers have"
        raise must("network", "describe", "one whose layers know their sizes", Words("one that does not"), remedy)
    try:
        with traced(network) as trace:
            output = run(network, example, trace)
    except BadInput:
        raise
    except Exception as error:
        got = Words(f"{type(error).__name__}: {error}")
        raise must("example", "describe", "what the network runs on", got, "Pass an input that it takes") from error
    modules = {name: module for name, module in layers_of(network).items() if name in trace.order}
    modules = {name: modules[name] for name in trace.order}
    fixed = _fixed(modules, rules.fixed, "fixed", some_gone)
    full_width = _fixed(modules, rules.fixed_widths, "fixed_widths", some_gone)
    groups = find_groups(network, example)
    shape, stretched = tuple(output.shape), frozenset(trace.stretched)
    sums = trace.sums
    places = {name: place for place, name in enumerate(modules, 1)}
    by_maker = {maker: group for group in groups.groups for maker in group.producers}
    states = []
    for name, module in modules.items():
        stays = fixed.get(name) or _unknown(module) or ""
        if not stays:
            stays = _missed(network, name, sums, example, shape, stretched)
        full = _full(name, module, by_maker.get(name), groups, full_width, rules)
        group = by_maker[name].name if name in by_maker else ""
        start, end = _skip(name, sums, places)
        states.append(
            replace(
                state_of(name, module),
                skip_start=start,
                skip_end=end,
                group=group,
                stays=stays,
                full=full,
                kernel_shrinks=not start and _kernel_shrinks(module),
            )
        )
    if not any(state.removable or state.shrinkable for state in states):
        raise BadInput(_nothing(states))
    count = sum(parameter.numel() for parameter in network.parameters())
    return Layers(spec, example, rules, tuple(states), sums, groups, count, shape, stretched)


def state_of(name: str, module: nn.Module) -> LayerState:
    """What a layer is by itself: its kind and its sizes, of whatever network it is."""
    return LayerState(
        name,
        _kind(module),
        _first(module, "kernel_size"),
        _first(module, "stride"),
        _first(module, "padding"),
        _inputs(module),
        _outputs(module),
    )


def _nothing(states: Sequence[LayerState]) -> str:
    if not states:
        return (
            "The network has no layers that can be told apart: it is one module that computes all by itself. Build it "
            "of torch's layers."
        )
    worst = next((state for state in states if state.kind == "unknown"), states[0])
    name = f"layer {worst.name!r}" if worst.name else "the network"
    return (
        f"No layer of the network can be removed or get narrower: {name} stays, as {worst.stays}; its width stays, as "
        f"{worst.full}. Build the network of torch's convolutions, linear layers and attention, fix fewer of its "
        "layers, or use another strategy."
    )


def _missed(
    network: nn.Module,
    name: str,
    sums: Sequence[Sum],
    example: Tensor,
    output: tuple[int, ...],
    stretched: frozenset[tuple[str, tuple[int, ...]]],
) -> str:
    """Why the network cannot be computed without a layer; empty where it can."""
    try:
        with torch.random.fork_rng(devices=[]):
            without = taken_out([name], sums, layers_of(network)).apply(copied(network))
            fit_(without, example, output, stretched)
    except (BadInput, Unfit) as error:
        text = str(error).rstrip(".")
        return f"without it {text[:1].lower()}{text[1:]}"
    return ""


def _fixed(modules: Mapping[str, nn.Module], rules: Sequence[str], parameter: str, some_gone: bool) -> dict[str, str]:
    """Which layers rules fix, and why, as the end of a sentence."""
    weighted = [name for name, module in modules.items() if _outputs(module) or isinstance(module, RNNBase)]
    found: dict[str, str] = {}
    for rule in (rules,) if isinstance(rules, str) else rules:
        names = list(modules)
        if rule == "first":
            fits = weighted[:1]
        elif rule == "last":
            fits = names[names.index(weighted[-1]) :] if weighted else []
        elif rule == "strided":
            fits = [name for name, one in modules.items() if isinstance(one, _ConvNd) and set(one.stride) != {1}]
        elif rule == "linear":
            fits = [name for name, one in modules.items() if isinstance(one, nn.Linear)]
        elif rule == "average_pool":
            fits = [name for name, one in modules.items() if _kind(one) == "average_pool"]
        else:
            fits = [name for name in names if name == rule or fnmatchcase(name, rule) or name.startswith(f"{rule}.")]
            if not fits and not some_gone:
                raise NothingMatched(
                    f"{parameter} must fit a layer of the network; {rule!r} fits none. "
                    f"{near(rule, [*names, *_NAMED_RULES])}"
                )
        for name in fits:
            found.setdefault(name, f"the rule {rule!r} fixes it")
    return found


def _full(
    name: str, module: nn.Module, group: Group | None, groups: Groups, full_width: Mapping[str, str], rules: Rules
) -> str:
    """Why no share decides on a layer's width, as the end of a sentence; empty where one does."""
    if group is None:
        if name in groups.untouched:
            return groups.untouched[name]
        return "it makes no channels of its own"
    for maker in group.producers:
        if maker in full_width:
            return (
                full_width[maker] if maker == name else f"its channels go with those of {maker!r}: {full_width[maker]}"
            )
    first, *others = group.producers
    if rules.tie == "inner" and others:
        other = first if name != first else others[0]
        return f"its channels are added to those of {other!r}"
    if name != first:
        return f"it gets narrower with {first!r}"
    least = least_of(group, rules)
    return f"it has {group.units}, and rules let no fewer than {least} stay" if group.units <= least else ""


def _skip(name: str, sums: Iterable[Sum], places: Mapping[str, int]) -> tuple[int, int]:
    """Where the innermost branch around a layer starts and ends."""
    around = [one.branch for one in sums if name in one.branch]
    if not around:
        return 0, 0
    inner = [places[one] for one in min(around, key=len)]
    return min(inner), max(inner)


def _kernel_shrinks(module: nn.Module) -> bool:
    """Whether maps keep their sizes with a smaller kernel of a layer, and less around them."""
    if not isinstance(module, _ConvNd) or module.transposed or module.padding_mode != "zeros":
        return False
    odd = all(side % 2 for side in module.kernel_size)
    return odd and max(module.kernel_size) > 1 and set(module.stride) == {1}


def _unknown(module: nn.Module) -> str | None:
    """Why a layer stays by what it is; None where it may go."""
    kind = _kind(module)
    if kind == "unknown":
        return f"nothing is known of what a {type(module).__name__} does"
    if kind == "recurrent":
        return "it gives a state beside its outputs"
    if kind == "embedding":
        return "it turns whole numbers into what all other layers take"
    if kind == "flatten":
        return "what comes after it takes one row for each example"
    return None


def _kind(module: nn.Module) -> LayerKind:
    for types, kind in _KINDS:
        if isinstance(module, types):
            return "depthwise" if isinstance(module, _ConvNd) and _is_depthwise(module) else kind
    if type(module).__module__ == "torch.nn.modules.activation":
        return "activation"
    return "unknown"


def _is_depthwise(module: _ConvNd) -> bool:
    return module.groups > 1 and module.groups == module.in_channels


_KINDS: tuple[tuple[tuple[type, ...], LayerKind], ...] = (
    ((_ConvNd,), "convolution"),
    ((nn.Linear,), "linear"),
    ((nn.MultiheadAttention,), "attention"),
    ((nn.Embedding,), "embedding"),
    ((RNNBase,), "recurrent"),
    ((_BatchNorm,), "batch_norm"),
    ((_InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm), "norm"),
    ((nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin), "softmax"),
    ((_MaxPoolNd, _AdaptiveMaxPoolNd), "max_pool"),
    ((_AvgPoolNd, _AdaptiveAvgPoolNd), "average_pool"),
    ((_DropoutNd, nn.AlphaDropout), "dropout"),
    ((nn.Flatten,), "flatten"),
)


def _first(module: nn.Module, attribute: str) -> int:
    """A size of a layer's kernel, or the first of several; 0 where there is none."""
    value = getattr(module, attribute, 0)
    if isinstance(value, tuple | list):
        value = value[0] if value else 0
    if value == "same":
        value = (_first(module, "kernel_size") - 1) // 2
    return value if type(value) is int else 0


def _outputs(module: nn.Module) -> int:
    """Channels or units that a layer makes; 0 where it passes on those that it takes, or is of no known kind."""
    if isinstance(module, nn.MultiheadAttention):
        return int(module.embed_dim)
    if isinstance(module, _ConvNd):
        return module.out_channels
    end = ends(module)
    return 0 if end is None else end.outputs


def _inputs(module: nn.Module) -> int:
    """Channels or units that a layer multiplies with weights; 0 for one of another kind."""
    if isinstance(module, nn.MultiheadAttention):
        return int(module.embed_dim)
    if isinstance(module, _ConvNd):
        return module.in_channels
    end = ends(module)
    return 0 if end is None else end.inputs
