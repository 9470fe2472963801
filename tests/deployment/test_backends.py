"""The dict of backends: every file is in it, each serves what no other does, and each says all that it must."""

from __future__ import annotations

from itertools import product
from pkgutil import iter_modules

import pytest

from attar.deployment import backends
from attar.deployment.backends import BACKENDS, RUNTIMES, backend_of, backends_of
from attar.deployment.backends.backend import Backend
from attar.deployment.candidate import Candidate


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


def test_no_two_write_the_same_precision_for_one_runtime() -> None:
    for runtime in RUNTIMES:
        precisions = [precision for backend in backends_of(runtime) for precision in backend.PRECISIONS]
        assert len(precisions) == len(set(precisions))
        assert "fp32" in precisions
    assert backend_of("torch", "w4") is None
    assert backend_of("tensorrt", "fp32") is None
