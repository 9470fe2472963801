"""The step from which on weights, and what goes into layers, are in low-bit formats."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PlainSerializer, PlainValidator, model_validator
from torch import Tensor, nn
from torch.nn import functional

from attar.data.split import Dataset, Split
from attar.errors import must, shown
from attar.evidence.panel import Panel, Table
from attar.models.model import Model
from attar.network.spec import Spec
from attar.pipeline.step import Result, Step, Tools
from attar.pipeline.trained import Trained
from attar.quantization.allocation import allocate_bits
from attar.quantization.attach import without_formats
from attar.quantization.edit import Quantize as QuantizeEdit
from attar.quantization.format import Format, Ranged
from attar.quantization.formats.named import from_table, to_table
from attar.quantization.quantize import quantize
from attar.quantization.sharing import share_codebook_

log = logging.getLogger(__name__)

_LOOKED_AT = 64
"""Examples on which ranges are tried before anything is trained."""


def _formats(document: Any) -> Any:
    """One format for all, or patterns of layers and tensors with a format each."""
    if isinstance(document, Format) or not isinstance(document, Mapping) or isinstance(document.get("use"), str):
        return document if isinstance(document, Format) else from_table(document)
    if not document:
        raise ValueError("must be a format, or patterns with a format each; got an empty table")
    if not any(isinstance(form, Mapping | Format) for form in document.values()):
        raise ValueError(f"must say with use which format it is; got {shown(dict(document))}")
    return {str(name): form if isinstance(form, Format) else from_table(form) for name, form in document.items()}


def _tables(given: Any) -> Any:
    if given is None:
        return None
    return {name: to_table(form) for name, form in given.items()} if isinstance(given, Mapping) else to_table(given)


FormatTable = Annotated[Any, PlainValidator(_formats), PlainSerializer(_tables)]
"""A `Format`, a mapping of patterns to such, or None."""


class Quantize(Step):
    """Low-bit formats are attached to the weights, and to what goes into the layers, from here on."""

    use: Literal["quantize"] = "quantize"
    weights: FormatTable = Field(
        None, description='a format such as { use = "uniform", bits = 4 }, or patterns of layers with a format each'
    )
    activations: FormatTable = Field(None, description="the same for what goes into the layers")
    skip: list[str] = Field(
        default_factory=list, description="patterns of layers or tensors that stay as they are; first and last too"
    )
    tensors: Literal["weights", "all"] = Field("weights", description="all are biases and batch normalization too")
    calibration: Annotated[int, Field(ge=1)] = Field(
        512, description="training examples on which ranges of activations are measured"
    )
    share_codebook: bool = Field(False, description="all tensors of a codebook have the same points")
    allocation: Literal["equal", "gradient"] = Field(
        "equal", description="gradient gives more points, or bits, to tensors with long gradients"
    )
    allocation_batches: Annotated[int, Field(ge=1, le=100_000)] = Field(
        5, description="batches over which these gradients are averaged"
    )
    allocation_batch_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="examples in each of these batches; as in student.training if left out"
    )

    @model_validator(mode="after")
    def _something_is_quantized(self) -> Quantize:
        if self.weights is None and self.activations is None:
            raise ValueError("give weights or activations a format; both are left out")
        for of in ("weights", "activations"):
            for form in self.formats(of):
                if of not in form.supports:
                    raise ValueError(f"{of} must have a format that is made for {of}; got {to_table(form)['use']!r}")
        uses = {to_table(form)["use"] for form in self.formats("weights")}
        if self.share_codebook and (uses != {"codebook"} or isinstance(self.weights, Mapping)):
            raise ValueError("share_codebook needs one codebook for all weights; set weights, or leave it out")
        if self.allocation == "gradient":
            if isinstance(self.weights, Mapping) or not uses <= {"codebook", "uniform"} or not uses:
                raise ValueError('allocation = "gradient" needs one codebook or uniform format for all weights')
            if self.share_codebook or getattr(self.weights, "points", None) is not None:
                raise ValueError('allocation = "gradient" gives each tensor its own points; leave out what sets them')
        return self

    def formats(self, of: str) -> list[Any]:
        """The formats of ``weights`` or ``activations``."""
        given = getattr(self, of)
        return [] if given is None else list(given.values()) if isinstance(given, Mapping) else [given]

    @property
    def calibrates(self) -> bool:
        """Whether the range of an activation has to be measured on examples."""
        return any(isinstance(form, Ranged) and form.needs_calibration for form in self.formats("activations"))

    @property
    def without_effect(self) -> frozenset[str]:
        """What is for ranges that are measured, or for gradients, where there are none."""
        unmeasured = () if self.calibrates else ("calibration",)
        return frozenset({*unmeasured, *(() if self.allocation == "gradient" else ("allocation_batches",))})

    def completed(self, objective: Any, training: Any) -> Quantize:
        """With the size of batches as the student is trained."""
        if self.allocation != "gradient" or self.allocation_batch_size is not None:
            return self
        return self.model_copy(update={"allocation_batch_size": training.batch_size})

    def check(self, spec: Spec, dataset: Dataset) -> Spec:
        """See that every pattern fits a layer, and that each of these can be quantized."""
        quantized = self._quantized(spec.build(), self.weights, dataset.train.floats(slice(0, _LOOKED_AT)))
        if self.allocation == "gradient":
            _known_labels(dataset.train)
        return spec.with_edit(QuantizeEdit.of(quantized))

    def run(self, model: Model, tools: Tools) -> Result:
        """A copy of the model with these formats, instead of those that it may have."""
        network, train, weights = without_formats(model.module), tools.dataset.train, self.weights
        if self.allocation == "gradient":
            batches = self._labelled_batches(train, tools.run_seed)
            weights = allocate_bits(
                network, weights, batches, functional.cross_entropy, skip=self.skip, tensors=self.tensors
            )
        drawn = _drawn(train, self.calibration, tools.run_seed) if self.calibrates else None
        quantized = self._quantized(network, weights, None if drawn is None else train.floats(drawn))
        score = tools.score(quantized)
        log.info("%s: score %.4f on validation", tools.title, score)
        return Result(
            replace(model, module=quantized, spec=model.spec.with_edit(QuantizeEdit.of(quantized))), {"score": score}
        )

    def panels(self, before: Trained | None, after: Trained) -> list[Panel]:
        """Which format each tensor got."""
        edit = next(edit for edit in reversed(after.model.spec.edits) if isinstance(edit, QuantizeEdit))
        rows = [(name, to_table(form)["use"], form.bits) for name, form in edit.weights.items()]
        rows += [(f"inputs of {name}", to_table(form)["use"], form.bits) for name, form in edit.inputs.items()]
        return [Panel("Formats", [Table(("Tensor", "Format", "Bits"), rows)])]

    def _quantized(self, network: nn.Module, weights: Any, calibration: Tensor | None) -> nn.Module:
        quantized = quantize(
            without_formats(network),
            weights=weights,
            activations=self.activations,
            skip=self.skip,
            tensors=self.tensors,
            calibration=calibration,
        )
        return share_codebook_(quantized) if self.share_codebook else quantized

    def _labelled_batches(self, train: Split, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Training examples that have a label, in batches of the training's size."""
        labels, size = _known_labels(train), self.allocation_batch_size
        assert size is not None, "a step is completed before it is run"
        known = (labels >= 0).nonzero()[:, 0]
        order = _drawn(train.rows(known), self.allocation_batches * size, seed)
        for rows in torch.split(known[order], size):
            yield train.floats(rows), labels[rows]


def _known_labels(train: Split) -> Tensor:
    """The labels, of which there must be some."""
    if train.labels is None or not bool((train.labels >= 0).any()):
        raise must("allocation", "the recipe", "equal where there are no labels", "gradient", "Leave it out")
    return train.labels


def _drawn(split: Split, count: int, seed: int) -> Tensor:
    """So many rows of a split, or all, in an order that depends on the seed."""
    return torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:count]
