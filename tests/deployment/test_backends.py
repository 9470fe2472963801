"""The dict of backends: every file is in it, each serves what no other does, and each says all that it must."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

import pytest

import attar
from attar.deployment import backends
from attar.deployment.backends import BACKENDS, EAGER, PORTABLE, RUNTIMES, backend_of, backends_of, openvino
from attar.deployment.backends.backend import Backend, Precision
from attar.deployment.candidate import Candidate
from attar.deployment.candidates import candidate_of, candidates, full_precision
from attar.errors import BadInput


def test_every_file_of_the_folder_is_in_the_dict() -> None:
    assert {found.name for found in iter_modules(backends.__path__)} - {"backend"} == set(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_each_is_a_backend_and_names_what_it_offers(name: str) -> None:
    backend = BACKENDS[name]
    assert isinstance(backend, Backend)
    assert backend.RUNTIMES and backend.PRECISIONS
    offered = backend.precisions(None)
    assert {precision for precision, _ in offered.values()} <= set(backend.PRECISIONS)
    # What is offered for every student needs no formats.
    assert not any(backend.PRECISIONS[precision].quantized for precision, _ in offered.values())
    for runtime, (precision, kind) in product(backend.RUNTIMES, backend.PRECISIONS.items()):
        candidate = Candidate("it", runtime, precision, {key: values[0] for key, values in kind.settings.items()})
        assert candidate.backend is backend
        tolerance = backend.tolerance(candidate)
        assert tolerance is None or 0 < tolerance < 1
        assert isinstance(backend.rebuilds(candidate), bool)
        assert candidate.title.startswith(f"{backend.TITLES[runtime]}, ")
        assert not (backend.PORTABLE and backend.rebuilds(candidate))


def test_no_two_write_the_same_precision_for_one_runtime() -> None:
    for runtime in RUNTIMES:
        precisions = [precision for backend in backends_of(runtime) for precision in backend.PRECISIONS]
        assert len(precisions) == len(set(precisions))
        assert "fp32" in precisions
    assert backend_of("torch", "w4") is None
    assert backend_of("tensorrt", "fp32") is None


def test_no_two_candidates_have_one_title() -> None:
    titles = [one.title for one in candidates()]
    assert len(titles) == len(set(titles))
    assert "ONNX Runtime, int8, 7-bit weights" in titles
    assert Candidate("it", "onnxruntime", "w4").title == "ONNX Runtime, 4-bit weights"
    assert Candidate("it", "torch", "packed").title == "PyTorch, packed low-bit weights"


def test_what_others_need_to_know_of_runtimes_is_what_backends_say() -> None:
    assert (EAGER, PORTABLE) == ("torch", "onnxruntime")
    assert [full_precision(runtime) for runtime in RUNTIMES] == [Candidate(f"{one} fp32", one) for one in RUNTIMES]
    assert {one.name for one in candidates() if one.kind.calibrated} == {
        one.name for one in candidates() if one.precision == "int8"
    }


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A runtime of a backend that writes int8 alone."""
    whole = {"int8": Precision("model.bin", calibrated=True)}
    changes = {"RUNTIMES": ("npu",), "PRECISIONS": whole, "precisions": lambda _: {"int8": ("int8", {})}}
    backend: Any = SimpleNamespace(**vars(openvino) | changes)
    changed: Mapping[str, Backend] = {**BACKENDS, "npu": backend}
    monkeypatch.setattr(backends, "BACKENDS", changed)
    for module in ("attar.deployment.candidate", "attar.deployment.candidates"):
        monkeypatch.setattr(f"{module}.RUNTIMES", (*RUNTIMES, "npu"))
    yield "npu"


def test_a_runtime_without_float32_is_found_by_its_name(another: str) -> None:
    assert candidate_of(another) == candidate_of("npu int8") == Candidate("npu int8", "npu", "int8")
    assert candidate_of("torch") == Candidate("torch fp32", "torch")
    assert full_precision(another) is None
    assert [one.name for one in candidates([another, "torch"], int8=False)] == ["torch fp32"]
    with pytest.raises(BadInput, match=r"another precision than int8, which is left out; got \['npu'\]\. Allow int8"):
        candidates([another], int8=False)
    with pytest.raises(
        BadInput, match=r"candidate of deploy must be a known name; got 'npu fp32'\. Choose from 'npu', 'npu int8'"
    ):
        candidate_of("npu fp32")


_PACKAGES = ("quiet", "get", "import_module", "import_untracked")
"""Functions whose argument is a package, which may be called as a runtime is."""

_OF_ITS_OWN = {
    "teachers/onnx.py": {"onnxruntime"},
    "cli/progress.py": {"torch"},
    "deployment/quiet.py": {"openvino"},
    "deployment/torch_needed.py": {"torch"},
    "evidence/layer_timer.py": {"onnxruntime"},
}
"""What runs files of its own and says so, what waits for a package, what keeps one quiet, what imports one, and what
times layers in it."""


_SUSPICIOUS = f"{'|'.join(set(RUNTIMES) - {EAGER})}|[\"']{EAGER}[\"']|deployment.backends"


def test_nothing_but_backends_names_a_backend_or_a_runtime() -> None:
    source = Path(attar.__file__).parent
    found = {}
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source).as_posix()
        text = path.read_text(encoding="utf-8")
        if name.startswith("deployment/backends/") or not re.search(_SUSPICIOUS, text):
            continue
        if named := set(_named(ast.parse(text))) - _OF_ITS_OWN.get(name, set()):
            found[name] = named
    assert found == {}
    assert set(_named(ast.parse('x = f"run by {y} in openvino alone"'))) == {"openvino"}
    assert set(_named(ast.parse("from attar.deployment.backends.packed import RUNTIMES"))) == {"packed"}


def _named(tree: ast.AST) -> Iterator[str]:
    """Runtimes in texts that are no docstrings (torch, a package of many uses, as a whole one), and imports."""
    packages = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) in _PACKAGES
        for argument in call.args
    }
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in packages | texts:
            words = set(re.findall(r"[a-z]+", node.value)) - {EAGER} | {node.value}
            yield from words & set(RUNTIMES)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(backends.__name__ + "."):
            yield from {node.module.removeprefix(backends.__name__ + ".")} & set(BACKENDS)
        if isinstance(node, ast.ImportFrom) and node.module == backends.__name__:
            yield from {one.name for one in node.names} & set(BACKENDS)
