"""Reading a recipe: TOML in, a checked `Recipe` out, with errors that name file and dotted key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from attar.errors import BadInput, must, near, rule_of, shown
from attar.network.references import Trust
from attar.pipeline.steps import STEPS
from attar.recipes.changes import apply
from attar.recipes.files import check_values, named_after, parsed
from attar.recipes.limits import limits_of
from attar.recipes.schema.recipe import Recipe
from attar.recipes.shipped import file_of

Document = dict[str, Any]


def recipe_of(given: Recipe | Mapping[str, Any] | str | Path, allow: Sequence[str] = ()) -> Recipe:
    """A recipe, whichever way it is given: itself, as a document, as a file, or by the name of a shipped one.

    Args:
        given: The recipe.
        allow: Packages whose functions it may name, besides those that it may name already.

    Raises:
        BadInput: If it is none of these, or breaks a rule.
    """
    if isinstance(given, Recipe):
        return (
            given.trusting(Trust(given.trust.beside, (*given.trust.packages, *packages_of(allow)))) if allow else given
        )
    if isinstance(given, Mapping):
        return from_document(given, trust=Trust(packages=packages_of(allow)))
    if isinstance(given, str | Path):
        return read(given, allow=allow)
    raise BadInput(
        f"A recipe must be a path, the name of a shipped recipe, a dict, or what attar.read_recipe gives; "
        f"got {shown(given)}. Begin with attar.compress('digits')."
    )


def packages_of(allow: Sequence[str]) -> tuple[str, ...]:
    """The packages that a user allows.

    Raises:
        BadInput: If one of them is no name of a package or module.
    """
    names = (allow,) if isinstance(allow, str) else tuple(allow)
    for name in names:
        if not isinstance(name, str) or not all(key.isidentifier() for key in name.split(".")):
            raise must("allow", "a recipe", "names of packages or modules", name, "For example --allow torchvision")
    return names


def read(path: str | Path, changes: Sequence[str] = (), *, allow: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a file, or a shipped one by its name.

    A recipe names functions, which then run: those of Attar's architectures, of modules that lie beside the file (they
    are trusted as the file is), and of packages that are allowed here. All others are refused before anything is
    imported.

    Args:
        path: A TOML file, or a name that `shipped` lists.
        changes: ``dotted.key=value`` each, the value written as in TOML; a bare word counts as a string.
        allow: Packages or modules whose functions the recipe may name.

    Returns:
        The recipe; one without a name has that of its file.

    Raises:
        BadInput: If the file is missing or is not TOML, a key is unknown, or a value breaks a rule.
    """
    file, ships = file_of(path)
    trust = Trust(packages=packages_of(allow))
    if not ships:
        trust = Trust(file.parent.resolve(), trust.packages)
    document = parsed(file)
    document.setdefault("name", named_after(file.stem))
    for change in changes:
        apply(document, change)
    return from_document(document, str(path), trust)


def with_budget(recipe: Recipe, budget: str | Sequence[str] | Mapping[str, Any] | None) -> Recipe:
    """The same recipe with other limits.

    Args:
        recipe: The recipe.
        budget: Limits, see `attar.recipes.limits.limits_of`; what they do not name stays.

    Raises:
        BadInput: If a name is unknown or is there twice, or a value is no limit.
    """
    limits = limits_of(budget)
    if not limits:
        return recipe
    document = recipe.document()
    return from_document({**document, "budget": {**document["budget"], **limits}}, "the recipe", recipe.trust)


def from_document(document: Mapping[str, Any], where: str = "the recipe", trust: Trust | None = None) -> Recipe:
    """Check a document against the schema.

    Args:
        document: The recipe as plain values.
        where: What it is called in messages.
        trust: Whose functions it may name; Attar's architectures alone if left out.

    Raises:
        BadInput: Naming file, dotted key, rule and value of the first thing that is wrong, and how many there are.
    """
    check_values(document, where)
    try:
        recipe = Recipe.model_validate(dict(document))
        return recipe if trust is None else recipe.trusting(trust)
    except ValidationError as error:
        problems = error.errors()
        text = problem_in(Recipe, problems[0], where)
        # What may be one of several types is a problem of each of them, at one place.
        more = len({tuple(_path(problem)) for problem in problems}) - 1
        raise BadInput(text + (f" ({more} more like this.)" if more else "")) from error


def problem_in(document: type[BaseModel], problem: Any, where: str) -> str:
    """One sentence for one problem that pydantic found.

    Args:
        document: What was read, as the schema has it.
        problem: One of the problems of a `ValidationError`.
        where: The file, or what errors call it.
    """
    model, path = _resolved_path(document, _path(problem))
    key = ".".join(map(_name, path))
    place = f"{where}: {key}" if key else where
    if problem["type"] == "extra_forbidden":
        return _ended(f"{where}: unknown key {key}. {near(str(path[-1]), [] if model is None else model.model_fields)}")
    if problem["type"] == "missing":
        return f"{where}: key {key} is missing. Add it."
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        uses, given = ", ".join(map(repr, STEPS)), problem["ctx"].get("tag")
        if given is None:
            return f"{where}: key {key}.use is missing. Choose from {uses}."
        close = near(str(given), STEPS)
        hint = f". {close}" if close.endswith("?") else ""
        return _ended(f"{place}.use must be one of {uses}; got {shown(given)}{hint}")
    rule = rule_of(problem)
    # Rules of a table as a whole are sentences of their own.
    return _ended(f"{place} {rule}" if key and rule.startswith("must ") else f"{place}: {rule}")


def _path(problem: Any) -> list[Any]:
    """Where a problem is, without what pydantic says of the types that it tried."""
    return [key for key in problem["loc"] if not (isinstance(key, str) and _TRIED.match(key))]


_TRIED = re.compile(r"function-|is-instance|constrained-|(?:list|literal|dict)\[|(?:str|int|float|bool)$")
"""How pydantic calls the types that a value may be one of; no key of a recipe is called so."""


def _name(key: Any) -> str:
    """A key as it is, or quoted and cut where it would break the line or fill it."""
    text = str(key)
    return text if text.isprintable() and 0 < len(text) <= 60 else shown(text, 60)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else sentence + "."


def _resolved_path(document: type[BaseModel], path: Sequence[Any]) -> tuple[type[BaseModel] | None, list[Any]]:
    """The table in which a path ends, if it is one of the schema, and the path as the file has it."""
    models: list[type[BaseModel]] = [document]
    table: type[BaseModel] | None = document
    shown_path: list[Any] = []
    for key in path:
        chosen = [model for model in models if _use(model) == key]
        if len(models) > 1 and chosen:  # pydantic says which of several tables it took; the file does not have that
            models, table = chosen, chosen[0]
            continue
        shown_path.append(key)
        if isinstance(key, int):
            continue
        table = models[0] if len(models) == 1 else None
        field = None if table is None else table.model_fields.get(str(key))
        models = [] if field is None else _models(field.annotation)
    return table, shown_path


def _models(annotation: Any) -> list[type[BaseModel]]:
    """All tables that a value of this type may be, or be a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for choice in get_args(annotation) for model in _models(choice)]


def _use(model: type[BaseModel]) -> str | None:
    """The name by which a list of different tables tells this one apart."""
    field = model.model_fields.get("use")
    names = () if field is None or get_origin(field.annotation) is not Literal else get_args(field.annotation)
    return str(names[0]) if names else None
