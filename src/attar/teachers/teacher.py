"""What a teacher is, and the teacher that is one network."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attar.errors import AttarError, BadInput, Words, must
from attar.network.forward import forward, number_type
from attar.network.layout import ChannelsLast, laid_out, suits_channels_last
from attar.network.named import Named, taking_one
from attar.network.output_kind import last_layer
from attar.network.standardize import Standardize
from attar.network.unpacked import Unpacked
from attar.network.weights import digest
from attar.tasks.target import Target
from attar.tasks.task import Task
from attar.teachers.output_reader import OutputReader
from attar.teachers.outputs import AsLogits, Output, rows_of
from attar.teachers.pretrained import config_key


@runtime_checkable
class Teacher(Protocol):
    """A frozen source of targets. Anything with these three is one; there is nothing to inherit.

    A teacher of a regression has ``target = "values"`` besides: its numbers are no logits, and nobody may shift them.
    One of labels of which any may hold has ``target = "log_odds"``. One of maps predicts ``[batch, classes, height,
    width]``.
    """

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


def target_of(teacher: Teacher) -> Target:
    """What a teacher's predictions are: logits, log-odds or values.

    A teacher that does not say gives logits.
    """
    stated = getattr(teacher, "target", "logits")
    return "values" if stated == "values" else "log_odds" if stated == "log_odds" else "logits"


def check_target(teacher: Teacher, task: Task) -> None:
    """See that a teacher's numbers mean what the outputs of a task mean.

    Raises:
        BadInput: If they do not.
    """
    given = target_of(teacher)
    if given == task.target:
        return
    names = {"logits": "logits of classes", "log_odds": "log-odds of labels", "values": "values"}
    raise BadInput(
        f"{named(teacher)} gives {names[given]}, and the task is {task.use}, whose outputs are {names[task.target]}. "
        f"If it does give these, say so: as_teacher(..., output={task.target!r})."
    )


_NO_NAME = re.compile(r"<(?:[\w.<>]+\.)?(\w+) object at 0x[0-9a-f]+>")
"""What Python shows of an object that does not say what it is."""


def named(teacher: Teacher) -> str:
    """What sentences call a teacher: by what was given, not by the class that makes it one.

    Example:
        >>> named(NetworkTeacher(nn.Linear(2, 3), classes=3))
        'The teacher Linear'
    """
    text = _NO_NAME.sub(r"\1", repr(teacher))
    inner = re.fullmatch(r"[A-Z]\w*Teacher\((.*)\)", text, re.DOTALL)
    return f"The teacher {inner[1] if inner else text}"


def called(teacher: Teacher) -> str:
    """The same within a sentence."""
    return f"the teacher{named(teacher).removeprefix('The teacher')}"


def ask(teacher: Teacher, inputs: Tensor) -> Tensor:
    """A teacher's outputs for ``[batch, ...]`` inputs, which stay as they are, whatever the teacher does to its own.

    Args:
        teacher: May be a user's, and work in place on what it gets.
        inputs: A copy of them goes to the teacher.

    Raises:
        BadInput: If it gives no tensor.
    """
    outputs: object = teacher.predict(inputs.clone())
    if not isinstance(outputs, Tensor):
        rule, remedy = f"a tensor [{len(inputs)}, {teacher.classes}]", "Let predict return a torch tensor of logits"
        raise must("output", called(teacher), rule, Words(type(outputs).__name__), remedy)
    return outputs


class NetworkTeacher:
    """One network as a teacher.

    The network is used as it was handed over, not copied (teachers are big): it is put into eval mode, and asked
    without gradients. Its numbers never change: batch-normalization statistics stay what they were.
    A network with convolutions computes with copies of their weights that lie in memory as they are fastest, channels
    last, if it can. What it gives is found out when it is first asked, unless that is stated: probabilities and logits
    are told apart by the last layer, or by what comes out for many rows.

    Attributes:
        network: The network, from raw inputs to what it gives itself.
        module: The whole teacher as a module from raw inputs to logits, for export and for measuring.
        device: Where it computes.
        output_reader: How the network's outputs are read as logits.

    Example:
        >>> teacher = NetworkTeacher(nn.Linear(4, 3), classes=3)
        >>> teacher.predict(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
        >>> sure = NetworkTeacher(nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)), classes=3)
        >>> sure.output_reader.kind
        'probabilities'
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
        output: Output | None = None,
    ) -> None:
        """Make a network a teacher.

        Args:
            module: Gives ``[batch, classes]`` or ``[batch, classes, height, width]`` for ``[batch, ...]``, alone or as
                the entry ``logits`` of a mapping, tuple or dataclass; for two classes also ``[batch, 1]``, the logit or
                probability of the second. Whether its parameters ask for gradients stays as it is. It gets the inputs
                as float32, or in the one type of all its own numbers.
            classes: How many classes it has; None counts them by running ``example`` through it.
            example: ``[n, ...]`` inputs, n >= 1, of which the first is run. Not needed where ``classes`` is given.
            mean: Per-channel mean to subtract from the inputs first; goes with ``std``. None where the network does it
                itself.
            std: Per-channel deviation to divide the inputs by.
            device: Where to move the network.
            output: What the network gives; None has it found out. ``"values"`` says that it is no classifier,
                ``"log_odds"`` that any of its labels may hold.

        Raises:
            BadInput: If neither ``classes`` nor ``example`` is given, they disagree, only one of ``mean`` and ``std``
                is given, or the network has no weights yet, takes several inputs, or gives no ``[batch, classes]``.
        """
        if (mean is None) != (std is None):
            raise must(
                "mean and std", "NetworkTeacher", "given together", {"mean": mean, "std": std}, "Give both, or neither"
            )
        module = taking_one(_unwrapped(module))
        _check_usable(module)
        self.network = module if mean is None or std is None else Standardize(module, mean, std)
        self.device = torch.device(device)
        try:
            self.network.to(self.device).eval()
        except NotImplementedError as error:  # torch.export's own modules
            raise BadInput(
                f"{self._name} is a program that torch.export made, which has no evaluation mode. Give the network "
                "that it was made of, or write it with torch.onnx.export and give the .onnx file."
            ) from error
        self.output_reader = OutputReader(output, last_layer(self.network), self._name, number_type(self.network))
        self._alone: bool | None = None
        self._width: int | None = None
        self._layout: ChannelsLast | nullcontext[None] | None = None
        if classes is None:
            if example is None or len(example) < 1:
                got = Words("neither" if example is None else "an empty example")
                raise must(
                    "classes",
                    "NetworkTeacher",
                    "known, or an example given",
                    got,
                    "Pass classes=10, or example=inputs[:1]",
                )
            width = self._numbers(example[:1], None).shape[1]
            classes = 2 if width == 1 and self.output_reader.kind == "sigmoids" else width
        if classes < 1:
            raise must(
                "classes", "NetworkTeacher", "at least 1", classes, "Pass the number of logits the network gives"
            )
        self.classes = classes
        if example is not None and len(example) > 0:
            self.predict(example[:1])

    @property
    def module(self) -> nn.Module:
        """The whole teacher from raw inputs to logits: the network itself, if it gives logits and nothing else."""
        if self._alone is not False and not self.output_reader.mark and self._width in (None, self.classes):
            return self.network
        return AsLogits(self.network, self.output_reader.kind or "logits", self.classes).eval()

    @property
    def target(self) -> Target:
        """What `predict` gives."""
        return self.output_reader.target

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes *size"]:
        """Logits of ``[batch, ...]`` inputs, on the device of the inputs, which stay as they are.

        Raises:
            BadInput: If the network cannot be asked about such inputs, or gives anything but ``[batch, classes]``.
        """
        numbers = self._numbers(inputs, self.classes)
        logits = self.output_reader.logits(
            numbers, self.classes, inputs, lambda rows: self._numbers(rows, self.classes)
        )
        return logits.to(inputs.device)

    def fingerprint(self) -> str:
        """SHA-256 over the weights, buffers and input statistics, and over the name and class of every submodule.

        The classes are there because a layer without weights (another activation) changes predictions too. Code inside
        a ``forward`` is not seen. What the network gives counts where it is no logits.
        """
        layers = [f"{name}:{type(layer).__qualname__}" for name, layer in self.network.named_modules()]
        outputs = [self.output_reader.mark] if self.output_reader.mark else []
        content = [*layers, *outputs, *config_key(self.network)]
        return hashlib.sha256("|".join(["network", digest(self.network), *content]).encode()).hexdigest()

    def _numbers(self, inputs: Tensor, classes: int | None) -> Float32[Tensor, "batch width *size"]:
        """What the network gives, one row for each of the inputs."""
        # The network is the caller's as well: somebody may have put it back into train mode since.
        if any(module.training for module in self.network.modules()):  # switching every module takes a while
            self.network.eval()
        name, there = self._name, inputs.to(self.device)
        if self._layout is None and len(inputs):
            suits = suits_channels_last(self.network, there)
            self._layout = ChannelsLast(self.network) if suits else nullcontext()
        given = laid_out(there) if isinstance(self._layout, ChannelsLast) else there
        try:
            with torch.no_grad(), self._layout or nullcontext():
                numbers = forward(self.network, given, of=name)
                if self._alone is None and len(inputs):
                    self._alone = self._gives_these_alone(there)
        except AttarError:
            raise
        except Exception as error:  # whatever a user's code raises
            raise _failed(name, inputs, error) from error
        numbers = rows_of(numbers, batch=len(inputs), classes=classes, of=name).detach()
        self._width = numbers.shape[1]
        return numbers

    def _gives_these_alone(self, inputs: Tensor) -> bool:
        """Whether the network gives a float32 matrix of float32 inputs by itself and can be exported as it is."""
        if number_type(self.network) not in (None, torch.float32):
            return False
        answer = self.network(inputs.clone())
        return isinstance(answer, Tensor) and answer.dtype == torch.float32 and answer.dim() in (2, 4)

    @property
    def _name(self) -> str:
        inner = self.network.network if isinstance(self.network, Standardize | Named | Unpacked) else self.network
        return f"The network {type(inner).__name__}"

    def __repr__(self) -> str:
        return f"NetworkTeacher({self._name.removeprefix('The network ')})"


def _unwrapped(module: nn.Module) -> nn.Module:
    """The network inside of what compiles it or spreads it over devices: only it can be saved and exported."""
    inner = module.module if isinstance(module, nn.DataParallel) else getattr(module, "_orig_mod", module)
    return _unwrapped(inner) if isinstance(inner, nn.Module) and inner is not module else module


def _check_usable(module: nn.Module) -> None:
    """Raise unless a network has its weights and takes one input.

    Raises:
        BadInput: If it has not, or does not.
    """
    name = f"The network {type(module).__name__}"
    tensors = [*module.parameters(), *module.buffers()]
    if any(is_lazy(tensor) for tensor in tensors):
        raise BadInput(
            f"{name} has layers whose weights are not made yet (lazy ones). Run one batch through it, load its "
            "weights, and then give it as teacher."
        )
    if any(tensor.is_meta for tensor in tensors):
        raise BadInput(
            f"{name} has weights on the device 'meta', which hold no numbers. Load its weights onto the CPU, and then "
            "give it as teacher."
        )
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # compiled code without a signature
        return
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        one.name for one in parameters if one.default is one.empty and one.kind in (*positional, one.KEYWORD_ONLY)
    ]
    if len(needed) > 1:
        raise BadInput(
            f"{name} takes {len(needed)} inputs ({', '.join(needed)}), and a teacher gets one, the examples. Wrap it "
            "in a module whose forward takes the examples alone and makes the rest of them."
        )


def _failed(name: str, inputs: Tensor, error: Exception) -> BadInput:
    """The error for a network that raises."""
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return BadInput(
        f"{name} cannot be run on inputs of shape {list(inputs.shape)}: {type(error).__name__}"
        f"{': ' + message if message else ''}. Give inputs as it takes them, or wrap it in a module that changes them "
        "first."
    )
