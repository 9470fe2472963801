"""Tables of a recipe about data: where they come from, and how they are varied."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from attar.recipes.schema.section import Number, Section
from attar.transfer.views import MOST_VIEWS, Views


class DataSection(Section):
    """Where examples come from."""

    use: str = Field(
        description="digits, fashion-mnist, mnist, glyphs, letter, letter.p1, letter.p2, a path to .npz, .csv or "
        ".parquet, or package.module:function"
    )
    target: str | None = Field(None, description="the column of a .csv or .parquet file that holds the classes")
    nominal: list[str] = Field(default_factory=list, description="columns of numbers that are names of something")
    validation: Annotated[Number, Field(gt=0, lt=1)] = Field(0.1, description="share of the training data held out")
    test: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.2, description="share held out where the source has no test part"
    )
    classes: list[str] | None = Field(None, description="keep only these classes")
    limit: Annotated[int, Field(gt=0)] | None = Field(None, description="keep at most so many examples of each part")


class ViewsSection(Section):
    """How training examples are varied."""

    count: Annotated[int, Field(ge=1, le=MOST_VIEWS)] = Field(
        1, description="different views of each example; the epochs go round them"
    )
    flip: bool = Field(False, description="mirror left and right")
    shift: Annotated[int, Field(ge=0, lt=1 << 15)] = Field(0, description="largest move in pixels")
    noise: Annotated[Number, Field(ge=0)] = Field(0.0, description="standard deviation of added noise")

    def views(self, seed: int) -> Views:
        """The rule that draws them."""
        return Views(count=self.count, flip=self.flip, shift=self.shift, noise=self.noise, seed=seed)
