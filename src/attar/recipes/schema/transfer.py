"""The tables of a recipe about the transfer set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attar.pipeline.section import Number, Section
from attar.recipes.schema.data import ViewsSection


class SynthesisSection(Section):
    """Rows made from the training rows, for the teacher to label: tables only."""

    method: Literal["munge", "random", "nbe"] = Field("munge", description="how rows are made")
    rows: Annotated[int, Field(ge=1, le=100_000_000)] = Field(description="how many")
    p: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="MUNGE: chance that a value changes; chosen on validation if left out"
    )
    s: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="MUNGE: how tightly new values follow the neighbor's; chosen on validation if left out"
    )
    neighbors: Literal["dynamic", "static"] = Field(
        "dynamic", description="MUNGE: neighbors in the changing copy or not"
    )
    components: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="NBE: components of the mixture; by held-out likelihood if left out"
    )
    original: bool = Field(True, description="the training rows themselves are in the transfer set too")

    @model_validator(mode="after")
    def _settings_are_of_the_method(self) -> SynthesisSection:
        if self.method != "munge" and (self.p is not None or self.s is not None):
            raise ValueError("p and s belong to method = 'munge'; leave them out")
        if self.method != "nbe" and self.components is not None:
            raise ValueError("components belongs to method = 'nbe'; leave it out")
        return self


class TransferSection(Section):
    """The transfer set: the examples on which the student imitates the teacher."""

    views: ViewsSection = ViewsSection()
    cached: bool = Field(True, description="label once and store; false asks the teacher in every step")
    top_k: Annotated[int, Field(ge=1)] | None = Field(None, description="store only the k largest; all if left out")
    dtype: Literal["float16", "int8"] = Field("float16", description="store a number in two bytes, or in one")
    per_teacher: bool = Field(
        False,
        description="label with each member of the teacher apart and average: a new member is asked alone",
    )
    labels: bool = Field(True, description="false hides the labels: the student learns from the teacher alone")
    only: list[str] | None = Field(None, description="training examples of these classes alone")
    without: list[str] | None = Field(None, description="training examples of all classes but these")
    share: Annotated[Number, Field(gt=0, le=1)] = Field(1.0, description="share of the training examples taken")
    labeled_share: Annotated[Number, Field(gt=0, le=1)] = Field(
        1.0,
        description="share of those that student and baseline have labels of; the others are in the transfer set, too",
    )
    unlabeled: str | None = Field(
        None, description=".npz file with x, or package.module:function: inputs for the transfer set without labels"
    )
    label_views: bool = Field(True, description="false labels each example once, as it is, for all of its views")
    synthesis: SynthesisSection | None = Field(None, description="rows made from the training rows")

    @model_validator(mode="after")
    def _synthesis_has_no_views(self) -> TransferSection:
        if self.synthesis is not None and self.views != ViewsSection():
            raise ValueError("views are for pictures and synthesis for tables; leave one of them out")
        if self.synthesis is not None and not self.cached:
            raise ValueError("synthesis needs stored targets; leave cached out")
        if self.synthesis is not None and (self.partial or self.labeled_share < 1 or self.unlabeled is not None):
            raise ValueError(
                "synthesis makes rows from all training rows; leave only, without, share, labeled_share, unlabeled out"
            )
        return self

    @model_validator(mode="after")
    def _one_filter(self) -> TransferSection:
        if self.only is not None and self.without is not None:
            raise ValueError("only and without say the same in two ways; leave one of them out")
        return self

    @property
    def partial(self) -> bool:
        """Whether some of the training examples are left out."""
        return self.only is not None or self.without is not None or self.share < 1
