"""What scores on validation are told in."""

from __future__ import annotations

import pytest

from attar.pipeline.scored import Judged
from attar.tasks.gaze import Gaze
from attar.tasks.task import metric_of


@pytest.mark.parametrize(
    ("metric", "told", "after"),
    [
        ("information_gain", "0.05 bits", "of information gain lost"),
        ("nss", "0.05 units", "of NSS lost"),
        ("auc", "5 points", "of AUC lost"),
        ("log_loss", "0.05", "more log loss"),
    ],
)
def test_a_loss_is_told_in_what_the_metric_is_counted_in(metric: str, told: str, after: str) -> None:
    judged = Judged.of(metric_of(Gaze((4, 4)), metric), 100)
    assert (judged.score.shown(0.05), judged.score.lost) == (told, after)
    assert Judged.from_json(judged.to_json()) == judged
