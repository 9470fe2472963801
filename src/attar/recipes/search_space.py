"""What a recipe's search chooses from and who proposes it, from its table, its data and its teacher."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attar import formatting
from attar.budget import What
from attar.data.datasets import Dataset
from attar.errors import BadInput
from attar.network.cost import cost
from attar.network.spec import Spec
from attar.pipeline.data_arguments import data_arguments
from attar.recipes.context import Context
from attar.recipes.networks import check_network, fitted_to, network_of
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.search import SearchSection
from attar.search.goal import Goal
from attar.search.proposal import Proposal
from attar.search.ranges import space_of
from attar.search.space import Choice, Dimension, Space
from attar.search.spaces import FORMATS, PRUNING, default_space
from attar.search.strategies.halving import Rung
from attar.search.strategies.n2n import policies_of
from attar.search.strategies.named import rules_of, strategy_of, trainings_of
from attar.search.strategy import Strategy
from attar.teachers.onnx_file import OnnxFile
from attar.teachers.pretrained import parameters_in

_SHARE, _OF_FINALISTS = 10, 3
"""One in so many epochs of the student's training is what a proposal gets, and what a finalist gets."""

_OTHERS = 20
"""Students that are tried in the place of the one in the middle, if that is none."""

_SHARES = (0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
"""Of the way through each range: where a student is looked for that is taken untried."""

_BYTES = 4
"""Of a parameter, by which those of a file are counted."""


def search_of(recipe: Recipe) -> SearchSection:
    """The table of a recipe that has one."""
    assert recipe.search is not None, "asked of a recipe with a search"
    return recipe.search


def search_key(context: Context) -> str:
    """What a search is known by: its data, its teacher, what its recipe says, and the policies that it begins with.

    Who tracks it is no part of it.
    """
    document = {key: table for key, table in context.recipe.document().items() if key != "track"}
    document |= {"data_fingerprint": context.fingerprint, "teacher_fingerprint": context.teacher_fingerprint}
    policy = search_of(context.recipe).strategy.get("policy")
    if policy is not None:
        document["policies"] = policies_of(Path(policy))
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def by_policy(recipe: Recipe) -> bool:
    """Whether a policy decides layer by layer what becomes of the teacher's network.

    Raises:
        BadInput: If the teacher is not one network, or a space is given, too.
    """
    section = search_of(recipe)
    if section.strategy["use"] != "n2n":
        return False
    if recipe.teacher.network is None or recipe.teacher.count != 1 or recipe.teacher.specialists is not None:
        raise BadInput(
            "search.strategy of the recipe: n2n takes layers of the teacher's network away, and the teacher is not one "
            "network. Write a recipe with teacher.network and teacher.weights, or use another strategy."
        )
    if section.space is not None:
        raise BadInput(
            "search.space of the recipe is not for n2n, which begins with the teacher's network. Leave it out."
        )
    return True


def middle_of(recipe: Recipe, dataset: Dataset, space: Space | None) -> Proposal:
    """A student from the middle of what is chosen from, which stands for all before any is tried."""
    if space is not None:
        middle = space.proposal({name: one.at(0.5) for name, one in space.dimensions.items()})
        if search_of(recipe).space is None or _can_be_built(middle, recipe, dataset):
            return middle
        # Of a user's own space some combinations may be none, and the search goes on without them.
        random = np.random.default_rng(0)
        others = (space.proposal(space.draw(random)) for _ in range(_OTHERS))
        return next((one for one in others if _can_be_built(one, recipe, dataset)), middle)
    assert recipe.teacher.network is not None, "a policy begins with one"
    return Proposal(spec=fitted_to(recipe.teacher.network, dataset).spec())


def untried_of(recipe: Recipe, dataset: Dataset, space: Space, goal: Goal) -> Proposal:
    """A student for when there is no time to try any: one from the middle, or a smaller one that may keep the budget.

    What it takes is counted: its multiply-adds, and four bytes for each of its parameters.
    """
    example = dataset.train.floats(slice(0, 1))
    for share in _SHARES:
        chosen = {
            name: one.at(0.5 if isinstance(one, Choice) and not one.ordered else share)
            for name, one in space.dimensions.items()
        }
        proposal = space.proposal(chosen)
        if _can_be_built(proposal, recipe, dataset):
            counted = cost(network_of(NetworkSection.of(proposal.spec), recipe.seed), example)
            figures = {"macs": float(counted.macs), "bytes": float(_BYTES * counted.parameters)}
            if not goal.beyond(figures, so_far=True):
                return proposal
    return middle_of(recipe, dataset, space)


def _can_be_built(proposal: Proposal, recipe: Recipe, dataset: Dataset) -> bool:
    """Whether there is such a network, and it takes the data."""
    try:
        check_network(network_of(NetworkSection.of(proposal.spec), recipe.seed), "student.network", dataset)
    except BadInput:
        return False
    return True


def epochs_of(recipe: Recipe) -> int:
    """Epochs of the short training of a proposal."""
    return search_of(recipe).epochs or max(1, round(recipe.student.training.epochs / _SHARE))


def trainings_for(recipe: Recipe) -> list[Rung]:
    """The trainings of a search, at most, those of halving that go on as well: how many, and for how long."""
    section, most = search_of(recipe), recipe.student.training.epochs
    return trainings_of(section.strategy, section.proposals, epochs_of(recipe), most)


def epochs_of_finalist(recipe: Recipe) -> int:
    """Epochs of the training of a finalist, which is longer, if the search did not train it for longer still."""
    return max(epochs_of(recipe), round(recipe.student.training.epochs / _OF_FINALISTS))


def epochs_of_finalists(recipe: Recipe) -> list[int]:
    """Epochs of each finalist, if they are those that the search trained for longest."""
    rungs = trainings_for(recipe)
    stayed = [one.networks - above for one, above in zip(rungs, [*(r.networks for r in rungs[1:]), 0], strict=True)]
    longest = [one.total for one, count in zip(rungs[::-1], stayed[::-1], strict=True) for _ in range(count)]
    return [max(epochs_of_finalist(recipe), one) for one in longest[: search_of(recipe).finalists]]


def space_for(recipe: Recipe, dataset: Dataset) -> Space | None:
    """What is chosen from: the user's own space, or networks that suit the data, up to the teacher's size.

    None where a policy takes layers of the teacher's network away.

    Raises:
        BadInput: Naming the key, if a range is not right or there is no network for such data.
    """
    section = search_of(recipe)
    if by_policy(recipe):
        return None
    if section.space is None:
        spec, parameters = _teacher_size(recipe, dataset)
        return default_space(
            dataset,
            teacher=spec,
            parameters=parameters,
            within=_within(recipe, parameters),
            formats=section.formats,
            pruning=section.pruning,
        )
    steps = {
        ", ".join(name for name in (pruned, number) if name not in ("none", "float32")) or "as it is": [
            *PRUNING[pruned],
            *FORMATS[number],
        ]
        for pruned in section.pruning
        for number in section.formats
    }
    return space_of(
        section.space.use,
        section.space.arguments,
        known=data_arguments(section.space.use, dataset),
        steps=steps,
        named=dataset.named,
        of="search.space of the recipe",
    )


def strategy_for(recipe: Recipe, dataset: Dataset, space: Space | None, goal: Goal) -> Strategy:
    """Who makes proposals.

    Args:
        recipe: Says which strategy, and its settings.
        dataset: Of which a policy sees one input.
        space: What it chooses from.
        goal: What it is after.

    Raises:
        BadInput: If a setting breaks a rule.
    """
    section = search_of(recipe)
    given: dict[str, Any] = {
        "space": space,
        "goal": goal,
        "trials": section.proposals,
        "epochs": epochs_of(recipe),
        "most": recipe.student.training.epochs,  # longer than in earnest none need be trained
        "seed": recipe.seed,
    }
    if by_policy(recipe):
        from attar.search.n2n.describe import describe

        spec = middle_of(recipe, dataset, None).spec
        layers = describe(spec, dataset.train.floats(slice(0, 1)), rules_of(section.strategy))
        given |= {"layers": layers, "teacher": _figures(goal)}
    return strategy_of(section.strategy, given, of="search.strategy of the recipe")


def _teacher_size(recipe: Recipe, dataset: Dataset) -> tuple[Spec | None, int | None]:
    """How the teacher is built, if it is one network, and its parameters, as far as something is known of them."""
    teacher = recipe.teacher
    if teacher.network is not None:
        section = fitted_to(teacher.network, dataset)
        counted = cost(network_of(section, teacher.seed), dataset.train.floats(slice(0, 1))).parameters
        return (section.spec() if teacher.count == 1 else None), counted
    if teacher.transformers is not None:
        return None, parameters_in(teacher.transformers)
    files = [Path(name) for name in teacher.onnx]
    sizes = [OnnxFile.read(one).size_bytes for one in files if one.is_file()]
    return None, max(sizes) // _BYTES if sizes else None


def _within(recipe: Recipe, teacher: int | None) -> float | None:
    """About how many parameters, of four bytes and one multiply-add each, keep the budget; None for no limit."""
    takes: dict[What, float] = {"bytes": float(_BYTES), "macs": 1.0}
    limits = [limit for limit in recipe.budget.limits if limit.what in takes]
    bounds = [(limit.at(None if teacher is None else takes[limit.what] * teacher), limit.what) for limit in limits]
    return min((bound / takes[what] for bound, what in bounds if bound is not None), default=None)


def _figures(goal: Goal) -> dict[str, float]:
    """What the teacher takes, and its score as that of a trial; ones where it is yet to be measured."""
    if not goal.teacher:
        return dict.fromkeys(("parameters", "macs", "bytes", "latency", "memory", "score"), 1.0)
    score = goal.teacher.get("quality_loss")
    return dict(goal.teacher) if score is None else {**goal.teacher, "score": score}


def words_of(space: Space | None) -> str:
    """A space for people.

    Example:
        >>> from attar.search.space import IntRange
        >>> dimensions = {"depth": Choice((1, 2)), "parameters": IntRange(300, 90_000, log=True)}
        >>> words_of(Space(dimensions=dimensions, build=lambda chosen: (Spec("a:b"), ())))
        'depth 1 or 2; parameters 300 to 90,000'
    """
    if space is None:
        return "the teacher's network with fewer and narrower layers"
    return "; ".join(f"{name.replace('_', ' ')} {_words(one)}" for name, one in space.dimensions.items())


def _words(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        texts = [", ".join(map(str, one)) if isinstance(one, list | tuple) else str(one) for one in dimension.values]
        return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
    low, high = (_number(one) for one in (dimension.low, dimension.high))
    return f"{low} to {high}"


def _number(value: int | float) -> str:
    return formatting.grouped(value) if isinstance(value, int) else f"{value:g}"


def strategy_words(section: SearchSection) -> str:
    """A strategy with its settings, for people."""
    settings: Mapping[str, Any] = {name: value for name, value in section.strategy.items() if name != "use"}
    shown = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"{section.strategy['use']} ({shown})" if shown else str(section.strategy["use"])
