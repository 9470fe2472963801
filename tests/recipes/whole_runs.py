"""Whole runs and what they leave: what tests of them share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from attar.data.datasets import Dataset
from attar.deployment.artifact import load
from attar.network.weights import read_tensors
from attar.recipes.compress import Run, compress
from attar.recipes.read import from_document

Document = dict[str, Any]


def run_of(document: Document, out: Path) -> Run:
    return compress(from_document(document), out)


def reused(run: Run) -> dict[str, bool]:
    """Which stages of a run were found done."""
    return {stage["name"]: stage["reused"] for stage in run.evidence["stages"] if stage["name"] != "data"}


def weights_of(run: Run, stage: str) -> dict[str, torch.Tensor]:
    (file,) = run.folder.glob(f"nodes/{stage}-*/model.safetensors")
    return read_tensors(file)[0]


def assert_same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def model_named(run: Run, name: str) -> dict[str, Any]:
    return next(model for model in run.evidence["models"] if model["name"] == name)


def accuracy_on(run: Run, dataset: Dataset) -> float:
    """Of the artifact, loaded as a user loads it."""
    assert dataset.test.labels is not None
    logits = load(run.folder / "artifact")(dataset.test.floats())
    return float((logits.argmax(1) == dataset.test.labels.numpy()).mean())
