"""What every step of one run shares: the recipe, its data, and where results are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from attar.data.datasets import Dataset
from attar.data.transfer_set import TransferSet
from attar.data.views import Views
from attar.errors import must
from attar.pipeline.cluster import Cluster
from attar.pipeline.nodes import Nodes
from attar.pipeline.step import Tools
from attar.pipeline.turns import Turns
from attar.pipeline.workers import Workers
from attar.quantization.attach import dequantize, is_quantized
from attar.recipes.networks import fitted_to
from attar.recipes.schema.network import NetworkSection
from attar.recipes.schema.recipe import Recipe
from attar.recipes.trackers import Trackers
from attar.tasks.metrics.metric import Metric
from attar.tasks.task import metric_of
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
