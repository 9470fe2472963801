"""A whole recipe on made-up data that runs in a second: what tests of recipes and of the command line share."""

from __future__ import annotations

import gc
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import tomli_w
from hypothesis import settings

Document = dict[str, Any]

# How long an example takes says nothing on a busy machine; and the same tests give the same result each time.
settings.register_profile("attar", deadline=None, derandomize=True)
settings.load_profile("attar")

jaxtyped = jaxtyping.jaxtyped


def _has_shapes(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(_has_shapes(part) for part in typing.get_args(hint))


def _checked(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What decorates Attar's functions under test: shapes are remembered only where a function speaks of any.

    To bind the arguments of a call and to remember the shapes of its arrays takes seven times as long as to check the
    types, and most functions have no arrays.
    """

    def decorate(thing: Any) -> Any:
        if inspect.isclass(thing):
            start = vars(thing).get("__init__")
            generated = isinstance(start, types.FunctionType) and start.__code__.co_filename == "<string>"
            return jaxtyped(thing, typechecker=typechecker) if generated else thing
        # An estimator checks its settings in fit. That its __init__ is left alone is written behind it, where jaxtyped
        # alone finds it.
        if not isinstance(thing, types.FunctionType) or thing.__module__ == "attar.estimators.mimic":
            return jaxtyped(thing, typechecker=typechecker)
        try:
            hints = typing.get_type_hints(thing, include_extras=True)
        except NameError:  # a name that is defined later, or is there for the type checker alone
            return jaxtyped(thing, typechecker=typechecker)
        if any(map(_has_shapes, hints.values())):
            return jaxtyped(thing, typechecker=typechecker)
        written, thing.__annotations__ = thing.__annotations__, hints
        checked = typechecker(thing)
        checked.__annotations__ = thing.__annotations__ = written
        return checked

    return decorate


# The import hook writes this name above every function of a module, which is imported after this file.
jaxtyping.jaxtyped = _checked

FEATURES, CLASSES = 6, ("ant", "bee", "cat")


def _arrays(rows: int = 200, classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    """Blobs that overlap a little: nobody gets all of them right."""
    draws = np.random.default_rng(0)
    y = np.arange(rows) % len(classes)
    centers = draws.normal(size=(len(classes), FEATURES))
    x = (centers[y] + draws.normal(scale=0.7, size=(rows, FEATURES))).astype("float32")
    return {"x": x, "y": y, "classes": np.array(classes)}


def _network(hidden: int, classes: int = len(CLASSES)) -> Document:
    arguments = {"inputs": FEATURES, "classes": classes, "hidden": [hidden]}
    return {"use": "attar.network.architectures:mlp", "arguments": arguments}


def _document(data: Path | str) -> Document:
    return {
        "name": "tiny",
        "title": "A tiny run",
        "data": {"use": str(data), "validation": 0.25},
        "teacher": {"network": _network(24), "training": {"epochs": 4, "batch_size": 32}},
        "student": {"network": _network(4), "training": {"epochs": 4, "batch_size": 32}},
        "objective": {
            "soft": {"use": "soft_targets", "temperature": 2.0, "weight": 0.5},
            "hard": {"use": "hard_labels", "weight": 0.5},
        },
        "budget": {"quality_loss": "100%"},
        "artifacts": {"runtimes": ["torch"], "int8": False, "seconds": 0.01},
    }


@pytest.fixture(scope="session")
def arrays() -> Callable[..., dict[str, Any]]:
    """Makes the arrays ``x``, ``y`` and ``classes`` of a small task."""
    return _arrays


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as an archive."""
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, **_arrays())
    return path


@pytest.fixture
def tiny(blobs: Path) -> Document:
    """A fresh document of a recipe that runs in a second, on the archive, deployed to torch alone."""
    return _document(blobs)


@pytest.fixture(scope="session")
def tiny_file(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recipe as a file."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(tomli_w.dumps(_document(blobs)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def hurried() -> Iterator[None]:
    """Runs without what takes long and has tests of its own.

    Peak memory is measured in fresh interpreters, which take seconds each; settings of a synthesis are chosen by a
    dozen trainings, which may be short here; and a race begins with a collection of
    garbage, which goes through everything that pytest and the libraries hold unless that is set aside.
    """
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        for place in ("attar.recipes.measured", "attar.evidence.measure"):
            patch.setattr(f"{place}.peak_memory", lambda *_, **__: 123_456)
        patch.setattr("attar.pipeline.tuning.TUNING_STEPS", 20)
        yield
    gc.unfreeze()
