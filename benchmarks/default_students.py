"""Default students beside the hand-tuned ones of the recipes that ship: the network alone named, or nothing at all.

    python benchmarks/default_students.py digits letter.p1 letter.p2     # eight minutes on a quiet core
    python benchmarks/default_students.py fashion-mnist --sizes small --seeds 1     # five
    python benchmarks/default_students.py fashion-mnist --limit 6000 --result quick.json

What is there already is not trained again; results of further data go into the same file. Choices were made with
`--validation`, which does not touch test data.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from result import RESULTS, write

from attar.deployment.torch_runner import open_torch
from attar.evidence.compare import spread
from attar.evidence.measure import labels_of, predict_all
from attar.network.cost import cost
from attar.pipeline.section import training_table
from attar.pipeline.trained import Trained
from attar.recipes.context import Context
from attar.recipes.networks import fitted_to, network_of
from attar.recipes.read import from_document, read
from attar.recipes.schema.recipe import Recipe
from attar.recipes.start import open_run
from attar.recipes.students import prepare_teacher, train_one, train_students
from attar.search.students import SIZES
from attar.training.progress import silent

LETTER = ["transfer.synthesis.rows=50000", "teacher.library.families=['extra_trees']"]
DATA: Mapping[str, tuple[str, Sequence[str]]] = {
    "digits": ("digits", []),
    "letter.p1": ("papers/model-compression-2006/letter.p1", LETTER),
    "letter.p2": ("papers/model-compression-2006/letter.p2", LETTER),
    "fashion-mnist": ("fashion-mnist", []),
}
"""The recipe of each, and what is changed so that its teacher is there in a minute."""

ON_LABELS = ("fashion-mnist",)
"""Where students are trained on labels alone, as the baselines of the recipe are: the teacher takes an hour."""

COMMITTED = {"fashion-mnist": ("fashion-mnist", "control")}
"""Results that are there already of the hand-tuned student, and where; trained here only with ``--limit``."""

AIM = 0.01
"""Accuracy that a default may lose against what is hand-tuned."""

WHAT = (
    "Students of recipes that ship, hand-tuned in network and training, beside the same network with the default "
    "training and views, and beside the default students in three sizes, all with the same teacher and objective; on "
    "Fashion-MNIST on labels alone, against the committed baselines of the recipe. The recipes of the two letter "
    "problems have 50,000 synthetic rows in place of 400,000, and extra trees alone for a library. Accuracy is that of "
    "the trained network; of several epochs the best on validation. Learning rates and weight decays of the defaults "
    "for images follow those of the hand-tuned recipes by batch size; they were looked at on validation data of digits "
    "alone."
)


def main() -> None:
    """Train what is asked for, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", choices=[*DATA])
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=SIZES)
    parser.add_argument("--sizes-only", action="store_true", help="leave the default training of the tuned network out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="examples of each part, at most")
    parser.add_argument("--validation", action="store_true", help="look at validation data alone, and write nothing")
    parser.add_argument("--set", nargs="*", default=[], dest="changes", help="changes of the defaults, to try them")
    parser.add_argument("--out", type=Path, help="where trainings are kept; a temporary folder if left out")
    parser.add_argument("--result", type=Path, default=RESULTS / "default_students.json")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in asked.data:
            folder = (asked.out or Path(temporary)) / f"{name}{asked.limit or ''}"
            found[name] = _of_data(name, asked, folder)
    if asked.validation:
        return
    before = json.loads(asked.result.read_text(encoding="utf-8")) if asked.result.is_file() else {"raw": {}}
    raw = {**before["raw"], **found}
    claims = [claim for name, one in raw.items() for claim in _claims(name, one)]
    print(write(asked.result, what=WHAT, seed=0, settings={"aim": AIM}, raw=raw, claims=claims))


def _of_data(name: str, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All students of one data set."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe, changes = DATA[name]
    changes = [*changes, f"student.seeds={asked.seeds}", "threads=1"]
    changes += [f"data.limit={asked.limit}"] if asked.limit else []
    tuned = read(recipe, changes)
    rows: dict[str, Any] = {}
    if name in COMMITTED and not asked.limit:
        result, key = COMMITTED[name]
        scores = json.loads((RESULTS / f"{result}.json").read_text(encoding="utf-8"))["seeds"][key]
        rows["hand-tuned"] = {**_network(name, tuned), "from": f"{result}.json", "test": scores}
    else:
        rows["hand-tuned"] = _trained(name, tuned, folder, asked)
        if not asked.sizes_only:
            rows["hand-tuned network, default training"] = _trained(name, _with_default_training(tuned), folder, asked)
    for size in asked.sizes:
        rows[size] = _trained(name, _default(tuned, size, asked.changes), folder, asked)
    return {"limit": asked.limit, "teacher": name not in ON_LABELS, "students": rows}


def _default(tuned: Recipe, size: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe with a default student in the place of its own."""
    document = tuned.document()
    given = {key: json.loads(value) for key, _, value in (one.partition("=") for one in changes)}
    training = {"training": given} if given else {}
    document["student"] = {
        "network": size,
        "seeds": tuned.student.seeds,
        "choose_by": tuned.student.choose_by,
    } | training
    document["student"] = {key: value for key, value in document["student"].items() if value is not None}
    del document["transfer"]["views"]
    return from_document(document)


def _with_default_training(tuned: Recipe) -> Recipe:
    """The recipe with its own network, trained and varied as a default student would be."""
    with tempfile.TemporaryDirectory() as folder, open_run(_default(tuned, "small"), folder, "cpu", silent) as context:
        default = context.recipe.document()
    document = tuned.document()
    document["student"]["training"] = default["student"]["training"]
    document["transfer"]["views"] = default["transfer"]["views"]
    return from_document(document)


def _trained(name: str, recipe: Recipe, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The students of a recipe, or what was found of them before."""
    start = time.process_time()
    with open_run(recipe, folder, "cpu", silent, workers=1) as context:
        if name in ON_LABELS:
            students = [train_one(context, "baseline", index) for index in range(asked.seeds)]
        else:
            students = train_students(context, prepare_teacher(context))
        row = _network(name, context.recipe, context) | {
            "validation": [_accuracy(context, one, "validation") for one in students]
        }
        if not asked.validation:
            row["test"] = [_accuracy(context, one, "test") for one in students]
    shown = {key: value for key, value in row.items() if key not in ("training", "views")}
    print(name, f"{time.process_time() - start:.1f} s", f"{np.mean(row['validation']):.2%}", shown, flush=True)
    return row


def _network(name: str, recipe: Recipe, context: Context | None = None) -> dict[str, Any]:
    """What a student is, in numbers."""
    if context is None:
        with tempfile.TemporaryDirectory() as folder, open_run(recipe, folder, "cpu", silent) as opened:
            return _network(name, recipe, opened)
    of = cost(network_of(fitted_to(recipe.network, context.dataset), 0), context.example)
    return {
        "network": {"use": recipe.network.use, "arguments": dict(recipe.network.arguments)},
        "training": training_table(recipe.student.training),
        "views": recipe.transfer.views.model_dump(),
        "parameters": of.parameters,
        "macs": of.macs,
    }


def _accuracy(context: Context, student: Trained, role: str) -> float:
    split = context.dataset.splits()[role]
    quality = split.task.quality(predict_all(open_torch(student.network), split), labels_of(split))
    return float(quality.accuracy)  # type: ignore[attr-defined]


def _claims(name: str, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a default loses: of the training on the very network, and of the size that is nearest."""
    students = found["students"]
    tuned = students["hand-tuned"]
    nearest = min(
        (size for size in SIZES if size in students),
        key=lambda size: abs(np.log(students[size]["parameters"] / tuned["parameters"])),
    )
    claims = []
    for other in (one for one in ("hand-tuned network, default training", nearest) if one in students):
        row = students[other]
        lost = float(np.mean(tuned["test"]) - np.mean(row["test"]))
        several = len(tuned["test"]) == len(row["test"]) > 1
        pairs = [one - its for one, its in zip(tuned["test"], row["test"], strict=True)] if several else []
        size = "" if "training" in other else f" ({row['parameters']:,} weights against {tuned['parameters']:,})"
        claims.append(
            {
                "claim": f"{name}: test accuracy that {other}{size} loses against what is hand-tuned, "
                f"{len(row['test'])} seeds",
                "aim": AIM,
                "reached": lost,
                "interval": list(spread(pairs).interval or []) or None if pairs else None,
                "met": lost <= AIM,
            }
        )
    return claims


if __name__ == "__main__":
    main()
