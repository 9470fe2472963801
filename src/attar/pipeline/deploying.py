"""Deploying a student of a run: what its data say of inputs and outputs goes into the artifact."""

from __future__ import annotations

from pathlib import Path

import torch

from attar.data.split import PIXELS, Dataset, Split
from attar.deployment.artifact import Artifact
from attar.deployment.candidate import Candidate
from attar.deployment.deploy import deploy
from attar.deployment.prepared import Prepared
from attar.network.spec import Spec


def deploy_for(
    dataset: Dataset,
    student: Prepared,
    candidate: Candidate,
    folder: Path,
    spec: Spec | None,
    calibration: Split | None,
) -> Artifact:
    """Write a student as an artifact for the data that it is for.

    Args:
        dataset: The data.
        student: The student.
        candidate: How it is deployed.
        folder: Where to write.
        spec: How the network is built again; None for one that cannot be.
        calibration: What `calibration_for` gives.

    Raises:
        DeploymentError: If it cannot be deployed this way.
        MissingExtra: If the runtime or its quantizer is not installed.
    """
    return deploy(
        student,
        candidate,
        folder,
        task=dataset.task,
        calibration=None if calibration is None else calibration.floats(),
        spec=spec,
        columns=dataset.columns,
        tokens=dataset.tokens,
        named=dataset.named,
        unseen="missing",  # as it is measured, see from_tables
        scale=scale_of(dataset),
    )


def scale_of(dataset: Dataset) -> float | None:
    """What bytes of the data are divided by; None where they are none."""
    return PIXELS if dataset.train.inputs.dtype == torch.uint8 else None


def calibration_for(dataset: Dataset, candidate: Candidate, count: int, seed: int) -> Split | None:
    """Training examples on which a candidate is calibrated and tried, drawn with a seed; None for float32."""
    if candidate.precision == "fp32":
        return None
    order = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(seed))
    return dataset.train.rows(order[:count])
