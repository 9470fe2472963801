"""The specialists of a recipe: trained as a node, their inference chosen on validation, measured on test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.errors import BadInput
from attar.evidence.compare import verdict
from attar.network.weights import digest
from attar.ops.kl_inference import SpecialistLogits
from attar.recipes.checks import check_specialists
from attar.recipes.context import Context
from attar.recipes.schema.teacher import SpecialistsSection
from attar.teachers.specialists.specialist import Correction
from attar.teachers.specialists.specialists import Specialists
from attar.teachers.specialists.specialize import specialize
from attar.teachers.teacher import NetworkTeacher, Teacher

TOPS = (1, 2, 3, 5)
"""How many of the generalist's likeliest classes are tried where the recipe leaves it open."""

_AT_ONCE = 256
_TIMED = 1000
_TIMES = 3


@dataclass(frozen=True)
class Specialized:
    """A generalist with its specialists, as the recipe has them.

    Attributes:
        teacher: All of them as one teacher.
        tried: What was tried on validation: one plain entry per correction and number of classes that choose, the
            first for the generalist alone.
        seconds: How long the specialists took to train.
    """

    teacher: Specialists
    tried: Sequence[Mapping[str, Any]]
    seconds: float

    def evidence(self, context: Context) -> dict[str, Any]:
        """What the specialists do on test, and how long they take."""
        test, teacher = context.dataset.test, self.teacher
        assert test.labels is not None, "data sets have labels in test"
        names, coverage = context.dataset.classes, teacher.coverage
        general, outputs, asked = _ask(teacher, test, everyone=True)
        inferred = teacher.infer(general, _asked_only(outputs, asked))
        labels, covered = test.labels, coverage[test.labels]
        before, after = general.argmax(1) == labels, inferred.logits.argmax(1) == labels
        ruling = verdict(after.numpy(), before.numpy())
        known = coverage > 0
        conditional = covered > 0
        return {
            "specialists": len(teacher.specialists),
            "classes_covered": int(known.sum()),
            "inference": asdict(teacher.inference),
            "validation": list(self.tried),
            "training_seconds": self.seconds,
            "asked_mean": float(asked.float().sum(1).mean()),
            "steps_mean": float(inferred.steps.float().mean()),
            "residual_largest": float(inferred.residual.max()),
            "overall": _compared(before, after),
            "difference": {key: ruling.to_json()[key] for key in ("difference", "interval", "p_value")},
            "conditional": _compared(
                *(
                    _restricted(logits, known)[conditional] == labels[conditional]
                    for logits in (general, inferred.logits)
                )
            ),
            "by_coverage": [
                {
                    "specialists": count,
                    "classes": int((coverage == count).sum()),
                    **_compared(before[covered == count], after[covered == count]),
                }
                for count in sorted(set(coverage.tolist()))
            ],
            "each": [
                self._one(place, names, labels, general, inferred.logits, outputs[place])
                for place in range(len(teacher.specialists))
            ],
            "seconds_per_1000": _seconds(teacher, test),
        }

    def _one(
        self,
        place: int,
        names: Sequence[str],
        labels: Tensor,
        general: Tensor,
        combined: Tensor,
        output: SpecialistLogits,
    ) -> dict[str, Any]:
        """One specialist on the examples of its classes, every answer restricted to these."""
        one = self.teacher.specialists[place]
        mask = torch.zeros(len(names), dtype=torch.bool).index_fill_(0, output.classes, True)
        rows = mask[labels]
        alone = output.classes[output.logits[:, :-1].argmax(1)]
        return {
            "classes": [names[number] for number in one.classes],
            "share": one.share,
            "validation": one.score,
            **_compared(*(_restricted(logits, mask)[rows] == labels[rows] for logits in (general, combined))),
            "alone": _mean((alone == labels)[rows]),
        }


def specialists_of(context: Context, generalist: Teacher) -> Specialized | None:
    """The generalist of a recipe with its specialists; None where the recipe wants none.

    Raises:
        BadInput: If the recipe names an unknown class, or asks for sets that cannot be.
    """
    section = context.recipe.teacher.specialists
    if section is None:
        return None
    assert isinstance(generalist, NetworkTeacher), "the schema lets only one network have specialists"
    trained, seconds = _trained(context, section, generalist)
    tops = [top for top in TOPS if top <= trained.classes] if section.top is None else [section.top]
    corrections = get_args(Correction) if section.correction is None else (section.correction,)
    settings = [replace(trained.inference, top=top, correction=one) for one in corrections for top in tops]
    tried = _tried(context, trained, settings)
    # Of equals the first: what the paper does.
    best = max(range(len(settings)), key=lambda place: tried[place + 1]["accuracy"])
    return Specialized(Specialists(trained.generalist, trained.specialists, settings[best]), tried, seconds)


def _trained(context: Context, section: SpecialistsSection, generalist: NetworkTeacher) -> tuple[Specialists, float]:
    recipe = context.recipe
    views = recipe.teacher.views.views(recipe.teacher.seed)
    settings = replace(section.training, seed=recipe.teacher.seed)
    train, names = context.dataset.train, context.dataset.classes
    check_specialists(section, names)
    given = None if section.sets is None else [[names.index(name) for name in one] for one in section.sets]

    def work(folder: Any) -> dict[str, Any]:
        assert train.labels is not None, "what trains a teacher has labels"
        try:
            trained_ones = specialize(
                generalist.module,
                TransferSet(train, views),
                train.labels,
                class_sets=given,
                n_clusters=section.clusters,
                set_size=section.set_size,
                columns=section.columns,
                clustering=section.clustering,
                sample=context.validation,
                special_fraction=section.special_fraction,
                settings=settings,
                validation=context.validation,
                folder=folder / "specialists",
                jobs=section.jobs,
                device=context.device,
                progress=context.progress,
            )
        except BadInput as error:
            raise type(error)(f"teacher.specialists of the recipe: {error}") from error
        return {"specialists": len(trained_ones.specialists), "scores": [one.score for one in trained_ones.specialists]}

    node = context.nodes.node(
        "specialists",
        {
            "generalist": digest(generalist.module),
            # The recipe may describe another network beside given weights: layers without weights are no part of these.
            **({"network": generalist.fingerprint()} if recipe.teacher.weights else {}),
            "networks": recipe.teacher.given_networks,
            "data": context.fingerprint,
            "views": views.fingerprint(),
            "sets": given,
            "clusters": section.clusters,
            "set_size": section.set_size,
            "columns": section.columns,
            "clustering": section.clustering,
            "special_fraction": section.special_fraction,
            "training": {key: value for key, value in vars(settings).items() if key != "checkpoint_seconds"},
        },
        work,
        resumable=["specialists"],
    )
    folder = node.folder / "specialists"
    return Specialists.load(folder, generalist.module, device=context.device), node.seconds


def _tried(context: Context, trained: Specialists, settings: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    """Accuracy and log loss on validation of the generalist and of every way to bring the opinions together."""
    validation = context.dataset.validation
    assert validation.labels is not None, "data sets have labels in validation"
    labels = validation.labels

    def work(_: Any) -> dict[str, Any]:
        widest = trained.changed(top=max(one.top for one in settings))
        general, outputs, _asked = _ask(widest, validation, everyone=False)
        entries: list[dict[str, Any]] = [{"correction": None, "top": None, **_judged(general, labels)}]
        for one in settings:
            teacher = trained.changed(**asdict(one))
            logits = teacher.infer(general, _asked_only(outputs, teacher.asked(general))).logits
            entries.append({"correction": one.correction, "top": one.top, **_judged(logits, labels)})
        return {"tried": entries}

    inputs = {
        "specialists": trained.fingerprint(),
        "data": context.fingerprint,
        "settings": [asdict(one) for one in settings],
    }
    tried: Sequence[Mapping[str, Any]] = context.nodes.node("inference", inputs, work).result["tried"]
    return tried


def _ask(teacher: Specialists, split: Split, *, everyone: bool) -> tuple[Tensor, list[SpecialistLogits], Tensor]:
    """What the generalist says of a split, what the specialists do, and who is to be asked about what.

    Args:
        teacher: All of them.
        split: The examples.
        everyone: Every specialist speaks of every example, not only of those that it is asked about.
    """
    general, asked = [], []
    outputs: list[list[SpecialistLogits]] = [[] for _ in teacher.specialists]
    for rows in torch.split(torch.arange(len(split)), _AT_ONCE):
        inputs = split.floats(rows)
        general.append(teacher.generalist.predict(inputs))
        asked.append(teacher.asked(general[-1]))
        speaks = torch.ones_like(asked[-1]) if everyone else asked[-1]
        for one in teacher.specialist_logits(inputs, speaks):
            outputs[one.specialist].append(replace(one, rows=rows[one.rows]))
    combined = [
        SpecialistLogits(
            who, pieces[0].classes, torch.cat([one.rows for one in pieces]), torch.cat([one.logits for one in pieces])
        )
        for who, pieces in enumerate(outputs)
        if pieces
    ]
    return torch.cat(general), combined, torch.cat(asked)


def _asked_only(outputs: Sequence[SpecialistLogits], asked: Tensor) -> list[SpecialistLogits]:
    """Of the opinions those that were asked for."""
    pairs = [(one, asked[one.rows, one.specialist]) for one in outputs]
    return [replace(one, rows=one.rows[mask], logits=one.logits[mask]) for one, mask in pairs]


def _judged(logits: Tensor, labels: Tensor) -> dict[str, float]:
    return {
        "accuracy": float((logits.argmax(1) == labels).double().mean()),
        "log_loss": float(functional.cross_entropy(logits.double(), labels)),
    }


def _compared(before: Tensor, after: Tensor) -> dict[str, Any]:
    """Accuracies of the generalist and of the whole on the same examples, and the relative gain."""
    generalist, combined = _mean(before), _mean(after)
    gain = (combined - generalist) / generalist if generalist and combined is not None else None
    return {"examples": len(before), "generalist": generalist, "with_specialists": combined, "relative_gain": gain}


def _mean(right: Tensor) -> float | None:
    return float(right.double().mean()) if len(right) else None


def _restricted(logits: Tensor, mask: Tensor) -> Tensor:
    """The likeliest of some classes."""
    return logits.masked_fill(~mask, -torch.inf).argmax(1)


def _seconds(teacher: Specialists, split: Split) -> dict[str, float]:
    """Seconds per 1,000 examples, the median of three: of the search alone, of the generalist alone, of the whole."""
    inputs = split.floats(slice(0, min(_TIMED, len(split))))
    batches = torch.split(inputs, _AT_ONCE)
    answers = []
    for batch in batches:
        general = teacher.generalist.predict(batch)
        answers.append((general, teacher.specialist_logits(batch, teacher.asked(general))))

    def timed(work: Callable[[], object]) -> float:
        work()
        taken = []
        for _ in range(_TIMES):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
        return float(np.median(taken)) * 1000 / len(inputs)

    return {
        "inference": timed(lambda: [teacher.infer(general, outputs) for general, outputs in answers]),
        "generalist": timed(lambda: [teacher.generalist.predict(batch) for batch in batches]),
        "predict": timed(lambda: [teacher.predict(batch) for batch in batches]),
        "threads": torch.get_num_threads(),
    }
