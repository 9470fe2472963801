"""A teacher run once over every view of every example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from attar.data.split import Split
from attar.data.store.coding import VALUES, Coding
from attar.data.store.fidelity import temperatures
from attar.data.store.filling import Block, Found, block_of, discard_stale, fill
from attar.data.store.manifest import Manifest, Shard
from attar.data.store.targets import Targets
from attar.data.views import UNCHANGED, Views
from attar.errors import BadInput, Words, must
from attar.network.entry_point import entry_point
from attar.teachers.teacher import Teacher, ask, called, check_target, named, target_of
from attar.teachers.trial import settle, trial
from attar.training.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """A teacher about to be asked about a split, so that anybody who has it can make any block of its store.

    Attributes:
        teacher: Whose targets they are.
        split: The examples.
        views: How the looks at an example are drawn.
        manifest: What the store shall be.
        temperatures: At which to measure what is lost.
        batch_size: How many examples the teacher sees at once.
    """

    teacher: Teacher
    split: Split
    views: Views
    manifest: Manifest
    temperatures: tuple[float, ...]
    batch_size: int

    @classmethod
    def of(
        cls,
        teacher: Teacher,
        split: Split,
        *,
        views: Views = UNCHANGED,
        top_k: int | None = None,
        dtype: str = "float16",
        temperature: float | int = 1.0,
        batch_size: int = 256,
        rows_per_shard: int = 8192,
    ) -> Labelling:
        """See that it can be done; the teacher finds out what it gives, if it has not yet.

        Args:
            teacher: As for `label`, like all else.
            split: The examples.
            views: How the looks at an example are drawn.
            top_k: How many classes are kept.
            dtype: How a number is kept.
            temperature: Where to measure what storing loses, besides at 1.
            batch_size: How many examples the teacher sees at once.
            rows_per_shard: How many examples one file holds.

        Raises:
            BadInput: If a parameter breaks its rule.
        """
        if target_of(teacher) == "values" and dtype == "float16":
            dtype = VALUES
        coding = Coding(teacher.classes, top_k, dtype, target_of(teacher), tuple(split.task.shape[1:]))
        _check(teacher, split, coding, batch_size, rows_per_shard)
        settle(teacher, _first(split, views, batch_size))
        wanted = Manifest(
            task=split.task,
            top_k=top_k,
            dtype=dtype,
            rows=len(split),
            views=views.count,
            rows_per_shard=rows_per_shard,
            fingerprints={"teacher": teacher.fingerprint(), "data": split.fingerprint(), "views": views.fingerprint()},
        )
        return cls(
            teacher=teacher,
            split=split,
            views=views,
            manifest=wanted,
            temperatures=temperatures(temperature, "label"),
            batch_size=batch_size,
        )

    def block(self, shard: Shard, progress: Progress = silent) -> Block:
        """One block of the store, which depends on nothing else.

        Args:
            shard: Which.
            progress: Told about every example.
        """
        with progress("label a block", shard.rows) as advance:
            return block_of(
                self.manifest,
                shard,
                self.split.ids,
                self.outputs(shard),
                called(self.teacher),
                self.temperatures,
                advance,
            )

    def outputs(self, shard: Shard) -> Iterator[Tensor]:
        """The teacher's outputs for one shard, a batch at a time."""
        return _outputs(self.teacher, self.split, self.views, shard, self.batch_size)

    def try_teacher(self) -> None:
        """See that the teacher answers alike.

        Raises:
            BadInput: If it does not.
        """
        trial(self.teacher, _first(self.split, self.views, self.batch_size))


Share = Callable[[Labelling, Sequence[Shard]], Found]
"""Has the blocks that are missing made by several at once, as far as that is worth it."""


def unshared(labelling: Labelling, missing: Sequence[Shard]) -> Found:
    """Every block is made when it is its turn."""
    return lambda shard: None


@entry_point
def label(
    teacher: Teacher,
    split: Split,
    folder: str | Path,
    *,
    views: Views = UNCHANGED,
    top_k: int | None = None,
    dtype: str = "float16",
    temperature: float | int = 1.0,
    batch_size: int = 256,
    rows_per_shard: int = 8192,
    replace_stale: bool = True,
    progress: Progress = silent,
    share: Share = unshared,
) -> Targets:
    """Run a teacher once over every view of every example, and keep its outputs in a folder.

    First the teacher is asked about a few rows several times: one whose answers depend on chance, or on the rows that
    are asked together, is refused.

    A folder that already holds these targets is reused; one that holds some of their shards is completed from the first
    missing shard on. One that holds targets of another teacher, of other data or views is labelled anew, with a warning
    in the log, so that a program or a cell of a notebook can be run again. Two passes must not write to one folder at
    the same time.

    Args:
        teacher: Whose targets they are.
        split: The examples; labels are not looked at.
        folder: Where to keep the targets: a new or empty folder, or one that an earlier pass wrote.
        views: How the looks at an example are drawn.
        top_k: Keep only so many of the likeliest classes, 1 <= top_k < classes, and the probability of the rest as one
            number; None keeps all logits.
        dtype: How a number is kept: ``"float16"``, or ``"int8"`` in half the bytes, as one of 256 even steps from the
            largest logit of the example down to the smallest that is kept, the range r. The largest is exact, and any
            other is off from it by at most half a step: 0.00197 r, or 0.00197 r + 3e-8 where r is below 0.016 and a
            float16 can no longer give the step to the same number of digits. The values of a regression are always kept
            as float32, as they are.
        temperature: Where to measure what storing loses and how soft the targets are, besides at 1: that of the loss
            that will read them. It changes nothing that is stored; see `Targets.fidelity`.
        batch_size: How many examples the teacher sees at once.
        rows_per_shard: How many examples one file holds: what a killed pass loses at most. In a folder that an earlier
            pass began, the number of then holds.
        replace_stale: False raises `StaleStore` where the folder holds other targets, in place of deleting these. Files
            that `label` did not write are never deleted.
        progress: Told about every labelled example of every view.
        share: Who makes blocks before it is their turn; whoever does, the store is bit for bit the same.

    Raises:
        BadInput: If a parameter breaks its rule, the teacher gives anything but finite ``[batch, classes]`` logits or
            does not answer alike (`attar.teachers.trial`), or the folder cannot be written or holds something else.
        StaleStore: If the folder holds targets of another teacher, other data, other views, or another ``top_k`` or
            ``dtype``, and ``replace_stale`` is False.
        CorruptFile: If a file of the folder was truncated or altered.
    """
    folder = Path(folder)
    labelling = Labelling.of(
        teacher,
        split,
        views=views,
        top_k=top_k,
        dtype=dtype,
        temperature=temperature,
        batch_size=batch_size,
        rows_per_shard=rows_per_shard,
    )
    if replace_stale:
        discard_stale(folder, labelling.manifest, "label")
    fill(
        folder,
        labelling.manifest,
        split.ids,
        labelling.outputs,
        source=called(teacher),
        temperatures=labelling.temperatures,
        of="label",
        progress=progress,
        begin=labelling.try_teacher,
        ahead=lambda manifest, missing: share(replace(labelling, manifest=manifest), missing),
    )
    return Targets.open(folder, split)


def _first(split: Split, views: Views, batch_size: int) -> Tensor:
    """The first batch of a pass."""
    rows = slice(0, min(len(split), batch_size))
    return views.of(split, rows, 0)


def _check(teacher: Teacher, split: Split, coding: Coding, batch_size: int, rows_per_shard: int) -> None:
    """The rules about what `label` is given."""
    if len(split) < 1:
        raise must(
            "split", "label", "at least one example", Words("none"), "Give the examples that the teacher shall label"
        )
    if teacher.classes != split.task.shape[0]:
        logits = target_of(teacher) == "logits"
        does = f"tells {teacher.classes} classes apart" if logits else f"gives {teacher.classes} values"
        raise BadInput(
            f"{named(teacher)} {does}, and the data have {split.task.shape[0]}. Give it data with the "
            f"{'classes' if logits else 'values'}, in the order, that it was trained on."
        )
    if target_of(teacher) == "values" and coding.dtype != VALUES:
        remedy = "Leave it out: values are kept as they are"
        raise must("dtype", "label", "left out for a teacher that gives values", coding.dtype, remedy)
    check_target(teacher, split.task)
    coding.check("label")
    if batch_size < 1:
        raise must("batch_size", "label", "at least 1", batch_size, "512 is usual")
    if rows_per_shard < 1:
        raise must("rows_per_shard", "label", "at least 1", rows_per_shard, "Leave it out")


def _outputs(teacher: Teacher, split: Split, views: Views, shard: Shard, batch_size: int) -> Iterator[Tensor]:
    """The logits of one shard, a batch at a time, in the order of the split."""
    for start in range(shard.start, shard.stop, batch_size):
        rows = slice(start, min(start + batch_size, shard.stop))
        logits = ask(teacher, views.of(split, rows, shard.view))
        wanted = (rows.stop - start, *split.task.shape)
        if logits.shape != wanted:
            rule = f"a tensor {list(wanted)}"
            remedy = "Let predict return one row per example and one logit per class"
            if len(wanted) > 2:
                remedy = "Let predict return a map per example with one logit per class and position"
            raise must("output", called(teacher), rule, list(logits.shape), remedy)
        yield logits.detach().cpu().float()
