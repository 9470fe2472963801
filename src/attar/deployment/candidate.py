"""A candidate: one way to deploy a student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from attar.deployment.backends import RUNTIMES, backend_of, backends_of
from attar.deployment.backends.backend import Backend, Precision
from attar.errors import must, near


@dataclass(frozen=True)
class Candidate:
    """One way to deploy a student.

    Attributes:
        name: What reports call it, unique among `candidates`.
        runtime: ``torch``, ``onnxruntime`` or ``openvino``.
        precision: ``fp32`` or ``int8``; for students that `quantize` made also ``packed``, where the file has
            low-bit codes that are expanded to float32 when it is opened, and ``w2``, ``w4`` and ``w8``, in which ONNX
            Runtime executes linear layers. ``fp32`` and ``int8`` deploy the weights of such a student and leave the
            formats of its activations out.
        settings: What else distinguishes it: the settings of its quantizer; ``coder`` and ``floats`` of a packed file,
            see `write_packed`; ``accuracy_level`` of low-bit execution, see `to_low_bits`.
    """

    name: str
    runtime: str
    precision: str = "fp32"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no runtime can do.

        Raises:
            BadInput: If the runtime, the precision or a setting is unknown.
        """
        if self.runtime not in RUNTIMES:
            raise must("runtime", "Candidate", "a known runtime", self.runtime, near(self.runtime, RUNTIMES))
        if backend_of(self.runtime, self.precision) is None:
            rule = f"what {self.runtime} can do"
            known = [name for backend in backends_of(self.runtime) for name in backend.PRECISIONS]
            raise must("precision", "Candidate", rule, self.precision, near(self.precision, known))
        valid = self.kind.settings
        for key, value in self.settings.items():
            if key not in valid:
                rule = f"settings of {self.runtime} {self.precision}"
                raise must("settings", "Candidate", rule, key, near(key, valid or ("(none)",)))
            if value not in valid[key]:
                choices = [str(each) for each in valid[key]]
                rule, remedy = f"one of {', '.join(choices)}", near(str(value), choices)
                raise must(key, f"settings of {self.name!r}", rule, value, remedy)

    @property
    def backend(self) -> Backend:
        """What writes and runs it."""
        found = backend_of(self.runtime, self.precision)
        assert found is not None, "no candidate is without"
        return found

    @property
    def kind(self) -> Precision:
        """What its precision is."""
        return self.backend.PRECISIONS[self.precision]

    @property
    def title(self) -> str:
        """What people call it: runtime, numbers, and what sets it apart.

        Example:
            >>> Candidate("onnxruntime int8 u8 reduced", "onnxruntime", "int8").title
            'ONNX Runtime, int8, 7-bit weights'
        """
        return f"{self.backend.TITLES[self.runtime]}, {self.backend.title(self)}"

    def __str__(self) -> str:
        return self.name
