"""Views: augmented looks at an example, each named by (example id, view number) and always drawn the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from attar.data import draws
from attar.data.split import Split
from attar.errors import BadInput, must
from attar.named_inputs import NamedInputs
from attar.tasks.labels import ABSENT
from attar.training.checked import check_types

_RULE = 1
"""Number of the drawing rule, a part of the fingerprint: change it whenever the same names would be drawn otherwise."""

MOST_VIEWS = 1_000_000
"""Views of an example, at most: as many as a training may have epochs."""

_NOISE_SEED = 0x6E6F697365
"""Sets the words of the noise apart from those of the flips and shifts."""


@dataclass(frozen=True, slots=True)
class Views:
    """How the views of an example are drawn.

    Every draw is a function of ``(seed, id, view)`` alone. A stored teacher and a live one therefore see the same
    pixels, in any order, in batches of any size, on any number of workers and after any resume. All views are drawn,
    number 0 too. The order is flip, then shift, then noise; nothing is clipped afterwards.

    Args:
        count: Number of different views of an example, at least 1.
        flip: Mirror left and right, with probability one half.
        shift: Largest move in pixels, along height and along width; each of the ``2 * shift + 1`` moves is equally
            probable, and what moves in is zero.
        noise: Standard deviation of the Gaussian noise that is added to every value, in the unit of the inputs.
        seed: Another seed, other views.

    Raises:
        BadInput: If a value is out of its range.

    Example:
        >>> views = Views(count=2, shift=1)
        >>> picture = torch.ones(1, 1, 4, 4)
        >>> views(picture, torch.tensor([12]), 1).shape
        torch.Size([1, 1, 4, 4])
    """

    count: int = 1
    flip: bool = False
    shift: int = 0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        if not 1 <= self.count <= MOST_VIEWS:
            rule = "at least 1" if self.count < 1 else f"at most {MOST_VIEWS:,}, a view for each epoch"
            raise must("count", "Views", rule, self.count, "Use 1 for the same look in every epoch")
        if self.seed < 0:
            raise must("seed", "Views", "at least 0", self.seed, "Use another")
        if not 0 <= self.shift < 1 << 15:
            raise must("shift", "Views", "from 0 to 32767 pixels", self.shift, "Use 0 for no shift")
        if not (self.noise >= 0 and math.isfinite(self.noise)):
            raise must("noise", "Views", "a standard deviation of at least 0", self.noise, "Use 0 for no noise")

    def check_shape(self, shape: Sequence[int], of: str = "Views") -> None:
        """See that examples of a shape can be flipped and shifted, where they shall be.

        Args:
            shape: Of one example, ``[channels, height, width]`` for a picture.
            of: Whose views they are; for messages.

        Raises:
            BadInput: If they are no pictures, or smaller than the shift.
        """
        if not (self.flip or self.shift):
            return
        given = "flip" if self.flip else "shift"
        if len(shape) != 3:
            rule = "left out where the data are no pictures [channels, height, width]"
            got = f"examples of shape {list(shape)}"
            raise BadInput(f"{given} of {of} must be {rule}; got {got}. Leave flip and shift out, or use noise.")
        if self.shift >= min(shape[1:]):
            rule = f"less than the {shape[1]} x {shape[2]} pixels of the inputs"
            raise must("shift", of, rule, self.shift, "Use less")

    def check_named(self, named: NamedInputs, of: str) -> None:
        """See that there is one image to vary where data have several inputs.

        Args:
            named: The inputs.
            of: Whose views they are; for messages.

        Raises:
            BadInput: If there is not, or it is smaller than the shift.
        """
        if self._draws:
            self.check_shape(named.image(f"The views of {of}")[1], of)

    def check_tokens(self, of: str) -> None:
        """See that nothing is drawn, as tokens have no other looks.

        Raises:
            BadInput: If it is.
        """
        if self._draws:
            raise BadInput(f"The views of {of} move or blur pixels, and the data are tokens. Leave them out.")

    @property
    def identity(self) -> bool:
        """Whether there is one view and it is the example itself."""
        return self.count == 1 and not self._draws

    @property
    def _draws(self) -> bool:
        return self.flip or self.shift > 0 or self.noise > 0

    def fingerprint(self) -> dict[str, bool | int | float]:
        """The plain values that fix every draw; equal fingerprints mean equal views."""
        values: dict[str, bool | int | float] = dataclasses.asdict(self)
        return {**values, "seed": self.seed if self._draws else 0, "rule": _RULE}

    def __call__(
        self, inputs: Shaped[Tensor, " batch *shape"], ids: Int64[Tensor, " batch"], view: int
    ) -> Shaped[Tensor, " batch *shape"]:
        """One view of each example.

        Args:
            inputs: The examples; ``[batch, channels, height, width]`` for flips and shifts. They are left as they are.
            ids: The identity of each example.
            view: Number of the view, ``0 .. count - 1``.

        Returns:
            The views, a new tensor; ``inputs`` itself when there is nothing to draw.

        Raises:
            BadInput: If ``view`` is out of range, or if the inputs are not pictures or are smaller than the shift.
        """
        if not 0 <= view < self.count:
            raise must(
                "view", "Views", f"from 0 to {self.count - 1} (count is {self.count})", view, "Take epoch % count"
            )
        seen = inputs
        if self.flip or self.shift:
            seen = self._moved(inputs, ids, view)
        if self.noise:
            seen = seen + self._noise(inputs, ids, view)
        return seen

    def of(self, split: Split, rows: Tensor | slice, view: int) -> Tensor:
        """One view of some examples of a split; of several named inputs the image alone is varied.

        Args:
            split: The examples.
            rows: Positions (int64), or a slice.
            view: Number of the view, ``0 .. count - 1``.

        Returns:
            ``[batch, ...]``, as networks take them.

        Raises:
            BadInput: As calling the views does, or if not one of several inputs is an image.
        """
        inputs, ids = split.floats(rows), split.ids[rows]
        if split.named is None or not self._draws:
            return self(inputs, ids, view)
        place, shape = split.named.image("Views")
        varied = inputs.clone()
        varied[:, place] = self(inputs[:, place].reshape(-1, *shape), ids, view).flatten(1)
        return varied

    def of_maps(self, maps: Int64[Tensor, " batch height width"], ids: Int64[Tensor, " batch"], view: int) -> Tensor:
        """The maps of class numbers that belong to one view of each example: they move with the pixels.

        Args:
            maps: ``[batch, height, width]``, of the size of the pictures.
            ids: The identity of each example.
            view: Number of the view, ``0 .. count - 1``.

        Returns:
            ``[batch, height, width]``; what moves in is not known.
        """
        if not (self.flip or self.shift):
            return maps
        return self._moved(maps[:, None], ids, view, fill=ABSENT)[:, 0]

    def _moved(
        self, inputs: Shaped[Tensor, " batch *shape"], ids: Int64[Tensor, " batch"], view: int, fill: int = 0
    ) -> Shaped[Tensor, " batch *shape"]:
        """The inputs flipped and shifted, both by one gather from the padded pictures."""
        shape = tuple(inputs.shape)
        if inputs.dim() != 4:
            remedy = "Reshape the pictures, or set flip = False and shift = 0"
            raise must("inputs", "Views with flip or shift", "[batch, channels, height, width]", shape, remedy)
        batch, channels, height, width = shape
        shift = self.shift
        if shift >= min(height, width):
            raise must("shift", "Views", f"less than the {height} x {width} pixels of the inputs", shift, "Use less")
        bits = draws.words(ids, seed=self.seed, stream=view)
        column = torch.arange(width, device=inputs.device).expand(batch, width)
        if self.flip:
            flipped = draws.below(2, bits, lane=0)[:, None] == 1
            column = torch.where(flipped, width - 1 - column, column)
        row = torch.arange(height, device=inputs.device).expand(batch, height)
        if shift:
            inputs = F.pad(inputs, (shift, shift, shift, shift), value=fill)
            row = row + draws.below(2 * shift + 1, bits, lane=1)[:, None]
            column = column + draws.below(2 * shift + 1, bits, lane=2)[:, None]
        position = (row * inputs.shape[3])[:, :, None] + column[:, None, :]
        position = position.view(batch, 1, height * width).expand(batch, channels, height * width)
        return inputs.flatten(2).gather(2, position).view(shape)

    def _noise(
        self, inputs: Float[Tensor, " batch *shape"], ids: Int64[Tensor, " batch"], view: int
    ) -> Float[Tensor, " batch *shape"]:
        """Gaussian noise: a word of each example says where its stream begins; each pair of values is a place in it."""
        size = math.prod(inputs.shape[1:])
        pairs = (size + 1) // 2
        keys = draws.words(ids, seed=self.seed ^ _NOISE_SEED, stream=view)
        places = keys[:, None] + torch.arange(pairs, device=inputs.device)
        one, other = draws.normal(draws.words(places, seed=self.seed, stream=view))
        return torch.cat((one, other), dim=1)[:, :size].reshape(inputs.shape).mul_(self.noise)


UNCHANGED = Views()
"""The views of a transfer set without augmentation."""
