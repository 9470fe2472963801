"""The public names: each resolves, checkers see the same ones as the interpreter, and importing costs nothing."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import attar


def _seen_by_checkers() -> dict[str, str]:
    """Public name to ``module`` or ``module:name``, from the imports under TYPE_CHECKING."""
    tree = ast.parse(Path(str(attar.__file__)).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    found = {}
    for node in guarded.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname is not None, "an import without 'as' is not exported under mypy --strict"
                found[alias.asname] = f"{node.module}:{alias.name}"
    return found


@pytest.mark.parametrize("name", attar.__all__)
def test_public_name_resolves_and_is_kept(name: str) -> None:
    value = getattr(attar, name)
    assert value is not None
    assert vars(attar)[name] is value, "the second access must not import again"
    assert name in dir(attar)


def test_nothing_but_public_names_is_listed() -> None:
    assert dir(attar) == sorted(attar.__all__)
    document = attar.__doc__ or ""
    spoken = set(re.findall(r"`(\w+)", document)) - {"import"}
    assert spoken <= set(attar.__all__), "what the first page of help() speaks of is there"


def test_checkers_see_the_names_that_the_interpreter_gives() -> None:
    seen = _seen_by_checkers()
    assert sorted([*seen, "__version__"]) == sorted(attar.__all__)
    for name, home in seen.items():
        module, _, there = home.partition(":")
        assert getattr(attar, name) is getattr(importlib.import_module(module), there)


def test_version_is_that_of_the_package() -> None:
    assert attar.__version__ == importlib.metadata.version("attar")


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'attar' has no attribute 'distill'"):
        attar.distill  # type: ignore[attr-defined]  # noqa: B018


def test_package_says_that_it_is_typed() -> None:
    assert Path(str(attar.__file__)).with_name("py.typed").is_file()


def test_importing_attar_and_its_errors_loads_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "scipy", "sklearn", "pydantic", "onnxruntime", "pyarrow", "altair", "rich", "typer"]
    code = f"import sys, attar; attar.BadInput; dir(attar); print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_no_network_library() -> None:
    code = "import sys, attar.cli; print(sorted({'torch', 'sklearn', 'onnxruntime', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_loads_what_only_some_runs_need_when_they_need_it() -> None:
    waits = ["sklearn", "pandas", "altair", "jinja2", "onnxscript", "onnxruntime", "openvino", "numba", "skops"]
    waits += ["torch._dynamo", "lightning_fabric", "scipy.optimize", "scipy.stats", "scipy.ndimage"]
    code = f"import sys, attar.recipes.compress; print(sorted(set({waits}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
