"""A generalist and its specialists as one teacher."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from attar.errors import CorruptFile, must
from attar.network.copying import copied
from attar.network.weights import digest, load_weights, save_weights
from attar.ops.kl_inference import Inferred, Parametrization, SpecialistLogits, kl_inference
from attar.teachers.specialists.files import (
    described,
    network_of,
    place_of,
    read_json,
    read_specialist,
    write_json,
    write_specialist,
)
from attar.teachers.specialists.specialist import Correction, Specialist
from attar.teachers.teacher import NetworkTeacher, Teacher, ask

FORMAT = 1
ABOUT, GENERALIST = "specialists.json", "generalist.safetensors"


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How the opinions are brought together.

    Attributes:
        top: How many of the generalist's likeliest classes choose the specialists that are asked: those that know one
            of them.
        correction: What is added to the specialists' logit of the rest; see `Specialist.shift`.
        parametrization: What is moved in the search; see `attar.ops.kl_inference.kl_inference`.
        max_steps: Steps of the search for one example at most.
        tolerance: Largest component of the gradient at which it ends.
    """

    top: int = 1
    correction: Correction = "literal"
    parametrization: Parametrization = "probabilities"
    max_steps: int = 200
    tolerance: float = 1e-6


class Specialists:
    """A generalist for all classes and specialists for some of them each, as one teacher.

    The generalist's likeliest classes choose which specialists are asked about an example. The output
    is the distribution that fits the generalist and these specialists best, in the sense of the sum of the
    Kullback-Leibler divergences; an example about which none is asked gets the generalist's output.

    Attributes:
        generalist: Knows all classes.
        specialists: Know some, and the rest of them as one.
        inference: How the outputs are combined.
        classes: How many classes there are.

    References:
        Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 5. arXiv:1503.02531
    """

    def __init__(
        self, generalist: Teacher, specialists: Sequence[Specialist], inference: Inference | None = None
    ) -> None:
        """Combine a generalist and specialists.

        Args:
            generalist: Knows all classes.
            specialists: One or more.
            inference: How their outputs are combined; as the paper has it if left out.

        Raises:
            BadInput: If there is no specialist, one knows all classes or a class that the generalist does not, or a
                setting breaks its rule.
        """
        self.generalist = generalist
        self.specialists = tuple(specialists)
        self.inference = inference = inference or Inference()
        self.classes = generalist.classes
        if not self.specialists:
            raise must("specialists", "Specialists", "one or more", [], "Use the generalist itself as teacher")
        for place, one in enumerate(self.specialists):
            if len(one.classes) >= self.classes or not all(0 <= number < self.classes for number in one.classes):
                rule = f"some of the generalist's {self.classes} classes, not all"
                raise must("classes", f"specialist {place}", rule, one.classes, "Train it on others")
        if not 1 <= inference.top <= self.classes:
            raise must("top", "Inference", f"from 1 to the {self.classes} classes", inference.top, "1 is usual")
        self._shifts = tuple(one.shift(inference.correction) for one in self.specialists)
        self._sets = [torch.tensor(one.classes) for one in self.specialists]
        self._member = torch.stack(
            [torch.zeros(self.classes, dtype=torch.bool).index_fill_(0, numbers, True) for numbers in self._sets]
        )
        self.infer(torch.zeros(0, self.classes), [])  # the settings of the search are checked here and now

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes"]:
        """Log-probabilities of ``[batch, ...]`` inputs; a specialist runs on the examples that it is asked about only.

        Raises:
            BadInput: If a member gives anything but the logits that it should.
        """
        general = ask(self.generalist, inputs)
        return self.infer(general, self.specialist_logits(inputs, self.asked(general))).logits

    def asked(self, general: Tensor) -> Bool[Tensor, "batch specialists"]:
        """Which specialists are asked about which examples.

        Args:
            general: ``[batch, classes]``, the generalist's logits.
        """
        likeliest = general.topk(self.inference.top, dim=1).indices
        return self._member.to(general.device)[:, likeliest].any(-1).T

    def specialist_logits(self, inputs: Tensor, asked: Tensor) -> list[SpecialistLogits]:
        """The logits of each specialist for the examples that are routed to it, as it was trained.

        Args:
            inputs: ``[batch, ...]``.
            asked: ``[batch, specialists]`` bool.

        Raises:
            BadInput: If one gives anything but ``[rows, its classes + 1]``.
        """
        outputs = []
        for place, one in enumerate(self.specialists):
            rows = asked[:, place].nonzero()[:, 0]
            if len(rows) == 0:
                continue
            logits = ask(one.teacher, inputs[rows])
            expected = (len(rows), len(one.classes) + 1)
            if tuple(logits.shape) != expected:
                rule = f"of shape {expected}, its classes and the rest"
                raise must(
                    "output", f"specialist {place}", rule, tuple(logits.shape), "Fix this specialist or leave it out"
                )
            outputs.append(SpecialistLogits(place, self._sets[place].to(logits.device), rows, logits))
        return outputs

    def infer(self, general: Tensor, outputs: Sequence[SpecialistLogits]) -> Inferred:
        """Combine the outputs of generalist and specialists, corrected for how the specialists were trained.

        Args:
            general: ``[batch, classes]``, the generalist's logits.
            outputs: What `specialist_logits` gave.
        """
        shifted = []
        for one in outputs:
            shift = torch.zeros(one.logits.shape[1], device=one.logits.device)
            shift[-1] = self._shifts[one.specialist]
            shifted.append(replace(one, logits=one.logits + shift))
        settings = self.inference
        return kl_inference(
            general,
            shifted,
            parametrization=settings.parametrization,
            max_steps=settings.max_steps,
            tolerance=settings.tolerance,
        )

    def changed(self, **settings: object) -> Specialists:
        """The same generalist and specialists with other settings of `Inference`."""
        return Specialists(self.generalist, self.specialists, replace(self.inference, **settings))  # type: ignore[arg-type]

    @property
    def coverage(self) -> Tensor:
        """How many specialists know each class, ``[classes]`` int64."""
        return self._member.sum(0)

    def fingerprint(self) -> str:
        """SHA-256 over the generalist, the specialists in whatever order they come, and the settings."""
        specialists = sorted(
            (list(one.classes), one.teacher.fingerprint(), shift)
            for one, shift in zip(self.specialists, self._shifts, strict=True)
        )
        settings = {key: value for key, value in asdict(self.inference).items() if key != "correction"}
        content = ["specialists", self.generalist.fingerprint(), specialists, settings]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def save(self, folder: str | Path) -> None:
        """Write everything into a folder: weights as safetensors, the rest as JSON.

        Args:
            folder: A new or empty folder.

        Raises:
            BadInput: If the folder holds something, or a member is no network.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()):
            raise must("folder", "Specialists.save", "new or empty", folder, "Choose another folder")
        if not isinstance(self.generalist, NetworkTeacher):
            rule = "a network, where it is saved"
            raise must("generalist", "Specialists", rule, self.generalist, "Keep it in a file of its own")
        networks = [network_of(one) for one in self.specialists]
        save_weights(self.generalist.module, folder / GENERALIST)
        for index, (one, network) in enumerate(zip(self.specialists, networks, strict=True)):
            write_specialist(place_of(folder, index), network, described(one))
        write_json(folder / ABOUT, about_of(self.generalist, [one.classes for one in self.specialists]))
        write_json(folder / "inference.json", asdict(self.inference))

    @classmethod
    def load(cls, folder: str | Path, network: nn.Module, *, device: str = "cpu") -> Specialists:
        """Read what `save` wrote, or `specialize` with a folder.

        Args:
            folder: The folder.
            network: A network of the generalist's architecture; its weights do not matter, and it is left as it is.
            device: Where everything is to compute.

        Raises:
            CorruptFile: If a file is missing, truncated or altered.
            BadInput: If the network is of another architecture.
        """
        folder = Path(folder)
        try:
            about, settings = read_json(folder / ABOUT), read_json(folder / "inference.json")
            if about["format"] != FORMAT:
                raise must("format", str(folder), f"{FORMAT}", about["format"], "Use the version that wrote it")
            general = load_weights(copied(network), folder / GENERALIST)
            if digest(general) != about["generalist"]:
                raise CorruptFile(f"{folder / GENERALIST} is not the generalist that was written. Restore the folder.")
            teacher = NetworkTeacher(general, classes=int(about["classes"]), device=device)
            # Folders of earlier versions do not list the layers.
            if about.get("network", now := teacher.fingerprint()) != now:
                rule = "one with the layers of the generalist that was written"
                raise must("network", "Specialists.load", rule, teacher, "Give the same architecture, activations too")
            sets = [tuple(one) for one in about["sets"]]
            inference = Inference(**settings)
        except (KeyError, TypeError, FileNotFoundError) as error:
            raise CorruptFile(
                f"{folder} holds no complete set of specialists ({error!r}). Restore the folder."
            ) from error
        specialists = [read_specialist(place_of(folder, index), network, device) for index in range(len(sets))]
        if [one.classes for one in specialists] != sets:
            raise CorruptFile(f"{folder} holds specialists of other classes than its index lists. Restore the folder.")
        return cls(teacher, specialists, inference)

    def __repr__(self) -> str:
        sizes = [len(one.classes) for one in self.specialists]
        known = int((self.coverage > 0).sum())
        return (
            f"Specialists({len(sizes)} of {min(sizes)} to {max(sizes)} classes, which know {known} of {self.classes}; "
            f"generalist {self.generalist!r})"
        )


def about_of(generalist: NetworkTeacher, sets: Sequence[Sequence[int]]) -> dict[str, Any]:
    """What identifies a folder of specialists: ``network`` sees layers without weights too."""
    return {
        "format": FORMAT,
        "generalist": digest(generalist.module),
        "network": generalist.fingerprint(),
        "classes": generalist.classes,
        "sets": [list(one) for one in sets],
    }
