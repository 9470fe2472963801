"""The space that is searched where nobody names one: from what the data are, and how large the teacher is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from attar.data.split import Dataset
from attar.errors import BadInput, must, near
from attar.network.spec import Spec
from attar.search.families import families_for, parameters_of, scalings_of
from attar.search.space import Choice, Dimension, IntRange, Space

FORMATS: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType(
    {
        "float32": (),
        "8 bits": ({"use": "quantize", "weights": {"use": "uniform", "bits": 8}},),
        "4 bits": ({"use": "quantize", "weights": {"use": "uniform", "bits": 4}}, {"use": "distill"}),
        "2 bits": ({"use": "quantize", "weights": {"use": "uniform", "bits": 2}}, {"use": "distill"}),
        "ternary": ({"use": "quantize", "weights": {"use": "ternary"}}, {"use": "distill"}),
        "power_of_two": ({"use": "quantize", "weights": {"use": "power_of_two"}}, {"use": "distill"}),
    }
)
"""Number formats of weights by name, as steps after the training; those of a few bits are trained once more."""

PRUNING: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType(
    {
        "none": (),
        "0.5x": ({"use": "prune", "to": {"macs": "0.5x"}},),
        "0.25x": ({"use": "prune", "to": {"macs": "0.25x"}},),
    }
)
"""How far a network is pruned after its training, in multiply-adds, as steps."""

_LARGEST = 1_000_000
"""Parameters of a student at most where nothing is known of the teacher's."""

_SPAN = 1_000
"""How many times smaller than the largest the smallest student is."""

_BELOW = 10
"""How many times smaller the smallest is at least than one that just keeps the budget."""


def default_space(
    dataset: Dataset,
    *,
    teacher: Spec | None = None,
    parameters: int | None = None,
    within: float | None = None,
    formats: Sequence[str] = tuple(FORMATS),
    pruning: Sequence[str] = ("none",),
) -> Space:
    """Networks for a data set, from a thousandth of the teacher's parameters, or what a budget needs, to all of them.

    What is chosen: the ``family`` of networks (see `attar.search.families.families_for`; one of Attar's own networks as
    a teacher is a family too, its widths scaled), its ``depth``, about how many ``parameters`` it has (the widest
    network of the family and depth with no more of them), the number ``format`` of its weights, and how far it is
    pruned (``pruning``). What there is one of is no choice. A family with one depth takes no notice of ``depth``.

    Args:
        dataset: Says what networks take and give.
        teacher: How the teacher is built, where it is one network that a file can name.
        parameters: Of the teacher, or what else a student may have at most; counted on ``teacher`` if left out.
        within: About how many parameters keep the budget; None for no limit. The smallest student has a tenth of that
            at most, however large the teacher is.
        formats: Names of `FORMATS`.
        pruning: Names of `PRUNING`.

    Raises:
        BadInput: If a name is unknown, or there is no network for the data that is as small as the teacher.
    """
    for key, names, all_names in (("formats", formats, FORMATS), ("pruning", pruning, PRUNING)):
        if not names:
            raise must(key, "default_space", "at least one name", list(names), f"Use {next(iter(all_names))!r}")
        for name in names:
            if name not in all_names:
                raise must(key, "default_space", "names that there are", name, near(name, all_names))
    families = families_for(dataset)
    scaled = None if teacher is None else scalings_of(teacher)
    families += [] if scaled is None else [scaled]
    most = parameters
    if most is None:
        most = _LARGEST if teacher is None else parameters_of(teacher)
    smallest = {one.name: one.smallest() for one in families}
    fitting = {one.name: one for one in families if smallest[one.name] <= most}
    if not fitting:
        raise BadInput(
            f"No network of the search is as small as the teacher: it has {most:,} parameters, and the smallest for "
            f"these data has {min(smallest.values()):,}. Name the student instead."
        )
    depths = sorted({depth for one in fitting.values() for depth in one.depths})
    low = most // _SPAN if within is None else min(most // _SPAN, int(within / _BELOW))
    low = max(min(smallest[name] for name in fitting), low, 1)
    dimensions: dict[str, Dimension] = {
        "family": Choice(tuple(fitting)),
        "depth": Choice(tuple(depths)),
        "parameters": IntRange(low, most, log=True),
        "format": Choice(tuple(formats)),
        "pruning": Choice(tuple(pruning)),
    }
    alone = {name: one.at(0.0) for name, one in dimensions.items() if one.size == 1}

    def build(choices: Mapping[str, Any]) -> tuple[Spec, Sequence[Mapping[str, Any]]]:
        chosen = {**alone, **choices}
        spec = fitting[chosen["family"]].within(chosen["parameters"], chosen["depth"])
        return spec, (*PRUNING[chosen["pruning"]], *FORMATS[chosen["format"]])

    return Space(
        dimensions={name: one for name, one in dimensions.items() if name not in alone},
        build=build,
        of="the space of students",
    )
