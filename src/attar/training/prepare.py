"""What is trained: a copy of the caller's network in which everything can learn."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attar.errors import AttarError, BadInput
from attar.network.consistency import check_consistent
from attar.network.copying import copied
from attar.network.evaluating import evaluating
from attar.network.float32 import in_float32, number_types
from attar.network.forward import forward
from attar.network.layout import suits_channels_last
from attar.network.named import taking_one
from attar.network.output_kind import found_kind, last_layer
from attar.ops.maps import classes_last
from attar.tasks.target import Target
from attar.tasks.task import Task
from attar.training.batch import Batch, Source
from attar.training.objective import Loss, label_kinds, reads, suits

log = logging.getLogger(__name__)

_ROWS = 4
"""How many rows a network is tried on before it is trained."""

_TOLERANCE = 5e-2
"""Largest difference of answers that may come of numbers alone, as a share of the largest answer; what depends on
chance or on the batch is far beyond it. Deployment draws the line where the runtime does."""

_MEANT: Mapping[Target, str] = {
    "logits": "one class among several",
    "log_odds": "labels of which any may hold",
    "values": "values",
}
"""What losses are for, in words."""

_EACH: Mapping[Target, str] = {
    "logits": "one logit for each class",
    "log_odds": "one logit for each label",
    "values": "one number for each value",
}
"""What such a loss needs."""


def probed(data: Source) -> Tensor:
    """Inputs of a few examples from all over the data, ``[rows, ...]``."""
    count = min(_ROWS, len(data))
    return data.batch(torch.arange(count) * (len(data) // count), 0).inputs.detach().clone()


def prepared(network: nn.Module, data: Source, of: str) -> nn.Module:
    """A copy that can be trained: in float32, and with the weights that lazy layers make of their first inputs.

    Args:
        network: The caller's; not changed.
        data: Which inputs it is going to get; only asked for some where that matters.
        of: What errors call it: the student, or the teacher.

    Raises:
        BadInput: If weights hold no numbers, or such that are to learn have 16 bits and the network does not run in
            float32.
    """
    if any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers())):
        raise BadInput(
            f"{of} has weights on the device 'meta', which hold no numbers. Build it on the CPU, or load its weights, "
            "before it is trained."
        )
    network = taking_one(copied(network))
    lazy = any(is_lazy(tensor) for tensor in network.parameters())
    if not (lazy or number_types(network)):
        return network
    rows = probed(data)
    rows = rows.to(next((weight.device for weight in network.parameters()), rows.device))
    if lazy:
        with evaluating(network):
            forward(network, rows)
    kinds = number_types(network)
    if not kinds or (kinds == ("float64",) and rows.dtype == torch.float64):
        return network
    floats = in_float32(network, rows)
    if floats is not None:
        log.info("%s has numbers of %s; float32 is trained, and returned", of, " and ".join(kinds))
        return floats
    coarse = [kind for kind in kinds if kind != "float64"]
    for name, weight in network.named_parameters():
        if weight.requires_grad and str(weight.dtype).removeprefix("torch.") in coarse:
            raise BadInput(
                f"{of} has weights of {' and '.join(coarse)} ({name!r}), in which small steps are lost, and its "
                "forward does not run in float32. Keep weights in float32, and leave the types of numbers out of "
                "forward; Training(precision='bf16-mixed') computes in bfloat16."
            )
    return network


def learn_channels_last(networks: Sequence[nn.Module], data: Source) -> bool:
    """Whether networks that learn together all can do so channels last, and one of them gains by it."""
    if not any(isinstance(layer, nn.Conv2d) for network in networks for layer in network.modules()):
        return False
    rows = probed(data)
    return all(suits_channels_last(network, rows, learns=True) for network in networks)


def check_student(student: nn.Module, batch: Batch, losses: Sequence[Loss], task: Task | None = None) -> None:
    """See on a few rows that a student can be trained under some losses, and deployed after its training.

    Where it ends in a softmax or a sigmoid, and a loss takes logits, a warning says so.

    Args:
        student: It is asked in evaluation mode and not changed.
        batch: At least one row, on its device; a few are used.
        losses: Those that judge it.
        task: What outputs mean, where that is known: how many classes there are.

    Raises:
        BadInput: If it cannot be run, its answers depend on chance or on the rest of the batch, or have another shape
            than the losses that come with Attar need.
    """
    rows = batch.inputs[:_ROWS]
    with evaluating(student), torch.random.fork_rng(devices=[rows.device] if rows.is_cuda else []):
        output = _first_output(student, rows)
        check_consistent(lambda some: forward(student, some), rows, of="The student", tolerance=_TOLERANCE)
        _check_shape(output, batch, losses, task)
        if any(_takes_logits(loss) for loss in losses) and output.dim() == 2:
            kind = last_layer(student) or found_kind(lambda some: forward(student, some), rows, output)
            if kind in ("probabilities", "sigmoids"):
                log.warning(
                    "The student gives probabilities, and the losses take logits: it learns and answers as if a second "
                    "softmax stood behind its own. Leave the softmax or sigmoid at its end out."
                )


def check_suited(losses: Sequence[Loss], task: Task) -> None:
    """See that losses read outputs as a task means them; those of the user's own may do what they like.

    Raises:
        BadInput: If one is for other outputs.
    """
    for loss in losses:
        if why := unsuited(loss, task):
            raise BadInput(f"{type(loss).__name__} {why}")


def unsuited(loss: Loss, task: Task) -> str | None:
    """Why a loss is not for a task's outputs: what follows its name; None where it is.

    Args:
        loss: The loss.
        task: What outputs mean.
    """
    fits = task.target in suits(loss)
    if fits and ("labels" not in reads(loss) or task.label_kind in label_kinds(loss)):
        return None
    meant = " or ".join(_MEANT[target] for target in sorted(suits(loss)))
    meant = "fixations" if label_kinds(loss) == {"fixations"} else meant
    labels, teacher = (
        " with ".join([table["use"], *(f'{key} = "{value}"' for key, value in table.items() if key != "use")])
        for table in (task.losses.labels, task.losses.teacher)
    )
    return (
        f"is for {meant}, and the task is {task.use}. Use what suits it: {labels} against labels, {teacher} against a "
        "teacher."
    )


def check_labels(output: Tensor, labels: Tensor | None, of: str) -> None:
    """Raise where a label has no logit.

    Args:
        output: ``[..., classes]`` logits, or those of maps, ``[batch, classes, height, width]``.
        labels: ``[...]`` numbers of classes; None passes.
        of: Who gave the logits, as the first words of the sentence.

    Raises:
        BadInput: If a label is as large as there are logits.
    """
    width = classes_last(output).shape[-1]
    if labels is None or not labels.numel() or int(labels.max()) < width:
        return
    where = "position" if output.dim() == 4 else "row"
    raise BadInput(
        f"{of} gives {width} logit{'s' if width > 1 else ''} for each {where}, and the labels go up to "
        f"{int(labels.max())}, counted from 0. Give it as many outputs as there are classes."
    )


def _first_output(student: nn.Module, rows: Tensor) -> Tensor:
    """What the student gives for the first rows.

    Raises:
        BadInput: If it raises anything of its own.
    """
    try:
        return forward(student, rows)
    except (AttarError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever the code of a user raises
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = f"{type(error).__name__}{': ' + lines[0] if lines else ''}".rstrip(".")
        raise BadInput(
            f"The student {type(student).__name__} cannot be run in evaluation mode on inputs of shape "
            f"{list(rows.shape)}: {message}. Let its forward run on the inputs of a batch alone, in this mode too."
        ) from error


def _check_shape(output: Tensor, batch: Batch, losses: Sequence[Loss], task: Task | None) -> None:
    """Raise unless the student's answers to the first rows have the shape that the losses need."""
    count = min(_ROWS, len(batch))
    for loss in losses:
        wanted: tuple[int, ...] | None = None
        least = 0
        if "targets" in reads(loss) and batch.targets is not None:
            wanted = (count, *batch.targets.shape[1:])
        elif reads(loss) == {"labels"} and batch.labels is not None:
            wanted = (count, *batch.labels.shape[1:])
            if label_kinds(loss) == {"fixations"}:  # labels are counts, and each pixel has a logit
                wanted = (count, batch.labels[0].numel())
            elif "logits" in suits(loss):  # labels are numbers of classes
                classes = None if task is None or task.target != "logits" else task.shape[0]
                least = 0 if classes else max(1, int(batch.labels.max()) + 1)
                given = classes_last(output)
                width = classes or (given.shape[-1] if given.dim() == batch.labels.dim() + 1 else 0)
                # A map has its classes first.
                at = 1 if len(wanted) == 3 else len(wanted)
                wanted = (*wanted[:at], max(least, width), *wanted[at:])
        if wanted is None or tuple(output.shape) == wanted:
            continue
        sizes = [str(size) for size in wanted]
        if least:
            sizes[1 if len(wanted) == 4 else -1] = f"{least} or more"
        each = _EACH[min(suits(loss))] + (" and position" if len(wanted) == 4 else "")
        raise BadInput(
            f"The student gives outputs of shape {list(output.shape)} for {count} row{'s' if count > 1 else ''}, where "
            f"[{', '.join(sizes)}] is needed: {each}. Change its last layer, or let its forward return these alone."
        )


def _takes_logits(loss: Loss) -> bool:
    """Whether a loss makes probabilities of the student's answers."""
    return "values" not in suits(loss)
