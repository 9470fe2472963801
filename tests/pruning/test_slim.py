"""A slim network in the rest of a run: trained on, in the middle of a training, and deployed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from attar.deployment.artifact import load
from attar.deployment.deploy import deploy
from attar.network.evaluating import evaluating
from attar.network.spec import Spec
from attar.pruning.edit import Prune, prune
from attar.pruning.groups import find_groups
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize
from attar.tasks.classification import Classification
from attar.training.batch import Batch
from attar.training.callbacks import Callback, TrainState
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.rebuild import rebuild_
from attar.training.settings import Training
from attar.training.train_module import TrainModule

RESNET = Spec("attar.network.architectures:resnet", {"classes": 3, "widths": [4, 6], "blocks": 1})
REMOVED = {"0": [1], "4": [0, 5], "7.body.0": [2]}
GONE = REMOVED | {"7.body.0": range(6)}
IMAGES = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def trained() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RESNET.build()


def edit_of(network: nn.Module, removed: Mapping[str, Collection[int]] = REMOVED) -> Prune:
    return prune(network, find_groups(network, IMAGES), removed)


class Images:
    def __len__(self) -> int:
        return len(IMAGES)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        return Batch(IMAGES[rows], rows % 3, None, rows)


def test_the_optimizer_the_average_and_stored_weights_follow():
    module = TrainModule(trained(), None)
    edit = edit_of(module.student)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    average = AveragedModel(module)
    for _ in range(2):
        module.student(IMAGES).square().sum().backward()
        optimizer.step()
        average.update_parameters(module)
    stored = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    moments = {name: optimizer.state[tensor]["exp_avg"].clone() for name, tensor in module.named_parameters()}
    averaged = {name: tensor.clone() for name, tensor in average.module.student.state_dict().items()}

    after = rebuild_(edit.apply, module, optimizer, average, stored)

    def cut(name: str, tensor: Tensor) -> Tensor:
        for one in edit.cuts.get(name, ()):
            tensor = tensor.index_select(one.axis, one.positions())
        return tensor

    for name, parameter in module.student.named_parameters():
        assert torch.equal(parameter, cut(name, stored[f"student.{name}"]))
        assert torch.equal(optimizer.state[parameter]["exp_avg"], cut(name, moments[f"student.{name}"]))
        assert torch.equal(after[f"student.{name}"], parameter)
    for name, tensor in average.module.student.state_dict().items():
        assert torch.equal(tensor, cut(name, averaged[name]))
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {id(p) for p in module.parameters()}
    assert module.student[4].weight.shape == (4, 3, 3, 3)


@pytest.mark.parametrize("removed", [REMOVED, GONE])
def test_channels_go_in_the_middle_of_a_training(removed):
    class Removes(Callback):
        edit: Prune | None = None

        def after_step(self, state: TrainState) -> None:
            if state.step == 3:
                self.edit = edit_of(state.model, removed)
                state.rebuild(self.edit.apply)

    callback = Removes()
    settings = Training(epochs=3, batch_size=6, learning_rate=0.05, ema_decay=0.5, checkpoint="best")
    fitted = fit(
        trained(),
        Objective({"hard": Term(loss=HardLabels())}),
        Images(),
        settings=settings,
        validation=Images(),
        callbacks=[callback],
    )
    assert callback.edit is not None
    spec = RESNET.with_edit(callback.edit)
    rebuilt = spec.build()
    rebuilt.load_state_dict(fitted.model.state_dict())
    with evaluating(rebuilt), evaluating(fitted.model):
        assert torch.equal(rebuilt(IMAGES), fitted.model(IMAGES))
    assert rebuilt[4].out_channels == 4


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch", "packed"])
def test_a_slim_network_is_deployed(runtime, tmp_path: Path):
    network = trained().eval()
    edit = edit_of(network, GONE)
    edit.apply(network)
    assert not any("7.body.0" in name for name in network.state_dict())
    spec = RESNET.with_edit(edit)
    student = quantize(network, weights=Uniform(bits=8)).eval() if runtime == "packed" else network
    task = Classification(("a", "b", "c"))
    candidate = "torch packed" if runtime == "packed" else runtime
    deploy(student, candidate, tmp_path / "it", example=IMAGES[:1], task=task, spec=spec)
    with evaluating(student):
        wanted = student(IMAGES)
    assert_allclose(load(tmp_path / "it")(IMAGES), wanted, atol=1e-4)
