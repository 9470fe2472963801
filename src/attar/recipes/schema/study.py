"""What a study says: its runs, the tables and sweeps that are made of them, and where a paper's figures are from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from attar.errors import near
from attar.pipeline.section import Number, Section
from attar.tasks.known import METRICS


def _metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"must be a metric of the task. {near(name, METRICS)}")
    return name


class PaperSection(Section):
    """Where the figures beside ours come from."""

    citation: str
    address: str | None = None
    how_sure: str | None = Field(None, description="how the figures were found, and what to think of them")
    source: Literal["paper", "notes", "memory"] = Field(
        "paper", description="where the figures were read; what was not read in the paper is marked wherever it shows"
    )


class RunSection(Section):
    """One whole run, a row of the table."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str | None = Field(None, description="what people call it; its name if left out")
    recipe: str
    changes: list[str] = Field(default_factory=list, description="dotted.key=value each")
    paper: dict[str, Number] = Field(default_factory=dict, description="the paper's figures, by the key of the column")


class ColumnSection(Section):
    """One figure of every run."""

    key: str
    title: str
    path: str = Field(
        description="where it stands in the evidence, dots between the keys, a number for a place in a list; "
        "a list is a figure per seed"
    )
    way: Annotated[list[str], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="two more places: the cell is how much of the way from the first to the second the figure has made "
        "(0 none, 1 all); RUN:PLACE is a place in the evidence of another run",
    )
    unit: str = ""
    better: Literal["lower", "higher"] | None = None


class TableSection(Section):
    """Some runs side by side, a row each."""

    title: str
    caption: str = ""
    runs: list[str] | None = Field(None, description="names of runs; all of them if left out")
    columns: Annotated[list[ColumnSection], Field(min_length=1)]


class SeriesSection(Section):
    """One line of a chart."""

    name: str
    changes: list[str] = Field(default_factory=list)
    inherit: dict[str, str] = Field(
        default_factory=dict, description="key of the recipe to the place in the evidence of the run that has its value"
    )


class PointSection(Section):
    """One value on the horizontal axis."""

    x: Number
    changes: list[str]


class SweepSection(Section):
    """Students trained over one setting, or two; drawn as a chart."""

    title: str
    caption: str = ""
    recipe: str = Field(description="the recipe of one of the runs, whose teacher and nodes are used")
    changes: list[str] = Field(default_factory=list)
    measure: Annotated[str, AfterValidator(_metric)] = Field(
        description="a metric of the task, such as accuracy or rmse, of each student on test"
    )
    x_title: str
    log: bool = False
    levels: dict[str, str] = Field(default_factory=dict, description="name to place in the evidence of the run")
    series: Annotated[list[SeriesSection], Field(min_length=1)]
    points: Annotated[list[PointSection], Field(min_length=2)]


class Study(Section):
    """A whole study."""

    name: str
    title: str
    paper: PaperSection | None = None
    runs: Annotated[list[RunSection], Field(min_length=1)]
    tables: Annotated[list[TableSection], Field(min_length=1)]
    sweeps: list[SweepSection] = Field(default_factory=list)
    remarks: list[str] = Field(default_factory=list, description="what a reader must know to compare the figures")

    @model_validator(mode="after")
    def _names_fit(self) -> Study:
        names = [run.name for run in self.runs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"runs must have names of their own; {name!r} comes twice")
        for table in self.tables:
            for name in table.runs or ():
                if name not in names:
                    raise ValueError(f"table {table.title!r} must be of runs of the study. {near(name, names)}")
            for column in table.columns:
                for place in column.way or ():
                    run_, _, _ = place.rpartition(":")
                    if run_ and run_ not in names:
                        raise ValueError(
                            f"way of column {column.key!r} must name runs of the study. {near(run_, names)}"
                        )
        keys = {column.key for table in self.tables for column in table.columns}
        for run in self.runs:
            for key in run.paper:
                if key not in keys:
                    raise ValueError(f"paper of run {run.name!r} must have keys of columns. {near(key, keys)}")
        return self
