"""How one model's outputs are read as logits: found out once, and remarked on once."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from jaxtyping import Float32
from torch import Tensor

from attar.errors import BadInput
from attar.network.output_kind import TOLERANCES, Kind, constant_total, found_kind, recognized
from attar.tasks.target import Target
from attar.teachers.outputs import MASKED, Output, as_logits, check_output

_log = logging.getLogger(__name__)

_ROUNDED = 1e-3
"""How far a probability in float32 may be beyond 0 or 1."""

_REMARKS: dict[Kind, str] = {
    "probabilities": "gives probabilities, and not logits: their logarithms are used as its logits",
    "sigmoids": "gives a probability for each class by itself, and not logits: the log-odds are used as its logits",
}


class OutputReader:
    """What a model's outputs are, and what the user should know of that.

    Attributes:
        output: What they are, as it was stated; None where that is to be found out.
        kind: What they are; None until rows were seen, where it takes rows.
        remarks: Sentences for the user, about what is not as one would expect.
    """

    def __init__(self, output: Output | None, known: Kind | None, of: str, precision: torch.dtype | None) -> None:
        """Begin with what is known before the model was run.

        Args:
            output: What its numbers are, as it was stated.
            known: What they are by the layer or operator that the model ends in; None where that does not tell.
            of: What sentences call the model; their first word.
            precision: The type that it computes in: how exactly probabilities can add up to 1. None for float32.

        Raises:
            BadInput: If ``output`` is none of `Output`.
        """
        check_output(output, "as_teacher")
        self.output: Output | None = output
        self.kind: Kind | None = output
        if output is None or (output == "probabilities" and known in ("probabilities", "sigmoids")):
            self.kind = known
        elif output == "log_odds":
            self.kind = None if known is None else "sigmoids" if known == "sigmoids" else "log_odds"
        elif output == "probabilities":  # of all classes together, or of each by itself: the numbers show it
            self.kind = None
        self._total = 1.0  # what its probabilities add up to: 100 where they are percentages
        self.remarks: list[str] = []
        self._of, self._precision = of, precision or torch.float32
        if self.kind is not None:
            self._remark_on_kind()

    @property
    def target(self) -> Target:
        """What comes out of `logits`."""
        if self.output == "log_odds":
            return "log_odds"
        return "values" if self.kind == "values" else "logits"

    @property
    def mark(self) -> str:
        """What it adds to a fingerprint: nothing where logits are used as they are."""
        if self.kind in (None, "logits", "log_probabilities", "log_odds"):
            return ""
        return f"from {self.kind}" + (f" that add up to {self._total:g}" if self._total != 1.0 else "")

    def logits(
        self,
        numbers: Float32[Tensor, "batch width *size"],
        classes: int,
        inputs: Tensor,
        again: Callable[[Tensor], Tensor],
    ) -> Float32[Tensor, "batch classes *size"]:
        """Logits, or values, of what the model gave.

        Args:
            numbers: What it gave.
            classes: How many classes there are.
            inputs: What it was run on.
            again: Runs it on other inputs, where its outputs leave open what they are.

        Raises:
            BadInput: If the numbers cannot be what they are stated to be.
        """
        if self.kind is None and len(numbers):
            self._find_out(numbers, inputs, again)
        if self._total != 1.0:
            numbers = numbers / self._total
        self._check_stated(numbers)
        kind = self.kind or "logits"
        if kind != "values" and numbers.numel() and float(numbers.amin()) == -torch.inf:
            self.remark(
                f"{self._of} gives minus infinity for some classes: these are put {MASKED:g} below the largest logit "
                "of the row (a probability of 1e-13)"
            )
        elif kind in ("logits", "log_probabilities", "log_odds") and numbers.shape[1] == classes:
            return numbers  # as nearly all teachers give them
        return as_logits(numbers, kind, classes)

    def _check_stated(self, numbers: Tensor) -> None:
        """Raise where numbers cannot be what they are stated to be.

        Raises:
            BadInput: If there are probabilities outside of 0 to 1, or logarithms of such above 0.
        """
        if self.output not in ("probabilities", "log_probabilities") or not numbers.numel():
            return
        most, tolerance = float(numbers.amax()), TOLERANCES.get(self._precision, _ROUNDED)
        least = float(numbers.amin()) if self.output == "probabilities" else 0.0
        top = 1.0 if self.output == "probabilities" else 0.0
        if most > top + tolerance or least < -tolerance:
            name = self.output.replace("_", " ")
            raise BadInput(
                f"{self._of} is stated to give {name}, and gives {most if most > top + tolerance else least:.4g} for "
                f"some row, which cannot be one. State what it gives (output), or leave that to be found out."
            )

    def _find_out(self, numbers: Tensor, inputs: Tensor, again: Callable[[Tensor], Tensor]) -> None:
        if self.output == "probabilities":
            of_all = numbers.shape[1] == 1 or recognized(numbers, self._precision) == "probabilities"
            self.kind = "probabilities" if of_all else "sigmoids"
        elif self.output == "log_odds":
            found = found_kind(again, inputs, numbers, self._precision)
            self.kind = "sigmoids" if found in ("sigmoids", "probabilities") else "log_odds"
        else:
            self.kind = found_kind(again, inputs, numbers, self._precision)
            if self.kind == "logits" and (total := constant_total(numbers)) is not None:
                kind = found_kind(lambda some: again(some) / total, inputs, numbers / total, self._precision)
                if kind == "probabilities":
                    self.kind, self._total = kind, total
        self._remark_on_kind()

    def _remark_on_kind(self) -> None:
        if self.kind in _REMARKS and self.output != "log_odds":
            stated = "" if self.output else ' (state output = "logits" if that is wrong)'
            times = "" if self._total == 1.0 else f" times {self._total:g}"
            remark = _REMARKS[self.kind].replace("probabilities,", f"probabilities{times},", 1)
            self.remark(f"{self._of} {remark}{stated}")

    def remark(self, text: str) -> None:
        """Give the user a remark, once.

        Args:
            text: A sentence without its period.
        """
        if f"{text}." not in self.remarks:
            self.remarks.append(f"{text}.")
            _log.warning("%s.", text)
