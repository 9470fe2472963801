"""Simulated observers: the same ones each time, of a density that is known and that no model beats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from attar.data import simulated_gaze
from attar.data.simulated_gaze import LOOKS, OBSERVERS, SIZE, generated, observed, photographs, true_log_densities
from attar.data.split import Dataset
from attar.errors import BadInput


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return generated()


def test_generated_images_are_the_same_each_time(dataset: Dataset):
    assert dataset.task.use == "gaze" and dataset.task.size == SIZE
    assert [len(split) for split in dataset.splits().values()] == [400, 100, 200]
    assert dataset.train.fingerprint() == generated().train.fingerprint()
    labels = dataset.test.labels
    assert labels is not None and labels.flatten(1).sum(1).tolist() == [OBSERVERS * LOOKS] * 200


def test_no_constant_is_as_good_as_the_true_density_and_no_other_density_is(dataset: Dataset):
    images, labels = dataset.test.inputs.numpy(), dataset.test.labels.numpy()
    truth = true_log_densities(images)
    best = dataset.task.quality(truth, labels)
    assert best.information_gain > 0.3 and best.auc > 0.7
    for other in (0.8 * truth, 1.25 * truth, truth[::-1]):
        assert dataset.task.quality(np.ascontiguousarray(other), labels).information_gain < best.information_gain
    assert dataset.task.chance(truth, labels, "test").sentence is None
    # What is measured of fixations is what the density says of itself, up to the draw.
    baseline = dataset.task.scores(np.zeros_like(truth), labels).mean()
    expected = (np.exp(truth) * truth).sum(axis=1).mean() / np.log(2) + np.log2(truth.shape[1])
    assert best.information_gain - baseline == pytest.approx(expected, abs=0.08)


def test_bright_patches_and_the_middle_are_looked_at():
    image = np.full((1, 3, *SIZE), 90, np.uint8)
    flat = np.exp(true_log_densities(image)).reshape(SIZE)
    assert flat.sum() == pytest.approx(1) and flat[24, 32] > 3 * flat[2, 2]
    image[0, :, 8:14, 10:16] = 230
    density = np.exp(true_log_densities(image)).reshape(SIZE)
    assert density[8:14, 10:16].sum() > 3 * flat[8:14, 10:16].sum()
    counts = observed(image, seed=3)
    assert counts.dtype == np.int64 and counts.sum() == OBSERVERS * LOOKS
    assert (counts == observed(image, seed=3)).all() and (counts != observed(image, seed=4)).any()


def test_photographs_are_cropped_and_no_photograph_is_in_two_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw = np.random.default_rng(0)
    for role, shade in (("TRAIN", 40), ("VALIDATION", 120), ("TEST", 200)):
        monkeypatch.setattr(simulated_gaze, role, (f"{role}.png",))
        pixels = shade + draw.integers(0, 20, size=(150, 240, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{role}.png")
    found = photographs(tmp_path)
    for split, shade in zip(found.splits().values(), (40, 120, 200), strict=True):
        assert split.inputs.shape[1:] == (3, *SIZE) and split.inputs.dtype == torch.uint8
        assert shade - 1 <= int(split.inputs.min()) <= int(split.inputs.max()) < shade + 20
    assert found.train.fingerprint() == photographs(tmp_path).train.fingerprint()


def test_photographs_that_are_not_there_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ATTAR_PHOTOGRAPHS", str(tmp_path))
    with pytest.raises(BadInput, match=r"mate-backgrounds, lomiri-wallpapers-16.04.*; got .* without mate/nature/Aqua"):
        photographs()
