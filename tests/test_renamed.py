"""Names of earlier versions, and slips of the keyboard: what to write is in the error."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

import pytest
import torch

import attar
from attar.deployment.artifact import Artifact
from attar.errors import BadInput
from attar.renamed import ARGUMENTS, FUNCTIONS
from attar.training.batch import Batch


def test_a_former_argument_is_told_the_one_of_today() -> None:
    deploy: Any = attar.deploy
    with pytest.raises(BadInput, match=r"^deploy has no 'classes' any more\. Write task=data\.task, or task="):
        deploy(torch.nn.Linear(2, 2), "onnxruntime", "folder", classes=["a", "b"])
    training: Any = attar.Training
    with pytest.raises(BadInput, match=r"^Training has no 'keep' any more\. Write checkpoint=\.\.\. in its place\.$"):
        training(keep="last")


def test_a_misspelt_argument_of_a_function_is_told_the_nearest() -> None:
    fit: Any = attar.fit
    with pytest.raises(BadInput, match=r"^fit has no 'setings'\. Did you mean 'settings'\?$"):
        fit(torch.nn.Linear(2, 2), setings=attar.Training())


@pytest.mark.parametrize("name", [*ARGUMENTS])
def test_what_is_to_be_written_exists_and_the_former_does_not(name: str) -> None:
    there = signature(getattr(attar, name)).parameters
    for former, now in ARGUMENTS[name].items():
        assert former not in there
        assert now.partition("=")[0] in there


@pytest.mark.parametrize("name", [*FUNCTIONS])
def test_a_former_function_is_told_the_one_of_today(name: str) -> None:
    assert FUNCTIONS[name] in attar.__all__
    with pytest.raises(AttributeError, match=rf"no attribute '{name}' any more\. Write attar\.{FUNCTIONS[name]} in"):
        getattr(attar, name)
    assert not hasattr(import_module("attar"), name)


def test_a_former_attribute_is_told_the_one_of_today() -> None:
    batch: Any = Batch(torch.zeros(1, 2))
    with pytest.raises(AttributeError, match=r"^Batch has no 'dense_targets' any more\. Write full_targets in its"):
        batch.dense_targets("term")
    assert hasattr(Batch, "full_targets")
    assert not hasattr(Artifact, "predict_classes")
    assert hasattr(Artifact, "predict")
