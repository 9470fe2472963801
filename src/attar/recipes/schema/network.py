"""The table of a recipe that says how a network is built."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from attar.models.rebuild import edits_from_json
from attar.network.references import check_written
from attar.network.spec import Spec
from attar.pipeline.section import Number, Section


def _read_edits(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Edits as they stand in a file, each of which can be read."""
    edits_from_json(documents)
    return documents


class NetworkSection(Section):
    """A torch module: the function that builds it, and its arguments."""

    use: Annotated[str, AfterValidator(check_written)] = Field(
        description="package.module:function that returns a torch.nn.Module"
    )
    arguments: dict[str, Any] = Field(default_factory=dict)
    mean: list[Number] | None = Field(None, description="per channel, taken from the inputs before the network")
    std: list[Number] | None = Field(None, description="per channel, by which the inputs are divided")
    edits: Annotated[list[dict[str, Any]], AfterValidator(_read_edits)] | None = Field(
        None, description="what is removed from what the function returns, as a search writes it down"
    )

    @model_validator(mode="after")
    def _statistics_come_together(self) -> NetworkSection:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be given together; give both or neither")
        return self

    @classmethod
    def of(cls, spec: Spec) -> NetworkSection:
        """The table of a network that is known as plain data."""
        about = spec.to_json()
        return cls(
            use=about["reference"],
            arguments=about["arguments"],
            mean=about.get("mean"),
            std=about.get("std"),
            edits=about["edits"] or None,
        )

    def known_by(self) -> dict[str, Any]:
        """All that tells it from other networks, as plain values; edits only where there are any."""
        return self.model_dump(exclude=None if self.edits else {"edits"})

    @property
    def unedited(self) -> NetworkSection:
        """The network as the function returns it."""
        return self.model_copy(update={"edits": None})

    def spec(self) -> Spec:
        """The network as plain data."""
        return Spec(self.use, self.arguments, self.mean, self.std, edits_from_json(self.edits or []))
