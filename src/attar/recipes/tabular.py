"""What only tables have: a library of models with a selection from it as the teacher, and synthetic rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.data.datasets import Split
from attar.data.subset import with_synthetic
from attar.data.synthesis.synthesize import Synthesis
from attar.data.views import UNCHANGED
from attar.pipeline.tuning import Tuning
from attar.recipes.context import Context
from attar.recipes.networks import fresh
from attar.recipes.transfer_examples import Synthetic
from attar.tasks.labels import ABSENT
from attar.teachers.estimator import EstimatorTeacher
from attar.teachers.selected import SelectedEnsemble
from attar.teachers.selection import select
from attar.teachers.teacher import Teacher

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selected:
    """A teacher that was selected from a library trained in the run.

    Attributes:
        teacher: The weighted mean of the chosen models.
        teacher_bytes: The size of the files of the chosen models.
        member: The best single model of the library on validation, by the metric of the selection.
        member_bytes: The size of its file.
        member_name: What it is called in the library.
        facts: Names, weights, scores and the curve of the selection, for the report.
    """

    teacher: SelectedEnsemble
    teacher_bytes: int
    member: EstimatorTeacher
    member_bytes: int
    member_name: str
    facts: Mapping[str, Any]


def selected_of(context: Context) -> Selected:
    """The library trained, or found, and the ensemble selected from it on validation data."""
    # These bring scikit-learn, which most runs do without.
    from attar.teachers.build_library import build_library
    from attar.teachers.library import Library

    section, dataset, columns = context.recipe.teacher.library, context.dataset, context.dataset.columns
    assert section is not None and columns is not None, "checked before anything is trained"
    classes = dataset.task.shape[0]
    train, validation = _labelled(dataset.train), _labelled(dataset.validation)
    matrix, labels = _matrix(train)

    def build(folder: Path) -> dict[str, Any]:
        library = build_library(
            matrix,
            labels,
            _matrix(validation)[0],
            folder / "library",
            families=section.families,
            size=section.size,
            nominal=columns.mask,
            seed=context.recipe.teacher.seed,
            jobs=torch.get_num_threads(),  # as many cores as this run may use
            progress=context.progress,
        )
        return {"models": len(library), "size_bytes": sum(library.sizes)}

    node = context.nodes.node(
        "library",
        {
            "data": context.fingerprint,
            "families": section.families,
            "size": section.size,
            "seed": context.recipe.teacher.seed,
        },
        build,
        resumable=["library"],
    )
    library = Library.open(node.folder / "library")
    selection = select(
        library.predictions,
        _matrix(validation)[1],
        metric=section.metric,
        sorted_init=section.sorted_init,
        max_steps=section.max_steps,
        bags=section.bags,
        bag_fraction=section.bag_fraction,
        seed=context.recipe.teacher.seed,
        names=library.names,
    )
    # Timed models run with one thread; what only asks the teacher may use all of the run's.
    teacher = library.ensemble(selection, columns=columns, threads=1)
    best = library.names[selection.best]
    member = EstimatorTeacher(library.load(best), columns=columns, classes=classes, decode=False)
    facts = {
        "models": len(library),
        "library_bytes": sum(library.sizes),
        "library_seconds": node.seconds,
        "metric": section.metric,
        "chosen": dict(selection.chosen),
        "score": selection.score,
        "best_single": best,
        "best_single_score": selection.single,
        "curve": list(selection.curve),
    }
    log.info("%s", selection)
    sizes = dict(zip(library.names, library.sizes, strict=True))
    return Selected(teacher, sum(sizes[name] for name in selection.chosen), member, sizes[best], best, facts)


def synthetic_rows(context: Context, teacher: Teacher) -> Synthetic | None:
    """The rows that the recipe wants drawn like the training rows; None where it wants none."""
    section, train = context.recipe.transfer.synthesis, context.dataset.train
    if section is None:
        return None
    assert train.columns is not None, "checked before anything is trained"
    columns, seed = train.columns, context.recipe.seed
    asked = Synthesis(
        method=section.method,
        rows=section.rows,
        p=section.p,
        s=section.s,
        neighbors=section.neighbors,
        components=section.components,
    )
    matrix = train.inputs.double().numpy()
    chosen, tried = _chosen(context, teacher, asked, matrix)

    def work(folder: Path) -> dict[str, Any]:
        rows = chosen.draw(matrix, columns, seed=seed, progress=context.progress)
        np.save(folder / "rows.npy", rows.astype(np.float32))
        return {"rows": len(rows)}

    node = context.nodes.node(
        "synthesis", {"data": train.fingerprint(), "synthesis": chosen.fingerprint(), "seed": seed}, work
    )
    rows = torch.from_numpy(np.load(node.folder / "rows.npy", allow_pickle=False))
    facts = {**_as_table(chosen), "tried": tried, "original": section.original, "seconds": node.seconds}
    return Synthetic(with_synthetic(train, rows, chosen, seed=seed, original=section.original), facts)


def _chosen(
    context: Context, teacher: Teacher, asked: Synthesis, matrix: NDArray[np.float64]
) -> tuple[Synthesis, Sequence[Mapping[str, Any]]]:
    """The synthesis with its settings chosen on validation data, where the recipe leaves them open."""
    if asked.method != "munge" or (asked.p is not None and asked.s is not None):
        return asked, []
    recipe, seed = context.recipe, context.recipe.seed
    tuning = Tuning.of(asked, replace(recipe.student.training, seed=seed), len(context.dataset.train))

    def work(folder: Path) -> dict[str, Any]:
        tools = context.tools(
            UNCHANGED, seed, run_seed=seed, with_labels=recipe.transfer.labels, choose_by=context.metric.name
        )
        best, tried = tuning.best(fresh(context.network, seed, context.dataset), recipe.terms, teacher, tools)
        return {"p": best.p, "s": best.s, "tried": tried}

    node = context.nodes.node(
        "tuning",
        {
            "data": context.fingerprint,
            "teacher": teacher.fingerprint(),
            "networks": recipe.teacher.given_networks,
            **tuning.key,
            "network": context.network.known_by(),
            "objective": repr(recipe.terms),
            "choose_by": context.metric.name,
        },
        work,
    )
    return replace(asked, p=node.result["p"], s=node.result["s"]), node.result["tried"]


def _as_table(synthesis: Synthesis) -> dict[str, Any]:
    return {key: value for key, value in asdict(synthesis).items() if value is not None}


def _labelled(split: Split) -> Split:
    return split if split.labels is None else split.rows(split.labels != ABSENT)


def _matrix(split: Split) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows and labels as estimators take them."""
    assert split.labels is not None
    return split.inputs.double().numpy(), split.labels.numpy()
