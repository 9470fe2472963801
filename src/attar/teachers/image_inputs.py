"""What a teacher wants of images, where it was trained on others than the data are: size, channels, statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import must
from attar.named_inputs import NamedInputs
from attar.teachers.resized import Resize

PREPROCESSOR = "preprocessor_config.json"
"""The file in which Hugging Face's models say what they do to images."""

_GREY = (0.299, 0.587, 0.114)
"""How bright red, green and blue are (ITU-R BT.601, section 2.5.1)."""

_MOST_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ImageInputs:
    """What images are changed to before a teacher sees them; None leaves them as they are.

    Attributes:
        size: Height and width.
        channels: 3 for colors, 1 for grey.
        mean: Per channel, taken from pixels in 0..1; goes with ``std``.
        std: Per channel, by which they are divided.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise must("channels", "the teacher's inputs", "1 for grey or 3 for colors", self.channels, "Use 3")
        if (self.mean is None) != (self.std is None):
            got = {"mean": self.mean, "std": self.std}
            raise must("mean and std", "the teacher's inputs", "given together", got, "Give both, or neither")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) not in {1, self.channels or len(values)}:
                rule = f"one number, or one for each of {self.channels} channels"
                raise must(name, "the teacher's inputs", rule, list(values), "Give as many as there are channels")
        if self.std is not None and not all(value > 0 for value in self.std):
            raise must("std", "the teacher's inputs", "greater than 0", list(self.std), "Use 1 to divide by nothing")

    def over(self, other: ImageInputs) -> ImageInputs:
        """These, and what the other says where these say nothing."""
        described = {name: value for name, value in asdict(self).items() if value is not None}
        return ImageInputs(**{**asdict(other), **described})

    def __bool__(self) -> bool:
        return any(value is not None for value in asdict(self).values())

    def __str__(self) -> str:
        size = "" if self.size is None else f"{self.size[0]} x {self.size[1]} pixels"
        channels = {None: "", 1: "grey", 3: "in 3 channels"}[self.channels]
        seen = " ".join(one for one in (size, channels) if one) or "as they are"
        if self.mean is None or self.std is None:
            return seen
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"{seen}, less a mean of {mean} and divided by {std}"


class ChangeImages(nn.Module):
    """Images ``[batch, channels, height, width]`` as a teacher wants them: first channels, then size, then statistics.

    Grey images become three equal channels, colored ones their brightness.

    Attributes:
        wanted: What they are changed to.
    """

    def __init__(self, wanted: ImageInputs) -> None:
        """Change images to what is wanted.

        Args:
            wanted: What they are changed to.

        Raises:
            BadInput: If a size is not positive.
        """
        super().__init__()
        self.wanted = wanted
        self.resize = nn.Identity() if wanted.size is None else Resize(wanted.size)

    def forward(self, images: Tensor) -> Tensor:
        """The changed images.

        Raises:
            BadInput: If these are no images, or of another number of channels than can be changed.
        """
        if images.dim() != 4:
            rule, remedy = "images [batch, channels, height, width]", "Leave size, channels, mean and std out"
            raise must("inputs", "the teacher", rule, list(images.shape), remedy)
        changed: Tensor = self.resize(self._colored(images))
        mean, std = self.wanted.mean, self.wanted.std
        if mean is None or std is None:
            return changed
        if len(mean) not in (1, changed.shape[1]):
            rule = f"of {len(mean)} channels, as mean and std are"
            raise must("inputs", "the teacher", rule, list(changed.shape), "Set channels = 3")
        return (changed - _per_channel(mean, changed)) / _per_channel(std, changed)

    def _colored(self, images: Tensor) -> Tensor:
        wanted, has = self.wanted.channels, images.shape[1]
        if wanted in (None, has):
            return images
        if has == 1:
            return images.expand(-1, wanted or 1, -1, -1)
        if has != 3:
            rule = "of 1 or 3 channels, where the teacher wants others"
            raise must("inputs", "the teacher", rule, list(images.shape), "Leave channels out")
        return (images * _per_channel(_GREY, images)).sum(1, keepdim=True)

    def key(self) -> str:
        """All that it depends on."""
        return json.dumps(asdict(self.wanted))


class ChangeOneImage(nn.Module):
    """Rows of several named inputs with the one image among them changed.

    Attributes:
        change: What changes images.
        before: What the rows hold that come in.
        after: What those hold that go out.
    """

    def __init__(self, change: Resize | ChangeImages, before: NamedInputs) -> None:
        """Change the image alone.

        Args:
            change: What changes images.
            before: What the rows hold.

        Raises:
            BadInput: If not one of the inputs is an image, or it cannot be changed so.
        """
        super().__init__()
        self.change, self.before = change, before
        self._place, self._shape = before.image("teacher.inputs")
        shape = tuple(change(torch.zeros(1, *self._shape)).shape[1:])
        images = [len(one.shape) == 3 and one.dtype == "float32" for one in before.inputs]
        self.after = NamedInputs(
            tuple(replace(one, shape=shape) if image else one for one, image in zip(before.inputs, images, strict=True))
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Rows ``[batch, width]`` of ``before`` as those of ``after``."""
        image = self.change(rows[:, self._place].reshape(-1, *self._shape)).flatten(1)
        return torch.cat((rows[:, : self._place.start], image, rows[:, self._place.stop :]), 1)

    def key(self) -> str:
        """All that it depends on."""
        how = {"size": self.change.size} if isinstance(self.change, Resize) else self.change.key()
        return json.dumps([self.before.to_json(), how])


def change_to(wanted: ImageInputs) -> Resize | ChangeImages:
    """The module that changes images to what is wanted."""
    if wanted.size is not None and wanted.channels is None and wanted.mean is None:
        return Resize(wanted.size)
    return ChangeImages(wanted)


def wanted_by(network: nn.Module) -> ImageInputs:
    """What a network says of itself that it wants of images; nothing for most.

    Models of timm say it in ``pretrained_cfg``: unless their first weights are of other channels than it says, so that
    they were trained on something else. Those of transformers say size and channels in their configuration.
    """
    config = getattr(network, "pretrained_cfg", None)
    if config is not None:
        size = _get(config, "input_size")
        if not _numbers(size, 3) or _channels_of(network) not in (None, int(size[0])):
            return ImageInputs()
        mean, std = (_get(config, name) or () for name in ("mean", "std"))
        known = _numbers(mean, len(mean)) and _numbers(std, len(mean))
        return ImageInputs(
            size=(int(size[1]), int(size[2])),
            channels=int(size[0]) if size[0] in (1, 3) else None,
            mean=tuple(map(float, mean)) if known else None,
            std=tuple(map(float, std)) if known else None,
        )
    config = getattr(network, "config", None)
    if getattr(network, "main_input_name", None) != "pixel_values" or config is None:
        return ImageInputs()
    channels = getattr(config, "num_channels", None)
    return ImageInputs(
        size=_pair(getattr(config, "image_size", None)), channels=channels if channels in (1, 3) else None
    )


def wanted_in(folder: Path) -> ImageInputs:
    """What a saved model of transformers wants of images, by the file that says it; nothing where there is none.

    Images are stretched to the size that comes out, whatever the file says of cutting.
    """
    path = folder / PREPROCESSOR
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return ImageInputs()
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return ImageInputs()
    if not isinstance(described, Mapping):
        return ImageInputs()
    size = None
    if described.get("do_center_crop"):
        size = _pair(described.get("crop_size"))
    if size is None and described.get("do_resize", True):
        size = _pair(described.get("size"))
    mean, std = (described.get(name) or () for name in ("image_mean", "image_std"))
    if not described.get("do_normalize", True) or not _numbers(mean, len(mean)) or not _numbers(std, len(mean)):
        return ImageInputs(size=size)
    scale = 1.0 if described.get("do_rescale", True) else 255.0
    return ImageInputs(size=size, mean=tuple(one / scale for one in mean), std=tuple(one / scale for one in std))


def _per_channel(values: Sequence[float], images: Tensor) -> Tensor:
    return torch.tensor(values, dtype=images.dtype, device=images.device).reshape(-1, 1, 1)


def _pair(size: Any) -> tuple[int, int] | None:
    """Height and width, in any of the forms in which Hugging Face writes them."""
    if isinstance(size, Mapping):
        size = (size.get("height"), size.get("width")) if "height" in size else size.get("shortest_edge")
    if isinstance(size, int) and size > 0:
        return size, size
    return (int(size[0]), int(size[1])) if _numbers(size, 2) and min(size) > 0 else None


def _numbers(values: Any, count: int) -> bool:
    return isinstance(values, Sequence) and len(values) == count > 0 and all(isinstance(v, int | float) for v in values)


def _get(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


def _channels_of(network: nn.Module) -> int | None:
    """How many channels the first convolution reads; None where there is none."""
    return next((layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
