"""Metrics of where people look, worked out by hand, and against pysaliency where it is installed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from attar.tasks.metrics import gaze

DENSITY = np.array([0.5, 0.25, 0.125, 0.125])
LOGITS = np.log(DENSITY)[None] + 7
"""Of a 2 x 2 image."""
FIXATIONS = np.array([[[2, 1], [-1, 1]]])
"""Shares of 1/2, 1/4, 0 and 1/4; on the third pixel none could be seen."""
ALL = {
    "log_losses": gaze.log_losses,
    "aucs": gaze.aucs,
    "nss": gaze.nss,
    "kl_divergences": gaze.kl_divergences,
    "similarities": gaze.similarities,
    "squared_errors": gaze.squared_errors,
    "information_gains": partial(gaze.information_gains, baseline=np.log(DENSITY)),
}
each = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)


def test_log_loss_is_the_mean_over_fixations_of_minus_the_log_of_the_density():
    assert gaze.log_losses(LOGITS, FIXATIONS) == pytest.approx([math.log(2) * (1 / 2 + 2 / 4 + 3 / 4)])


def test_information_gain_is_counted_in_bits_over_the_baseline():
    uniform = gaze.center_bias((2, 2), None)
    assert gaze.information_gains(LOGITS, FIXATIONS, uniform) == pytest.approx([1 / 2 + 0 - 1 / 4])
    assert gaze.information_gains(LOGITS, FIXATIONS, np.log(DENSITY)) == pytest.approx([0.0])


def test_auc_is_against_all_pixels_and_ties_count_half():
    # The first pixel has all three others below and itself beside it, the second two, those of 1/8 each other.
    assert gaze.aucs(LOGITS, FIXATIONS) == pytest.approx([0.5 * 3.5 / 4 + 0.25 * 2.5 / 4 + 0.25 * 1 / 4])
    assert gaze.aucs(np.zeros((1, 4)), FIXATIONS) == pytest.approx([0.5])


def test_nss_is_in_standard_deviations_of_the_density_over_the_image():
    mean, spread = 0.25, math.sqrt((0.25**2 + 0 + 2 * 0.125**2) / 4)
    at_fixations = 0.5 * 0.5 + 0.25 * 0.25 + 0.25 * 0.125
    assert gaze.nss(LOGITS, FIXATIONS) == pytest.approx([(at_fixations - mean) / spread])
    assert gaze.nss(np.full((1, 4), 3.0), FIXATIONS) == [0.0]


def test_kl_and_similarity_are_those_of_the_map_of_fixations():
    assert gaze.kl_divergences(LOGITS, FIXATIONS, spread=0.0) == pytest.approx([0.25 * math.log(2)])
    assert gaze.similarities(LOGITS, FIXATIONS, spread=0.0) == pytest.approx([0.5 + 0.25 + 0 + 0.125])
    assert gaze.squared_errors(LOGITS, FIXATIONS) == pytest.approx([2 * 0.125**2])


def test_the_map_of_fixations_is_smoothed_by_a_share_of_the_longer_side():
    one = np.zeros((1, 9, 41), int)
    one[0, 4, 20] = 3
    away = np.arange(41) - 20
    line = np.exp(-0.5 * np.square(away / (0.05 * 41)))
    down = np.exp(-0.5 * np.square((np.arange(9) - 4) / (0.05 * 41)))
    map_ = (down[:, None] * line)[None] / (down.sum() * line.sum())
    assert gaze.kl_divergences(np.log(map_).reshape(1, -1), one, spread=0.05) == pytest.approx([0], abs=2e-3)
    assert gaze.similarities(np.log(map_).reshape(1, -1), one, spread=0.05) == pytest.approx([1], abs=2e-3)


@each
def test_an_image_without_fixations_has_nothing(metric: Callable[..., np.ndarray]):
    without = np.concatenate([FIXATIONS, np.full((1, 2, 2), -1), np.zeros((1, 2, 2), int)])
    found = metric(np.repeat(LOGITS, 3, axis=0), without)
    assert found[1:].tolist() == [0.0, 0.0] and found[0] == pytest.approx(metric(LOGITS, FIXATIONS)[0])


@each
def test_a_number_added_to_all_logits_changes_nothing(metric: Callable[..., np.ndarray]):
    assert metric(LOGITS - 100, FIXATIONS) == pytest.approx(metric(LOGITS, FIXATIONS))


@each
def test_images_are_worked_on_some_at_once(metric: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch):
    draw = np.random.default_rng(0)
    logits, fixations = draw.normal(size=(5, 4)), draw.poisson(1, size=(5, 2, 2))
    at_once = metric(logits, fixations)
    monkeypatch.setattr("attar.tasks.metrics.metric.AT_ONCE", 8)
    assert metric(logits, fixations).tolist() == at_once.tolist()


def test_the_center_bias_is_the_gaussian_of_all_fixations():
    draw = np.random.default_rng(0)
    places = draw.normal((0.45, 0.55), (0.1, 0.15), size=(20_000, 2))
    counts = np.histogram2d(places[:, 0], places[:, 1], bins=(48, 64), range=((0, 1), (0, 1)))[0].astype(int)
    center = gaze.fitted_center(counts[None])
    assert center == pytest.approx((0.45, 0.55, 0.1, 0.15), abs=3e-3)
    density = np.exp(gaze.center_bias((48, 64), center))
    assert density.sum() == pytest.approx(1)
    assert density.argmax() == 21 * 64 + 35
    assert gaze.fitted_center(np.array([[[1], [0]]])) == (0.25, 0.5, 0.25, 0.5)


def test_figures_are_those_of_pysaliency():
    one_by_one = pytest.importorskip("pysaliency.numba_utils", reason="it is built from source")
    metrics = pytest.importorskip("pysaliency.metrics", reason="it is built from source")
    draw = np.random.default_rng(0)
    counts = draw.poisson(0.05, size=(1, 12, 16))
    logits = draw.normal(size=(1, 12 * 16))
    density = np.exp(gaze.log_densities(logits)).reshape(12, 16)
    rows, columns = (np.repeat(one, counts[0][counts[0] > 0]) for one in np.nonzero(counts[0]))
    assert gaze.nss(logits, counts)[0] == pytest.approx(metrics.NSS(density, columns, rows).mean())
    uniform, fixated = np.full_like(density, 1 / density.size), counts[0] / counts.sum()
    assert gaze.similarities(logits, counts, spread=0.0)[0] == pytest.approx(metrics.SIM(density, fixated))
    expected = metrics.probabilistic_image_based_kl_divergence(np.log(density), np.log(np.maximum(fixated, 1e-300)))
    assert gaze.kl_divergences(logits, counts, spread=0.0)[0] == pytest.approx(expected, rel=1e-6)
    areas = [one_by_one.auc_for_one_positive(one, density.ravel()) for one in density[rows, columns]]
    assert gaze.aucs(logits, counts)[0] == pytest.approx(np.mean(areas))
    gains = (np.log2(density) - np.log2(uniform))[rows, columns].mean()
    baseline = gaze.center_bias((12, 16), None)
    assert gaze.information_gains(logits, counts, baseline)[0] == pytest.approx(gains)
