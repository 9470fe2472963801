"""The step that sets single weights to zero: as many as asked for, and they stay zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from attar.errors import BadInput, NothingMatched
from attar.models.model import Model
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.pipeline.step import Tools
from attar.pipeline.steps.quantize import Quantize
from attar.pipeline.steps.sparsify import Sparsify
from attar.pruning.elements import weights_of
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.progress import Progress
from attar.training.settings import Training

NETWORK = Spec("attar.network.architectures:mlp", {"inputs": 64, "classes": 10, "hidden": [24, 12]})
TRAINING = Training(epochs=3, batch_size=32, learning_rate=0.05, checkpoint_seconds=0.0, weight_decay=1e-3)


@pytest.fixture
def model() -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model(NETWORK.build().eval(), NETWORK)


def step(training: Training = TRAINING, **fields: Any) -> Sparsify:
    table = {"use": "sparsify", "sparsity": 0.8, "every": 2, **fields}
    return Sparsify.model_validate(table).completed(Objective({"hard": Term(loss=HardLabels())}), training)  # type: ignore[return-value]


def zeros(network: nn.Module) -> dict[str, float]:
    return {name: float((one == 0).float().mean()) for name, one in weights_of(network).items()}


@pytest.mark.parametrize(
    "settings",
    [
        TRAINING,
        replace(TRAINING, optimizer="adamw", learning_rate=0.01, weight_decay=0.1),
        replace(TRAINING, ema_decay=0.9),
        replace(TRAINING, checkpoint="last", max_gradient_norm=1.0),
        replace(TRAINING, epochs=20, patience=1, learning_rate=1e-6),  # over before the plan is
    ],
    ids=["sgd", "adamw", "average", "last", "patience"],
)
def test_as_many_weights_are_zero_as_asked_for(settings: Training, tools: Tools, model: Model) -> None:
    made = step(settings).run(model, tools)
    for name, share in zeros(made.model.module).items():
        size = made.model.module.get_parameter(name).numel()
        assert share == pytest.approx(round(0.8 * size) / size)
    assert all(one["zeros"] == round(0.8 * one["weights"]) for one in made.facts["sparsify"]["tensors"])
    assert made.facts["sparsify"]["compressed"] < 0.5 * made.facts["sparsify"]["compressed_before"]
    assert made.model.spec == model.spec, "what is zero is in the weights"


def test_over_the_network_layers_lose_different_shares_and_what_is_skipped_none(tools: Tools, model: Model) -> None:
    shares = zeros(step(over="network", skip=["last"]).run(model, tools).model.module)
    *inner, last = shares
    weights = {name: model.module.get_parameter(name).numel() for name in inner}
    total = sum(weights.values())
    assert sum(weights[name] * shares[name] for name in inner) == pytest.approx(round(0.8 * total), abs=1e-3)
    assert shares[last] == 0 and len({round(shares[name], 3) for name in inner}) > 1


def test_a_stopped_training_goes_on_to_the_same_network(
    tools: Tools, model: Model, tmp_path: Path, stopped: Callable[[int], Progress]
) -> None:
    complete = step().run(model, replace(tools, folder=tmp_path))
    (tmp_path / "checkpoint.safetensors").unlink()

    with pytest.raises(KeyboardInterrupt):
        step().run(model, replace(tools, folder=tmp_path, progress=stopped(5)))
    again = step().run(model, replace(tools, folder=tmp_path))
    assert digest(again.model.module) == digest(complete.model.module) and again.facts == complete.facts


def test_low_bit_formats_come_after_it_and_names_must_fit(tools: Tools, model: Model) -> None:
    quantized = Quantize.model_validate({"use": "quantize", "weights": {"use": "uniform", "bits": 4}}).run(model, tools)
    with pytest.raises(BadInput, match="step sparsify before the step quantize"):
        step().run(quantized.model, tools)
    with pytest.raises(NothingMatched, match=r"'frist' fits none\. Did you mean 'first'\?"):
        step(skip=["frist"]).check(NETWORK, tools.dataset)
