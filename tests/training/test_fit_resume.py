"""A training that was killed goes on to the same weights, and another one's checkpoint is refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import (
    APPRENTICE,
    BOTH,
    HARD,
    SETTINGS,
    Killed,
    Recorder,
    Rows,
    killed_at,
    normal,
    once,
    perceptron,
    rows_of,
    same,
    scores,
)
from torch import Tensor, nn

from attar.errors import BadInput, CorruptFile
from attar.training.batch import Batch
from attar.training.checkpoint import load_state, save_state
from attar.training.fit import fit
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.schedule import Ramp
from attar.training.settings import Training


def convolutions() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(2, 5, 3, padding=1, bias=False),
            nn.BatchNorm2d(5),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(5, 3),
        )


COURSES = {
    "sgd, cosine": {},
    "sgd, one cycle": {"schedule": "one_cycle"},
    "sgd, multistep, warm-up": {"schedule": "multistep", "milestones": (2, 3), "warmup_epochs": 1.5},
    "sgd, cosine, warm-up, clipped": {"warmup_epochs": 2.0, "max_gradient_norm": 0.5},
    "sgd, averaged": {"ema_decay": 0.8},
    "adamw, one cycle, averaged": {"optimizer": "adamw", "schedule": "one_cycle", "ema_decay": 0.9},
    "adamw, constant, warm-up": {"optimizer": "adamw", "schedule": "constant", "warmup_epochs": 1.0},
    "adam, micro-batches, last": {"optimizer": "adam", "micro_batch_size": 3, "checkpoint": "last"},
    "early stopping": {"learning_rate": 1e-3, "patience": 2},
}


RAMPED = Objective(
    {
        "soft": Term(
            loss=SoftTargets(temperature=Ramp(start=8.0, end=2.0, epochs=3.0)),
            weight=Ramp(start=0.0, end=1.0, epochs=2.0, shape="cosine"),
        ),
        "hard": Term(loss=HardLabels(), end_epoch=3),
        "centered": Term(loss=CenteredLogits(), start_epoch=1),
    }
)


def go_on(path: Path | None, settings: Training, network: nn.Module, data: Rows, stop: int | None = None) -> Any:
    recorder = Recorder()
    watch = {} if stop is None else {"progress": killed_at(stop)}
    fitted = fit(
        network,
        RAMPED,
        data,
        settings=settings,
        validation=data,
        callbacks=[recorder],
        checkpoint_file=path,
        **watch,
    )
    return fitted, recorder.calls


WITH_CONVOLUTIONS = ("sgd, cosine", "adamw, one cycle, averaged", "adam, micro-batches, last")


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "perceptron") for name in COURSES), *((name, "convolutions") for name in WITH_CONVOLUTIONS)],
)
def test_a_killed_training_ends_with_the_same_weights(name, kind, tmp_path):
    settings = Training(
        **{"epochs": 4, "batch_size": 4, "learning_rate": 0.05, "weight_decay": 0.01, **COURSES[name]},
        checkpoint_seconds=0.0,
    )
    data, network = rows_of(), perceptron(dropout=0.3, batch_norm=True)
    if kind == "convolutions":
        data.inputs, network = normal(11, 2, 3, 3), convolutions()
    unbroken, calls = go_on(None, settings, network, data)
    total = unbroken.steps
    # In the middle of epochs and at their ends; the first kill comes before any checkpoint.
    stops = sorted({1, 3, *random.Random(name + kind).sample(range(4, total), 3)})
    path = tmp_path / "checkpoint.safetensors"
    for stop in stops:
        with pytest.raises(Killed):
            go_on(path, settings, network, data, stop)
        assert path.exists() == (stop > 1)
    resumed, again = go_on(path, settings, network, data)
    assert same(resumed.model, unbroken.model)
    assert resumed.history == unbroken.history
    assert (resumed.best_epoch, resumed.score, resumed.steps) == (unbroken.best_epoch, unbroken.score, total)
    assert resumed.stopped_early == unbroken.stopped_early == (name == "early stopping")
    assert again == calls


def test_a_training_killed_in_validation_goes_on(tmp_path):
    path = tmp_path / "checkpoint"
    settings = replace(SETTINGS, epochs=3, checkpoint_seconds=0.0)

    def run(metric: Any, checkpoint: Path | None) -> Any:
        return fit(
            perceptron(dropout=0.3),
            HARD,
            rows_of(),
            settings=settings,
            validation=rows_of(5),
            metric=metric,
            checkpoint_file=checkpoint,
        )

    def dies(output: Tensor, batch: Batch) -> Tensor:
        if not path.with_suffix(".second").exists():
            path.with_suffix(".second").touch()
            return torch.zeros(len(batch))
        raise Killed

    with pytest.raises(Killed):
        run(dies, path)
    unbroken, resumed = run(scores(0, 0.5, 0.25), None), run(scores(0.5, 0.25), path)
    assert same(resumed.model, unbroken.model) and resumed.history == unbroken.history


def test_a_teacher_that_learns_survives_too(tmp_path):
    def run(checkpoint: Path | None, **watch: Any) -> Any:
        return fit(
            perceptron(dropout=0.3),
            Objective({**APPRENTICE, "own": Term(loss=HardLabels(), of="teacher")}),
            rows_of(),
            settings=replace(SETTINGS, optimizer="adamw", checkpoint_seconds=0.0, ema_decay=0.5),
            teacher=perceptron(2, dropout=0.3, batch_norm=True),
            checkpoint_file=checkpoint,
            **watch,
        )

    with pytest.raises(Killed):
        run(tmp_path / "it", progress=killed_at(4))
    resumed, unbroken = run(tmp_path / "it"), run(None)
    assert same(resumed.model, unbroken.model) and same(resumed.teacher, unbroken.teacher)


def test_a_finished_training_is_found_again(tmp_path):
    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    first = fit(perceptron(), HARD, rows_of(), settings=settings, checkpoint_file=tmp_path / "it")
    data = rows_of()
    again = fit(perceptron(), HARD, data, settings=settings, checkpoint_file=tmp_path / "it")
    assert same(first.model, again.model) and first.history == again.history and data.asked == []


def test_checkpoints_are_written_by_the_clock(tmp_path):
    fit(
        perceptron(),
        HARD,
        rows_of(),
        settings=replace(SETTINGS, checkpoint_seconds=1e9),
        checkpoint_file=tmp_path / "it",
    )
    assert list(tmp_path.iterdir()) == []


def test_progress_sees_every_step(tmp_path):
    seen: list[int] = []
    named: list[tuple[str, int]] = []

    @contextmanager
    def watch(title: str, total: int) -> Iterator[Callable[[int], None]]:
        named.append((title, total))
        yield seen.append

    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    fit(perceptron(), HARD, rows_of(), settings=settings, progress=watch, title="student/0")
    assert named == [("student/0", 6)] and sum(seen) == 6 and max(seen) == 1
    with pytest.raises(Killed):
        fit(perceptron(), HARD, rows_of(), settings=settings, progress=killed_at(5), checkpoint_file=tmp_path / "it")
    seen.clear()
    fit(perceptron(), HARD, rows_of(), settings=settings, progress=watch, checkpoint_file=tmp_path / "it")
    assert sum(seen) == 6 and seen[0] == 4


def interrupted(path: Path, **changes: Any) -> None:
    with pytest.raises(Killed):
        begin(path, progress=killed_at(5), **changes)


def begin(path: Path, **changes: Any) -> Any:
    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    arguments = {"student": perceptron(), "objective": BOTH, "data": rows_of(), "settings": settings, **changes}
    return fit(**arguments, checkpoint_file=path)


OTHER = {
    "settings": {"settings": replace(SETTINGS, learning_rate=0.2)},
    "objective": {"objective": HARD},
    "examples": {"data": rows_of(12)},
    "network": {"student": nn.Linear(4, 3)},
    "teacher": {"teacher": perceptron(2), "detach_teacher": False},
    "optimizer": {"make_optimizer": lambda p: torch.optim.AdamW(p, lr=0.1)},
    "callbacks": {"callbacks": [Recorder()]},
}


@pytest.mark.parametrize("what", OTHER)
def test_the_checkpoint_of_another_training_is_refused(what, tmp_path):
    path = tmp_path / "it"
    interrupted(path)
    names = "network|teacher" if what == "teacher" else what
    with pytest.raises(
        BadInput, match=rf"({names}) of the checkpoint of .*it must be what this training has; got"
    ) as seen:
        begin(path, **OTHER[what])
    assert "Delete it" in str(seen.value)
    assert begin(path).steps == 6


def test_how_often_it_is_written_does_not_make_another_training(tmp_path):
    interrupted(tmp_path / "it")
    assert begin(tmp_path / "it", settings=replace(SETTINGS, checkpoint_seconds=99.0)).steps == 6


class Margin:
    """A loss of the user's own, without a repr: its address must not make it another one."""

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        return output.logsumexp(-1)


def test_a_loss_of_the_users_own_is_known_again(tmp_path):
    interrupted(tmp_path / "it", objective=Objective({"mine": Term(loss=Margin()), "hard": Term(loss=HardLabels())}))
    again = Objective({"mine": Term(loss=Margin()), "hard": Term(loss=HardLabels())})
    assert begin(tmp_path / "it", objective=again).steps == 6


def test_a_function_of_the_users_own_is_known_again(tmp_path):
    def make() -> Any:
        def margin(output: Tensor, batch: Batch) -> Tensor:
            return output.logsumexp(-1)

        return margin

    interrupted(tmp_path / "it", objective=Objective({"mine": Term(loss=make())}))
    assert begin(tmp_path / "it", objective=Objective({"mine": Term(loss=make())})).steps == 6
    with pytest.raises(BadInput, match="objective of the checkpoint"):
        begin(tmp_path / "it", objective=Objective({"mine": Term(loss=once(1.0))}))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_checkpoint_says_what_to_do(share, tmp_path):
    path = tmp_path / "it"
    interrupted(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptFile, match=rf"{path.name} is not .* Delete it"):
        begin(path)
    path.unlink()
    assert begin(path).steps == 6


def test_an_altered_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "it"
    interrupted(path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptFile, match="Delete it"):
        begin(path)


@pytest.mark.parametrize("state", [{"a": 1}, [1, 2], None, {"identity": 3}])
def test_a_file_that_is_no_checkpoint_is_noticed(state, tmp_path):
    save_state(state, tmp_path / "it")
    with pytest.raises(CorruptFile, match=r"it is not a checkpoint of a training.* Delete it"):
        begin(tmp_path / "it")


def test_the_checkpoint_is_no_larger_than_it_must_be(tmp_path):
    interrupted(tmp_path / "it")
    state = load_state(tmp_path / "it")
    assert state["loop"]["step"] == 4 and state["loop"]["step_in_epoch"] == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "it"]
    assert asdict(SETTINGS)["checkpoint"] == "last"
