"""Pruning on the command line: what cannot go is named, and what was not reached is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from torch import nn

from attar.cli.main import run
from attar.pruning.latency import NetworkTime

Document = dict[str, Any]

pytestmark = pytest.mark.usefixtures("hurried")

TWICE_AND_TIED = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Linear(6, 12), nn.Linear(12, 12)
        self.one, self.other = nn.Linear(12, 12), nn.Linear(12, 12)
        self.other.weight = self.one.weight
        self.inner, self.last = nn.Linear(12, 24), nn.Linear(24, 3)

    def forward(self, x):
        x = torch.relu(self.again(torch.relu(self.again(torch.relu(self.first(x))))))
        x = torch.relu(self.other(torch.relu(self.one(x))))
        return self.last(torch.relu(self.inner(x)))

def network():
    return Network()
"""


@pytest.fixture
def compressed(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Document]]:
    """Runs a recipe with other steps: the exit code, and the evidence."""
    monkeypatch.chdir(tmp_path)
    tiny["baseline"] = False

    def compress(*steps: Document) -> tuple[int, Document]:
        tiny["student"]["steps"] = list(steps)
        Path("recipe.toml").write_text(tomli_w.dumps(tiny), encoding="utf-8")
        code = run(["compress", "recipe.toml", "--out", "out"])
        assert code != 2, capsys.readouterr().err
        return code, json.loads(Path("out/evidence.json").read_text(encoding="utf-8"))

    return compress


def facts() -> Document:
    """What the step that pruned remembered."""
    (record,) = Path("out/nodes").glob("student/0/*-prune-*/node.json")
    found: Document = json.loads(record.read_text(encoding="utf-8"))["result"]["facts"]["prune"]
    return found


def test_a_layer_that_is_used_twice_and_tied_weights_stay_and_the_rest_goes(
    tiny: Document, compressed: Callable[..., tuple[int, Document]]
) -> None:
    Path("mine.py").write_text(TWICE_AND_TIED, encoding="utf-8")
    tiny["student"]["network"] = {"use": "mine:network"}
    compressed({"use": "distill"}, {"use": "prune", "to": {"macs": "0.9x"}})
    assert [one["group"] for one in facts()["groups"]] == ["inner"]
    untouched = facts()["untouched"]
    assert untouched["again"] == "it is used more than once"
    assert untouched["one"] == "it shares weights with 'other'"


def test_a_quantized_network_is_pruned_and_quantized_again(compressed: Callable[..., tuple[int, Document]]) -> None:
    bits = {"use": "quantize", "weights": {"use": "uniform", "bits": 4}}
    assert compressed({"use": "distill"}, bits, {"use": "prune", "to": {"macs": "0.6x"}}, bits)[0] == 0
    assert facts()["cost"] <= facts()["target"]


def test_what_comes_nearest_to_a_target_ships_and_is_said_to_miss_it(
    compressed: Callable[..., tuple[int, Document]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(_: object, network: nn.Module) -> NetworkTime:  # as long as before, whatever goes
        return NetworkTime(total=1.0, layers=0.9, others=0.0, unit_ms=1.0)

    monkeypatch.setattr("attar.pipeline.costs.Measured._timed", timed)
    monkeypatch.setattr(
        "attar.evidence.layer_timer.LayerTimer.__call__", lambda _, shape, cells: [0.1 * a * b for a, b in cells]
    )
    code, evidence = compressed({"use": "distill"}, {"use": "prune", "to": {"latency": "0.9x"}, "every": 2})
    assert code == 0, "exit codes are about the budget"
    assert facts()["cost"] > facts()["target"]
    (said,) = [one for one in evidence["warnings"] if "target" in one]
    assert said.startswith("student.steps.1 (prune): The target was not reached: ")
