"""What tests of steps that train share: a few digits, and a training that is stopped in its midst."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from attar.data.datasets import load
from attar.data.split import Dataset
from attar.data.views import UNCHANGED
from attar.pipeline.step import Tools
from attar.training.progress import Progress


@pytest.fixture(scope="session")
def tools() -> Tools:
    """320 digits to train on, and no teacher."""
    digits = load("digits")
    few = Dataset(digits.name, digits.train.rows(slice(0, 320)), digits.validation, digits.test, digits.source)
    return Tools(dataset=few, dataset_key="digits", views=UNCHANGED)


@pytest.fixture(scope="session")
def stopped() -> Callable[[int], Progress]:
    """A progress that interrupts after so many steps, of one training or of several."""

    def after(steps: int) -> Progress:
        done = 0

        @contextmanager
        def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
            def advance(count: int) -> None:
                nonlocal done
                done += count
                if done >= steps:
                    raise KeyboardInterrupt

            yield advance

        return progress

    return after
