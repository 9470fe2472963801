"""The table of a recipe that says how a network is built."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from attar.network.references import check_written
from attar.network.spec import Spec
from attar.pipeline.section import Number, Section


class NetworkSection(Section):
    """A torch module: the function that builds it, and its arguments."""

    use: Annotated[str, AfterValidator(check_written)] = Field(
        description="package.module:function that returns a torch.nn.Module"
    )
    arguments: dict[str, Any] = Field(default_factory=dict)
    mean: list[Number] | None = Field(None, description="per channel, taken from the inputs before the network")
    std: list[Number] | None = Field(None, description="per channel, by which the inputs are divided")

    @model_validator(mode="after")
    def _statistics_come_together(self) -> NetworkSection:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be given together; give both or neither")
        return self

    def spec(self) -> Spec:
        """The network as plain data."""
        return Spec(self.use, self.arguments, self.mean, self.std)
