"""The command line: exit codes, what goes to which stream, the flags, and that the examples in the help are true."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from attar.cli.main import app, run
from attar.deployment.artifact import load
from attar.deployment.export import to_onnx
from attar.errors import BadInput
from attar.evidence.document import EvidenceDocument
from attar.network.architectures import mlp
from attar.recipes.choose import judged_on_test
from attar.recipes.compress import Run
from attar.recipes.read import read
from attar.recipes.shipped import shipped

FLAGS = {
    "compress": {
        *(
            "--teacher",
            "--budget",
            "--out",
            "--student",
            "--strategy",
            "--time",
            "--set",
            "--allow",
            "--device",
            "--seed",
        ),
        *("--workers", "--ray", "--dry-run", "--json"),
    },
    "label": {"--out", "--set", "--allow", "--device", "--seed"},
    "measure": {"--data", "--split", "--threads", "--allow", "--json"},
    "report": {"--out"},
    "recipes": set(),
    "copy": set(),
    "compare": {"--html"},
    "study": {"--out", "--only", "--workers", "--set", "--allow", "--device", "--dry-run"},
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


@pytest.mark.parametrize("verb", sorted(FLAGS))
def test_no_word_of_a_help_is_lost_as_markup(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    texts = [COMMANDS[verb].help, *(getattr(parameter, "help", None) or "" for parameter in COMMANDS[verb].params)]
    written = {word for text in texts for word in re.findall(r"\[\w[^\]]*\]", text)}
    assert {word for word in written if word not in shown} == set()


def test_paragraphs_of_help_are_as_wide_as_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert run(["compress", "--help"]) == 0
    assert "report.html. The same command continues a run that was stopped, however" in capsys.readouterr().out


def test_help_of_the_whole_names_every_verb_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for word in (*FLAGS, "0 done", "1 the budget", "2 bad", "3 the budget", "70", "130", "143"):
        assert word in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


def test_compress_shows_table_verdict_and_places(
    finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["compress", str(tiny_file), "--out", str(finished)]) == 0
    shown, err = capsys.readouterr()
    stages = [
        "train the teacher",
        "label the transfer set",
        "train the student and the baseline",
        "deploy the candidates",
        "predict on validation",
        "measure time and memory",
        "test what ships, write the report",
    ]
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert lines == [f"{number}/7 {title}" for number, title in enumerate(stages, 1)]
    for part in (
        "torch fp32",
        "teacher torch",
        "baseline torch fp32",
        "ships",
        "against the same network",
        "report.html",
    ):
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
    assert run(["compress", str(tiny_file), "--out", str(finished), "--set", "budget.bytes=0.001x"]) == 1
    assert "The budget is not met: " in capsys.readouterr().out.replace("\n", " ")
    assert load(finished / "artifact").classes == ("ant", "bee", "cat")


@pytest.mark.parametrize(("code", "of_others"), [(0, 0), (1, 0), (3, 0), (2, 2)])
def test_of_several_processes_the_first_says_what_became_of_the_budget(
    code: int, of_others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun ends all processes as soon as one has a code that is not 0, the first one in the middle of its page."""
    monkeypatch.setattr(sys.modules["attar.cli.main"], "app", lambda **_: code)
    assert run([]) == code
    monkeypatch.setattr(sys.modules["attar.cli.main"], "rank", lambda: 1)
    assert run([]) == of_others


def test_what_was_reached_on_validation_only_is_exit_code_3_and_said_everywhere(
    finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attar.recipes.document.judged_on_test", lambda choice, _: judged_on_test(choice, 0.3))
    arguments = ["compress", str(tiny_file), "--out", str(finished), "--budget", "quality_loss=20%"]
    assert run(arguments) == 3
    said = capsys.readouterr().out.replace("\n", " ")
    assert said.count("The budget is met on validation (") == 2, "first of all, and as the verdict on the budget"
    assert "), not on test (30): 20 points may be lost." in said
    evidence = json.loads((finished / "evidence.json").read_text(encoding="utf-8"))
    assert evidence["budget"]["outcome"] == "met on validation only"
    assert evidence["alerts"][0].startswith("The budget is met on validation")
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'class="[^"]*\bpartly\b[^"]*">([^<]*)<', page) == ["met on validation only"] * 2
    found = Run(finished, EvidenceDocument(evidence))
    assert (found.outcome, found.met) == ("met on validation only", False)


def test_limits_may_be_given_by_name(tiny_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compress", str(tiny_file), "--dry-run", "--budget", "bytes=50 kB", "--budget", "macs=0.1x"]
    assert run(arguments) == 0
    said = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    # The teacher has 6 * 24 + 24 * 3 multiply-adds.
    assert (
        "budget    at most 100 points of accuracy lost, at most 50 kB on disk, at most 0.1x the teacher's "
        "multiply-adds (about 22); of those within, the fastest" in said
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("bytes", "budget of attar compress must be limits written NAME<=LIMIT, with commas between them; got 'bytes'"),
        ("bytes=5 kB, bytes<=2 kB", "budget of attar compress names bytes twice, as '5 kB' and '2 kB'. Give it once."),
        (
            "bytes<=10 B",
            'budget.bytes of the recipe: "10 B" cannot be met: no file that a runtime executes has less than',
        ),
        ("size=50 kB", "unknown key budget.size. Did you mean 'bytes'?"),
        ("bytes=50 KB", "budget.bytes must have a unit that is known; got '50 KB'. Did you mean 'kB'?"),
        ("prefer=size", "budget.prefer must be 'latency', 'bytes' or 'quality'; got 'size'. Did you mean 'bytes'?"),
    ],
)
def test_a_wrong_limit_is_one_sentence(
    given: str, said: str, tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compress", str(tiny_file), "--dry-run", "--budget", given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1


def test_data_and_a_teacher_need_no_recipe(
    blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    to_onnx(mlp(6, 3, [24]), torch.zeros(1, 6), tmp_path / "big.onnx")
    asked = ["compress", str(blobs), "--teacher", "big.onnx", "--budget", "quality_loss<=2%, bytes<=1kB", "--dry-run"]
    assert run([*asked, "--time", "20m", "--strategy", "random"]) == 0
    said = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith("blobs into runs/blobs; nothing was trained or written\n")
    assert "\nsearch    32 proposals by random, " in said and "at most 20 min 0 s in all" in said
    assert re.search(r"1.00 kB on disk is 0\.\d+x of the teacher's \d", said)
    assert run([*asked, "--student", "tiny"]) == 0
    assert "\nstudent   tiny, the default for rows of numbers: mlp, hidden [32]" in capsys.readouterr().out
    assert run([*asked, "--student", "huge"]) == run([*asked, "--student", "tiny", "--time", "20m"]) == 2
    said = capsys.readouterr().err
    assert "student.network must be one of 'tiny', 'small', 'medium'" in said
    assert "leave out student.network (--student), or search (--time, --strategy)." in said
    assert run(["compress", str(blobs), "--dry-run"]) == 2
    taught = f"Write attar compress {blobs} --teacher big.onnx; with --dry-run it says how the data are read.\n"
    assert capsys.readouterr().err.endswith(taught)
    assert run([str(blobs), "--dry-run"]) == 2
    assert capsys.readouterr().err.endswith(
        "is a file, and a command begins with a verb. Write attar compress before it.\n"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "big.onnx"]


def test_the_parsers_sentence_ends_before_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compress", "digits", "extra"]) == 2
    assert capsys.readouterr().err == "attar: Got unexpected extra argument(s) (extra). See attar --help.\n"


def test_interrupted_is_exit_code_130(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attar.recipes.compress.compress", interrupted)
    assert run(["compress", str(tiny_file), "--out", str(tmp_path / "run")]) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", "attar: interrupted; the same command continues where it stopped\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("swallow", [None, RuntimeError, SystemExit, "nothing"])
def test_a_signal_is_told_whatever_other_code_makes_of_it(
    number: int,
    code: int,
    swallow: Any,
    tiny_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before_files = list(tmp_path.iterdir())

    def signalled(*_: Any, **__: Any) -> Any:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt:
            if swallow is None:
                raise
            if swallow == "nothing":
                return None
            raise swallow("swallowed") from None

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr("attar.recipes.read.read", signalled)
    monkeypatch.setattr("attar.recipes.compress.compress", lambda *_, **__: None)
    assert run(["compress", str(tiny_file)]) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "attar: interrupted; the same command continues where it stopped\n")
    assert list(tmp_path.iterdir()) == before_files
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert not any(isinstance(one, threading.Timer) and not one.finished.is_set() for one in threading.enumerate())


def test_what_cannot_be_stopped_is_ended(tmp_path: Path) -> None:
    """In a process of its own, without anything heavy: code that catches all that is raised and goes on."""
    code = """
import os, signal, time
from attar.cli import stopping
stopping.PATIENCE = 0.2
with stopping.stopping():
    while True:
        try:
            os.kill(os.getpid(), signal.SIGTERM) if not os.path.exists("asked") else None
            open("asked", "w").close()
            time.sleep(0.05)
        except BaseException:
            open("asked", "w").close()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, "attar: interrupted; the same command continues where it stopped\n")


def test_a_crash_has_a_code_of_its_own_and_says_where_its_traceback_is(
    tiny_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise KeyError("a defect\nof two lines")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("attar.recipes.plan.data_of", crash)
    monkeypatch.setattr("attar.recipes.start.data_of", crash)
    assert run(["compress", str(tiny_file), "--dry-run"]) == 70
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "crashed with KeyError" in err and "defect of Attar" in err
    written = Path(err.rpartition("The traceback is in ")[2].strip().rstrip("."))
    assert "in crash" in written.read_text(encoding="utf-8")
    os.utime(written, (0, 0))
    assert run(["compress", str(tiny_file), "--dry-run"]) == 70
    capsys.readouterr()
    assert len(list(tmp_path.glob("attar-crash-*.txt"))) == 1 and not written.exists()
    assert run(["compress", str(tiny_file), "--out", str(tmp_path / "run")]) == 70
    err = capsys.readouterr().err
    assert err.endswith(f"The traceback is in {tmp_path / 'run' / 'log.txt'}.\n")
    assert "in crash" in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    monkeypatch.setenv("ATTAR_TRACEBACK", "1")
    assert run(["compress", str(tiny_file), "--dry-run"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


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
        # 120 rows in batches of 32 are 4 steps, 4 epochs; the student and its baseline.
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


@pytest.mark.parametrize("by_recipe", [False, True])
def test_measure_says_of_the_artifact_what_the_evidence_says(
    finished: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str], by_recipe: bool
) -> None:
    data = str(finished / "recipe.toml") if by_recipe else read(tiny_file).data.use
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


def test_an_ascii_terminal_is_shown_every_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x.toml").touch()
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setattr("attar.recipes.read.read", lambda *_, **__: _refuse())
    assert run(["compress", str(tmp_path / "x.toml")]) == 2
    assert [_written(stream) for stream in streams] == ["gr\\xf6\\xdfe\n", "attar: gr\\xf6\\xdfe\n"]


def _refuse() -> None:
    sys.stdout.write("größe\n")
    raise BadInput("größe")


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]


def test_a_reader_who_has_left_is_no_crash() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys; from attar.cli.main import run; sys.exit(run(['recipes']))"
    done = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
