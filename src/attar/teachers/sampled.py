"""A teacher that answers at random, asked several times."""

from __future__ import annotations

import hashlib
import json
import random

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from attar.errors import must
from attar.tasks.target import Target
from attar.teachers.ensemble import averaged, mean_for
from attar.teachers.teacher import Teacher, ask, target_of


class SampledTeacher:
    """The mean of several answers of a teacher that answers at random, such as a network with dropout switched on.

    Probabilities are averaged, or the values of a regression. Each row is asked by itself, with as many copies of it as
    there are answers to be had and the same random numbers, so that what comes out does not depend on what is asked
    together, nor on when; the random numbers of the caller go on as if none had been drawn. This holds for what draws
    from the generators of torch, NumPy and Python that everybody shares.

    Attributes:
        teacher: The teacher itself.
        samples: How many answers are averaged.
        seed: What the random numbers start from.
        classes: How many classes it tells apart.

    Example:
        >>> from attar.teachers.teacher import NetworkTeacher
        >>> teacher = SampledTeacher(NetworkTeacher(torch.nn.Linear(4, 3), classes=3), samples=4)
        >>> teacher.predict(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(self, teacher: Teacher, samples: int, seed: int = 0) -> None:
        """Ask a teacher several times.

        Args:
            teacher: The teacher.
            samples: How many answers to average, at least 2.
            seed: What the random numbers start from.

        Raises:
            BadInput: If ``samples`` is below 2.
        """
        if samples < 2:
            raise must("samples", "as_teacher", "at least 2", samples, "16 is usual; leave it out to ask once")
        self.teacher, self.samples, self.seed = teacher, samples, seed
        self.classes = teacher.classes

    @property
    def target(self) -> Target:
        """What `predict` gives."""
        return target_of(self.teacher)

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes *size"]:
        """Logits of ``[batch, ...]`` inputs: logs of the mean probabilities; or the mean values."""
        if not len(inputs):
            return torch.empty(0, self.classes, device=inputs.device)
        python, numbers = random.getstate(), np.random.get_state()
        try:
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                return torch.stack([self._mean(row) for row in inputs])
        finally:
            random.setstate(python)
            np.random.set_state(numbers)

    def _mean(self, row: Tensor) -> Tensor:
        torch.manual_seed(self.seed)
        np.random.seed(self.seed % 2**32)
        random.seed(self.seed)
        answers = ask(self.teacher, row.expand(self.samples, *row.shape))
        return averaged(mean_for("probabilities", self.target), answers[:, None], None)[0]

    def fingerprint(self) -> str:
        """SHA-256 over the teacher, the number of answers and the seed."""
        of = ["sampled", self.samples, self.seed, self.teacher.fingerprint()]
        return hashlib.sha256(json.dumps(of).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"SampledTeacher({self.teacher!r}, {self.samples} answers)"
