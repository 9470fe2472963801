"""Teachers that want other images than the data are: size, channels, statistics; and what they say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attar.errors import BadInput
from attar.teachers.as_teacher import as_teacher
from attar.teachers.image_inputs import PREPROCESSOR, ChangeImages, ImageInputs, wanted_by, wanted_in
from attar.teachers.resized import ResizedTeacher

GREY = torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(0))
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


class Timm(nn.Module):
    """What models of timm have in common: plain logits, and in ``pretrained_cfg`` what they were trained on."""

    def __init__(self, channels: int = 3, **more: Any) -> None:
        super().__init__()
        self.pretrained_cfg = {"input_size": (3, 12, 12), "mean": MEAN, "std": STD, "num_classes": 4, **more}
        self.num_classes = 4
        self.stem = nn.Conv2d(channels, 5, 3)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x).relu().mean((2, 3)))


def test_a_model_that_says_what_it_wants_gets_it() -> None:
    torch.manual_seed(0)
    network = Timm().eval()
    teacher = as_teacher(network, example=GREY)
    assert teacher.classes == 4
    colored = nn.functional.interpolate(GREY.expand(-1, 3, -1, -1), (12, 12), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(one).reshape(3, 1, 1) for one in (MEAN, STD))
    with torch.no_grad():
        expected = network((colored - mean) / std)
    torch.testing.assert_close(teacher.predict(GREY), expected)
    module = getattr(teacher, "module")  # noqa: B009
    with torch.no_grad():
        torch.testing.assert_close(module(GREY), expected)


def test_what_is_said_goes_over_what_it_says() -> None:
    torch.manual_seed(0)
    network = Timm().eval()
    plain = as_teacher(network, example=GREY, size=(6, 6), mean=[0.0] * 3, std=[1.0] * 3)
    with torch.no_grad():
        torch.testing.assert_close(plain.predict(GREY), network(GREY.expand(-1, 3, -1, -1)))
    several = as_teacher([network, network], example=GREY)
    torch.testing.assert_close(
        several.predict(GREY).softmax(1), as_teacher(network, classes=4).predict(GREY).softmax(1)
    )


def test_a_model_that_was_made_for_other_images_says_nothing() -> None:
    assert not wanted_by(Timm(channels=1))
    assert not wanted_by(nn.Linear(2, 2))
    assert wanted_by(Timm(mean=None)) == ImageInputs(size=(12, 12), channels=3)
    assert not isinstance(as_teacher(Timm(channels=1), example=GREY), ResizedTeacher)


def test_colors_become_grey_by_their_brightness() -> None:
    colors = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    assert float(ChangeImages(ImageInputs(channels=1))(colors)) == pytest.approx(0.299)
    white = torch.ones(1, 3, 2, 2)
    torch.testing.assert_close(ChangeImages(ImageInputs(channels=1))(white), torch.ones(1, 1, 2, 2))


def test_fingerprints_tell_changes_apart() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    prints = {
        as_teacher(network, classes=2, channels=3, size=size, mean=mean, std=1.0).fingerprint()
        for size in (None, 4, (4, 5))
        for mean in (0.0, 0.5)
    }
    assert len(prints) == 6


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"size": {"height": 8, "width": 9}}, ImageInputs(size=(8, 9))),
        ({"size": 7, "image_mean": [0.5], "image_std": [0.25]}, ImageInputs(size=(7, 7), mean=(0.5,), std=(0.25,))),
        ({"size": {"shortest_edge": 9}, "do_center_crop": True, "crop_size": [6, 5]}, ImageInputs(size=(6, 5))),
        (
            {"do_resize": False, "size": 7, "do_normalize": False, "image_mean": [1.0], "image_std": [1.0]},
            ImageInputs(),
        ),
        (
            {"do_rescale": False, "image_mean": [51.0], "image_std": [102.0]},
            ImageInputs(mean=(0.2,), std=(0.4,)),
        ),
        ("nothing", ImageInputs()),
    ],
)
def test_what_a_preprocessor_says(said: object, wanted: ImageInputs, tmp_path: Path) -> None:
    (tmp_path / PREPROCESSOR).write_text(json.dumps(said))
    assert wanted_in(tmp_path) == wanted


def test_a_preprocessor_that_is_not_there_or_no_json(tmp_path: Path) -> None:
    assert not wanted_in(tmp_path)
    (tmp_path / PREPROCESSOR).write_text("{")
    assert not wanted_in(tmp_path)


def test_words() -> None:
    wanted = ImageInputs(size=(12, 12), channels=3, mean=MEAN, std=STD)
    assert str(wanted) == "12 x 12 pixels in 3 channels, less a mean of 0.5, 0.4, 0.3 and divided by 0.2, 0.25, 0.5"
    assert str(ImageInputs()) == "as they are"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channels": 2}, r"^channels of the teacher's inputs must be 1 for grey or 3 for colors; got 2"),
        ({"mean": (0.5,)}, "mean and std of the teacher's inputs must be given together"),
        ({"channels": 3, "mean": (0.5, 0.5), "std": (1.0,)}, "one number, or one for each of 3 channels"),
        ({"mean": (0.5,), "std": (0.0,)}, "greater than 0"),
    ],
)
def test_what_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        ImageInputs(**given)


def test_inputs_that_are_no_images() -> None:
    change = ChangeImages(ImageInputs(channels=3))
    with pytest.raises(BadInput, match="must be images"):
        change(torch.zeros(2, 6))
    with pytest.raises(BadInput, match="of 1 or 3 channels"):
        change(torch.zeros(2, 4, 3, 3))
