"""Networks of a run as artifacts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from attar.deployment.artifact import Artifact, Candidate, deploy_prepared, load
from attar.deployment.export import DeploymentError
from attar.deployment.prepared import Prepared
from attar.errors import MissingExtra
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.recipes.context import Context, allowed
from attar.transfer.split import Split

log = logging.getLogger(__name__)


def artifact_of(
    context: Context, name: str, prepared: Prepared, candidate: Candidate, spec: Spec | None
) -> Artifact | str:
    """A deployed network, or the reason why it could not be deployed this way."""
    network = prepared.student
    calibration: Split | None = None
    if candidate.precision != "fp32":
        train = context.dataset.train
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(context.recipe.seed))
        calibration = train.rows(order[: context.recipe.artifacts.calibration])

    def work(folder: Path) -> dict[str, Any]:
        try:
            deploy_prepared(
                prepared,
                candidate,
                folder / "artifact",
                classes=context.dataset.classes,
                calibration=None if calibration is None else calibration.floats(),
                spec=spec,
                columns=context.dataset.columns,
                unseen="missing",  # as it is measured, see from_tables
            )
        except (DeploymentError, MissingExtra) as error:
            log.warning("%s: %s", name, error)
            return {"refused": str(error)}
        return {"refused": None}

    built = {"layers": [type(layer).__qualname__ for layer in network.modules()]} if spec is None else spec.to_json()
    inputs = {
        "network": digest(network),
        "built": built,
        "candidate": [candidate.name, candidate.runtime, candidate.precision, dict(candidate.settings)],
        "calibration": None if calibration is None else calibration.fingerprint(),
        "classes": list(context.dataset.classes),
        "unseen": None if context.dataset.columns is None else "missing",
    }
    node = context.nodes.node(f"artifacts/{name.replace(' ', '-')}", inputs, work)
    if node.result["refused"]:
        return str(node.result["refused"])
    allow = ["attar"] if spec is None else allowed(spec.reference)
    return load(node.folder / "artifact", threads=context.recipe.artifacts.threads, allow=allow)
