"""The step that sets single weights to zero while the network is trained."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from attar import formatting
from attar.data.split import Dataset
from attar.errors import BadInput
from attar.evidence.long_table import long_table
from attar.evidence.panel import Cell, Column, Facts, Panel, Text
from attar.models.model import Model
from attar.network.copying import copied
from attar.network.spec import Spec
from attar.pipeline.pruner import Plan
from attar.pipeline.scored import Judged, figure_of
from attar.pipeline.section import Fraction, Number
from attar.pipeline.sparsifier import Sparsifier, zeroing
from attar.pipeline.step import Result, Tools
from attar.pipeline.trained import Trained
from attar.pipeline.training_step import TrainingStep, training_facts
from attar.pruning.elements import Over, smallest, weights_of
from attar.quantization.attach import is_quantized


class Sparsify(TrainingStep):
    """The weights of least magnitude become zero while the network is trained: fewer bytes once compressed, no speed.

    References:
        Han, Pool, Tran, Dally, *Learning both Weights and Connections for Efficient Neural Networks*, 2015.
        arXiv:1506.02626
    """

    use: Literal["sparsify"] = "sparsify"
    sparsity: Annotated[Number, Field(gt=0, lt=1)] = Field(description="share of the weights that are zero in the end")
    over: Over = Field(
        "layer", description="layer: the share is one of each tensor; network: of all together, the smallest anywhere"
    )
    until: Fraction = Field(0.5, description="share of the training in which weights go; the rest makes up for it")
    every: Annotated[int, Field(ge=1)] = Field(20, description="steps from one time to the next")
    skip: list[str] = Field(
        default_factory=list, description="names or patterns of layers or tensors that keep all; first and last too"
    )

    @property
    def slims(self) -> bool:
        """Its zeros are fewer bytes."""
        return True

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that there are weights."""
        self._check(spec.build())
        return spec

    def run(self, model: Model, tools: Tools) -> Result:
        """Train a copy of the model, of which weights go meanwhile."""
        self._check(model.module)
        before = tools.score(copied(model.module))
        last = max(1, int(self.until * self.steps_per_epoch(tools) * self.settings.epochs))
        plan = Plan.gradual(1.0, 1 - self.sparsity, last=last, every=self.every)
        sparsifier = Sparsifier(plan, self.over, self.skip)
        fitted = self.fitted(model.module, tools, callbacks=[sparsifier])
        # A training that ends early has not come to the end of the plan.
        weights = weights_of(fitted.model, self.skip)
        zeroing(smallest(weights, self.sparsity, self.over, _zeros(weights)))(fitted.model)
        score = tools.score(fitted.model)
        history = [entry.to_json() for entry in fitted.history]
        facts = {
            **training_facts(fitted),
            "score": score,
            "score_before": before,
            "sparsify": {
                "sparsity": self.sparsity,
                "over": self.over,
                "tensors": [
                    {"tensor": name, "weights": mask.numel(), "zeros": int(mask.sum())}
                    for name, mask in _zeros(weights_of(fitted.model)).items()
                ],
                "bytes": 4 * sum(one.numel() for one in fitted.model.parameters()),
                "compressed_before": _compressed(model.module),
                "compressed": _compressed(fitted.model),
                "judged": Judged.by(tools).to_json(),
                "figure": figure_of(tools, score),
                "figure_before": figure_of(tools, before),
            },
        }
        after = replace(model, module=fitted.model, history=[*model.history, *history])
        return Result(after, facts, history)

    def panels(self, before: Trained | None, after: Trained) -> list[Panel]:
        """What is zero, and what that saves: bytes of compressed files, and nothing else."""
        facts = after.facts["sparsify"]
        judged = Judged.from_json(facts["judged"])
        total, zeros = (sum(one[key] for one in facts["tensors"]) for key in ("weights", "zeros"))
        figures = [judged.text(facts[key]) for key in ("figure_before", "figure")]
        lines = [
            ("weights that are zero", f"{formatting.percent(zeros / total)} of {formatting.count(total)}"),
            (f"{judged.title} on validation", f"{figures[0]} before, {figures[1]} now"),
            ("file in float32", formatting.size(facts["bytes"])),
            (
                "the same compressed (zlib)",
                f"{formatting.size(facts['compressed_before'])} before, {formatting.size(facts['compressed'])} now",
            ),
        ]
        rows = [
            (
                one["tensor"],
                formatting.grouped(one["weights"]),
                formatting.grouped(one["zeros"]),
                formatting.percent(one["zeros"] / one["weights"]),
                Cell(bar=one["zeros"] / one["weights"]),
            )
            for one in facts["tensors"]
        ]
        heads = ("Tensor", "Weights", "Zeros", "Share", Column(ends=("none", "all")))
        note = (
            "Single zeros save bytes where a file is compressed or packed, and no time: the runtimes here multiply by "
            "them like by any number. The step prune takes whole channels out, which is faster."
        )
        tables = long_table(heads, rows, "tensor", "tensors")
        return [Panel("Sparse weights", [Facts(lines), *tables, Text(note)])]

    def _check(self, network: nn.Module) -> None:
        """See that there are weights to set to zero.

        Raises:
            BadInput: If there are none, or they are in low-bit formats.
        """
        if is_quantized(network):
            raise BadInput(
                "Weights in low-bit formats cannot be made sparse. Put the step sparsify before the step quantize."
            )
        weights_of(network, self.skip)


def _zeros(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: one.detach() == 0 for name, one in weights.items()}


def _compressed(network: nn.Module) -> int:
    """Bytes of the parameters in float32, each tensor by itself, once zlib has compressed them."""
    arrays = (one.detach().cpu().float().contiguous().numpy() for one in network.parameters())
    return sum(len(zlib.compress(array.tobytes())) for array in arrays)
