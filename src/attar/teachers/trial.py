"""Running a teacher a few times before anything is built on its outputs."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.network.consistency import batch_difference, repeat_difference
from attar.network.forward import number_type
from attar.network.output_kind import recognized
from attar.teachers.ensemble import Ensemble
from attar.teachers.in_blocks import InBlocks
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.resized import ResizedTeacher
from attar.teachers.sampled import SampledTeacher
from attar.teachers.stated import StatedTeacher
from attar.teachers.subset import SubsetTeacher
from attar.teachers.teacher import NetworkTeacher, Teacher, ask, named, target_of

_log = logging.getLogger(__name__)

ROWS = 32
"""Examples that a trial asks about, at most."""

_ENOUGH = 8
"""So many rows that all sum to 1 are no accident."""

_EXACT, _ROUGH = 1e-3, 5e-2
"""How far answers may be apart, as a share of the largest: of float32, and of coarser numbers."""


def trial(teacher: Teacher, rows: Tensor) -> None:
    """See that a teacher gives the same outputs for a row whenever it is run and whatever rows are in the batch.

    It is asked a handful of times about a few rows, which stay as they are; so do the random numbers of the caller.

    Args:
        teacher: Any kind.
        rows: ``[n, ...]`` examples, as it is going to be asked; the first `ROWS` of them are used.

    Raises:
        BadInput: If its answers differ, with the size of the difference; or if a teacher of the user's gives
            probabilities where logits are wanted.
    """
    few = rows[:ROWS]
    if not len(few):
        return
    inner = _sampled_of(teacher)
    with _random_state_restored():
        logits = ask(teacher, few)
        if logits.shape[:2] != (len(few), teacher.classes) or not logits.isfinite().all():
            return  # whoever runs it next explains that
        # Of a teacher that is asked many times, chance is what was asked for.
        asked = teacher if inner is None else inner
        apart = repeat_difference(lambda some: ask(asked, some), few)
        bound = tolerance(asked)
        if inner is None:
            _check_repeated(teacher, apart, bound)
        by_chance = apart > bound
        apart = 0.0 if by_chance else batch_difference(lambda some: ask(asked, some), few)
        for one in teacher.members if isinstance(teacher, Ensemble) else ():
            _check_meaning(one, ask(one, few))
    if apart > bound:
        raise BadInput(
            f"{named(asked)} gives a row other outputs when other rows are in its batch: by {_share(apart)}. Something "
            "in it mixes the rows of a batch, such as batch normalization without running statistics, a squeeze or a "
            "mean over the batch. Let it treat every row by itself."
        )
    _check_meaning(teacher, logits)
    if len(few) >= _ENOUGH and bool((logits == logits[:1]).all()) and not bool((few == few[:1]).all()):
        _log.warning(
            "%s gives the same for all of the %d rows that it was asked about: there is nothing to learn from it. "
            "Check that inputs are prepared as in its training, and that a softmax at its end is over the classes.",
            named(teacher),
            len(few),
        )


def settle(teacher: Teacher, rows: Tensor) -> None:
    """Have a teacher find out what it gives, if it has not yet: its fingerprint says so from then on.

    Args:
        teacher: Any kind.
        rows: ``[n, ...]`` examples; the first `ROWS` of them are used, and only where that is needed.
    """
    if len(rows) and _is_open(teacher):
        ask(teacher, rows[:ROWS])


def _is_open(teacher: Teacher) -> bool:
    """Whether it is not known yet what a teacher gives."""
    match teacher:
        case Ensemble():
            return any(_is_open(member) for member in teacher.members)
        case ResizedTeacher() | SubsetTeacher() | SampledTeacher() | InBlocks():
            return _is_open(teacher.teacher)
        case NetworkTeacher() | OnnxTeacher() | StatedTeacher():
            return teacher.output_reader.kind is None
        case _:
            return False


def remarks(teacher: Teacher) -> list[str]:
    """What the user should know of how a teacher's outputs are read, a sentence each; of all its members."""
    match teacher:
        case Ensemble():
            found = [text for member in teacher.members for text in remarks(member)]
        case ResizedTeacher() | SubsetTeacher() | SampledTeacher() | InBlocks():
            found = remarks(teacher.teacher)
        case NetworkTeacher() | OnnxTeacher() | StatedTeacher():
            found = list(teacher.output_reader.remarks)
        case _:
            found = []
    return list(dict.fromkeys(found))


def tolerance(teacher: Teacher) -> float:
    """How far two answers of a teacher may be apart, as a share of the largest number in them.

    Coarse numbers differ with the order in which they are added, and ranges of integers that are chosen from the rows
    at hand differ with these. A probability near 1 has few digits left for how far it is from 1.
    """
    match teacher:
        case Ensemble():
            return max(tolerance(member) for member in teacher.members)
        case ResizedTeacher() | SubsetTeacher() | SampledTeacher() | StatedTeacher() | InBlocks():
            return tolerance(teacher.teacher)
        case NetworkTeacher():
            exact = number_type(teacher.network) in (None, torch.float32, torch.float64)
            return _EXACT if exact and not _is_quantized(teacher.network) and not teacher.output_reader.mark else _ROUGH
        case OnnxTeacher():
            return _ROUGH if teacher.is_coarse or teacher.output_reader.mark else _EXACT
        case _:
            return _EXACT


def _sampled_of(teacher: Teacher) -> Teacher | None:
    """The teacher inside that is asked many times; None if none is."""
    match teacher:
        case SampledTeacher():
            return teacher.teacher
        case ResizedTeacher() | SubsetTeacher() | InBlocks():
            return _sampled_of(teacher.teacher)
        case _:
            return None


def _is_quantized(network: nn.Module) -> bool:
    return any("quantized" in type(layer).__module__ for layer in network.modules())


def _check_repeated(teacher: Teacher, apart: float, bound: float) -> None:
    if apart > bound:
        raise BadInput(
            f"{named(teacher)} gives other outputs for the same rows each time it is run: by {_share(apart)}. Switch "
            "off what is random in it (dropout in training mode, added noise), or take the mean of several runs: "
            "as_teacher(..., samples=16), in a recipe teacher.samples = 16."
        )


def _check_meaning(teacher: Teacher, logits: Tensor) -> None:
    """Refuse a user's own teacher that gives probabilities."""
    if isinstance(teacher, NetworkTeacher | OnnxTeacher | StatedTeacher | Ensemble) or target_of(teacher) != "logits":
        return
    few = logits.shape[0] < _ENOUGH or logits.dim() != 2 or logits.shape[1] < 2
    if not few and recognized(logits.float()) == "probabilities":
        raise BadInput(
            f"{named(teacher)} gives probabilities (each row is in 0..1 and sums to 1), where logits are wanted. Wrap "
            "it: as_teacher(teacher, output='probabilities'), or output='logits' if these are its logits."
        )


def _share(apart: float) -> str:
    if apart == float("inf"):
        return "as much as can be (some batches have no answer, or not finite ones)"
    return f"{apart:.2g} of its largest output"


@contextmanager
def _random_state_restored() -> Iterator[None]:
    """Whatever is drawn meanwhile, the random numbers that everybody shares go on as if it had not been."""
    python, numbers = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
