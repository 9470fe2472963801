"""``attar compress``: a recipe, or data and a teacher, in; an artifact, its evidence and a report out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe (see: attar recipes).")
]
RecipeOrDataArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|DATA",
        help="A TOML file, or the name of a shipped recipe (see: attar recipes). With --teacher, data: an .npz, .csv "
        "or .parquet file, a folder of images or of .parquet files, module:function, or the name of a data set.",
    ),
]
TeacherOption = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher",
        metavar="FILE",
        help="An ONNX file, one of a fitted model, the folder of a model of transformers, or module:function that "
        "returns an estimator or a network: makes it small on DATA, without a recipe. Several files are an ensemble.",
    ),
]
BudgetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="LIMITS",
        help='What may be lost and used: "quality_loss<=1%, bytes<=50kB, latency<=1ms", also memory<=20MB, macs<=3M, '
        "or 0.05x of the teacher's; prefer=bytes says what decides among those within. Where a student is "
        "looked for, quality_loss is 1% unless it is named. May be repeated.",
    ),
]
StudentOption = Annotated[
    str | None,
    typer.Option(
        "--student", metavar="NAME", help="tiny, small or medium: a usual network for such data. Nothing is searched."
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option("--strategy", metavar="NAME", help="How a student is looked for. Same as --set search.strategy=NAME."),
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        help="How long all of it may take, for example 20m: the search is stopped in time for the best student by then "
        "to be trained and to ship. Only a teacher that is trained first takes what it takes.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, for example --set student.training.epochs=5. May be repeated.",
    ),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="PACKAGE",
        help="A package whose functions the recipe may name, besides modules beside the recipe. May be repeated.",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="Where networks are trained: cpu, cuda, cuda:1, mps.")]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Seed of the split, the views and the student. Same as --set seed=N."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Processes that train networks beside each other, one thread each, to the same result; by default one for "
        "each core.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="A Ray cluster that trains the proposals of a search and labels the transfer set, on --workers of its "
        "cores or all, to the same result: auto, local, host:port, ray://host:port. Times are measured here.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and say what would be done; train nothing.")
]


def compress(
    recipe: RecipeOrDataArgument,
    teacher: TeacherOption = None,
    budget: BudgetOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Run folder; by default runs/NAME.")] = None,
    student: StudentOption = None,
    strategy: StrategyOption = None,
    time: TimeOption = None,
    changes: SetOption = None,
    allow: AllowOption = None,
    device: DeviceOption = "cpu",
    seed: SeedOption = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    dry_run: DryRunOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the evidence as JSON instead of a table.")] = False,
) -> int:
    """Distill a teacher into a small student, deploy it, measure it, and write the report.

    What to do says a recipe, or data with --teacher: then a student is looked for that keeps within --budget. A recipe
    that has a table named search looks for one, too; without it and without a student it takes a small usual one.

    The run folder then holds the artifact (load it with attar.load), evidence.json and report.html. The same command
    continues a run that was stopped, however it was stopped.

    Of your own: attar compress my.npz --teacher big.onnx --budget "quality_loss<=1%, bytes<=50kB" --time 20m

    Before it: the same with --dry-run says what is searched, what it takes, and what the teacher takes.

    Example: attar compress digits --out runs/digits --budget bytes="20 kB" --set student.training.epochs=40
    """
    from attar.cli.outcome import code
    from attar.cli.progress import announce, errors, watched
    from attar.cli.typed import as_typed
    from attar.recipes.limits import limits_of

    limits = limits_of(budget)
    all_changes = [
        *(changes or []),
        *(f"budget.{name}={limit}" for name, limit in limits.items()),
        *(
            f"{key}={value}"
            for key, value in {
                "student.network": student,
                "search.strategy": strategy,
                "search.time": time,
                "seed": seed,
            }.items()
            if value is not None
        ),
    ]
    check_names(recipe, teacher, all_changes)
    if not as_json or errors.is_terminal:
        announce(recipe)
    from attar.cli.table import COLORS, budget_line, models_table, say, verdict_line
    from attar.recipes.compress import compress as do
    from attar.recipes.document import headline, reason
    from attar.recipes.from_data import recipe_from_data
    from attar.recipes.read import read

    if teacher:
        chosen = recipe_from_data(recipe, teacher, all_changes, allow=allow or [])
    else:
        chosen = read(recipe, all_changes, allow=allow or [])
    if dry_run:
        from attar.recipes.plan import plan

        with watched(terminal_only=True) as progress:
            planned = plan(chosen, out, device=device, progress=progress)
        print(json.dumps(planned.to_json(), indent=1) if as_json else planned)
        return 0
    command = as_typed() or f"attar compress {recipe}"
    with watched(terminal_only=as_json) as progress:
        run = do(chosen, out, device=device, progress=progress, command=command, workers=workers, ray=ray)
    if as_json:
        print((run.folder / "evidence.json").read_text(encoding="utf-8"))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        say(console, headline(run.evidence))
        console.print(models_table(run.evidence, console.width))
        if why := reason(run.evidence):
            say(console, why)
        say(console, verdict_line(run.evidence))
        say(console, budget_line(run.evidence), COLORS[run.outcome])
        for warning in run.evidence["warnings"]:
            say(errors, f"warning: {warning}")
        console.print(f"Artifact: {run.folder / 'artifact'}", soft_wrap=True, markup=False)
        console.print(f"Report:   {run.report}", soft_wrap=True, markup=False)
    return code([run.outcome])


def check_names(recipe: str, teacher: Sequence[str] | None, changes: Sequence[str]) -> None:
    """See that the recipe is there, and the files that it or the command names: at once, without PyTorch.

    Args:
        recipe: Or data, where a teacher is given.
        teacher: Its files; None for a recipe.
        changes: Of the recipe, ``dotted.key=value`` each.
    """
    from attar.recipes.changes import apply
    from attar.recipes.files import parsed
    from attar.recipes.paths import check_paths
    from attar.recipes.shipped import file_of

    if teacher:
        document, beside = {"data": {"use": recipe}, "teacher": {"onnx": [*teacher]}}, None
    else:
        file, _ = file_of(recipe)
        document, beside = parsed(file), file.parent
    for change in changes:
        apply(document, change)
    check_paths(document, beside)
