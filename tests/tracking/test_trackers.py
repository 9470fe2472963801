"""Trackers: what they write is what the libraries read back, and what they cannot write ends no training."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

import attar
from attar.errors import BadInput, MissingExtra
from attar.network.architectures import mlp
from attar.tasks.classification import ACCURACY
from attar.tracking.mlflow import MLflow
from attar.tracking.tensorboard import TensorBoard
from attar.tracking.tracker import Curves, Tracker
from attar.training.callbacks import Callback, TrainState
from attar.training.results import Fitted

OBJECTIVE = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})


class Kept(Tracker):
    """Keeps what it is given, until its disk is full."""

    title = "Kept"

    def __init__(self, room: int = 1000) -> None:
        self.room, self.given = room, dict[tuple[str, int], dict[str, float]]()

    def _write_parameters(self, values: Mapping[str, str]) -> None: ...

    def _write_figures(self, of: str, figures: Mapping[str, float], step: int) -> None:
        if len(self.given) == self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.given[of, step] = dict(figures)

    def _write_files(self, paths: Sequence[Path]) -> None: ...

    def _end(self, finished: bool) -> None: ...


def trained(*callbacks: Callback, file: Path | None = None) -> Fitted:
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    data = attar.from_arrays(x, (x[:, 0] > 0).long())
    return attar.fit(
        mlp(3, 2, [4]),
        OBJECTIVE,
        attar.TransferSet(data.train),
        validation=attar.TransferSet(data.validation),
        settings=attar.Training(epochs=3, batch_size=8, checkpoint_seconds=0.0),
        callbacks=callbacks,
        checkpoint_file=file,
    )


def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    old = tmp_path / "student" / "events.out.tfevents.1.1.attar"
    old.write_bytes(b"of an earlier run")
    board = TensorBoard(tmp_path)
    board.log_parameters({"training": {"epochs": 3}})
    fitted = trained(board.curves("student", ACCURACY))
    board.close()
    read = EventAccumulator(str(tmp_path / "student")).Reload()
    assert not old.exists() and board.failure is None
    assert set(read.Tags()["scalars"]) == {"loss", "loss_hard", "learning_rate", "validation_accuracy"}
    losses = read.Scalars("loss")
    assert [one.step for one in losses] == [0, 1, 2]
    assert_close([one.value for one in losses], [one.loss for one in fitted.history])
    recipe = EventAccumulator(str(tmp_path / "recipe")).Reload()
    assert b"| training.epochs | 3 |" in recipe.Tensors("recipe")[0].tensor_proto.string_val[0]


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of its database
def test_mlflow_reads_the_curves_the_parameters_and_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").write_text("<p>small</p>", encoding="utf-8")
    mlflow = MLflow("mine")
    mlflow.log_parameters({"data": {"use": "digits"}, "long": "x" * 9000, **{f"many{one}": one for one in range(150)}})
    fitted = trained(mlflow.curves("student/0"))
    mlflow.log_files([tmp_path / "report.html"])
    mlflow.close(finished=False)
    assert mlflow.failure is None
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    run = client.get_run(mlflow.run_id)
    assert run.info.run_name == "mine" and run.info.status == "FAILED"
    assert run.data.params["data.use"] == "digits" and len(run.data.params) == 152
    curve = client.get_metric_history(mlflow.run_id, "student/0/loss")
    assert_close([one.value for one in curve], [one.loss for one in fitted.history])
    assert run.data.metrics["student/0/validation_score"] == fitted.history[-1].score
    assert [one.path for one in client.list_artifacts(mlflow.run_id)] == ["report.html"]


@pytest.mark.filterwarnings("ignore")
def test_an_address_that_is_of_nobody_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://at/all")
    with pytest.raises(BadInput, match=r"MLflow cannot begin a run in nowhere://at/all.*Correct MLFLOW_TRACKING_URI"):
        MLflow()


@pytest.mark.parametrize("kind", [TensorBoard, MLflow])
def test_a_package_that_is_missing_is_named_with_its_extra(
    kind: type[Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{kind.__module__}.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"pip install 'attar\[{kind.title.lower()}\]'"):
        kind.check()


def test_a_full_disk_ends_the_tracking_and_not_the_training(caplog: pytest.LogCaptureFixture) -> None:
    full = Kept(room=1)
    fitted = trained(full.curves("student"))
    assert len(fitted.history) == 3 and list(full.given) == [("student", 0)]
    assert full.failure is not None and "No space left on device" in full.failure
    assert caplog.text.count("Kept takes no more figures") == 1
    alone = trained()
    for name, weight in fitted.model.state_dict().items():
        assert torch.equal(weight, alone.model.state_dict()[name]), "who looks on changes nothing"


class Killed(Callback):
    observes = True

    def after_step(self, state: TrainState) -> None:
        if state.step == 8:
            raise KeyboardInterrupt


def test_a_training_goes_on_under_a_tracker_that_it_did_not_begin_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(Killed(), file=tmp_path / "checkpoint")
    kept = Kept()
    fitted = trained(Curves(kept, "student"), file=tmp_path / "checkpoint")
    expected = {("student", one.epoch): one.loss for one in fitted.history}
    assert {key: figures["loss"] for key, figures in kept.given.items()} == expected and len(expected) == 3
