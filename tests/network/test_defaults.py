"""What a program sets for all of torch and NumPy changes nothing that Attar computes, and is as it was afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import attar
from attar.errors import BadInput
from attar.network.defaults import library_defaults
from attar.network.spec import Spec

SPEC = Spec("attar.network.architectures:mlp", {"inputs": 6, "classes": 3, "hidden": [4]})


@contextmanager
def other_type() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def all_others() -> Iterator[None]:
    """As far as one test can set them at once."""
    with ExitStack() as stack:
        stack.enter_context(other_type())
        stack.enter_context(torch.device("meta"))
        stack.enter_context(np.errstate(all="raise"))
        stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        stack.enter_context(torch.inference_mode())
        yield


def everything(arrays: dict[str, Any], folder: Path) -> list[Any]:
    """Data, a training, targets, a quantized student, files and their answers."""
    torch.manual_seed(0)
    data = attar.from_arrays("blobs", arrays)
    labels = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})
    settings = attar.Training(epochs=1, batch_size=32)
    with library_defaults():
        start = SPEC.build()
    big = attar.fit(start, labels, attar.TransferSet(data.train), settings=settings).model
    targets = attar.label(attar.as_teacher(big, classes=3), data.train, folder / "targets")
    soft = attar.Objective({"soft": attar.Term(loss=attar.SoftTargets(temperature=2.0))})
    small = attar.quantize(start, weights=attar.Uniform(bits=4))
    fitted = attar.fit(small, soft, attar.TransferSet(data.train, targets=targets), settings=settings).model
    example = data.train.inputs[:1]
    attar.deploy(fitted, "torch", folder / "artifact", example=example, task=data.task, spec=SPEC)
    answers = attar.load(folder / "artifact").predict_proba(arrays["x"][:5])
    return [*(weight.detach().clone() for weight in fitted.parameters()), torch.from_numpy(answers.copy())]


@pytest.fixture(scope="module")
def usual(arrays: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return everything(arrays(), tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("setting", [other_type, torch.no_grad, all_others])
def test_other_settings_change_nothing(
    setting: Callable[[], Any], usual: list[Any], arrays: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with setting():
        kind, place, gradients = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
        found = everything(arrays(), tmp_path)
        assert (torch.get_default_dtype(), torch.get_default_device()) == (kind, place)
        assert torch.is_grad_enabled() == gradients
    for one, other in zip(found, usual, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_weights_without_numbers_are_told(arrays: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    data = attar.from_arrays("blobs", arrays())
    empty = nn.Linear(6, 3, device="meta")
    with pytest.raises(BadInput, match="The student has weights on the device 'meta'"):
        attar.fit(empty, attar.Objective({"hard": attar.Term(loss=attar.HardLabels())}), attar.TransferSet(data.train))
    with pytest.raises(BadInput, match=r"has no numbers in 'weight', which is on the device 'meta'"):
        attar.deploy(empty, "onnxruntime", tmp_path / "artifact", example=data.train.inputs[:1], task=data.task)
