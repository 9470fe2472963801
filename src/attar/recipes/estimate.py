"""What a run will take, before it begins: rows to label, bytes on disk, seconds of training."""

from __future__ import annotations

import math
import os
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from attar.data.datasets import Dataset
from attar.errors import BadInput
from attar.formatting import grouped, size
from attar.network.forward import forward
from attar.recipes.schema.recipe import Recipe
from attar.recipes.transfer_examples import without_synthesis
from attar.training.settings import Training, settings_optimizer

_LONG = 2.0
"""Seconds from which on one step says enough."""


@dataclass(frozen=True)
class Stored:
    """What is labelled and stored.

    Attributes:
        examples: How many are in the transfer set.
        labels: How many the teacher labels, views counted; 0 where it is asked live.
        size_bytes: About how large the stored targets become.
    """

    examples: int
    labels: int
    size_bytes: int


def stored(recipe: Recipe, dataset: Dataset) -> Stored:
    """The examples that the teacher labels, and the size of what it says."""
    is_stored = recipe.transfer.cached and not recipe.teacher.learns
    synthesis = recipe.transfer.synthesis
    transfer = without_synthesis(recipe, dataset).transfer
    examples = len(dataset.train if transfer is None else transfer)
    if synthesis is not None:
        examples = synthesis.rows + synthesis.original * len(dataset.train)
    labels = examples * (recipe.transfer.views.count if recipe.transfer.label_views else 1) if is_stored else 0
    top_k, number = recipe.transfer.top_k, 1 if recipe.transfer.dtype == "int8" else 2
    scale = 2 if number == 1 else 0
    width = number * math.prod(dataset.task.shape) + scale if top_k is None else (4 + number) * top_k + 4 + scale
    return Stored(examples, labels, labels * width)


def check_room(recipe: Recipe, dataset: Dataset, folder: Path) -> None:
    """See that the targets go onto the disk, and rows that are made into memory.

    Raises:
        BadInput: With both sizes, if they do not.
    """
    wanted = stored(recipe, dataset)
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    if wanted.size_bytes > free:
        raise BadInput(
            f"The targets of {grouped(wanted.labels)} examples would take about {size(wanted.size_bytes)}, and "
            f"{size(free)} are free in {str(there)!r}. Use fewer views or rows, transfer.top_k, or another --out."
        )
    synthesis = recipe.transfer.synthesis
    if synthesis is not None:
        rows = 4 * synthesis.rows * dataset.train.floats(slice(0, 1)).numel()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if rows > memory:
            raise BadInput(
                f"transfer.synthesis.rows of the recipe: {grouped(synthesis.rows)} rows would take {size(rows)} of "
                f"memory, and this machine has {size(memory)}. Ask for fewer."
            )


def seconds_per_step(network: nn.Module, dataset: Dataset, training: Training) -> float | None:
    """Seconds of one optimizer step on the CPU, from a few that are made; None where a network cannot make one so.

    Args:
        network: A fresh one: its weights change.
        dataset: Whose training examples it gets.
        training: Of which the batch size and the optimizer count.
    """
    rows = dataset.train.floats(slice(0, training.batch_size))
    optimizer = settings_optimizer(training)(network.parameters())
    network.train()

    def step() -> float:
        begin = time.perf_counter()
        torch.autograd.backward(forward(network, rows).square().mean())
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - begin

    try:
        with torch.random.fork_rng(devices=[]):
            first = step()
            return first if first > _LONG else statistics.median(step() for _ in range(3))
    except (Exception, SystemExit):  # what is wrong with it is an error where it is trained
        return None
