"""Quantized networks through the one loop: they learn, survive a crash and are averaged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from attar.network.architectures import convnet
from attar.quantization.attach import dequantize, encode, formats, train_codebooks_only_
from attar.quantization.formats.affine import Affine
from attar.quantization.formats.clipped import Clipped
from attar.quantization.formats.codebook import Codebook
from attar.quantization.formats.dorefa import DoReFa
from attar.quantization.formats.fixed_point import DynamicFixedPoint
from attar.quantization.formats.power_of_two import PowerOfTwo
from attar.quantization.formats.ternary import Ternary
from attar.quantization.formats.uniform import Uniform
from attar.quantization.formats.wrpn import Wrpn
from attar.quantization.quantize import quantize
from attar.training.batch import Batch
from attar.training.fit import fit
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.settings import Training

OBJECTIVE = Objective({"hard": Term(loss=HardLabels())})
SETTINGS = Training(epochs=8, batch_size=16, learning_rate=0.01, schedule="constant", checkpoint="last")


class Killed(Exception):
    """Stands for a power cut."""


class Bars:
    """Images with one bright row or column: the class."""

    def __init__(self, count: int = 96) -> None:
        draw = torch.Generator().manual_seed(0)
        self.labels = torch.arange(count) % 4
        self.inputs = 0.3 * torch.randn(count, 1, 8, 8, generator=draw)
        for i, label in enumerate(self.labels.tolist()):
            (self.inputs[i, 0, 2 + 3 * (label // 2)] if label % 2 else self.inputs[i, 0, :, 2 + 3 * (label // 2)]).add_(
                1.0
            )

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        return Batch(inputs=self.inputs[rows], labels=self.labels[rows], ids=rows)


def network() -> nn.Module:
    torch.manual_seed(0)
    return convnet(classes=4, widths=[8, 8], pools=[2, 2], hidden=[16], side=8)


def accuracy(model: nn.Module) -> float:
    data = Bars()
    with torch.no_grad():
        return float((model.eval()(data.inputs).argmax(1) == data.labels).float().mean())


@pytest.mark.parametrize(
    "form",
    [
        Uniform(2, gradient="exact"),
        Uniform(4, rounding="stochastic"),
        Codebook(3, trains="both"),
        Ternary("learned"),
        PowerOfTwo(),
        Wrpn(6),
        DoReFa(3),
    ],
    ids=repr,
)
def test_a_quantized_network_learns(form):
    student = quantize(network(), weights=form, skip=["last"])
    fitted = fit(student, OBJECTIVE, Bars(), settings=SETTINGS, validation=Bars())
    assert fitted.score is not None and fitted.score > 0.8
    assert formats(fitted.model).keys() == formats(student).keys()
    dequantized = dequantize(fitted.model)
    assert accuracy(dequantized) == pytest.approx(fitted.score)
    for name, held in encode(fitted.model).items():
        layer = dequantized.get_submodule(name.rpartition(".")[0])
        assert torch.equal(layer.weight, formats(fitted.model)[name].decode(held))


@pytest.mark.parametrize("form", [Affine(4), Clipped(4, range="max"), DynamicFixedPoint(8)], ids=repr)
def test_a_network_with_quantized_inputs_goes_on_learning(form):
    # Ranges are those of a network whose batch normalization has seen the data.
    settings = replace(SETTINGS, epochs=4)
    trained = fit(network(), OBJECTIVE, Bars(), settings=settings).model
    student = quantize(trained, weights=Uniform(4), activations=form, calibration=Bars().inputs)
    fitted = fit(student, OBJECTIVE, Bars(), settings=replace(settings, epochs=2), validation=Bars())
    assert fitted.score is not None and fitted.score > 0.8


def test_points_alone_bring_a_trained_network_back():
    trained = fit(network(), OBJECTIVE, Bars(), settings=replace(SETTINGS, epochs=4)).model
    student = train_codebooks_only_(quantize(trained, weights=Codebook(2, init="uniform")))
    settings = Training(
        epochs=4, batch_size=16, learning_rate=2e-3, momentum=0.9, schedule="constant", checkpoint="last"
    )
    fitted = fit(student, OBJECTIVE, Bars(), settings=settings)
    assert fitted.history[-1].loss < 0.9 * fitted.history[0].loss
    for name, tensor in trained.named_parameters():
        layer, _, _ = name.rpartition(".")
        place = f"{layer}.parametrizations.weight.original" if name in formats(student) else name
        assert torch.equal(fitted.model.get_parameter(place), tensor)
    before, after = (dict(s.named_parameters())["0.parametrizations.weight.0.points"] for s in (student, fitted.model))
    assert not torch.equal(before, after)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, ema):
    def student() -> nn.Module:
        forms = {"0": Uniform(3, rounding="stochastic"), "9": Codebook(2, trains="both"), "*": Ternary("learned")}
        return quantize(network(), weights=forms, activations=Affine(8), calibration=Bars().inputs)

    settings = Training(
        epochs=2, batch_size=16, learning_rate=0.02, schedule="constant", ema_decay=ema, checkpoint_seconds=0.0
    )

    @contextmanager
    def killed(title: str, total: int) -> Iterator[Callable[[int], None]]:
        steps = 0

        def advance(count: int) -> None:
            nonlocal steps
            steps += count
            if steps == 8:
                raise Killed

        yield advance

    def go(path: Path | None, **more: object) -> nn.Module:
        return fit(
            student(), OBJECTIVE, Bars(), settings=settings, validation=Bars(), checkpoint_file=path, **more
        ).model

    complete = go(None)
    with pytest.raises(Killed):
        go(tmp_path / "state", progress=killed)
    resumed = go(tmp_path / "state")
    for name, tensor in complete.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert not torch.equal(complete[0].parametrizations.weight.original, student()[0].parametrizations.weight.original)


def test_the_first_step_has_the_straight_through_gradient():
    """Against the algorithm as it is written: quantize, take the gradient there, apply it to the float weights."""
    student, data = network(), Bars(16)
    form = Uniform(2)
    settings = Training(
        epochs=1, batch_size=16, learning_rate=0.1, momentum=0.0, schedule="constant", checkpoint="last"
    )
    fitted = fit(quantize(student, weights=form), OBJECTIVE, data, settings=settings)
    by_hand = dequantize(quantize(student, weights=form)).train()
    nn.functional.cross_entropy(by_hand(data.inputs), data.labels).backward()
    for name in formats(fitted.model):
        place = int(name.split(".")[0])
        expected = student[place].weight.detach() - 0.1 * by_hand[place].weight.grad
        got = fitted.model[place].parametrizations.weight.original
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
