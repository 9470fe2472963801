"""What every step of one run shares: the recipe, its data, and where results are kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from attar.data.datasets import Dataset, renamed
from attar.data.datasets import load as load_data
from attar.data.transfer_set import TransferSet
from attar.data.views import Views
from attar.errors import must
from attar.pipeline.cluster import Cluster
from attar.pipeline.nodes import Nodes
from attar.pipeline.step import Tools
from attar.pipeline.turns import Turns
from attar.pipeline.workers import Workers
from attar.quantization.attach import dequantize, is_quantized
from attar.recipes.checks import check_paths
from attar.recipes.networks import fitted_to
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.recipes.trackers import Trackers
from attar.tasks.classification import Classification
from attar.tasks.metrics.metric import Metric
from attar.tasks.task import metric_of
from attar.teachers.pretrained import names_in, only_numbers
from attar.training.progress import Progress, Stages
from attar.training.threads import threads_for, using_threads


@dataclass(frozen=True)
class Context:
    """What every node of one run shares.

    Attributes:
        recipe: Completed by the data.
        dataset: The data.
        fingerprint: Of the data.
        nodes: Where results are kept.
        device: Where networks are trained.
        progress: Sees every long step.
        workers: Processes that train beside this one; None where this one does everything alone.
        trackers: Where figures go besides the folder of the run.
        cluster: A Ray cluster; None where there is none.
        teacher_fingerprint: Of the teacher, once a search begins; empty before.
        stages: What whoever watches is told of.
    """

    recipe: Recipe
    dataset: Dataset
    fingerprint: str
    nodes: Nodes
    device: str
    progress: Progress
    workers: Workers | None = None
    trackers: Trackers = field(default_factory=Trackers)
    cluster: Cluster | None = None
    teacher_fingerprint: str = ""
    stages: Stages = field(default_factory=Stages)

    @property
    def beside(self) -> list[Path]:
        """Folders in which modules of the user's lie, whose functions the recipe names."""
        names_any = any(not one.startswith("attar.") for one in self.recipe.references.values())
        return [one for one in (self.recipe.trust.beside, Path.cwd()) if one is not None] if names_any else []

    @property
    def example(self) -> Tensor:
        """One input ``[1, ...]``, as networks receive it."""
        return self.dataset.train.floats(slice(0, 1))

    @property
    def network(self) -> NetworkSection:
        """The student's network, with the columns of the data where it takes them."""
        return fitted_to(self.recipe.network, self.dataset)

    @property
    def validation(self) -> TransferSet:
        """The validation data, seen as they are."""
        return TransferSet(self.dataset.validation)

    @property
    def metric(self) -> Metric:
        """By what epochs, seeds and settings are chosen on validation."""
        return metric_of(self.dataset.task, self.recipe.student.choose_by)

    def tools(self, views: Views, seed: int, **rest: object) -> Tools:
        """What the steps of one model may use; see `attar.pipeline.step.Tools`, to which ``rest`` goes."""
        steps = self.recipe.student.all_steps
        given: dict[str, object] = {
            "dataset": self.dataset,
            "dataset_key": self.fingerprint,
            "views": views,
            "seed": seed,
            "device": self.device,
            "threads": self.threads,
            "progress": self.progress,
            "watch": self.trackers.watch,
            "turns": Turns(self.nodes.folder / "times") if any(step.measures for step in steps) else None,
        }
        return Tools(**(given | rest))  # type: ignore[arg-type]

    def threads(self, networks: Sequence[nn.Module], batch_size: int) -> AbstractContextManager[None]:
        """Within it, a training has the recipe's threads, or what suits its networks.

        A teacher that is asked live may be of any size.
        """
        count = self.thread_count(networks, batch_size)
        return nullcontext() if count is None else using_threads(count)

    def thread_count(self, networks: Sequence[nn.Module], batch_size: int) -> int | None:
        """How many threads these are; None for those that the whole run has."""
        if self.recipe.threads or not self.recipe.transfer.cached:
            return None
        counted = [dequantize(one) if is_quantized(one) else one for one in networks]
        return threads_for(*counted, example=self.example, batch_size=batch_size)


def allowed(reference: str) -> list[str]:
    """The packages from which a run may build a network that its recipe names."""
    return sorted({"attar", reference.partition(":")[0].partition(".")[0]})


def data_of(recipe: Recipe, progress: Progress) -> Dataset:
    """The recipe's data set; classes that only have numbers are called as a teacher of transformers calls them.

    What is logged as a warning while the data are read is among the remarks of the data set.
    """
    check_paths(recipe)
    section = recipe.data
    with _remarks() as remarks:
        dataset = load_data(
            section.use,
            validation=section.validation,
            test=section.test,
            seed=recipe.seed,
            classes=section.classes,
            limit=section.limit,
            target=section.target,
            task=section.task,
            nominal=section.nominal,
            ignore=section.ignore,
            split=section.split,
            weights=section.weights,
            encoding=section.encoding,
            decimal=section.decimal,
            header=section.header,
            max_bytes=section.max_bytes,
            size=section.size,
            channels=section.channels,
            progress=progress,
        )
    dataset = replace(dataset, remarks=tuple(dict.fromkeys(remarks)))
    folder = recipe.teacher.transformers
    names = None if folder is None else recipe.teacher.classes or names_in(folder)
    known = isinstance(dataset.task, Classification) and only_numbers(dataset.task.names)
    return dataset if names is None or not known or len(names) != dataset.task.shape[0] else renamed(dataset, names)


@contextmanager
def _remarks() -> Iterator[list[str]]:
    """Within it, what is logged as a warning of data and tables, as sentences."""
    found: list[str] = []
    handler = _Kept(found)
    loggers = [logging.getLogger(one) for one in ("attar.data", "attar.tables")]
    for one in loggers:
        one.addHandler(handler)
    try:
        yield found
    finally:
        for one in loggers:
            one.removeHandler(handler)


class _Kept(logging.Handler):
    """Keeps warnings as sentences."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._found.append(f"{text[:1].upper()}{text[1:].rstrip('.')}.")


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
