"""Trying groups out: a network without units must give what it gives with a mask of 0 on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import shown
from attar.network.copying import copied
from attar.network.forward import number_type
from attar.pruning.edit import prune
from attar.pruning.group import Consumer, Group, Groups, Size
from attar.pruning.influence import outputs_alike
from attar.pruning.layers import blocks, ends, normalizes_across

TOLERANCE = 1e-4
"""By what part of the largest output both may differ, from rounding alone."""

_ROUGH = 1e-2
"""The same with the network's own weights, which may be such that rounding grows."""

_FEWEST_WEIGHTS, _MOST_WEIGHTS = 3, 9
"""Sets of weights with which groups are tried; more than the fewest where units change nothing."""

_MOST_NUMBERS = 6
"""Whole numbers of modules that are tried as the size of a group."""


@contextmanager
def masked(network: nn.Module, groups: Groups, removed: Mapping[str, Iterable[int]]) -> Iterator[None]:
    """Let units be 0 where they are used, in place, for as long as the context lasts.

    Args:
        network: In which the groups were found.
        groups: These groups.
        removed: The units, by the name of their group.
    """
    named = groups.named()
    handles = []
    for name, units in removed.items():
        for consumer in named[name].consumers:
            gone = sorted(chain.from_iterable(consumer.positions[unit] for unit in units))
            hook = _zeroing(consumer, torch.tensor(gone, dtype=torch.int64))
            handles.append(network.get_submodule(consumer.layer).register_forward_pre_hook(hook, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _zeroing(consumer: Consumer, gone: Tensor) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def zeroed(value: Tensor) -> Tensor:
            return value.index_fill(consumer.axis, gone.to(value.device), 0.0)

        if args:
            return (zeroed(args[0]), *args[1:]), kwargs
        first = next(iter(kwargs))
        return args, kwargs | {first: zeroed(kwargs[first])}

    return hook


def stirred(network: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of a network as `eval_copy` gives it, away from weights with which something has no effect.

    A normalization whose weights begin with 0 hides all before it, and so would hide a wrong group. Biases grow, so
    that few units are cut off by an activation.

    Args:
        network: Any module.
        seed: Of the moves.
    """
    random = torch.Generator().manual_seed(seed)
    network = eval_copy(network)

    def noise(tensor: Tensor) -> Tensor:
        fan_in = tensor[0].numel() if tensor.dim() > 1 else 4
        return torch.randn(tensor.shape, generator=random).div(max(fan_in, 1) ** 0.5).to(tensor)

    with torch.no_grad():
        for layer in network.modules():
            for name, tensor in chain(layer._parameters.items(), layer._buffers.items()):
                if tensor is None or not tensor.is_floating_point() or not tensor.numel():
                    continue
                is_parameter = name in layer._parameters
                normalizes = (blocks(layer) is not None and tensor.dim() == 1) or normalizes_across(layer)
                if name == "running_var" or (name == "weight" and normalizes):
                    tensor.copy_(0.5 + torch.rand(tensor.shape, generator=random).to(tensor))
                elif name == "bias":
                    tensor += noise(tensor).abs()
                elif is_parameter or name == "running_mean":
                    tensor += noise(tensor)
        for parameter in network.parameters():
            if parameter.is_leaf:
                parameter.requires_grad_(False)
    return network


def eval_copy(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode, its numbers in float32, or in float64 where all of them are."""
    return copied(network).eval().to(torch.float64 if number_type(network) == torch.float64 else torch.float32)


class Verifier:
    """A network with several sets of weights and an example, on which groups are tried."""

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        """Take a network.

        Args:
            network: Any module; not changed. It is tried with its own weights, which may take another way through its
                code than others, and with weights that `stirred` gives it.
            example: ``[batch, ...]`` inputs, of the type that `eval_copy` gives its numbers.
        """
        self._network = network
        self._example = example
        self._random = torch.Generator().manual_seed(0)
        self._tried: list[tuple[nn.Module, list[Tensor]]] = []  # with what it gives

    def _with_weights(self) -> Iterator[tuple[nn.Module, list[Tensor]]]:
        for place in range(_MOST_WEIGHTS):
            if place == len(self._tried):
                network = stirred(self._network, place - 1) if place else eval_copy(self._network)
                self._tried.append((network, self._run(network)))
            yield self._tried[place]

    @cached_property
    def _trains(self) -> bool:
        """Whether the network can be computed in training mode."""
        try:
            self._train(eval_copy(self._network))
        except Exception:  # such as batch normalization of a single number
            return False
        return True

    @cached_property
    def _rows(self) -> tuple[Tensor, ...]:
        """The examples one by one, where the network takes one: each may have a way of its own through the code."""
        rows = torch.split(self._example, 1) if len(self._example) > 1 else ()
        try:
            for row in rows:
                self._run(eval_copy(self._network), row)
        except Exception:  # it takes no single examples, and what all of them show together has to do
            return ()
        return rows

    def _train(self, network: nn.Module) -> None:
        """Compute a network in training mode, in which it may have parts that it has not otherwise."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            network.train()(self._example.clone())

    def verified(self, groups: Sequence[Group]) -> tuple[tuple[Group, ...], dict[str, str]]:
        """The groups that stand a trial, and why the others do not, by their names; whether they can go altogether."""
        stood, failed = self._stood(groups)
        return tuple(self._removable(group) for group in stood), failed

    def _removable(self, group: Group) -> Group:
        """Whether all of its units can go, and the layers that make them."""
        layers = dict(self._network.named_modules())
        known = {size.layer for size in group.sizes}
        total = all(
            (ends(layers[size.layer]) is not None or blocks(layers[size.layer]) is not None)
            and sum(size.counts) == getattr(layers[size.layer], size.attribute)
            for size in group.sizes
        )
        if not total or any(slot.tensor.rpartition(".")[0] not in known for slot in group.slots):
            return group
        every = replace(group, removable=True)
        return group if self._fault([every], all_units=True) else every

    def _stood(self, groups: Sequence[Group]) -> tuple[tuple[Group, ...], dict[str, str]]:
        """The groups that stand a trial, and why the others do not, by their names.

        A group may get sizes that it had not: where a module holds a number of its units, such as of its heads.
        """
        if not groups or self._fault(groups) is None:
            return tuple(groups), {}
        single: list[Group] = []
        failed: dict[str, str] = {}
        for group in groups:
            found, reason = self._alone(group)
            if found is None:
                failed[group.name] = reason
            else:
                single.append(found)
        if not single or self._fault(single) is None:
            return tuple(single), failed
        # Each stands alone, but not all together: two that one number of a module counts.
        together: list[Group] = []
        for group in single:
            if self._fault([*together, group]) is None:
                together.append(group)
            else:
                failed[group.name] = "it cannot be cut together with other groups"
        return tuple(together), failed

    def _alone(self, group: Group) -> tuple[Group | None, str]:
        reason = self._fault([group])
        if reason is None:
            return group, ""
        numbers = self._numbers(group)
        trials = [*([one] for one in numbers), *([numbers] if len(numbers) > 1 else [])]
        for sizes in trials:
            fuller = replace(group, sizes=(*group.sizes, *sizes))
            if self._fault([fuller]) is None:
                return fuller, ""
        return None, reason

    def _numbers(self, group: Group) -> list[Size]:
        """What modules around a group hold that may count its units, or what they make."""
        layers = dict(self._network.named_modules())
        known = {(size.layer, size.attribute) for size in group.sizes}
        by_count = {group.units: (1,) * group.units}
        for size in group.sizes:
            if size.layer in group.producers:
                by_count.setdefault(sum(size.counts), size.counts)
        found: dict[tuple[str, str], Size] = {}
        for name in (*group.producers, *(consumer.layer for consumer in group.consumers)):
            while name:
                name = name.rpartition(".")[0]
                for attribute, value in vars(layers[name]).items():
                    is_count = isinstance(value, int) and not isinstance(value, bool)
                    if is_count and value in by_count and (name, attribute) not in known:
                        found[name, attribute] = Size(name, attribute, by_count[value])
        return list(found.values())[:_MOST_NUMBERS]

    def _fault(self, groups: Sequence[Group], all_units: bool = False) -> str | None:
        """What is wrong with groups of which half of the units are gone, then the others, or all.

        Returns:
            The end of a sentence; None where nothing is.
        """
        every = Groups(tuple(groups), {})
        sides: list[dict[str, list[int]]] = [{}, {}]
        for group in groups:
            count = group.units if all_units else max(group.units // 2, 1)
            order = torch.randperm(group.units, generator=self._random).tolist()
            sides[0][group.name] = order[:count]
            sides[1][group.name] = order[count:] or order
        has_effect = False
        for trial, (network, before) in enumerate(self._with_weights()):
            if trial >= _FEWEST_WEIGHTS and has_effect:
                break
            removed = sides[trial % 2]
            # With its own weights also row by row: there may be a way through the code that a batch does not take.
            rows = self._rows if trial == 0 and not all_units else ()
            with masked(network, every, removed):
                wanted = self._run(network)
                wanted_rows = [self._run(network, row) for row in rows]
            try:
                slim = prune(network, every, removed).apply(copied(network))
                got = self._run(slim)
                got_rows = [self._run(slim, row) for row in rows]
                if trial < 2 and self._trains:
                    self._train(slim)
            except Exception as error:  # whatever the user's code and torch say of sizes that do not fit
                message = shown(str(error) or type(error).__name__, 160)
                return f"the network cannot be computed without some of its units ({message})"
            if [one.shape for one in got] != [one.shape for one in wanted]:
                return "outputs of the network would go with its units"
            effect = _farthest(wanted, before)
            has_effect |= effect > 0
            largest = max(
                (float(one.nan_to_num(0.0, 0.0, 0.0).abs().max()) for one in wanted if one.numel()), default=0.0
            )
            farthest = max(map(_farthest, [got, *got_rows], [wanted, *wanted_rows]))
            if not farthest <= (TOLERANCE if trial else _ROUGH) * max(effect, largest):
                return "without some of its units the network gives something else than with a mask on them"
        return None if has_effect else "it changes nothing in what the network gives for the example"

    def _run(self, network: nn.Module, example: Tensor | None = None) -> list[Tensor]:
        return [one.double() for one in outputs_alike(network, self._example if example is None else example)]


def _farthest(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    if len(first) != len(second) or any(one.shape != other.shape for one, other in zip(first, second, strict=False)):
        return float("inf")
    apart = (
        torch.where((one == other) | (one.isnan() & other.isnan()), 0.0, one - other).abs().max()
        for one, other in zip(first, second, strict=True)
        if one.numel()
    )
    return max(map(float, apart), default=0.0)
