"""Students and baselines whose logits of absent classes are shifted, by an amount chosen on validation data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.deployment.runtimes import open_torch
from attar.evidence.measure import predict_all
from attar.network.shift_bias import shift_bias
from attar.ops.class_shift import ClassShift, best_class_shift
from attar.recipes.stages import Context, Trained
from attar.training.scoring import METRICS
from attar.transfer.part import absent_classes
from attar.transfer.split import Split


@dataclass(frozen=True)
class Shifted:
    """A training whose network was shifted.

    Attributes:
        before: As it was trained.
        after: With the shift in its last biases.
        chosen: The shift, and the validation examples that are right without and with it.
    """

    before: Trained
    after: Trained
    chosen: ClassShift


@dataclass(frozen=True)
class Corrected:
    """What became of all trainings.

    Attributes:
        classes: Numbers of the classes whose logits were shifted.
        students: One per seed.
        baselines: The same without the teacher.
    """

    classes: Sequence[int]
    students: Sequence[Shifted]
    baselines: Sequence[Shifted]

    def evidence(self, context: Context) -> dict[str, Any]:
        """Accuracies on test before and after: of all examples, and of those of the classes that were absent."""
        test = context.dataset.test
        assert test.labels is not None, "data sets have labels in test"
        labels = test.labels.numpy()
        rows: dict[str, list[Mapping[str, float]]] = {
            which: [_entry(one, len(context.dataset.validation), test, labels, self.classes) for one in trainings]
            for which, trainings in (("students", self.students), ("baselines", self.baselines))
        }
        columns = {key: [row[key] for row in rows["students"]] for key in rows["students"][0]}
        of_baselines = {key: [row[key] for row in rows["baselines"]] for key in (rows["baselines"] or [{}])[0]}
        names = [context.dataset.classes[number] for number in self.classes]
        return {"classes": names, **rows, "student": columns, "baseline": of_baselines}


def corrected_of(
    context: Context, transfer: Split | None, students: Sequence[Trained], baselines: Sequence[Trained]
) -> Corrected | None:
    """Every network with the shift that is best on validation; None where the recipe wants none.

    Raises:
        BadInput: If a network has no bias that could hold the shift.
    """
    if not context.recipe.student.shift_absent:
        return None
    assert transfer is not None, "checked before anything is trained"
    absent = absent_classes(transfer)
    return Corrected(
        absent,
        [_shifted(context, one, absent) for one in students],
        [_shifted(context, one, absent) for one in baselines],
    )


def _shifted(context: Context, trained: Trained, absent: Sequence[int]) -> Shifted:
    validation = context.dataset.validation
    assert validation.labels is not None, "data sets have labels in validation"
    logits = torch.from_numpy(predict_all(open_torch(trained.network), validation))
    chosen = best_class_shift(logits, validation.labels, torch.tensor(absent))
    shift = torch.zeros(len(context.dataset.classes)).index_fill_(0, torch.tensor(absent), chosen.shift)
    network, edit = shift_bias(trained.network, shift, context.example)
    score = _score(context, logits + shift)
    assert trained.spec is not None, "students and controls have one"
    after = replace(trained, network=network, score=score, spec=trained.spec.with_edit(edit))
    return Shifted(trained, after, chosen)


def _score(context: Context, logits: Tensor) -> float:
    """What the recipe chooses by, of logits ``[n, classes]`` on validation."""
    metric, total = METRICS[context.recipe.student.choose_by], 0.0
    for rows in torch.split(torch.arange(len(logits)), 512):
        total += float(metric(logits[rows], context.validation.batch(rows, 0)).sum())
    return total / len(logits)


def _entry(
    one: Shifted, examples: int, test: Split, labels: NDArray[np.int64], absent: Sequence[int]
) -> Mapping[str, float]:
    of_absent = np.isin(labels, absent)
    right = {
        when: predict_all(open_torch(trained.network), test).argmax(1) == labels
        for when, trained in (("before", one.before), ("after", one.after))
    }
    return {
        "shift": one.chosen.shift,
        "validation_before": one.chosen.before / examples,
        "validation_after": one.chosen.after / examples,
        **{when: float(rights.mean()) for when, rights in right.items()},
        **{f"absent_{when}": float(rights[of_absent].mean()) for when, rights in right.items()},
    }
