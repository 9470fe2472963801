"""Reading a recipe: TOML in, a checked `Recipe` out, with errors that name file and dotted key."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from attar.errors import BadInput, must, near, shown
from attar.recipes.schema.recipe import Recipe

Document = dict[str, Any]

STUDY = "study.toml"
"""What a file is called that puts several recipes side by side; see `attar.recipes.study`."""


def shipped() -> dict[str, Path]:
    """The recipes that come with Attar: name to file."""
    root = Path(str(resources.files("attar.recipes")))
    files = [path for path in sorted(root.rglob("*.toml")) if path.name != STUDY]
    return {str(path.relative_to(root).with_suffix("")): path for path in files}


def read(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a file, or a shipped one by its name.

    Args:
        path: A TOML file, or a name that `shipped` lists.
        changes: ``dotted.key=value`` each, the value written as in TOML; a bare word counts as a string.

    Raises:
        BadInput: If the file is missing or is not TOML, a key is unknown, or a value breaks a rule.
    """
    file = Path(path)
    if not file.is_file():
        ready = shipped()
        if str(path) not in ready:
            raise must(
                "RECIPE",
                "attar compress",
                "a TOML file or the name of a shipped recipe",
                str(path),
                near(str(path), ready),
            )
        file = ready[str(path)]
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} must be a TOML file; {error}. Mend that place.") from error
    except RecursionError as error:
        raise BadInput(f"{path} must not be nested this deep. Flatten it.") from error
    for change in changes:
        apply(document, change)
    return from_document(document, str(path))


def apply(document: Document, change: str) -> None:
    """Set one value of a recipe's document in place, from ``dotted.key=value``.

    Example:
        >>> recipe = {"keep": {"accuracy_loss": 0.01}}
        >>> apply(recipe, "keep.accuracy_loss=0.02")
        >>> recipe
        {'keep': {'accuracy_loss': 0.02}}

    A number counts the tables of a list, from 0: ``student.steps.1.weights.bits=2``.
    """
    key, equals, text = change.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise must(
            "--set", "attar compress", "written dotted.key=value", change, "For example --set student.training.epochs=5"
        )
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    except RecursionError as error:
        raise must("--set", "attar compress", "less deeply nested", change, "Flatten the value") from error
    table: Any = document
    for name, below in itertools.pairwise(names):
        table = table[int(name)] if isinstance(table, list) else table.setdefault(name, {})
        if isinstance(table, list) and not _counts(table, below):
            rule = f"a number from 0 to {len(table) - 1} after {name!r}, which is a list"
            raise must("--set", "attar compress", rule, change, "Count from 0")
        if not isinstance(table, dict | list):
            raise must(
                "--set", "attar compress", f"a key below a table; {name!r} is a value", change, "Shorten the key"
            )
    table[int(names[-1]) if isinstance(table, list) else names[-1]] = value


def _counts(table: Sequence[Any], name: str) -> bool:
    return name.isascii() and name.isdecimal() and int(name) < len(table)


def from_document(document: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """Check a document against the schema.

    Raises:
        BadInput: Naming file, dotted key, rule and value of the first thing that is wrong, and how many there are.
    """
    try:
        return Recipe.model_validate(dict(document))
    except ValidationError as error:
        problems = error.errors()
        text = _said(problems[0], where)
        more = f" ({len(problems) - 1} more like this.)" if len(problems) > 1 else ""
        raise BadInput(text + more) from error
    except RecursionError as error:
        raise BadInput(f"{where} must not be nested this deep. Flatten it.") from error


def _said(problem: Any, where: str) -> str:
    """One sentence for one problem that pydantic found."""
    path = [part for part in problem["loc"] if not str(part).startswith(("function-", "is-instance"))]
    model, path = _walked(path)
    key = ".".join(map(_name, path)) or "the recipe"
    if problem["type"] == "extra_forbidden":
        return _ended(f"{where}: unknown key {key}. {near(str(path[-1]), [] if model is None else model.model_fields)}")
    if problem["type"] == "missing":
        return f"{where}: key {key} is missing. Add it."
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        uses = problem["ctx"].get("expected_tags", "'distil', 'quantize'")
        return f"{where}: {key}: use must be one of {uses}; got {shown(problem['ctx'].get('tag'))}."
    message = problem["msg"].removeprefix("Value error, ").rstrip(".")
    if problem["type"] == "value_error":
        return _ended(f"{where}: {key}: {message}")
    return f"{where}: {key}: {message}; got {shown(problem['input'])}."


def _name(part: Any) -> str:
    """A key as it is, or quoted and cut where it would break the line or fill it."""
    text = str(part)
    return text if text.isprintable() and 0 < len(text) <= 60 else shown(text, 60)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else sentence + "."


def _walked(path: Sequence[Any]) -> tuple[type[BaseModel] | None, list[Any]]:
    """The table in which a path ends, if it is one of the schema, and the path as the file has it."""
    models: list[type[BaseModel]] = [Recipe]
    table: type[BaseModel] | None = Recipe
    said: list[Any] = []
    for part in path:
        chosen = [model for model in models if _use(model) == part]
        if len(models) > 1 and chosen:  # pydantic says which of several tables it took; the file does not have that
            models, table = chosen, chosen[0]
            continue
        said.append(part)
        if isinstance(part, int):
            continue
        table = models[0] if len(models) == 1 else None
        field = None if table is None else table.model_fields.get(str(part))
        models = [] if field is None else _models(field.annotation)
    return table, said


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
