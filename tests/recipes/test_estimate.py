"""What a run will take is known before it, and refused where the machine does not have it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from attar.data.datasets import load
from attar.errors import BadInput
from attar.network.architectures import mlp
from attar.network.weights import save_weights
from attar.recipes.compress import compress
from attar.recipes.estimate import seconds_per_step
from attar.recipes.plan import plan
from attar.training.settings import Training

Document = dict[str, Any]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.usefixtures("hurried")
def test_targets_that_do_not_go_onto_the_disk_are_refused(
    tiny: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny["transfer"] = {"views": {"count": 4, "noise": 0.1}}
    planned = plan(tiny, tmp_path / "no" / "run")
    assert planned.targets_bytes == planned.labels * 3 * 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**6, 10**6 - 1000, 1000))
    for do in (plan, compress):
        with pytest.raises(BadInput, match=r"targets of \d+ examples would take about .*kB, and .* are free in"):
            do(tiny, tmp_path / "no" / "run")


def test_a_plan_says_how_long_and_how_large(tiny: Document, tmp_path: Path) -> None:
    planned = plan(tiny, tmp_path / "run")
    assert "\nteacher   1 model, trained here; " in str(planned)
    assert planned.training_seconds is not None and 0 < planned.training_seconds < 600
    assert planned.timing_seconds == pytest.approx(2 * 0.01 * 3)
    assert planned.disk_bytes > planned.targets_bytes > 0
    assert planned.warnings == []
    said = str(planned)
    assert "of training on this CPU" in said and "on disk" in said
    tiny["objective"]["soft"]["weight"] = 0.0
    assert "warning   objective.soft.weight = 0" in str(plan(tiny, tmp_path / "run"))
    assert planned.to_json()["training_seconds"] == planned.training_seconds


def test_the_device_and_the_threads_of_a_plan_must_be_there(tiny: Document, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="device of the run"):
        plan(tiny, tmp_path / "run", device="tpu")
    tiny["threads"] = 100_000
    with pytest.raises(BadInput, match="threads of the recipe must be at most"):
        plan(tiny, tmp_path / "run")


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("do", [plan, compress])
def test_a_given_teacher_is_asked_before_anything_is_trained(do: Any, tiny: Document, tmp_path: Path) -> None:
    network = mlp(6, 3, [24])
    with torch.no_grad():
        network[1].weight[0, 0] = float("nan")  # type: ignore[index, union-attr]
    save_weights(network, tmp_path / "nan.safetensors")
    tiny["teacher"]["weights"] = [str(tmp_path / "nan.safetensors")]
    with pytest.raises(BadInput, match="NaN"):
        do(tiny, tmp_path / "run")
    assert not list(tmp_path.glob("run/nodes/student*"))
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    tiny["teacher"] = {"onnx": [str(tmp_path / "junk.onnx")]}
    with pytest.raises(BadInput, match=r"junk\.onnx"):
        do(tiny, tmp_path / "run")


def test_weights_of_another_network_are_told_by_a_plan(tiny: Document, tmp_path: Path) -> None:
    save_weights(mlp(6, 3, [9]), tmp_path / "other.safetensors")
    tiny["teacher"]["weights"] = [str(tmp_path / "other.safetensors")]
    with pytest.raises(BadInput, match="of shape"):
        plan(tiny, tmp_path / "run")


def test_a_network_that_cannot_take_a_step_has_no_time(blobs: Path) -> None:
    class Frozen(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("not in training")

    dataset = load(blobs)
    assert seconds_per_step(mlp(6, 3, [4]), dataset, Training()) is not None
    broken = Frozen()
    broken.weight = nn.Parameter(torch.zeros(1))
    assert seconds_per_step(broken, dataset, Training()) is None


def test_rows_that_do_not_go_into_memory_are_refused(tmp_path: Path, tiny: Document) -> None:
    draws = np.random.default_rng(0)
    lines = ["a,b,kind", *(f"{x:.3f},{x * x:.3f},{'big' if x > 0 else 'small'}" for x in draws.normal(size=120))]
    (tmp_path / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    tiny["data"] = {"use": str(tmp_path / "table.csv"), "target": "kind"}
    for part in ("teacher", "student"):
        tiny[part]["network"] = {"use": "attar.network.architectures:tabular", "arguments": {"hidden": [4]}}
    tiny["teacher"] = {"library": {}}
    tiny["transfer"] = {"synthesis": {"rows": 100_000_000}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.sysconf", lambda name: 1000)
        with pytest.raises(BadInput, match=r"rows would take 800.MB of memory, and this machine has 1\.00.MB"):
            plan(tiny, tmp_path / "run")
