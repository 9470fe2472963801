"""What a network's numbers are, in files that a runtime reads without torch as well as here."""

from typing import Literal

Target = Literal["logits", "log_odds", "values"]
"""What a network of a task gives, a teacher's targets are, and an artifact puts out.

Logits mean the same when a number is added to all classes; of log-odds each means a probability by itself; values mean
what they are.
"""


def has_units(target: Target) -> bool:
    """Whether outputs are in units of the data: networks learn them standardized, in which errors then are."""
    return target == "values"


def has_probabilities(target: Target) -> bool:
    """Whether outputs say how likely something is: each class, or each label by itself."""
    return target != "values"
