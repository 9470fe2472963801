"""Tables of a recipe about data: where they come from, and how they are varied."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from attar.data.views import MOST_VIEWS, Views
from attar.errors import as_share, shown
from attar.pipeline.section import Number, Section
from attar.tasks.known import TaskName


def _share_or_file(value: Any) -> float | str:
    """A share of the rows, or the name of the file that holds them."""
    share = as_share(value)
    if isinstance(value, str) and value.strip() and not share:
        return value
    if isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    rule = "must be a share between 0 and 1, or the name of a file with the rows"
    raise ValueError(f"{rule}; got {shown(value)}{'. ' if share else ''}{share}")


ShareOrFile = Annotated[float | str, PlainValidator(_share_or_file)]


def _column(value: Any) -> str | None:
    """The name of what divides the rows, and no shares."""
    if value is None or isinstance(value, str):
        return value
    rule = "must be the name of a column (or an array) that says for each row train, validation or test"
    raise ValueError(f"{rule}; got {shown(value)}. To divide the rows by chance set data.test = 0.2")


def _size(value: Any) -> list[int]:
    """Height and width, of one number for both or of two."""
    pair = [value, value] if isinstance(value, int) else value
    if isinstance(pair, list | tuple) and len(pair) == 2:
        if all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in pair):
            return list(pair)
    raise ValueError(f"must be height and width in pixels, such as [48, 64], or 64 for both; got {shown(value)}")


Size = Annotated[list[int], PlainValidator(_size)]


class DataSection(Section):
    """Where examples come from."""

    use: str = Field(
        description="digits, fashion-mnist, mnist, glyphs, simulated-gaze, simulated-gaze-generated, letter, "
        "letter.p1, letter.p2, a path to .npz, .csv, .parquet, .arrow or .feather, a folder of Parquet files, of "
        "images in one folder for each class or one that save_to_disk wrote, that of MIT1003, CAT2000 or SALICON, or "
        "package.module:function"
    )
    target: str | list[str] | None = Field(
        None, description="the column of a table in a file that holds the classes, or the columns of values"
    )
    task: TaskName | None = Field(
        None,
        description="what labels mean; many different numbers with a fraction are values, maps of whole numbers are "
        "dense, all else is classes",
    )
    nominal: list[str] = Field(default_factory=list, description="columns of numbers that are names of something")
    ignore: list[str] = Field(default_factory=list, description="columns of a table to leave out, such as ids")
    validation: ShareOrFile = Field(0.1, description="share of the training data held out, or a file with these rows")
    test: ShareOrFile = Field(0.2, description="share held out where the source has no test rows, or a file with them")
    split: Annotated[str | None, PlainValidator(_column)] = Field(
        None, description="the column (or array) that says for each row train, validation or test"
    )
    weights: str | None = Field(
        None,
        description="the column (or array) of what each row counts in training; evidence counts every row once",
    )
    encoding: str | None = Field(None, description="of a .csv file that is not in UTF-8, such as cp1252")
    decimal: Literal[".", ","] | None = Field(
        None, description="what stands before fractions in a .csv file where the numbers leave it open"
    )
    header: bool = Field(
        True, description="false for a .csv file whose first line is a row; its columns are column_1, column_2, ..."
    )
    max_bytes: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="bytes that the data may take in memory (of Parquet and Arrow 64 for each row); half of it if left "
        "out",
    )
    size: Size | None = Field(
        None,
        description="height and width to which the images of a folder are stretched, or one number for both; if left "
        "out their own, or 48 x 64 of photographs with densities",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="of the images of a folder: 1 is grey, 3 colors; if left out, colors where any has some"
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
