"""The public names of Attar in groups, for autodoc to describe."""

from __future__ import annotations

import inspect

import attar
from generate.markdown import code, summary, table

GROUPS = {
    "recipes": "Runs",
    "data": "Data and targets",
    "tables": "Data and targets",
    "tasks": "Tasks",
    "teachers": "Teachers",
    "training": "Training",
    "ops": "Granularity, and targets of the top k",
    "quantization": "Low-bit formats",
    "network": "Networks",
    "deployment": "Deployment",
    "evidence": "Evidence",
    "tracking": "Trackers",
    "estimators": "The scikit-learn face",
    "errors": "Errors",
}
"""The heading for names of a folder of the package."""


def named() -> dict[str, list[str]]:
    """Names by their headings.

    Raises:
        KeyError: If a name comes from a folder that has no heading; give it one in `GROUPS`.
    """
    found: dict[str, list[str]] = {heading: [] for heading in GROUPS.values()}
    for name in attar.__all__:
        if not name.startswith("__"):
            found[GROUPS[_folder(name)]].append(name)
    return {heading: names for heading, names in found.items() if names}


def _folder(name: str) -> str:
    return attar._HOMES[name].partition(":")[0].split(".")[1]


def _directive(name: str) -> str:
    thing = getattr(attar, name)
    if not inspect.isclass(thing):
        return f".. autofunction:: attar.{name}\n"
    options = "   :show-inheritance:\n" if issubclass(thing, Exception) else "   :members:\n"
    return f".. autoclass:: attar.{name}\n{options}"


def public_names() -> str:
    """An overview, and then each name with all that its docstring says."""
    pieces = []
    for heading, names in named().items():
        rows = [(f"[{code(name)}](#attar.{name})", summary(getattr(attar, name))) for name in names]
        pieces.append(f"## {heading}\n\n{table(('name', 'what it is'), rows)}")
        pieces.append("```{eval-rst}\n" + "\n".join(map(_directive, names)) + "```\n")
    return "\n".join(pieces)
