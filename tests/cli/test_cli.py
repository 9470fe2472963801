"""The command line: exit codes, what goes to which stream, the flags, and that the examples in the help are true."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from attar.cli.main import app, run
from attar.deployment.artifact import load
from attar.recipes.read import read, shipped

FLAGS = {
    "compress": {"--out", "--set", "--device", "--seed", "--dry-run", "--json"},
    "label": {"--out", "--set", "--device", "--seed"},
    "measure": {"--data", "--split", "--threads", "--allow", "--json"},
    "report": {"--out"},
    "recipes": set(),
    "copy": set(),
    "study": {"--out", "--only", "--set", "--device"},
}
"""All flags there are. A new one is a promise for years: most wishes are a key of the recipe."""

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def finished(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory, hurried: None) -> Path:
    """A run folder, made by the command line."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert run(["compress", str(tiny_file), "--out", str(folder)]) == 0
    return folder


def flags_of(verb: str) -> set[str]:
    return {flag for parameter in COMMANDS[verb].params for flag in parameter.opts if flag.startswith("--")}


def test_the_flags_are_frozen() -> None:
    assert {verb: flags_of(verb) - {"--help"} for verb in COMMANDS} == FLAGS


@pytest.mark.parametrize("verb", sorted(FLAGS))
def test_help_ends_with_an_example_whose_verb_and_flags_exist(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example: attar" in shown
    (example,) = [line for line in COMMANDS[verb].help.splitlines() if line.startswith("Example: ")]
    program, named, *arguments = shlex.split(example.removeprefix("Example: "))
    assert (program, named) == ("attar", verb)
    assert {word for word in arguments if word.startswith("--")} <= flags_of(verb)
    changes = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--set"]
    if verb in ("compress", "label"):
        read(arguments[0], changes)  # the recipe is there, and so are the keys


def test_help_of_the_whole_names_every_verb_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for word in (*FLAGS, "130"):
        assert word in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


def test_compress_shows_table_verdict_and_places(
    finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["compress", str(tiny_file), "--out", str(finished)]) == 0
    shown = capsys.readouterr().out
    for part in ("torch fp32", "teacher torch", "control", "ships", "Against the same network", "report.html"):
        assert part in shown


def test_compress_prints_json_and_nothing_else(
    finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compress", str(tiny_file), "--out", str(finished), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads((finished / "evidence.json").read_text(encoding="utf-8"))
    assert err == ""


def test_what_was_not_reached_is_exit_code_1_and_the_artifact_is_there(
    finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compress", str(tiny_file), "--out", str(finished), "--set", "keep.smaller=1000"]) == 1
    assert "not all that was asked is reached" in capsys.readouterr().out.replace("\n", " ")
    assert load(finished / "artifact").classes == ("ant", "bee", "cat")


def test_interrupted_is_exit_code_130(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attar.recipes.compress.compress", interrupted)
    assert run(["compress", str(tiny_file), "--out", str(tmp_path / "run")]) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", "attar: interrupted; the same command continues where it stopped\n")


@pytest.mark.parametrize("as_json", [True, False])
def test_dry_run_writes_nothing(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["compress", str(tiny_file), "--dry-run", *(["--json"] if as_json else [])]) == 0
    out = capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    if as_json:
        planned = json.loads(out)
        # 120 rows in batches of 32 are 4 steps, 4 epochs; the student and its control.
        assert (planned["teacher_steps"], planned["student_steps"], planned["labels"]) == (16, 32, 120)
        assert planned["student_parameters"] == (6 * 4 + 4) + (4 * 3 + 3)
        assert planned["candidates"] == ["torch fp32"]
    else:
        assert "nothing was trained or written" in out


def test_seed_is_the_same_as_set_seed(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def stop(recipe: Any, *_: Any, **__: Any) -> None:
        seen.append(recipe.seed)
        raise KeyboardInterrupt

    monkeypatch.setattr("attar.recipes.compress.compress", stop)
    run(["compress", str(tiny_file), "--seed", "7"])
    run(["compress", str(tiny_file), "--set", "seed=7"])
    assert seen == [7, 7]


def test_label_prints_what_it_stored(finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["label", str(tiny_file), "--out", str(finished)]) == 0
    assert "120" in capsys.readouterr().out


def test_measure_says_of_the_artifact_what_the_evidence_says(
    finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = read(tiny_file).data.use
    assert run(["measure", str(finished / "artifact"), "--data", data, "--json"]) == 0
    out, err = capsys.readouterr()
    measured, evidence = json.loads(out), json.loads((finished / "evidence.json").read_text(encoding="utf-8"))
    winner = next(model for model in evidence["models"] if model["name"] == evidence["winner"])
    assert measured["quality"]["accuracy"] == winner["quality"]["accuracy"]
    assert measured["size_bytes"] == winner["size_bytes"]
    assert err == ""


def test_report_is_drawn_again(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(finished), "--out", str(tmp_path / "again.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_recipes_lists_all_with_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(shipped())
    assert all(len(line.split()) > 3 for line in lines)


def test_copy_gives_a_file_that_is_read_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["copy", "digits"]) == 0
    assert capsys.readouterr().out == "digits.toml\n"
    assert read(tmp_path / "digits.toml") == read("digits")
    assert run(["copy", "digits", "mine.toml"]) == 0
    assert (tmp_path / "mine.toml").read_bytes() == shipped()["digits"].read_bytes()
