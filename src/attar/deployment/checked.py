"""What was written is run before it counts: against torch, and against itself in batches of other rows and sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attar.deployment.backends.backend import ROUNDED, TOLERANCE, Array, Inputs, Runner
from attar.deployment.refused import DeploymentError, telling
from attar.errors import BadInput, must
from attar.network.consistency import check_consistent
from attar.network.evaluating import evaluating
from attar.network.float32 import number_types
from attar.network.forward import forward
from attar.quantization.attach import input_formats

_UNTOUCHED = 0.9
"""Share of the rows that the tolerance is held to where activations are rounded. A sum that another runtime takes in
another order can fall on the other side of a rounding, and the row then differs by that step."""

_VARIED = 8
"""Rows that are there at least, to see whether answers depend on the batch."""


def answers(network: nn.Module, rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """What the student answers in torch, float32 ``[rows, *shape]``; the same for a row whatever is asked with it.

    Args:
        network: The student, on the CPU; it is not changed.
        rows: Inputs.
        shape: What it must give for a row.

    Raises:
        BadInput: If it cannot be asked about the rows, or has another number of outputs.
        DeploymentError: If it answers at random, or by the rest of the batch.
    """
    name = type(network).__name__
    with evaluating(network), torch.random.fork_rng(devices=[]):
        try:
            expected = forward(network, rows)
        except (RuntimeError, ValueError) as error:  # torch's own, for shapes and types
            if "more than 1 value per channel" in str(error):
                raise DeploymentError(
                    f"{name} gives answers that depend on the rest of the batch: it cannot answer one row alone, as "
                    "its batch normalization has no running statistics. Leave track_running_stats at its default."
                ) from error
            raise BadInput(
                f"{name} cannot be run on inputs of shape {tuple(rows.shape)}: {telling(error)}. "
                "Pass an example as the student was trained on them."
            ) from error
        if expected.shape != (len(rows), *shape):
            got = tuple(expected.shape)
            raise must(
                "logits",
                name,
                f"of shape {(len(rows), *shape)}",
                got,
                "Let the network give that, or give the task that it was trained for",
            )
        _check(lambda some: forward(network, some), _varied(network, rows), name, tolerance_of(network))
    return expected


def tolerance_of(network: nn.Module) -> float:
    """How far answers of a network in batches of different sizes may be apart, as a share of the largest."""
    coarse = set(number_types(network)) - {"float64"}
    return ROUNDED if coarse or input_formats(network) else TOLERANCE


def checked(
    name: str,
    run: Runner,
    rows: Inputs,
    expected: Array,
    *,
    tolerance: float | None = TOLERANCE,
    rounds: bool = False,
    of_labels: bool = False,
) -> dict[str, Any]:
    """Run the files on the rows; what was seen, or a refusal.

    Args:
        name: The candidate's.
        run: What runs the files.
        rows: Inputs.
        expected: Logits of the student.
        tolerance: How far they may be from the expected ones, as a share of the largest (at least 1); None for any.
        rounds: Whether activations are rounded, see `_UNTOUCHED`.
        of_labels: Whether outputs are log-odds of labels, each of which is decided by itself.

    Returns:
        ``rows``, how many there were; ``tolerance``, how far apart a row's answers in other batches may be;
        ``largest_difference`` from what was expected; ``same_decision``, the share of rows with the same class.

    Raises:
        DeploymentError: If logits are not finite, depend on chance or on the batch, or differ from torch.
    """

    def predict(some: Tensor) -> Tensor:
        try:
            return torch.from_numpy(run(some.numpy()))
        except Exception as error:  # each runtime raises types of its own
            raise RuntimeError(telling(error)) from error

    try:
        alone, together = run(rows[:1]), run(rows)
    except Exception as error:  # each runtime raises types of its own
        raise DeploymentError(
            f"{name} cannot run the student's graph: {telling(error)}. Choose another runtime."
        ) from error
    if together.shape != expected.shape or not np.isfinite(together).all() or not np.isfinite(alone).all():
        raise DeploymentError(
            f"{name} gives logits of shape {together.shape} that must be {expected.shape} and finite. "
            "Choose another candidate, or look for infinities in the student's weights."
        )
    consistent = ROUNDED if tolerance is None or rounds else tolerance
    _check(predict, torch.from_numpy(rows), name, consistent)
    differences = np.abs(together - expected).reshape(len(rows), -1).max(1)
    largest = float(differences.max())
    bound = math.inf if tolerance is None else tolerance * max(1.0, float(np.abs(expected).max()))
    held = float(np.quantile(differences, _UNTOUCHED, method="higher")) if rounds else largest
    if held > bound:
        remedy = "Choose another runtime, or look for an operation that it computes in another way."
        if tolerance is not None and tolerance > TOLERANCE:
            remedy = "It rounds too much for this student: choose another precision."
        raise DeploymentError(
            f"{name} differs from torch by {held:.3g} where {bound:.3g} is the bound, on {len(rows)} inputs. {remedy}"
        )
    decide: Callable[[Array], Any] = (lambda given: given > 0) if of_labels else (lambda given: given.argmax(1))
    agreement = float((decide(together) == decide(expected)).mean())
    return {"rows": len(rows), "tolerance": consistent, "largest_difference": largest, "same_decision": agreement}


def _check(predict: Callable[[Tensor], Tensor], rows: Tensor, name: str, tolerance: float) -> None:
    try:
        check_consistent(predict, rows, of=name, tolerance=tolerance)
    except BadInput as error:
        raise DeploymentError(str(error)) from error


def _varied(network: nn.Module, rows: Tensor) -> Tensor:
    """The rows and, where these are few, the first one in several strengths: equal rows hide what mixes rows."""
    if len(rows) >= _VARIED:
        return rows
    if rows.dtype == torch.int64:  # the same tokens in other orders
        return torch.cat([rows, *(rows[:1].roll(place, dims=2) for place in range(1, _VARIED))])
    first = rows[:1] if bool(rows[:1].nan_to_num().any()) else torch.ones_like(rows[:1])
    # Weaker and not stronger, so that numbers which stand for something (a token) stay within what there is.
    strengths = torch.linspace(0.0, 1.0, _VARIED).reshape(-1, *[1] * (rows.dim() - 1))
    more = torch.cat([rows, first * strengths])
    try:
        forward(network, more)
    except Exception:  # a network may raise anything about inputs that are not the caller's
        return rows
    return more
