"""What a teacher is, and the teacher that is one network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from attar.errors import must
from attar.network.describe import digest
from attar.network.layout import lay_out_
from attar.network.standardize import Standardize


@runtime_checkable
class Teacher(Protocol):
    """A frozen source of targets. Anything with these three is one; there is nothing to inherit."""

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        ...

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits ``[batch, classes]`` float32 of ``[batch, ...]`` float32 inputs, without gradient."""
        ...

    def fingerprint(self) -> str:
        """A text that changes when the predictions may have changed, and does not otherwise."""
        ...


class NetworkTeacher:
    """One network as a teacher.

    The network is used as it was handed over, not copied (teachers are big): it is put into eval mode and its
    parameters stop asking for gradients. Its numbers never change: batch-normalization statistics stay what they were.
    A network with convolutions is laid out in memory as they are fastest, channels last.

    Attributes:
        module: The whole teacher as a module from raw inputs to logits, for export and for measuring.
        device: Where it computes.

    Example:
        >>> teacher = NetworkTeacher(nn.Linear(4, 3), classes=3)
        >>> teacher.predict(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        classes: int | None = None,
        example: Tensor | None = None,
        mean: Tensor | Sequence[float] | float | int | None = None,
        std: Tensor | Sequence[float] | float | int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        """Freeze a network and make it a teacher.

        Args:
            module: Maps ``[batch, ...]`` float32 to logits ``[batch, classes]``. Frozen in place.
            classes: How many classes it has; None counts them by running ``example`` through it.
            example: ``[n, ...]`` inputs, n >= 1, of which the first is run. Not needed where ``classes`` is given.
            mean: Per-channel mean to subtract from the inputs first; goes with ``std``. None where the network does it
                itself.
            std: Per-channel deviation to divide the inputs by.
            device: Where to move the network.

        Raises:
            BadInput: If neither ``classes`` nor ``example`` is given, they disagree, only one of ``mean`` and ``std``
                is given, or the network does not give logits ``[batch, classes]``.
        """
        if (mean is None) != (std is None):
            raise must(
                "mean and std", "NetworkTeacher", "given together", {"mean": mean, "std": std}, "Give both, or neither"
            )
        self.module = module if mean is None or std is None else Standardize(module, mean, std)
        self.device = torch.device(device)
        self.module.to(self.device).eval().requires_grad_(False)
        lay_out_(self.module)
        if classes is None:
            if example is None or len(example) < 1:
                got = "neither" if example is None else "an empty example"
                raise must(
                    "classes",
                    "NetworkTeacher",
                    "known, or an example given",
                    got,
                    "Pass classes=10, or example=inputs[:1]",
                )
            classes = _as_logits(self._run(example[:1]), batch=1, classes=None, teacher=repr(self)).shape[1]
        if classes < 1:
            raise must(
                "classes", "NetworkTeacher", "at least 1", classes, "Pass the number of logits the network gives"
            )
        self.classes = classes
        if example is not None and len(example) > 0:
            self.predict(example[:1])

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes"]:
        """Logits of ``[batch, ...]`` inputs, on the device of the inputs.

        Raises:
            BadInput: If the network gives anything but ``[batch, classes]``.
        """
        logits = _as_logits(self._run(inputs), batch=len(inputs), classes=self.classes, teacher=repr(self))
        return logits.to(inputs.device)

    def fingerprint(self) -> str:
        """SHA-256 over the weights, buffers and input statistics, and over the name and class of every submodule.

        The classes are there because a layer without weights (another activation) changes predictions too. Code inside
        a ``forward`` is not seen.
        """
        layers = [f"{name}:{type(layer).__qualname__}" for name, layer in self.module.named_modules()]
        return hashlib.sha256("|".join(["network", digest(self.module), *layers]).encode()).hexdigest()

    def _run(self, inputs: Tensor) -> object:
        # The module is the caller's as well: somebody may have put it back into train mode since.
        self.module.eval()
        with torch.no_grad():
            return self.module(inputs.to(self.device))

    def __repr__(self) -> str:
        inner = self.module.network if isinstance(self.module, Standardize) else self.module
        return f"NetworkTeacher({type(inner).__name__})"


def _as_logits(output: object, *, batch: int, classes: int | None, teacher: str) -> Tensor:
    """A model's output as float32 logits, once it is sure that they are ``[batch, classes]``."""
    wanted = f"a tensor [{batch}, {classes if classes is not None else 'classes'}]"
    if not isinstance(output, Tensor):
        raise must(
            "output", teacher, wanted, type(output).__name__, "Wrap the network so that it returns its logits alone"
        )
    if output.dim() != 2 or output.shape[0] != batch or classes not in (None, output.shape[1]):
        remedy = (
            "Give logits with one number per class, and as classes the number of classes the teacher was trained on"
        )
        raise must("output", teacher, wanted, list(output.shape), remedy)
    return output.detach().to(torch.float32)
