"""What a network's numbers are, in files that a runtime reads without torch as well as here."""

from typing import Literal

Target = Literal["logits", "log_odds", "values"]
"""What a network of a task gives, a teacher's targets are, and an artifact puts out.

Logits mean the same when a number is added to all classes; of log-odds each means a probability by itself; values mean
what they are.
"""
