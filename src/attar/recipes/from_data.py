"""A recipe from data and a teacher alone: what ``attar compress my.npz --teacher big.onnx`` means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from attar.data.limits import is_folder
from attar.data.named import NAMED
from attar.errors import BadInput, must, shown
from attar.network.references import Trust, names_function
from attar.recipes.changes import apply
from attar.recipes.files import named_after, usable
from attar.recipes.paths import ROWS
from attar.recipes.read import from_document, packages_of, recipe_of, with_budget
from attar.recipes.schema.recipe import Recipe
from attar.teachers.model_file import is_model_file, refused_file
from attar.teachers.pretrained import is_saved_model

Models = str | PathLike[str] | Sequence[str | PathLike[str]]
"""One teacher, or several as an ensemble."""

Limits = str | Sequence[str] | Mapping[str, Any]
"""See `attar.recipes.limits.limits_of`."""


def recipe_from_data(
    data: str | PathLike[str], teacher: Models, changes: Sequence[str] = (), *, allow: Sequence[str] = ()
) -> Recipe:
    """The recipe in which a teacher is made small on data, and all else is as usual: a search finds the student.

    Args:
        data: What ``data.use`` takes: a file, a folder, a function, or the name of a data set.
        teacher: ONNX files, several as an ensemble; a file with a fitted model (`read_model`); the folder of a model of
            transformers; or ``package.module:function`` that returns a fitted model or a network. Functions may be in
            modules of the working folder.
        changes: ``dotted.key=value`` each, as `attar.recipes.read.read` takes them.
        allow: Packages whose functions it may name besides.

    Raises:
        BadInput: If the teacher is nothing of that, the data are a recipe, or a change breaks a rule.
    """
    given: object = data
    if not isinstance(given, str | PathLike):
        remedy = "For live data use attar.fit, or save them with numpy.savez"
        raise must("data", "attar compress", "a path, or the name of a data set", given, remedy)
    text = str(usable(str(data), "DATA"))
    if str(data).endswith("/") and text in NAMED:  # a folder that is called like a data set
        text = f"./{text}"
    if Path(text).suffix.lower() == ".toml":
        raise BadInput(
            f"{shown(text)} is a recipe, which names its teacher itself. Leave the teacher out, or name data instead."
        )
    document: dict[str, Any] = {
        "name": _name_of(text),
        "data": {"use": text},
        "teacher": teacher_table(teacher),
    }
    for change in changes:
        apply(document, change)
    student = document.get("student", {})
    if isinstance(student, Mapping) and "network" not in student:
        document.setdefault("search", {})
    return from_document(document, "attar compress", Trust(Path.cwd(), packages_of(allow)))


def _name_of(data: str) -> str:
    """What a run is called after its data."""
    path = Path(data)
    if is_folder(path):
        return named_after(path.resolve().name)
    return named_after(path.stem if path.suffix.lower() in ROWS else data)


def asked_recipe(
    recipe: Recipe | Mapping[str, Any] | str | Path | None,
    *,
    data: str | PathLike[str] | None = None,
    teacher: Models | None = None,
    student: str | None = None,
    search: Mapping[str, Any] | None = None,
    budget: Limits | None = None,
    allow: Sequence[str] = (),
) -> Recipe:
    """The recipe that a call means, which names one, or data and a teacher.

    Args:
        recipe: See `attar.recipes.read.recipe_of`; None where data and teacher are given.
        data: See `recipe_from_data`.
        teacher: Likewise.
        student: Name of a default student; with data and teacher alone.
        search: What is other than usual in the table ``[search]``; with data and teacher alone.
        budget: Limits that go over those of the recipe.
        allow: Packages whose functions it may name.

    Raises:
        BadInput: If there is neither a recipe nor both of the others, or all of it.
    """
    if recipe is None:
        if data is None or teacher is None:
            missing = "a recipe, or data and a teacher" if data is teacher else "data" if data is None else "a teacher"
            raise BadInput(
                f"attar.compress needs {missing}. Name a recipe, as in attar.compress('digits'), or both as in "
                "attar.compress(data='my.npz', teacher='big.onnx')."
            )
        chosen = recipe_from_data(data, teacher, allow=allow)
        document = chosen.document()
        if student is not None:
            document = {**document, "student": student}
        if student is not None and search is None:
            del document["search"]
        if search is not None:
            document = {**document, "search": search}
        return with_budget(from_document(document, "attar.compress", chosen.trust), budget)
    others = {"data": data, "teacher": teacher, "student": student, "search": search}
    for name, value in others.items():
        if value is not None:
            raise BadInput(
                f"attar.compress takes a recipe, which says what {name} is, or {name} itself; got both. Leave one of "
                "them out."
            )
    return with_budget(recipe_of(recipe, allow), budget)


def teacher_table(given: object) -> dict[str, Any]:
    """The table of a teacher that is given by its files, or by the function that returns it.

    Raises:
        BadInput: If it is neither, with what to do.
    """
    files: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
    for one in files:
        if not isinstance(one, str | PathLike):
            rule = "paths of ONNX files, or the name of a function"
            raise must("teacher", "attar compress", rule, one, "Export it to ONNX, or write a recipe")
    names = [str(usable(str(one), "TEACHER")) for one in files]
    if not names:
        raise must("teacher", "attar compress", "one model or more", names, "Name an ONNX file")
    if len(names) == 1 and (names_function(names[0]) or is_model_file(names[0])):
        return {"estimator": names[0]}
    if len(names) == 1 and is_saved_model(names[0]):
        return {"transformers": names[0]}
    for name in names:
        ending = Path(name).suffix.lower()
        if ending == ".onnx":
            continue
        remedy = "Export it to ONNX"
        if ending == ".safetensors":
            remedy = "Weights need their network: write a recipe with teacher.network and teacher.weights"
        elif why := refused_file(name):
            remedy = f"It {why}"
        elif is_model_file(name):
            remedy = "Of fitted models one alone can be the teacher"
        elif names_function(name):
            remedy = "Of functions one alone can be the teacher"
        rule = "ONNX files, a fitted model or package.module:function"
        raise must("teacher", "attar compress", rule, name, remedy)
    return {"onnx": names}
