"""How a run begins: its folder opened, its data loaded, and what its recipe names checked."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import tomli_w

from attar.errors import AttarError, must
from attar.evidence.machine import machine
from attar.pipeline.cluster import Cluster
from attar.pipeline.nodes import Node, Nodes
from attar.pipeline.workers import Workers
from attar.processes import rank
from attar.recipes.checks import check_budget, check_device, check_networks, check_steps
from attar.recipes.completed import completed
from attar.recipes.context import Context, with_threads
from attar.recipes.data import data_of
from attar.recipes.estimate import check_room
from attar.recipes.folder import RECIPE, opened, run_folder, writing
from attar.recipes.schema.recipe import Recipe
from attar.recipes.trackers import Trackers, check_trackers, tracked
from attar.recipes.trusted import trusted
from attar.training.progress import Progress, Stages, silent
from attar.workspace import write_file

log = logging.getLogger(__name__)

ENVIRONMENT = "environment.json"
"""What a run folder says of the machine and its software."""

TRACEBACK = "The traceback is in"
"""How the note of an exception begins that says where its traceback was written."""


@contextmanager
def open_run(
    recipe: Recipe,
    out: Path | str | None,
    device: str,
    progress: Progress,
    *,
    write_recipe: bool = True,
    reuse_from: Sequence[Path] = (),
    workers: int | None = None,
    ray: str | None = None,
    stages: Callable[[Recipe], Iterable[str]] = lambda _: (),
) -> Iterator[Context]:
    """The run folder opened and the data loaded; what the recipe names is checked before anything is trained.

    Args:
        recipe: What to do.
        out: The run folder; by default ``runs/NAME``.
        device: Where networks are trained.
        progress: Sees every long step.
        write_recipe: Whether the folder shall say that it is a run of this recipe; otherwise what it says stays, and
            its steps are used and added to.
        reuse_from: Other run folders, whose finished steps serve where they are the same.
        workers: Processes that train beside each other; as `compress` has it.
        ray: Address of a Ray cluster; as `compress` has it.
        stages: What whoever watches is told of the recipe's stages, in order, once it is completed by its data.
    """
    if workers is not None and workers < 1:
        raise must("workers", "a run", "at least 1", workers, "Leave it out for one on each core")
    if ray is not None and device != "cpu":
        raise must("device", "a run with a Ray cluster", "cpu", device, "Leave one of the two out")
    check_device(recipe, device)
    check_budget(recipe)
    check_trackers(recipe)
    folder = run_folder(recipe, out)
    progress = progress if rank() == 0 else silent
    with (
        trusted(recipe),
        opened(folder, recipe, write_recipe=write_recipe),
        _logging(folder / "log.txt") if rank() == 0 else nullcontext(),
        with_threads(recipe.threads),
        Workers(None if ray else workers) as pool,
        nullcontext() if ray is None else Cluster(ray, workers) as cluster,
    ):
        log.info("recipe %s, version %s", recipe.name, version("attar"))
        if write_recipe and rank() == 0:
            with writing(folder):
                write_file(folder / ENVIRONMENT, json.dumps(machine(), indent=1))
        start = time.perf_counter()
        dataset = data_of(recipe, progress)
        given, (recipe, _) = recipe, completed(recipe, dataset)
        if write_recipe and rank() == 0 and recipe is not given:
            with writing(folder):
                write_file(folder / RECIPE, tomli_w.dumps(recipe.document()))
        nodes = Nodes(folder, reuse_from, progress=progress)
        nodes.done.append(Node("data", "", folder, {}, time.perf_counter() - start, False))
        context = Context(recipe, dataset, dataset.fingerprint(), nodes, device, progress, pool, cluster=cluster)
        checked = recipe
        if recipe.search is not None:
            from attar.recipes.search import check_search

            checked = check_search(recipe, dataset, folder)
        check_networks(checked, dataset)
        check_steps(checked, dataset)
        check_room(context.recipe, context.dataset, folder)
        with tracked(recipe, folder) if write_recipe else nullcontext(Trackers()) as trackers:
            yield replace(context, trackers=trackers, stages=Stages(list(stages(recipe)), progress))


@contextmanager
def _logging(path: Path) -> Iterator[None]:
    """Write what Attar logs into the run folder as well."""
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("attar")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except AttarError:
        raise
    except Exception as error:
        log.exception("crashed")
        error.add_note(f"{TRACEBACK} {path}")
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
