"""Settings in Python: what is misspelt or of another type is refused in one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import jaxtyping
import pytest
import torch

import attar
from attar.data.views import Views
from attar.errors import BadInput
from attar.network.architectures import mlp
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.objective import Objective, Term
from attar.training.schedule import Ramp
from attar.training.settings import Training


@pytest.fixture
def unchecked() -> Iterator[None]:
    """As for users: annotations are checked under the tests alone, and before what is refused here."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


OF: Any = Training
TERM: Any = Term


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.1}, r"Training has no 'lr'\. Did you mean 'learning_rate'\?"),
        ({"bs": 8}, r"Did you mean 'batch_size'\?"),
        ({"epoch": 8}, r"Did you mean 'epochs'\?"),
        ({"learning_rate": "fast"}, r"learning_rate of Training must be a number; got 'fast'"),
        ({"epochs": 2.5}, r"epochs of Training must be a whole number; got 2\.5"),
        ({"epochs": True}, r"epochs of Training must be a whole number; got True"),
        ({"optimizer": "Adam"}, r"optimizer of Training must be one of 'sgd', 'adam', 'adamw'; got 'Adam'\. Did you"),
        ({"patience": "3"}, r"patience of Training must be a whole number or None; got '3'"),
        ({"milestones": 3}, r"milestones of Training must be a list of whole numbers; got 3"),
        ({"epochs": 10**18}, r"epochs of Training must be at most 1,000,000"),
        ({"seed": -1}, r"seed of Training must be at least 0"),
        ({"weight_decay": float("inf")}, r"weight_decay of Training must be at most"),
        ({"schedule": "multistep", "milestones": [5, 3]}, r"milestones of Training must be epochs .*; got \[5, 3\]"),
    ],
)
def test_training(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Training(**settings)


def test_settings_go_by_name() -> None:
    with pytest.raises(BadInput, match=r"Training takes its settings by name; got 10\. Write epochs=\.\.\. instead"):
        OF(10)
    with pytest.raises(BadInput, match=r"Term needs 'loss'\. Give loss=\.\.\."):
        TERM()
    with pytest.raises(BadInput, match=r"SoftTargets has no 'T'\. Did you mean 'temperature'\?"):
        SoftTargets(**{"T": 4})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("kd", r"loss of a term must be one of SoftTargets, HardLabels, .*; got 'kd'"),
        (SoftTargets, r"SoftTargets is a class\. Write SoftTargets\(\)"),
        (torch.nn.MSELoss(), r"torch's MSELoss gives one for all\. Choose from SoftTargets"),
        (None, r"got None"),
    ],
)
def test_a_loss_that_is_none(loss: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Term(loss=loss)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([Term(loss=HardLabels())], r"An objective takes a dict of names and terms"),
        ({"hard": HardLabels()}, r"'hard' of an objective must be a Term; .*Write Term\(loss=\.\.\.\)"),
        ({"hard": "hard_labels"}, r"'hard' of an objective must be a Term; got 'hard_labels'"),
        ({3: Term(loss=HardLabels())}, r"names of an objective's terms must be texts; got 3"),
        ({"hard": Term(loss=HardLabels(), weight=0.0)}, r"weight of an objective must be greater than 0 for a term"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_an_objective_that_is_none(terms: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Objective(terms)


def test_ramps_and_views() -> None:
    with pytest.raises(BadInput, match=r"shape of Ramp must be one of 'linear', 'cosine'; got 'cos'"):
        Ramp(start=0.0, end=1.0, epochs=3.0, shape="cos")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"begin of Ramp must be after -3: the ramp would be over"):
        Ramp(start=0.0, end=1.0, epochs=3.0, begin=-3.0)
    with pytest.raises(BadInput, match=r"count of Views must be at most 1,000,000"):
        Views(count=10**9)
    with pytest.raises(BadInput, match=r"flip of it must be left out where .*\[6\]"):
        Views(flip=True).check_shape((6,), "it")
    Views(noise=1.0).check_shape((6,))
    Views(flip=True, shift=2).check_shape((1, 8, 8))


def test_fit_says_what_it_expects() -> None:
    fit = inspect.unwrap(attar.fit)  # as for users: annotations are checked under the tests alone
    data = attar.TransferSet(attar.load_data("digits", limit=10).train)
    hard = Objective({"hard": Term(loss=HardLabels())})
    anything: Any = "x"
    with pytest.raises(BadInput, match=r"student of fit must be a torch\.nn\.Module; got 'x'"):
        fit(anything, hard, data)
    with pytest.raises(BadInput, match=r"objective of fit must be an attar\.Objective of terms; got"):
        fit(mlp(64, 10, [2]), anything, data)
    with pytest.raises(BadInput, match=r"data of fit must be an attar\.TransferSet"):
        fit(mlp(64, 10, [2]), hard, anything)
