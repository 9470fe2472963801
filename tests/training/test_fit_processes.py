"""The loop in several processes: the gradient, the history and the choices of one."""

from __future__ import annotations

import pytest
import torch

from attar.network.weights import read_tensors

SCRIPT = """
import sys
from contextlib import contextmanager
from pathlib import Path
import torch
from torch import nn
from attar.errors import BadInput
from attar.network.weights import save_weights
from attar.training.batch import Batch
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.settings import Training

class Rows:
    def __init__(self, count, classes=3):
        draw = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(count, 4, generator=draw, dtype=torch.float64)
        self.targets = torch.randn(count, 3, generator=draw, dtype=torch.float64)
        self.labels = self.targets.argmax(-1)
        # Unequal shares of what counts: everything that does is in the first half.
        self.mask = torch.rand(count, generator=draw) < 0.6
    def __len__(self):
        return len(self.inputs)
    def batch(self, rows, epoch):
        return Batch(self.inputs[rows], self.labels[rows], self.targets[rows], rows, self.mask[rows])

def network(*middle):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Linear(6, 3)).double()

folder, fabric = Path(sys.argv[1]), make_fabric()
processes = fabric.world_size
objective = Objective({"soft": Term(loss=SoftTargets()), "hard": Term(loss=HardLabels(), weight=0.5)})
settings = Training(
    epochs=4, batch_size=7, micro_batch_size=2, learning_rate=0.1, checkpoint="last", max_gradient_norm=0.5
)
fitted = fit(network(), objective, Rows(20), settings=settings, fabric=fabric, validation=Rows(9))
seen = [entry.to_json() for entry in fitted.history]
# Batch norm sees each process's own examples, so that the scores differ unless one process speaks for all; they must
# all stop in the same epoch, or those that go on wait for ever.
early = Training(epochs=12, batch_size=7, learning_rate=1.0, patience=1)
stopped = fit(network(nn.BatchNorm1d(6)), objective, Rows(20), settings=early, fabric=fabric, validation=Rows(9))
scores = [entry.score for entry in stopped.history]
# Each drops other units; the first one writes the checkpoint, and all continue from it.
@contextmanager
def killed(title, total):
    calls = iter(range(6))
    def advance(steps):
        if next(calls, None) is None:
            raise KeyboardInterrupt
    yield advance

dropping = Training(epochs=3, batch_size=7, learning_rate=0.1, ema_decay=0.5, checkpoint_seconds=0)
def resumable(file, **more):
    student = network(nn.BatchNorm1d(6), nn.Dropout(0.5))
    return fit(student, objective, Rows(20), settings=dropping, validation=Rows(9), checkpoint_file=file, **more)

unbroken = resumable(None).model.state_dict()
file = folder / f"checkpoint-{processes}"
try:
    resumable(file, progress=killed)
except KeyboardInterrupt:
    resumed = resumable(file).model.state_dict()
alike = all(torch.equal(resumed[name], value) for name, value in unbroken.items())
refused = ""
try:
    fit(network(), objective, Rows(1), fabric=fabric)
except BadInput as error:
    refused = str(error)
save_weights(fitted.model, folder / f"{processes}-{fabric.global_rank}.safetensors",
             {"history": seen, "scores": scores, "refused": refused, "alike": alike})
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, in_ranks):
    script = tmp_path / "training.py"
    script.write_text(SCRIPT)
    in_ranks(script, str(tmp_path), alone=True)
    one, first, second = (read_tensors(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    for name, value in one[0].items():
        torch.testing.assert_close(first[0][name], value, rtol=1e-9, atol=1e-12)
        assert torch.equal(first[0][name], second[0][name])
    assert first[1]["history"] == second[1]["history"]
    for mine, theirs in zip(one[1]["history"], first[1]["history"], strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5) and mine["score"] == theirs["score"]
    assert first[1]["scores"] == second[1]["scores"]
    assert one[1]["alike"] and first[1]["alike"] and second[1]["alike"]
    assert one[1]["refused"] == ""
    assert "at least one example for each of the 2 processes" in first[1]["refused"]
