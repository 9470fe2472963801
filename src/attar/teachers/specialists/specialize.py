"""Training specialists from a generalist."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import joblib
import torch
from torch import Tensor, nn

from attar.errors import BadInput, StaleStore, must
from attar.network.copying import copied
from attar.network.weights import save_weights
from attar.ops.class_sets import Clustering, Columns, cluster_classes, covariance
from attar.processes import alone
from attar.tasks.labels import ABSENT
from attar.teachers.specialists.files import is_written, place_of, read_json, write_json, write_specialist
from attar.teachers.specialists.head import find_head, specialized
from attar.teachers.specialists.mixture import Mixture
from attar.teachers.specialists.specialist import Correction
from attar.teachers.specialists.specialists import ABOUT, GENERALIST, Inference, Specialists, about_of
from attar.teachers.teacher import NetworkTeacher
from attar.training.batch import Source
from attar.training.losses.outputs import HardLabels
from attar.training.objective import Objective, Term
from attar.training.progress import Progress, silent
from attar.training.settings import Training

_log = logging.getLogger(__name__)

_SAMPLE = 20_000
"""Examples whose predictions are clustered, at most."""


def specialize(
    generalist: nn.Module,
    data: Source,
    labels: Tensor,
    *,
    class_sets: Sequence[Sequence[int]] | None = None,
    n_clusters: int | None = None,
    set_size: int | None = None,
    columns: Columns = "correlation",
    clustering: Clustering = "online",
    sample: Source | None = None,
    special_fraction: float = 0.5,
    dustbin_correction: Correction = "literal",
    top: int = 1,
    settings: Training | None = None,
    validation: Source | None = None,
    folder: str | Path | None = None,
    jobs: int = 1,
    device: str = "cpu",
    progress: Progress = silent,
) -> Specialists:
    """Train specialists for the classes that a generalist takes for each other.

    The classes of each are those that the generalist often predicts together, found without labels by clustering the
    columns of the covariance of its predictions, or given. A specialist starts as the generalist with another last
    layer (see `attar.teachers.specialists.head.specialized`) and learns the labels of its classes and, as one class
    more, the rest of them (the dustbin), from examples of both kinds. All of its weights are trained.

    Specialists are trained independently of each other. With a folder, a specialist that is finished is found again,
    and one that was under way goes on.

    Args:
        generalist: From ``[batch, ...]`` to logits; it is not changed.
        data: The examples to train on; its own labels and targets are not looked at.
        labels: ``[len(data)]`` int64 class numbers of these; `ABSENT` leaves an example out.
        class_sets: The classes of each specialist; None has them found.
        n_clusters: How many sets to find; goes without ``class_sets``.
        set_size: None divides the classes; a number makes sets of so many classes, which overlap.
        columns: Of what they are: of the ``correlation``, or the ``covariance`` as it is, as in the paper; see
            `attar.ops.class_sets.cluster_classes`.
        clustering: How the columns are clustered, ``online`` as in the paper or ``batch``.
        sample: Examples whose predictions are clustered; None takes ``data``. A generalist is surer of what it was
            trained on, so that held-out examples show better what it takes for what.
        special_fraction: Share of a specialist's own classes in what it is trained on, between 0 and 1.
        dustbin_correction: What makes up for that in prediction: ``literal`` as in the paper, ``exact``, or ``none``;
            see `Specialist.shift`.
        top: How many of the generalist's likeliest classes choose the specialists that are asked.
        settings: How each is trained; specialist m has the seed ``settings.seed + m``.
        validation: Labelled examples by which the best epoch of each is chosen: on its own task, its classes and the
            rest mixed as in training.
        folder: Where to keep the specialists; None keeps them in memory alone.
        jobs: Processes that train at once, which share the threads evenly; each gets a copy of the data.
        device: Where networks are trained and used.
        progress: Sees each specialist.

    Raises:
        BadInput: If a parameter breaks its rule, or the generalist does not end with a fully connected layer.
        StaleStore: If the folder holds specialists of another generalist or other classes.
        Diverged: If a loss becomes NaN.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 5. arXiv:1503.02531
    """
    settings = settings or Training()
    if labels.shape != (len(data),) or len(data) == 0:
        raise must("labels", "specialize", f"[{len(data)}], one for each example", list(labels.shape), "Give them all")
    if not 0 < special_fraction < 1:
        raise must("special_fraction", "specialize", "between 0 and 1", special_fraction, "0.5 is usual")
    if jobs < 1:
        raise must("jobs", "specialize", "at least 1", jobs, "Give the number of processes")
    general = NetworkTeacher(copied(generalist), example=data.batch(torch.tensor([0]), 0).inputs.cpu(), device=device)
    classes = general.classes
    if int(labels.max()) >= classes:
        rule = f"below {classes}, the classes of the generalist"
        raise must("labels", "specialize", rule, int(labels.max()), "Give class numbers")
    if class_sets is None:
        if n_clusters is None:
            remedy = "Say how many specialists there should be"
            raise must("n_clusters", "specialize", "given where class_sets are not", None, remedy)
        covariances = _covariance(general, data if sample is None else sample, settings.seed)
        sets = list(
            cluster_classes(
                covariances,
                n_clusters,
                set_size=set_size,
                columns=columns,
                clustering=clustering,
                seed=settings.seed,
            )
        )
    else:
        if n_clusters is not None or set_size is not None:
            given = {"n_clusters": n_clusters, "set_size": set_size}
            raise must("class_sets", "specialize", "given alone", given, "Leave out n_clusters and set_size")
        sets = _given(class_sets, classes)
    head = find_head(general.module, classes, data.batch(torch.arange(min(2, len(data))), 0).inputs.to(device))
    checked = None if validation is None else (validation, _labels(validation))
    plan = _Plan(general.module.to("cpu"), head, data, labels, checked, classes, special_fraction, settings, device)
    # Now, and not in a process that trains: what a specialist would lack.
    for index in range(len(sets)):
        plan.mixtures(sets[index], index)
    inference = Inference(top=top, correction=dustbin_correction)
    with _folder_of(folder) as place:
        _claim(place, general, sets, inference)
        missing = [i for i in range(len(sets)) if not is_written(place_of(place, i), plan.identity(sets[i], i))]
        if 0 < len(missing) < len(sets):
            _log.info("Going on with %s, which has %d of %d specialists", place, len(sets) - len(missing), len(sets))
        threads = max(1, torch.get_num_threads() // max(1, min(jobs, len(missing))))
        with progress("train specialists", total=len(sets)) as advance:
            advance(len(sets) - len(missing))
            if jobs == 1 or len(missing) < 2:
                for index in missing:
                    plan.train(place_of(place, index), sets[index], index)
                    advance(1)
            else:
                work = (
                    joblib.delayed(_apart)(plan, place_of(place, index), sets[index], index, threads)
                    for index in missing
                )
                for _ in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs)(work):
                    advance(1)
        return Specialists.load(place, general.module, device=device)


class _Plan:
    """What all specialists share, and how one of them is trained."""

    def __init__(
        self,
        generalist: nn.Module,
        head: str,
        data: Source,
        labels: Tensor,
        validation: tuple[Source, Tensor] | None,
        classes: int,
        fraction: float,
        settings: Training,
        device: str,
    ) -> None:
        self.generalist, self.head, self.data, self.labels = generalist, head, data, labels
        self.validation, self.classes, self.fraction = validation, classes, fraction
        self.settings, self.device = settings, device
        some = torch.linspace(0, len(data) - 1, min(64, len(data))).long()
        total = hashlib.sha256(labels.cpu().numpy().tobytes())
        total.update(data.batch(some, 0).inputs.cpu().contiguous().numpy().tobytes())
        self.seen = total.hexdigest()

    def mixtures(self, special: Sequence[int], index: int) -> tuple[Mixture, Mixture | None]:
        """What specialist ``index`` is trained on, and what its best epoch is chosen by."""
        seed = self.settings.seed + index
        training = Mixture(self.data, self.labels, special, of=self.classes, fraction=self.fraction, seed=seed)
        if self.validation is None:
            return training, None
        source, labels = self.validation
        return training, Mixture(
            source, labels, special, of=self.classes, fraction=self.fraction, seed=seed, fixed=True
        )

    def identity(self, special: Sequence[int], index: int) -> dict[str, Any]:
        """What a finished specialist must say of itself to be this one."""
        settings = {key: value for key, value in asdict(self.settings).items() if key != "checkpoint_seconds"}
        described = repr([sorted(settings.items()), index, self.validation is None])
        return {
            "classes": list(special),
            "special_fraction": self.fraction,
            "head": self.head,
            "data": self.seen,
            "training": hashlib.sha256(described.encode()).hexdigest(),
        }

    def train(self, place: Path, special: Sequence[int], index: int) -> None:
        """Train one specialist into its folder."""
        from attar.training.fabric import make_fabric
        from attar.training.fit import fit

        training, validation = self.mixtures(special, index)
        settings = replace(self.settings, seed=self.settings.seed + index)
        checkpoint = place / "checkpoint.safetensors"
        place.mkdir(parents=True, exist_ok=True)
        try:
            fitted = fit(
                specialized(self.generalist, self.head, special),
                Objective({"hard": Term(loss=HardLabels())}),
                training,
                settings=settings,
                validation=validation,
                checkpoint_file=checkpoint,
                fabric=make_fabric(self.device, settings.precision),
            )
        except BadInput:
            _log.exception("specialist %d cannot go on", index)
            raise
        known = int((self.labels != ABSENT).sum())
        about = {
            **self.identity(special, index),
            "share": len(training.special) / known,
            "score": fitted.score,
            "best_epoch": fitted.best_epoch,
            "history": [entry.to_json() for entry in fitted.history],
        }
        write_specialist(place, fitted.model, about)
        checkpoint.unlink(missing_ok=True)
        _log.info("specialist %d of %d classes: %s", index, len(special), fitted)


def _apart(plan: _Plan, place: Path, special: Sequence[int], index: int, threads: int) -> None:
    """Train one specialist in a process of its own."""
    torch.set_num_threads(threads)
    with alone():  # whoever started the run
        plan.train(place, special, index)


def _covariance(general: NetworkTeacher, sample: Source, seed: int) -> Tensor:
    """Covariance of what the generalist says of a sample."""
    rows = torch.randperm(len(sample), generator=torch.Generator().manual_seed(seed))[:_SAMPLE]
    return covariance(general.predict(sample.batch(some, 0).inputs).softmax(1).cpu() for some in torch.split(rows, 256))


def _given(class_sets: Sequence[Sequence[int]], classes: int) -> list[tuple[int, ...]]:
    sets = [tuple(sorted(one)) for one in class_sets]
    for one in sets:
        fitting = 0 < len(one) < classes and len(set(one)) == len(one) and 0 <= one[0] and one[-1] < classes
        if not fitting:
            rule = f"sets of some of the {classes} class numbers, each once"
            raise must("class_sets", "specialize", rule, one, "Leave one class out at least")
    if not sets:
        raise must("class_sets", "specialize", "one or more", [], "Give n_clusters to have them found")
    return sets


def _labels(source: Source) -> Tensor:
    """All labels of a source of validation data."""
    batches = []
    for rows in torch.split(torch.arange(len(source)), 512):
        labels = source.batch(rows, 0).labels
        if labels is None:
            raise BadInput("validation of specialize has no labels. Give labels, or leave it out.")
        batches.append(labels.cpu())
    return torch.cat(batches)


@contextmanager
def _folder_of(folder: str | Path | None) -> Iterator[Path]:
    """The folder, or one that is gone afterwards."""
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="attar-specialists-") as place:
        yield Path(place)


def _claim(folder: Path, generalist: NetworkTeacher, sets: Sequence[Sequence[int]], inference: Inference) -> None:
    """See that a folder is new, or holds some or all of these specialists; write its index."""
    wanted = about_of(generalist, sets)
    if (folder / ABOUT).exists():
        about = read_json(folder / ABOUT)
        # Folders of earlier versions do not list the layers.
        for key, name in {"generalist": "generalist", "network": "layers of the generalist", "sets": "sets"}.items():
            if about.get(key, wanted[key] if key == "network" else None) != wanted[key]:
                raise StaleStore(
                    f"{name} of {folder} must be those of this call; it holds specialists made with others. "
                    "Delete it, or name another folder."
                )
    elif folder.exists() and any(not entry.name.startswith(GENERALIST) for entry in folder.iterdir()):
        raise must("folder", "specialize", "new, empty or written by specialize", folder, "Choose another folder")
    else:
        save_weights(generalist.module, folder / GENERALIST)
        write_json(folder / ABOUT, wanted)
    write_json(folder / "inference.json", asdict(inference))
