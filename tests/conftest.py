"""A whole recipe on made-up data that runs in a second: what tests of recipes and of the command line share."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import inspect
import os
import subprocess
import sys
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
    """What decorates Attar's functions under test: types are checked once a call, and shapes remembered for those alone
    that speak of any.

    What jaxtyping puts there itself binds the arguments of each call and checks them twice, before it and with what it
    gives, and needs two more functions for each.
    """

    def decorate(thing: Any) -> Any:
        if inspect.isclass(thing):
            start = vars(thing).get("__init__")
            generated = isinstance(start, types.FunctionType) and start.__code__.co_filename == "<string>"
            if generated and dataclasses.is_dataclass(thing):
                thing.__init__ = checked(start, off=True)
            return thing
        # An estimator checks its settings in fit. That its __init__ is left alone is written behind it, where jaxtyped
        # alone finds it.
        if not isinstance(thing, types.FunctionType) or thing.__module__ == "attar.estimators.mimic":
            return jaxtyped(thing, typechecker=typechecker)
        return checked(thing)

    def checked(function: types.FunctionType, off: bool = False) -> Any:
        # To prepare the checks takes a millisecond or two, and an inner function is made anew each time that the one
        # around it is called: a sixth of the time of a whole run.
        inner = None
        if not off and "<locals>" in function.__qualname__:
            inner = function.__module__, function.__qualname__, function.__code__
        if inner in _PREPARED:
            prepared, shapes = _PREPARED[inner]
            strict = function if prepared is None else _for_another(prepared, function)
        else:
            try:
                hints = typing.get_type_hints(function, include_extras=True)
            except NameError:  # a name that is defined later, or is there for the type checker alone
                return jaxtyped(function, typechecker=typechecker)
            shapes = any(map(_has_shapes, hints.values()))
            if shapes and inspect.isgeneratorfunction(function):  # it runs when the call is long over
                return jaxtyped(function, typechecker=typechecker)
            written, function.__annotations__ = function.__annotations__, hints
            strict = typechecker(function)
            strict.__annotations__ = function.__annotations__ = written
            if inner is not None:
                _PREPARED[inner] = None if strict is function else strict, shapes
        if not shapes and not off:
            return strict

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if jaxtyping.config.jaxtyping_disable:
                return function(*args, **kwargs)
            with jaxtyped("context") if shapes else _NOTHING:
                return strict(*args, **kwargs)

        return call

    return decorate


def _for_another(prepared: types.FunctionType, function: types.FunctionType) -> Any:
    """What beartype made of an inner function, for the one that another call made of the same code."""
    again = types.FunctionType(prepared.__code__, prepared.__globals__, prepared.__name__)
    again.__kwdefaults__ = {**prepared.__kwdefaults__, "__beartype_func": function}
    again.__dict__.update(prepared.__dict__)
    return functools.update_wrapper(again, function)


_PREPARED: dict[Any, tuple[types.FunctionType | None, bool]] = {}
"""Inner functions that were made before: with their checks (None without any), and whether shapes are among these."""

_NOTHING = contextlib.nullcontext()

# The import hook writes this name above every function of a module, which is imported after this file.
jaxtyping.jaxtyped = _checked

if sys.version_info < (3, 12):  # it works out the attributes of a protocol each time that something is held against it
    typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)


def _as_if_flushed(file: Any) -> None:
    """Nothing of a test outlives the machine: to wait for the disk, a hundred times a run, would show nothing."""
    os.fstat(file if isinstance(file, int) else file.fileno())


os.fsync = _as_if_flushed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end no process is left alone with one, while the others wait."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: no collection of garbage need go through them again."""
    gc.collect()
    gc.freeze()


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


RANKS = """
import os, runpy, socket, sys, traceback
from importlib import import_module

import torch.distributed

preload, alone, *sys.argv = sys.argv[1:]
for module in preload.split():
    import_module(module)


def started(**environment):
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        os.environ.update(environment)
        runpy.run_path(sys.argv[0], run_name="__main__")
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
torchrun = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
processes = [started(**torchrun, RANK=rank, LOCAL_RANK=rank) for rank in "01"] + ([started()] if alone else [])
codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
sys.exit(0 if not any(codes) else f"exit codes {codes}")
"""


TRAINING = "attar.training.fit torch._dynamo"
"""What a training imports, half of it with its first optimizer."""


def _in_ranks(script: Path, *arguments: str, alone: bool = False, preload: str = TRAINING) -> None:
    command = [sys.executable, "-c", RANKS, preload, "alone" if alone else "", str(script), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def in_ranks() -> Callable[..., None]:
    """Runs a script as the two processes that torchrun would start, and with ``alone`` as one more that is by itself.

    All are forked from one interpreter, which has imported what ``preload`` names: that takes longer than what they
    do. torchrun itself is run by the test of a whole run.
    """
    return _in_ranks


@pytest.fixture
def briefly_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mimic chooses what it learns from by trainings of some steps; what it chooses has tests of its own."""
    for name, value in (("STEPS", 20), ("STEPS_ALONE", 20), ("SYNTHETIC", 200), ("FOLDS", 1)):
        monkeypatch.setattr(f"attar.estimators.trials.{name}", value)


@pytest.fixture(scope="session")
def hurried() -> Iterator[None]:
    """Runs without what takes long and has tests of its own.

    Peak memory is measured in fresh interpreters, which take seconds each, and settings of a synthesis are chosen by a
    dozen trainings, which may be short here.
    """
    with pytest.MonkeyPatch.context() as patch:
        for place in ("attar.recipes.measured", "attar.evidence.measure"):
            patch.setattr(f"{place}.peak_memory", lambda *_, **__: 123_456)
        patch.setattr("attar.pipeline.tuning.TUNING_STEPS", 20)
        yield
