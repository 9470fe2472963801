"""What was measured of one model, as a value: its quality, size, cost, memory and latency, in words and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, GetPydanticSchema, TypeAdapter, ValidationError

from attar import notebook
from attar.errors import must
from attar.evidence.latency import Latency
from attar.formatting import count, milliseconds, percent, significant, size
from attar.tasks.known import AnyQuality
from attar.tasks.task import Quality

OfTask = Annotated[Quality, GetPydanticSchema(lambda _, handler: handler(AnyQuality))]
"""What a task's `quality` gives, read back as whichever it is."""

Kind = Literal["teacher", "member", "baseline", "student", "candidate"]
"""What part a model plays in a run; a member is the best single model of a teacher that has several, a baseline the
student's network trained without a teacher."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two ways of running one network are apart on the same examples.

    Attributes:
        max_difference: Largest absolute difference of an output.
        mean_difference: Mean absolute difference of the outputs.
        top1_agreement: Share of examples, in 0..1, on which both name the same class; None where none is named.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_difference: float
    mean_difference: float
    top1_agreement: float | None

    def __str__(self) -> str:
        mean, largest = significant(self.mean_difference), significant(self.max_difference)
        same = "" if self.top1_agreement is None else f"; same class on {percent(self.top1_agreement)}"
        return f"outputs differ by {mean} on average, {largest} at most{same}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was measured of one model; None wherever something was not measured.

    Attributes:
        name: What tables call it.
        kind: Its part in the run.
        runtime: What ran it: ``torch``, ``onnxruntime``, ``openvino``, or ``python`` for a bare function.
        precision: How its numbers are stored, such as ``fp32`` or ``int8``.
        quality: On the test split; a candidate that was not chosen never sees it.
        validation: On the validation split, where every choice is made.
        size_bytes: Bytes on disk of what is needed to run.
        parameters: Numbers that were trained.
        macs: Multiply-adds for one example.
        peak_memory_bytes: Growth of memory by loading and running, as `attar.evidence.memory` defines it.
        latency: Time of a call for each batch size.
        agreement_with_teacher: Share of examples, in 0..1, on which it names the teacher's class.
        parity: Against the graph that was trained.
        refused: Why it cannot be chosen; None if it can.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    kind: Kind
    runtime: str
    precision: str
    quality: OfTask | None = None
    validation: OfTask | None = None
    size_bytes: int | None = None
    parameters: int | None = None
    macs: int | None = None
    peak_memory_bytes: int | None = None
    latency: dict[int, Latency] = field(default_factory=dict)
    agreement_with_teacher: float | None = None
    parity: Parity | None = None
    refused: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The evidence as plain values, ready for ``json.dumps``; batch sizes become text, as JSON's keys are."""
        document: dict[str, Any] = _EVIDENCE.dump_python(self, mode="json")
        return document

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Evidence:
        """The evidence that `to_json` wrote, equal to it in every value.

        Raises:
            BadInput: If a key is missing, unknown or of the wrong type.
        """
        try:
            return _EVIDENCE.validate_python(dict(document))
        except ValidationError as error:
            first = error.errors()[0]
            # Pydantic puts the name of the type in between where there are several that it may be.
            types = {one.__name__ for one in get_args(AnyQuality)}
            key = ".".join(str(step) for step in first["loc"] if step not in types)
            rule = f"as Attar writes it ({first['msg'][:1].lower()}{first['msg'][1:]})"
            raise must(key, "the evidence", rule, first["input"], "Run the recipe again") from error

    def __repr__(self) -> str:
        judged = self.quality or self.validation
        score = [] if judged is None else [str(judged).split(",")[0].split(" (")[0]]
        bytes_ = [] if self.size_bytes is None else [size(self.size_bytes)]
        return f"Evidence({', '.join([f'{self.name}: {self.runtime} {self.precision}', *bytes_, *score])})"

    def _repr_html_(self) -> str:
        """The same as in words, a line in a row, for notebooks."""
        first, *lines = str(self).split("\n  ")
        return notebook.table(first, [[before, after] for before, _, after in (one.partition(": ") for one in lines)])

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.kind}, {self.runtime} {self.precision})"]
        if self.refused is not None:
            lines.append(f"refused: {self.refused}")
        if self.quality is not None:
            lines.append(f"test: {self.quality}")
        if self.validation is not None:
            lines.append(f"validation: {self.validation}")
        if self.agreement_with_teacher is not None:
            lines.append(f"names the teacher's class on {percent(self.agreement_with_teacher)}")
        if self.parity is not None:
            lines.append(f"against the trained graph: {self.parity}")
        figures = [
            (self.size_bytes, size, "on disk"),
            (self.parameters, count, "parameters"),
            (self.macs, count, "multiply-adds"),
            (self.peak_memory_bytes, size, "of memory"),
        ]
        known = [f"{shown(value)} {what}" for value, shown, what in figures if value is not None]
        if known:
            lines.append(", ".join(known))
        lines += [
            f"batch {batch}: {milliseconds(one.median_ms)} (p90 {milliseconds(one.p90_ms)}), threads: {one.threads}"
            for batch, one in self.latency.items()
        ]
        return "\n  ".join(lines)


_EVIDENCE = TypeAdapter(Evidence)
