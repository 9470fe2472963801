"""What each stage of a run does: from a recipe and a data set to trained networks, targets and artifacts.

A stage gets what it depends on as plain values and fingerprints, so that equal inputs find the finished result.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attar.deployment.artifact import Artifact, Candidate, deploy, load
from attar.deployment.export import DeploymentError
from attar.deployment.packed.network import plain
from attar.errors import BadInput, MissingExtra, must
from attar.models.rebuild import rebuild
from attar.network.spec import Spec
from attar.network.weights import digest, load_weights, save_weights
from attar.pipeline.nodes import Node, Nodes
from attar.processes import rank
from attar.quantization.attach import is_quantized
from attar.recipes.checks import check_paths
from attar.recipes.networks import fitted_to
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.recipes.schema.transfer import TransferSection
from attar.teachers.ensemble import Ensemble
from attar.teachers.teacher import Teacher
from attar.training.fabric import make_fabric
from attar.training.fit import fit
from attar.training.objective import Objective
from attar.training.progress import Progress
from attar.training.results import Fitted
from attar.training.scoring import METRICS
from attar.training.settings import Training
from attar.training.threads import threads_for, using_threads
from attar.transfer.datasets import Dataset, Split
from attar.transfer.datasets import load as load_data
from attar.transfer.once import Once
from attar.transfer.store import Targets, label, merge
from attar.transfer.transfer_set import Live, TargetSource, TransferSet
from attar.transfer.views import UNCHANGED, Views
from attar.workspace import write_file

log = logging.getLogger(__name__)

_CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Context:
    """What every stage of one run shares."""

    recipe: Recipe
    dataset: Dataset
    fingerprint: str
    nodes: Nodes
    device: str
    progress: Progress

    @property
    def example(self) -> Tensor:
        """One input ``[1, ...]``, as networks receive it."""
        return self.dataset.train.floats(slice(0, 1))

    @property
    def network(self) -> NetworkSection:
        """The student's network, with the columns of the data where it takes them."""
        return fitted_to(self.recipe.student.network, self.dataset)

    @property
    def validation(self) -> TransferSet:
        """The validation data, seen as they are."""
        return TransferSet(self.dataset.validation)


@dataclass(frozen=True)
class Trained:
    """A network that a stage trained, read back from its files.

    Attributes:
        name: Name of the stage, such as ``student/0``.
        network: In eval mode.
        history: One plain entry per epoch.
        score: Score on validation of the kept epoch: what the recipe chooses by.
        teacher: The teacher that learned beside it, if one did.
        use: What was done: ``distill`` or ``quantize``.
        earlier: The steps before it, in order.
        spec: How the network is built again; None where no step needs that, as for teachers.
    """

    name: str
    network: nn.Module
    history: Sequence[Mapping[str, Any]]
    score: float
    teacher: nn.Module | None = None
    use: str = "distill"
    earlier: Sequence[Trained] = ()
    spec: Spec | None = None


# -- data and trainings ------------------------------------------------------------------------------------------------


def data_of(recipe: Recipe, progress: Progress) -> Dataset:
    """The recipe's data set."""
    check_paths(recipe)
    section = recipe.data
    return load_data(
        section.use,
        validation=section.validation,
        test=section.test,
        seed=recipe.seed,
        classes=section.classes,
        limit=section.limit,
        target=section.target,
        nominal=section.nominal,
        ignore=section.ignore,
        split=section.split,
        encoding=section.encoding,
        decimal=section.decimal,
        max_bytes=section.max_bytes,
        progress=progress,
    )


def train(
    name: str,
    context: Context,
    network: Callable[[], nn.Module],
    objective: Objective,
    data: Callable[[], TransferSet],
    settings: Training,
    depends: Mapping[str, Any],
    teacher: Callable[[], nn.Module] | None = None,
    detach: bool = True,
    choose_by: str = "accuracy",
    feature_teacher: nn.Module | None = None,
    prepared: Callable[[nn.Module], nn.Module] | None = None,
    spec: Spec | None = None,
) -> Trained:
    """Train a network as a stage of its own, with a checkpoint inside of it.

    Args:
        name: Of the stage.
        context: The run.
        network: Builds the network as it is before, and into which the trained weights are read.
        objective: What is minimized.
        data: The examples.
        settings: How the training goes.
        depends: What the result depends on besides.
        teacher: Builds a teacher that learns along.
        detach: Whether the student's terms leave it alone.
        choose_by: The score on validation by which the epoch is chosen.
        feature_teacher: The network whose layers terms read.
        prepared: What is done to the network for the training alone, such as freezing a part of it.
        spec: How the trained network is built again; by ``network`` if left out.
    """

    def work(folder: Path) -> dict[str, Any]:
        checkpoint = folder / _CHECKPOINT
        fresh, beside = network(), None if teacher is None else teacher()
        running = [one for one in (fresh, beside, feature_teacher) if one is not None]
        try:
            with using_threads(threads_of(context, running, settings.batch_size)):
                fitted: Fitted = fit(
                    fresh if prepared is None else prepared(fresh),
                    objective,
                    data(),
                    settings=settings,
                    validation=context.validation,
                    metric=METRICS[choose_by],
                    teacher=beside,
                    detach_teacher=detach,
                    feature_teacher=feature_teacher,
                    checkpoint_file=checkpoint,
                    fabric=make_fabric(context.device, settings.precision),
                    progress=context.progress,
                    title=name,
                )
        except BadInput:
            log.exception("%s cannot go on", name)
            raise
        if rank() > 0:
            return {}
        save_weights(fitted.model, folder / "weights.safetensors")
        if fitted.teacher is not None:
            save_weights(fitted.teacher, folder / "teacher.safetensors")
        write_file(folder / "history.json", json.dumps([entry.to_json() for entry in fitted.history]))
        log.info("%s: %s", name, fitted)
        return {
            "score": fitted.score,
            "best_epoch": fitted.best_epoch,
            "steps": fitted.steps,
            "stopped_early": fitted.stopped_early,
        }

    # A setting that came later is named only where it is set, so that what was trained before it is found again.
    skipped = {"checkpoint_seconds", *(["max_norm"] if settings.max_norm is None else [])}
    named = {key: value for key, value in vars(settings).items() if key not in skipped}
    stage = context.nodes.node(
        name,
        {
            **depends,
            "data": context.fingerprint,
            "training": named,
            "objective": changed(objective.terms),
            **({} if choose_by == "accuracy" else {"choose_by": choose_by}),
        },
        work,
        checkpoint=_CHECKPOINT,
        collective=True,
    )
    history = json.loads((stage.folder / "history.json").read_text(encoding="utf-8"))
    beside = None if teacher is None else load_weights(teacher(), stage.folder / "teacher.safetensors").eval()
    weights = stage.folder / "weights.safetensors"
    made = load_weights(network(), weights).eval() if spec is None else rebuild(spec, weights, seed=settings.seed)
    return Trained(name, made, history, float(stage.result["score"]), beside, spec=spec)


def threads_of(context: Context, networks: Sequence[nn.Module], batch_size: int) -> int:
    """The threads of a training: the recipe's, or what suits the networks; a teacher asked live may be of any size."""
    if context.recipe.threads or not context.recipe.transfer.cached:
        return torch.get_num_threads()
    counted = [plain(one) if is_quantized(one) else one for one in networks]
    return threads_for(*counted, example=context.example, batch_size=batch_size)


def changed(value: Any) -> Any:
    """Settings as plain values, less those that are as they come: one that is added later changes no key."""
    if isinstance(value, Mapping):
        return {str(key): changed(item) for key, item in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    fields = {field.name: (getattr(value, field.name), field.default) for field in dataclasses.fields(value)}
    return [type(value).__name__, {name: changed(now) for name, (now, usual) in fields.items() if now != usual}]


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Train with so many threads, and give the caller's number back.

    Raises:
        BadInput: If the machine does not have so many.
    """
    if count > (available := os.cpu_count() or 1):
        raise must("threads", "the recipe", f"at most {available} on this machine", count, "Use 0 for all")
    with using_threads(count or torch.get_num_threads()):
        yield


# -- targets -----------------------------------------------------------------------------------------------------------


def targets_of(
    context: Context, teacher: Teacher, split: Split | None = None
) -> tuple[TargetSource, Views, Node | None]:
    """What the student hears: stored targets (and the stage that stored them), or a live teacher.

    Args:
        context: The run.
        teacher: Whom to ask.
        split: What about; the training examples if left out.
    """
    transfer = context.recipe.transfer
    views = transfer.views.views(context.recipe.seed)
    train = context.dataset.train if split is None else split
    once = not transfer.label_views and not views.identity
    if not transfer.cached:
        return Once(Live(teacher), train) if once else Live(teacher), views, None
    labeled = UNCHANGED if once else views

    if transfer.per_teacher and isinstance(teacher, Ensemble):
        stage = _merged(context, teacher, train, labeled)
    else:
        stage = _labelled(context, "targets", teacher, train, labeled)
    stored = Targets.open(stage.folder / "store", train, labeled, teacher.fingerprint())
    return Once(stored, train) if once else stored, views, stage


def _labelled(context: Context, name: str, teacher: Teacher, split: Split, views: Views) -> Node:
    """The stage that asks one teacher about a split."""
    transfer = context.recipe.transfer

    def work(folder: Path) -> dict[str, Any]:
        return _said_of(
            context,
            label(
                teacher,
                split,
                folder / "store",
                views=views,
                top_k=transfer.top_k,
                dtype=transfer.dtype,
                temperature=context.recipe.temperature,
                progress=context.progress,
            ),
        )

    depends = {
        "teacher": teacher.fingerprint(),
        "data": split.fingerprint(),
        "views": views.fingerprint(),
        "top_k": transfer.top_k,
        **named_dtype(transfer),
    }
    return context.nodes.node(name, depends, work, resumable=["store"])


def _merged(context: Context, teacher: Ensemble, split: Split, views: Views) -> Node:
    """The stage that averages what every member of an ensemble said, each asked in a stage of its own."""
    transfer = context.recipe.transfer
    stages = [
        _labelled(context, f"targets-of/{index}", member, split, views) for index, member in enumerate(teacher.members)
    ]

    def work(folder: Path) -> dict[str, Any]:
        merged = merge(
            [stage.folder / "store" for stage in stages],
            folder / "store",
            mean=teacher.mean,
            weights=teacher.given,
            top_k=transfer.top_k,
            dtype=transfer.dtype,
            temperature=context.recipe.temperature,
            progress=context.progress,
        )
        return {**_said_of(context, merged), "members": [stage.seconds for stage in stages]}

    return context.nodes.node(
        "targets",
        {"merged": [stage.folder.name for stage in stages], "teacher": teacher.fingerprint()},
        work,
        resumable=["store"],
    )


def _said_of(context: Context, stored: Targets) -> dict[str, Any]:
    """What a report says of a store."""
    fidelity = stored.fidelity(context.recipe.temperature)
    return {
        "rows": len(stored),
        "views": stored.views,
        "kind": stored.kind,
        "size_bytes": stored.size_bytes,
        "bytes_per_example": stored.bytes_per_example,
        "dtype": stored.dtype,
        "top_k": stored.top_k,
        **({} if fidelity is None else dataclasses.asdict(fidelity)),
    }


def named_dtype(transfer: TransferSection) -> dict[str, str]:
    """How targets are kept, where that is named at all: what was made before there was a choice is found again."""
    return {} if transfer.dtype == "float16" else {"dtype": transfer.dtype}


# -- artifacts ---------------------------------------------------------------------------------------------------------


def artifact_of(
    context: Context, name: str, network: nn.Module, candidate: Candidate, spec: Spec | None
) -> Artifact | str:
    """A deployed network, or the reason why it could not be deployed this way."""
    calibration: Split | None = None
    if candidate.precision != "fp32":
        train = context.dataset.train
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(context.recipe.seed))
        calibration = train.rows(order[: context.recipe.artifacts.calibration])

    def work(folder: Path) -> dict[str, Any]:
        try:
            deploy(
                network,
                candidate,
                folder / "artifact",
                example=context.example,
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

    depends = {
        "network": digest(network),
        **how_built(network, spec),
        "candidate": [candidate.name, candidate.runtime, candidate.precision, dict(candidate.settings)],
        "calibration": None if calibration is None else calibration.fingerprint(),
        "classes": list(context.dataset.classes),
        **({} if context.dataset.columns is None else {"unseen": "missing"}),
    }
    stage = context.nodes.node(f"artifacts/{name.replace(' ', '-')}", depends, work)
    if stage.result["refused"]:
        return str(stage.result["refused"])
    allow = {"attar"} if spec is None else {"attar", spec.reference.partition(":")[0].partition(".")[0]}
    return load(stage.folder / "artifact", threads=context.recipe.artifacts.threads, allow=sorted(allow))


def how_built(network: nn.Module, spec: Spec | None) -> dict[str, Any]:
    """What a network is besides its weights, as plain values for the key of a stage."""
    if spec is not None:
        return {"spec": spec.to_json()}
    return {"layers": [type(layer).__qualname__ for layer in network.modules()]}
