"""Devices and precision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_training import (
    HARD,
    SETTINGS,
    perceptron,
    rows_of,
    same,
    weights,
)
from torch import Tensor

from attar.errors import BadInput
from attar.training.batch import Batch
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term


def test_bf16_is_refused_on_a_cpu_without_it(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(BadInput, match="precision of Training must be 32-true on this CPU, which has no bf16; got"):
        fit(perceptron(), HARD, rows_of(), settings=replace(SETTINGS, precision="bf16-mixed"))


def test_bf16_trains_float32_weights(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    seen = []
    loss = HardLabels()

    def watched(output: Tensor, batch: Batch) -> Tensor:
        seen.append(output.dtype)
        return loss(output, batch)

    settings = replace(SETTINGS, precision="bf16-mixed", micro_batch_size=2)
    fitted = fit(perceptron(), Objective({"hard": Term(loss=watched)}), rows_of(), settings=settings)
    reference = fit(perceptron(), HARD, rows_of(), settings=SETTINGS)
    assert {parameter.dtype for parameter in fitted.model.parameters()} == {torch.float32}
    assert not same(fitted.model, reference.model)
    torch.testing.assert_close(weights(fitted.model), weights(reference.model), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("device", ["tpu", "", "cuda", "cuda:0", "cpu:1", "gpu"])
def test_a_device_that_is_not_there_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match=rf"device of the run must be .*; got '{device}'"):
        make_fabric(device)


@pytest.mark.parametrize("device", ["cuda:2", "cuda:-1", "cuda:x"])
def test_a_gpu_that_is_not_there_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadInput, match=f"device of the run must be below cuda:2; got '{device}'"):
        make_fabric(device)
