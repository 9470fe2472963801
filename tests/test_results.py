"""Committed results: each one says what it claims, and the claims follow from its figures."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from attar.records import read_record

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
RESULTS = sorted((BENCHMARKS / "results").glob("*.json"))


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in ("result", "state_claims"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("state_claims")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_has_claims(path: Path) -> None:
    claims = json.loads(path.read_text(encoding="utf-8")).get("claims")
    assert claims, "write them with the benchmark, or in benchmarks/state_claims.py"
    for claim in claims:
        assert claim["claim"] and {"aim", "reached", "met"} <= claim.keys()
        assert (claim["met"] is None) == (claim["aim"] is None), "met where there was an aim"


def test_claims_follow_from_the_figures_that_are_committed(stated: ModuleType) -> None:
    for name, claims_of in stated.CLAIMS.items():
        document = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))
        assert document["claims"] == [*claims_of(document)], name


def test_evidence_with_claims_is_a_record_that_is_as_it_was_written() -> None:
    document = read_record(BENCHMARKS / "results" / "digits.json", "Run state_claims.py.")
    assert document["claims"][0]["met"] is True


@pytest.mark.parametrize(
    ("reached", "aim", "more", "met"),
    [
        (1.0, 1.0, {}, True),
        (0.9, 1.0, {}, False),
        (0.9, 1.0, {"at_most": True}, True),
        (0.5, 0.0, {"interval": [-0.1, 1.1], "surely": True}, False),
        (0.5, 0.0, {"interval": [0.1, 0.9], "surely": True}, True),
        (0.5, 0.0, {"interval": None, "surely": True}, False),
        (0.5, None, {}, None),
    ],
)
def test_a_claim_is_met_as_it_says(
    reached: float, aim: float | None, more: dict[str, object], met: bool | None, stated: ModuleType
) -> None:
    assert stated.claim("", reached, aim, **more)["met"] is met
