"""Networks of a run as artifacts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from attar.deployment.artifact import Artifact, load
from attar.deployment.backends.backend import Runner
from attar.deployment.candidate import Candidate
from attar.deployment.prepared import Prepared
from attar.deployment.refused import DeploymentError, telling
from attar.errors import AttarError, MissingExtra
from attar.network.spec import Spec
from attar.network.weights import digest
from attar.pipeline.deploying import calibration_for, deploy_for, scale_of
from attar.recipes.context import Context, allowed

log = logging.getLogger(__name__)


class Deployed(NamedTuple):
    """An artifact and what runs it."""

    artifact: Artifact
    runner: Runner


def artifact_of(
    context: Context, name: str, prepared: Prepared, candidate: Candidate, spec: Spec | None, teacher: Any = None
) -> Deployed | str:
    """A deployed network that runs, or the reason why it could not be deployed this way.

    Args:
        context: The run.
        name: Of the contender.
        prepared: The network.
        candidate: How it is deployed.
        spec: How the network is built again; None for a teacher.
        teacher: Plain values that say of a teacher what its weights do not.
    """
    network, columns, tokens = prepared.student, context.dataset.columns, context.dataset.tokens
    layers = [type(layer).__qualname__ for layer in network.modules()]
    built = {"layers": layers, "teacher": teacher} if spec is None else spec.to_json()
    scale, recipe, task = scale_of(context.dataset), context.recipe, context.dataset.task
    as_numbers = "int64" if all(one.isdecimal() for one in task.names) else "str"
    calibration = calibration_for(context.dataset, candidate, recipe.artifacts.calibration, recipe.seed)

    def work(folder: Path) -> dict[str, Any]:
        deploy_for(context.dataset, prepared, candidate, folder / "artifact", spec, calibration)
        return {}

    inputs = {
        "network": digest(network),
        "built": built,
        "candidate": [candidate.name, candidate.runtime, candidate.precision, dict(candidate.settings)],
        "calibration": None if calibration is None else calibration.fingerprint(),
        "task": task.to_json(),
        **({} if task.label_kind != "class" or task.label_dtype == as_numbers else {"label_dtype": task.label_dtype}),
        "columns": None if columns is None else columns.to_json(),
        **({} if tokens is None else {"tokens": tokens.to_json()}),
        **({} if context.dataset.named is None else {"named": context.dataset.named.to_json()}),
        "shape": list(context.example.shape[1:]),
        "unseen": None if columns is None else "missing",
        "scale": scale,
    }
    allow = ["attar"] if spec is None else allowed(spec.reference)
    try:
        node = context.nodes.node(f"artifacts/{name.replace(' ', '-')}", inputs, work)
    except (DeploymentError, MissingExtra) as error:
        return refused(name, error)
    artifact = load(node.folder / "artifact", threads=recipe.artifacts.threads, allow=allow)
    try:
        return Deployed(artifact, artifact.open())
    except AttarError as error:  # an earlier run wrote it, where there were other packages
        return refused(name, error)


def refused(name: str, error: Exception) -> str:
    """Why a contender cannot run: the words of an error, which are logged.

    It is not a result that is kept: it may be another one once a package is installed or updated.
    """
    why = str(error) if isinstance(error, AttarError) else f"{telling(error)}."
    log.warning("%s: %s", name, why)
    return why
