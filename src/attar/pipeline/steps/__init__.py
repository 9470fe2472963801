"""The steps that a recipe can name, one file each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from attar.pipeline.steps.correct import Correct
from attar.pipeline.steps.distill import Distill
from attar.pipeline.steps.prune import Prune
from attar.pipeline.steps.quantize import Quantize
from attar.pipeline.steps.sparsify import Sparsify

STEPS = {"distill": Distill, "prune": Prune, "sparsify": Sparsify, "quantize": Quantize, "correct": Correct}
"""Every step, by the name that ``use`` gives."""

AnyStep = Annotated[Distill | Prune | Sparsify | Quantize | Correct, Field(discriminator="use")]
"""One table of ``student.steps``."""
