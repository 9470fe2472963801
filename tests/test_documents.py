"""What the documents say is so: code in them runs, commands exist, links lead somewhere."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer.main
from PIL import Image
from typer.exceptions import TyperException

import attar
from attar.cli.main import app
from attar.cli.main import run as attar_run
from attar.deployment.export import to_onnx
from attar.evidence.latency import race
from attar.network.architectures import convnet, mlp
from attar.network.spec import Spec
from attar.network.weights import save_weights
from attar.pipeline.steps import STEPS
from attar.recipes import from_data
from attar.recipes.plan import plan
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import BudgetSection
from attar.recipes.schema.search import SearchSection
from attar.search.evaluate import lasting
from attar.search.n2n.layers import Rules
from attar.search.spaces import FORMATS, PRUNING
from attar.search.strategies.named import STRATEGIES, rules_of
from attar.training import fit as fitting
from attar.training.job import Job

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
DOCS = ROOT / "docs"
SEARCH = DOCS / "searching.md"
DISTILLER = ROOT / "docs/from-distiller.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
QUICK = ["artifacts.runtimes=['onnxruntime']", "artifacts.int8=false", "artifacts.seconds=0.01"]


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurried: None) -> Iterator[Path]:
    """An empty working folder; examples may seed torch, so its state is put back. What they time is timed briefly."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("attar.evidence.measure.race", lambda *given, **rest: race(*given, **{**rest, "seconds": 0.01}))
    before = torch.random.get_rng_state()
    yield tmp_path
    torch.random.set_rng_state(before)


@pytest.fixture
def brief(folder: Path, briefly_chosen: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and every training is of two epochs: that the code runs is what is seen, not what it teaches."""
    run = fitting._Run

    def brief_run(job: Job) -> fitting._Run:
        return run(replace(job, settings=lasting(job.settings, min(2, job.settings.epochs))))

    monkeypatch.setattr(fitting, "_Run", brief_run)
    return folder


# -- code --------------------------------------------------------------------------------------------------------------


def _run(blocks: list[str], names: dict[str, Any], of: str) -> dict[str, Any]:
    """What is defined after blocks of code ran, one after the other."""
    for block in blocks:
        exec(compile(block, of, "exec"), names)
    return names


def test_python_of_the_readme_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = _my_files(folder)
    changes = [*QUICK, "student.training.epochs=1"]
    monkeypatch.setattr(from_data, "recipe_from_data", partial(from_data.recipe_from_data, changes=changes))
    names = _run(_blocks(ROOT / "README.md", "python"), {"x": x}, "README.md")
    assert names["run"].folder == Path("runs/my")
    assert re.search(r"^\d+ \[\d( \d){4}\]$", capsys.readouterr().out, re.MULTILINE), "bytes, and classes"


def _my_files(folder: Path, limit: int = 100) -> np.ndarray[Any, Any]:
    """What the pages call ``my.npz`` and ``big.onnx``; the inputs."""
    data = attar.load_data("digits", limit=limit)
    x = data.train.inputs.numpy()
    np.savez(folder / "my.npz", x=x, y=data.train.labels)
    to_onnx(mlp(64, 10, [32]), data.train.floats(slice(1)), folder / "big.onnx")
    return x


def test_python_step_by_step_runs_from_top_to_bottom(brief: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = _blocks(DOCS / "python.md", "python")
    assert len(blocks) == 3
    names = _run([blocks[0], *blocks], {}, "python.md")  # the first one twice, as a cell of a notebook is
    said = capsys.readouterr().out
    assert "onnxruntime fp32" in said, "the evidence is printed"
    assert re.search(r"\[\d( \d){4}\]|\['\d'( '\d'){4}\]", said), "and five classes"
    assert names["model"].folder.samefile(brief / "artifact")
    assert names["packed"].size_bytes < names["artifact"].size_bytes


def test_python_of_the_methods_runs(brief: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(_blocks(DOCS / "methods.md", "python"), {}, "methods.md")
    out = capsys.readouterr().out
    assert len(out.partition("\n")[0].split()) == 2, "two scores"
    assert "mimic against teacher" in out and re.search(r"169 examples.*calibration error", out)
    assert attar.load("forest").predict_proba(np.zeros((1, 30))).shape == (1, 2)


def test_an_artifact_runs_with_attar_and_without_it_as_the_page_says(folder: Path) -> None:
    with_attar, without, again = _blocks(DOCS / "deployment.md", "python")
    spec = Spec("attar.network.architectures:mlp", {"inputs": 6, "classes": 3, "hidden": [8]})
    rows = np.random.default_rng(0).integers(0, 256, (5, 6), dtype=np.uint8)
    task = attar.Classification(("a", "b", "c"))
    example = torch.zeros(1, 6)
    attar.deploy(spec.build(), "onnxruntime", "artifact", task=task, example=example, spec=spec, scale=255)
    ours = _run([with_attar], {"inputs": rows}, "deployment.md")
    for inputs in (rows, rows.astype(np.float32) / 255):
        bare = _run([without], {"inputs": inputs}, "deployment.md")
        assert bare["names"] == ours["names"].tolist()
        np.testing.assert_allclose(bare["logits"], ours["logits"], rtol=1e-6)
    network = _run([again], {"attar": attar}, "deployment.md")["network"]
    np.testing.assert_allclose(
        network(torch.from_numpy(rows).float() / 255).detach().numpy(), ours["logits"], atol=1e-5
    )


def test_several_inputs_go_as_the_page_of_data_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = {text.split(" ", 1)[0]: text for text in _blocks(DOCS / "own-data.md", "python")}
    draw = np.random.default_rng(0)
    given = {"pixels": draw.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8), "ages": draw.random(60), "np": np}
    _run([blocks["x"]], {**given, "y": np.arange(60) % 2}, "own-data.md")
    (folder / "mine.py").write_text(f"import torch\nfrom torch import nn\n\n\n{blocks['class']}")
    (text,) = (one for one in _blocks(DOCS / "own-data.md", "toml") if "cases.npz" in one)
    (folder / "cases.toml").write_text(text + "student.training.epochs = 1\n")
    said = str(plan("cases.toml"))
    assert "onnxruntime fp32" in said and "272 parameters" in said


def test_the_steps_of_a_table_are_those_that_the_page_of_data_says(folder: Path) -> None:
    (text,) = (one for one in _blocks(DOCS / "own-data.md", "toml") if "[[student.steps]]" in one)
    recipe = from_document(tomllib.loads(text))
    assert [step.use for step in recipe.student.all_steps] == ["distill", "quantize"]
    assert recipe.student.network == "small"


def test_a_classifier_of_text_is_made_small_as_the_page_of_teachers_says(folder: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    words = ["(nothing)", "a", "the", "movie", "great", "fine", "dull", "awful"]
    draw = np.random.default_rng(0)
    ids = np.concatenate([draw.integers(1, 4, (300, 4)), draw.integers(4, 8, (300, 1))], 1)
    texts = [" ".join(words[number] for number in row) for row in ids]
    y = np.where(ids[:, 4] < 6, "good", "bad")

    def tokenizer(texts: list[str], **_: object) -> dict[str, np.ndarray[Any, Any]]:
        rows = [[words.index(word) for word in text.split()] for text in texts]
        found = {name: np.zeros((len(rows), max(map(len, rows))), int) for name in ("input_ids", "attention_mask")}
        for place, row in enumerate(rows):
            found["input_ids"][place, : len(row)], found["attention_mask"][place, : len(row)] = row, 1
        return {**found, "token_type_ids": found["input_ids"] * 0}

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    called = {"id2label": {0: "good", 1: "bad"}, "vocab_size": 8, "max_position_embeddings": 8}
    bert = BertForSequenceClassification(BertConfig(**sizes, **called))
    optimizer, labels = torch.optim.AdamW(bert.parameters(), 0.01), torch.from_numpy((y == "bad").astype(int))
    for _ in range(40):
        optimizer.zero_grad()
        bert(input_ids=torch.from_numpy(ids), labels=labels).loss.backward()
        optimizer.step()
    bert.eval().save_pretrained("sentiment-bert")
    first, last = (one for one in _blocks(DOCS / "own-teacher.md", "python") if "tokenizer(" in one)
    names = {"tokenizer": tokenizer, "texts": texts, "y": y, "np": np, "attar": attar}
    _run([first], names, "own-teacher.md")
    (text,) = (one for one in _blocks(DOCS / "own-teacher.md", "toml") if "reviews.npz" in one)
    shorter = 'student = { network = "tiny", training = { epochs = 8, learning_rate = 0.02 } }'
    (folder / "reviews.toml").write_text(text.replace('student = "tiny"', shorter))
    run = attar.compress(attar.read_recipe("reviews.toml", QUICK), "runs/reviews")
    of = {one["name"]: one["quality"] for one in run.evidence["models"] if one.get("quality")}
    assert all(quality["accuracy"] > 0.9 for quality in of.values()), of
    _run([last], names, "own-teacher.md")
    assert names["model"].predict(ids=ids[:5]).tolist() == y[:5].tolist()


def test_the_page_of_recipes_has_every_limit() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for limit in BudgetSection.model_fields:
        assert f"`{limit}`" in text, limit


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=_relative)
def test_example_runs(path: Path, brief: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(path), run_name="__main__")
    assert names["__doc__"], "an example says what it shows"
    if not path.with_suffix(".toml").exists():  # one with a recipe only defines what that names
        assert capsys.readouterr().out.strip(), "an example shows something"


def test_recipe_of_the_pages_runs(folder: Path) -> None:
    (recipe,) = _blocks(DOCS / "recipes.md", "toml")
    (steps,) = _blocks(DOCS / "methods.md", "toml")
    data = attar.load_data("digits", limit=100)
    np.savez("mine.npz", x=data.train.inputs, y=data.train.labels)
    to_onnx(mlp(64, 10, [32]), data.train.floats(slice(1)), folder / "big.onnx")
    (folder / "mine.toml").write_text(recipe, encoding="utf-8")
    run = attar.compress(attar.read_recipe("mine.toml", [*QUICK, "student.training.epochs=1"]))
    assert run.folder == Path("runs/mine")
    assert run.artifact.candidate.name == "onnxruntime fp32"
    told = _files_of_a_run()
    assert len(told) == 7
    for name in told:
        assert (run.folder / name).exists(), f"the page promises {name}"
    (folder / "mine.toml").write_text(f"{recipe}\n{steps}".replace("256", "16"), encoding="utf-8")
    run = attar.compress(
        attar.read_recipe("mine.toml", [*QUICK, "student.training.epochs=1", "student.steps.2.training.epochs=1"])
    )
    assert list(run.evidence["steps"]["student"]) == ["1-distill", "2-quantize", "3-distill"]


def test_recipe_of_pruning_runs_with_steps_of_its_page(folder: Path) -> None:
    recipe, longer, sparse = _blocks(DOCS / "pruning.md", "toml")
    data = attar.load_data("digits", limit=200)
    np.savez("mine.npz", x=data.train.inputs, y=data.train.labels)
    make = "from attar.network.architectures import convnet\n\n\ndef net():\n    return convnet(10, [4, 8])\n"
    (folder / "mine.py").write_text(make, encoding="utf-8")
    save_weights(convnet(10, [4, 8]), folder / "big.safetensors")
    (folder / "mine.toml").write_text(recipe.replace("latency", "macs"), encoding="utf-8")
    run = attar.compress(attar.read_recipe("mine.toml", [*QUICK, "student.training.epochs=1", "baseline=false"]))
    assert run.evidence["steps"]["student"].keys() == {"1-prune"}
    (folder / "mine.toml").write_text(recipe.replace("student = ", "# ") + longer, encoding="utf-8")
    assert attar.read_recipe("mine.toml").student.training.epochs == 30
    assert "Pruning" in (run.folder / "report.html").read_text(encoding="utf-8")
    steps = (
        tomllib.loads(sparse)["student"]["steps"] + tomllib.loads(_blocks(DISTILLER, "toml")[-1])["student"]["steps"]
    )
    assert [STEPS[one["use"]].model_validate(one).use for one in steps] == ["sparsify", "prune"]


def test_python_of_pruning_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, code = _blocks(ROOT / "docs/pruning.md", "python")
    exec(compile(code, "pruning.md", "exec"), {})
    assert "Conv2d(1, 4, kernel_size=(3, 3)" in capsys.readouterr().out


def test_python_of_the_search_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = _blocks(SEARCH, "python")
    _my_files(folder)
    quick = ["artifacts.runtimes=['torch']", "artifacts.seconds=0.01", "student.training.epochs=1"]
    monkeypatch.setattr(from_data, "recipe_from_data", partial(from_data.recipe_from_data, changes=quick))
    exec(compile(code, "searching.md", "exec"), {})
    # Of eight rows to validate on, one decides whether a student is within the budget.
    assert re.match(r"Student #\d|No student that was tried is within the budget; #\d", capsys.readouterr().out)
    assert (folder / "runs/my/found.toml").exists(), "the page promises it"


def test_recipes_of_the_search_say_what_is_usual(folder: Path) -> None:
    recipe, _, layers, space = _blocks(SEARCH, "toml")
    (folder / "mine.toml").write_text(recipe, encoding="utf-8")
    assert attar.read_recipe("mine.toml").search == SearchSection()
    (folder / "mine.toml").write_text(f"{recipe}\n{space}", encoding="utf-8")
    found = attar.read_recipe("mine.toml").search
    assert found is not None and found.space is not None and found.space.use == "mine:net"
    (folder / "mine.toml").write_text(recipe.partition("[search]")[0] + layers, encoding="utf-8")
    found = attar.read_recipe("mine.toml").search
    assert found is not None and rules_of(found.strategy).tie == "inner"
    assert found.strategy["policy"] == "runs/small/policies", "what the recipe above it leaves"


def test_recipe_of_n2n_is_complete(folder: Path) -> None:
    _my_files(folder)
    make = "from attar.network.architectures import convnet\n\n\ndef net():\n    return convnet(10, [4, 8])\n"
    (folder / "mine.py").write_text(make, encoding="utf-8")
    save_weights(convnet(10, [4, 8]), folder / "big.safetensors")
    (folder / "small.toml").write_text(_blocks(SEARCH, "toml")[1], encoding="utf-8")
    lines = str(plan("small.toml"))
    assert "60 proposals by n2n" in lines and "the teacher's network with fewer and narrower layers" in lines


def test_the_page_of_the_search_has_every_key_and_strategy() -> None:
    text = SEARCH.read_text(encoding="utf-8")
    for name in [*SearchSection.model_fields, *STRATEGIES, *FORMATS, *PRUNING, *(one.name for one in fields(Rules))]:
        assert name in text, name


@pytest.mark.parametrize("name", ["digits", "letter", "fashion-mnist"])
def test_headers_of_recipes_with_a_budget_say_what_was_measured(name: str) -> None:
    results = json.loads((ROOT / "benchmarks/results/search_budgets.json").read_text(encoding="utf-8"))
    seeds, mean = [*results["raw"][name]["searched"].values()], results["summary"][name]["searched"]
    assert len(seeds) == 3 and {one["outcome"] for one in seeds} == {"met"}
    smaller, seconds = ([round(one[key]) for one in seeds if one[key] is not None] for key in ("smaller", "seconds"))
    took = f"{min(seconds)} to {max(seconds)} s" if len(seconds) == 3 else f"{seconds[0]} s, of one seed"
    header = (ROOT / f"src/attar/recipes/{name}-budget.toml").read_text(encoding="utf-8").partition("\nname")[0]
    assert (
        f"Three seeds on two cores: the budget is met on test each time, {mean['test']:.1%} against "
        f"{mean['teacher_test']:.1%} of the teacher, in {min(smaller)} to {max(smaller)} times fewer bytes; the search "
        f"itself takes {took}."
    ) in " ".join(header.replace("\n#", " ").split())


def _files_of_a_run() -> list[str]:
    """What the table of a run folder names."""
    table = (DOCS / "recipes.md").read_text(encoding="utf-8").partition("## What a run leaves")[2].partition("```")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall("`([^`]+)`", row)]


def test_recipe_of_an_own_model_runs(folder: Path) -> None:
    small = ["teacher.training.epochs=1", "student.training.epochs=1", "teacher.members=1", "data.limit=100"]
    run = attar.compress(attar.read_recipe(ROOT / "examples/own_model.toml", [*QUICK, *small]), "out")
    assert run.artifact.classes == ("near", "far")


def test_recipe_of_a_regression_runs(folder: Path) -> None:
    small = ["student.training.epochs=1", "transfer.synthesis.rows=50", "data.limit=60"]
    run = attar.compress(attar.read_recipe(ROOT / "examples/friedman.toml", [*QUICK, *small]), "out")
    assert run.artifact.classes == ("output",) and run.evidence["task"]["use"] == "regression"


def test_a_folder_of_images_runs_as_the_page_says(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    text = (DOCS / "own-data.md").read_text(encoding="utf-8").partition("## Folders of images")[2]
    paths = re.findall(r"images/\S+\.(?:png|jpg)", text)
    assert len(paths) == 5, "two layouts"
    draws = np.random.default_rng(0)
    for path in paths[::2]:  # that with splits
        for number in range(6):
            place = folder / Path(path).parent / f"{number}{Path(path).suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draws.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(place)
    to_onnx(convnet(2, [4], channels=3), torch.zeros(2, 3, 32, 32), folder / "big.onnx")
    (line,) = [one for one in re.findall(r"^attar compress .*$", text, re.MULTILINE) if "images/" in one]
    quick = [*QUICK, "student.network=tiny", "student.training.epochs=1", "data.validation=0.2"]
    arguments = [*shlex.split(line)[1:], *(one for change in quick for one in ("--set", change))]
    assert attar_run(arguments) in (0, 1, 3)
    capsys.readouterr()
    Image.fromarray(draws.integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(folder / "new.jpg")
    (code,) = [block for block in _blocks(DOCS / "own-data.md", "python") if "PIL" in block]
    _run([code], {}, "own-data.md")
    assert capsys.readouterr().out.strip() in ("['cat']", "['dog']")


# -- commands ----------------------------------------------------------------------------------------------------------


def _commands() -> list[tuple[str, str]]:
    """Every command line of the documents, and those that the recipes and examples name."""
    lines = [
        (_relative(path), line) for path in DOCUMENTS for block in _blocks(path, "sh") for line in block.splitlines()
    ]
    for path in [*sorted((ROOT / "src").rglob("*.toml")), *sorted((ROOT / "examples").glob("*.toml"))]:
        found = re.search(r"^# Command[^:]*: (.*?)(?:  .*)?$", path.read_text(encoding="utf-8"), re.M)
        assert found, f"{_relative(path)} must say its command"
        lines.append((_relative(path), found[1]))
    return lines


def _check(line: str) -> None:
    """Fail unless a command line could be run as it stands: its program, verb, options and target exist."""
    program, *arguments = shlex.split(line)
    if program == "attar":
        verb, *rest = arguments
        commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        assert verb in commands, line
        commands[verb].make_context(verb, rest)  # parses, and runs nothing
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert arguments, line
        assert set(arguments) <= set(targets), line
    elif program == "torchrun":
        assert arguments[:4] == ["--nproc-per-node", "2", "-m", "attar"], line
        _check(shlex.join(arguments[3:]))
    elif arguments == ["install", "numpy", "onnxruntime"]:
        assert program == "pip", line
    else:
        assert (program, arguments[0]) == ("pip", "install"), line
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert arguments[1] in {f".[{name}]" for name in project["optional-dependencies"]}, line


@pytest.mark.parametrize(("where", "line"), _commands())
def test_command_exists(where: str, line: str) -> None:
    _check(line)


@pytest.mark.parametrize(
    "line",
    [
        "attar distill digits",
        "attar compress digits --epochs 5",
        "attar compress",
        "make everything",
        "pip install '.[x]'",
    ],
)
def test_command_that_does_not_exist_is_seen(line: str) -> None:
    with pytest.raises((AssertionError, TyperException)):
        _check(line)


# -- links and names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=_relative)
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith("https://"):
            assert (path.parent / link.partition("#")[0]).exists(), f"{_relative(path)}: {link}"


def test_contributing_names_what_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:src|tests|benchmarks|examples|docs|\.ci)/[\w./-]*|[A-Z]+\.md|pyproject\.toml)`", text)
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / path).exists(), path


def test_contributing_shows_every_folder_of_the_house() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| \d \| `src/attar/(\w+)", text, re.MULTILINE))
    house = ROOT / "src/attar"
    there = {path.parent.name for path in house.glob("*/__init__.py")} | {path.stem for path in house.glob("[a-z]*.py")}
    assert shown == there


def test_contributing_names_things_where_they_are() -> None:
    """Each name in backticks that precedes "in `path`" is in that file."""
    text = re.sub(r"\s+", " ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    pairs = re.findall(r"`(\w+)` in `(src/[\w/]+\.py)`", text)
    assert len(pairs) >= 3
    for name, path in pairs:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (name, path)


def test_glossary_is_in_order_and_has_each_word_once() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)[1:]
    words = [word for word in words if word.strip("- ")]
    assert len(words) > 20
    assert words == sorted(set(words), key=str.casefold)


def test_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    for heading in versions[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading), heading
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def test_readme_is_short_and_its_figures_are_those_of_the_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) < 6000
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (BENCHMARKS / "results").glob("*.json")
    }

    def reached(result: str, words: str) -> tuple[float, list[float]]:
        (found,) = (one for one in results[result]["claims"] if words in one["claim"])
        return found["reached"], found.get("interval") or []

    gain, (low, high) = reached("digits", "gain in accuracy over the baseline")
    assert f"{100 * gain:.1f} points better" in text and f"{100 * low:.1f} to {100 * high:.1f}" in text
    assert f"| {reached('digits', 'times smaller')[0]:.0f} times |" in text
    runs = reached("demo_verdict", "the verdict that")[0]
    assert f"in {runs} of {runs} runs" in text
    assert f"| {reached('fashion-mnist', 'times smaller')[0]:.1f} times |" in text
    assert f"{results['fashion-mnist']['ratios']['fewer_macs']:.1f} times fewer multiply-adds" in text
    few = next(row for row in results["quantization-2018"]["tables"][0]["rows"] if row["name"] == "buckets-4-bits")
    assert f"{few['cells']['smaller']['mean']:.1f} times more" in text
    lost = reached("quantization-2018", "buckets-4-bits, trained on: accuracy lost")[0]
    assert f"{100 * lost:.2f} points lost, three seeds" in text
    kept, (low, high) = reached("model-compression-2006", "letter.p2: share")
    assert f"keeps {kept:.0%} of what the ensemble gains ({low:.0%} to {high:.0%})" in text
    assert f"| {reached('model-compression-2006', 'letter.p2: times smaller')[0]:.0f} times |" in text
    better, (low, high) = reached("pruned_residual", "at 0.35x")
    assert f"{100 * better:.1f} points ({100 * low:.1f} to {100 * high:.1f}) better" in text


def test_how_to_cite_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"version: {project['version']}\n" in text and f"license: {project['license']}\n" in text
    assert text.count("  - type: ") == 7
