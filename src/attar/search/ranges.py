"""The space that a recipe's tables describe: a function that builds a network, with ranges among its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar.errors import BadInput, must, near, shown
from attar.named_inputs import NamedInputs
from attar.network.spec import Spec
from attar.network.unpacked import UnpackInputs
from attar.search.space import Choice, Dimension, FloatRange, IntRange, Space

STEPS = "steps"
"""The dimension that says what is done after the training."""

_KEYS = ("from", "to", "step", "log")


def space_of(
    reference: str,
    arguments: Mapping[str, Any],
    *,
    known: Mapping[str, Any] | None = None,
    steps: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    named: NamedInputs | None = None,
    of: str = "the search space",
) -> Space:
    """The space of one function's networks.

    Args:
        reference: ``package.module:function``.
        arguments: Its arguments by name: ``{"from": 8, "to": 128}`` is a range, with ``log`` true one of factors, and
            with ``step`` only every so many whole numbers of it; a list is one of its values; anything else is fixed. A
            list that is an argument itself stands in a list: ``[[64, 32]]``.
        known: Arguments that follow from the data; those of ``arguments`` come first.
        steps: Alternatives by name of what is done after the training, each a list of tables as in a recipe. More than
            one are a dimension of their own, ``steps``.
        named: What rows of the data hold, where these have several named inputs, by which the networks take them.
        of: What errors call the space.

    Raises:
        BadInput: In one sentence that names the key, if a range is not right, or there is nothing to choose.

    Example:
        >>> mlp = "attar.network.architectures:mlp"
        >>> space = space_of(mlp, {"inputs": 64, "classes": 10, "hidden": [[16], [64], [64, 64]]})
        >>> space.dimensions, space.proposal({"hidden": [16]}).spec.arguments
        ({'hidden': Choice(values=([16], [64], [64, 64]))}, {'inputs': 64, 'classes': 10, 'hidden': [16]})
        >>> space_of(mlp, {"inputs": {"from": 64, "to": 8}})
        Traceback (most recent call last):
        attar.errors.BadInput: arguments.inputs.from of the search space must be at most arguments.inputs.to, which \
is 8; got 64. Swap them.
    """
    ranges: dict[str, Dimension] = {}
    fixed: dict[str, Any] = dict(known or {})
    for name, given in arguments.items():
        found = _dimension(given, f"arguments.{name}", of)
        if found is None:
            fixed[name] = given
        else:
            fixed.pop(name, None)
            ranges[name] = found
            found.check(f"arguments.{name}", of)
    dimensions, alternatives = dict(ranges), dict(steps or {"": ()})
    if not alternatives:
        raise must(STEPS, of, "at least one list of steps", alternatives, "Leave it out for none")
    if len(alternatives) > 1:
        if STEPS in dimensions:
            remedy = "Give the argument of the network another name"
            raise must(f"arguments.{STEPS}", of, "fixed where steps are chosen too", arguments[STEPS], remedy)
        dimensions[STEPS] = Choice(tuple(alternatives))
    if not dimensions:
        raise BadInput(
            f"arguments of {of} must have a range or a list among them; got {shown(dict(arguments))}. Write for "
            "example width = { from = 8, to = 128, log = true }, or depth = [1, 2, 3]."
        )

    edits = () if named is None else (UnpackInputs(named),)

    def build(choices: Mapping[str, Any]) -> tuple[Spec, Sequence[Mapping[str, Any]]]:
        chosen = {name: choices[name] for name in ranges}
        after = alternatives[choices[STEPS]] if len(alternatives) > 1 else next(iter(alternatives.values()))
        return Spec(reference, {**fixed, **chosen}, edits=edits), after

    return Space(dimensions=dimensions, build=build, of=of)


def _dimension(given: Any, name: str, of: str) -> Dimension | None:
    """What one argument says; None for a fixed value."""
    if isinstance(given, list | tuple):
        return Choice(tuple(given))
    if not isinstance(given, Mapping) or not given.keys() & {"from", "to"}:
        return None
    for key in given:
        if key not in _KEYS:
            raise must(name, of, "a range of from, to, step and log", key, near(str(key), _KEYS))
    for key in ("from", "to"):
        if key not in given:
            raise must(f"{name}.{key}", of, "given", dict(given), "Write for example { from = 8, to = 128 }")
        if isinstance(given[key], bool) or not isinstance(given[key], int | float):
            raise must(f"{name}.{key}", of, "a number", given[key], "Write for example { from = 8, to = 128 }")
    low, high, log, step = given["from"], given["to"], given.get("log", False), given.get("step")
    if not isinstance(log, bool):
        raise must(f"{name}.log", of, "true or false", log, "true counts factors")
    integers = isinstance(low, int) and isinstance(high, int)
    if step is not None and (not integers or isinstance(step, bool) or not isinstance(step, int)):
        remedy = "List the numbers instead, as in [0.1, 0.2, 0.5]"
        raise must(f"{name}.step", of, "a whole number between whole numbers", step, remedy)
    return (
        IntRange(low, high, 1 if step is None else step, log) if integers else FloatRange(float(low), float(high), log)
    )
