"""Views: what is drawn depends on names alone, and is what it says."""

import math

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.data import draws
from attar.data.views import UNCHANGED, Views
from attar.errors import BadInput

BATCH, CHANNELS, HEIGHT, WIDTH = 6, 2, 5, 7
IDS = torch.tensor([3, 90_000, 17, 0, 2**40, 55])

some_views = st.builds(
    Views,
    count=st.integers(1, 4),
    flip=st.booleans(),
    shift=st.integers(0, 4),
    noise=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**63),
)
orders = st.permutations(range(BATCH))


def pictures(seed: int = 0) -> torch.Tensor:
    return torch.rand(BATCH, CHANNELS, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) + 0.5


def slow_move(picture: torch.Tensor, flip: bool, down: int, right: int) -> torch.Tensor:
    """A picture flipped and then shown through a window that moved, pixel by pixel."""
    channels, height, width = picture.shape
    seen = torch.zeros_like(picture)
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y + down, (width - 1 - x if flip else x) + right
                if 0 <= from_y < height and 0 <= from_x < width:
                    seen[channel, y, x] = picture[channel, from_y, from_x]
    return seen


@settings(deadline=None, max_examples=40)
@given(flip=st.booleans(), shift=st.integers(0, 4), seed=st.integers(0, 1000), view=st.integers(0, 2))
def test_moves_equal_the_slow_ones(flip, shift, seed, view):
    inputs = pictures(seed)
    seen = Views(count=3, flip=flip, shift=shift, seed=seed)(inputs, IDS, view)
    words = draws.words(IDS, seed=seed, stream=view)
    flips = draws.below(2, words, lane=0).tolist()
    downs, rights = ((draws.below(2 * shift + 1, words, lane=lane) - shift).tolist() for lane in (1, 2))
    for row in range(BATCH):
        expected = slow_move(inputs[row], flip and flips[row] == 1, downs[row], rights[row])
        assert torch.equal(seen[row], expected)


@settings(deadline=None)
@given(views=some_views, order=orders)
def test_a_permuted_batch_gives_permuted_views(views, order):
    inputs, order = pictures(), torch.tensor(order)
    view = views.count - 1
    assert torch.equal(views(inputs[order], IDS[order], view), views(inputs, IDS, view)[order])


@settings(deadline=None)
@given(views=some_views, cut=st.integers(0, BATCH))
def test_a_batch_in_two_pieces_gives_the_same(views, cut):
    inputs = pictures()
    pieces = [views(inputs[part], IDS[part], 0) for part in (slice(0, cut), slice(cut, None))]
    assert torch.equal(torch.cat(pieces), views(inputs, IDS, 0))


@settings(deadline=None)
@given(views=some_views, seed=st.integers(0, 2**32))
def test_the_global_generator_neither_matters_nor_moves(views, seed):
    torch.manual_seed(0)
    one = views(pictures(), IDS, 0)
    torch.manual_seed(seed)
    before = torch.get_rng_state()
    assert torch.equal(views(pictures(), IDS, 0), one)
    assert torch.equal(torch.get_rng_state(), before)


@settings(deadline=None)
@given(views=some_views)
def test_inputs_are_left_alone_and_shapes_stay(views):
    inputs, ids = pictures(), IDS.clone()
    seen = views(inputs, ids, 0)
    assert torch.equal(inputs, pictures()) and torch.equal(ids, IDS)
    assert seen.shape == inputs.shape and seen.dtype == torch.float32
    assert views.identity == (views.count == 1 and seen is inputs)


def test_the_identity_copies_nothing():
    inputs = pictures()
    assert UNCHANGED.identity and UNCHANGED(inputs, IDS, 0) is inputs


def test_inputs_need_not_be_contiguous():
    inputs = pictures()
    strided = inputs.to(memory_format=torch.channels_last)
    views = Views(flip=True, shift=2, noise=0.1)
    assert torch.equal(views(strided, IDS, 0), views(inputs, IDS, 0))


def test_an_empty_batch_stays_empty():
    views = Views(flip=True, shift=1, noise=0.1)
    assert views(torch.zeros(0, 1, 4, 4), torch.zeros(0, dtype=torch.int64), 0).shape == (0, 1, 4, 4)


def centers(views: Views, ids: torch.Tensor, view: int = 0) -> torch.Tensor:
    """Where the middle pixel of a picture is seen, as row * width + column."""
    size = 2 * views.shift + 1
    inputs = torch.zeros(len(ids), 1, size, size)
    inputs[:, 0, views.shift, views.shift] = 1
    return views(inputs, ids, view).flatten(1).argmax(1)


@pytest.mark.parametrize("flip", [False, True])
def test_shifts_are_uniform(flip):
    views = Views(count=2, flip=flip, shift=2, seed=11)
    for view in (0, 1):
        seen = torch.bincount(centers(views, torch.arange(20_000), view), minlength=25)
        assert scipy.stats.chisquare(seen.numpy()).pvalue > 1e-3


def test_the_views_of_an_example_are_independent():
    views = Views(count=2, shift=1)
    ids = torch.arange(20_000)
    table = torch.bincount(centers(views, ids, 0) * 9 + centers(views, ids, 1), minlength=81).view(9, 9)
    assert scipy.stats.chi2_contingency(table.numpy()).pvalue > 1e-3


def test_seeds_are_independent():
    ids = torch.arange(20_000)
    one, other = (centers(Views(shift=1, seed=seed), ids) for seed in (0, 1))
    table = torch.bincount(one * 9 + other, minlength=81).view(9, 9)
    assert scipy.stats.chi2_contingency(table.numpy()).pvalue > 1e-3


def test_half_are_flipped():
    inputs = torch.tensor([1.0, 0.0]).expand(20_000, 1, 1, 2)
    flipped = int(Views(flip=True)(inputs, torch.arange(20_000), 0)[:, 0, 0, 1].sum())
    assert scipy.stats.binomtest(flipped, 20_000, 0.5).pvalue > 1e-3


def test_a_flip_mirrors_left_and_right_only():
    inputs = pictures()
    seen = Views(flip=True)(inputs, IDS, 0)
    mirrored = [torch.equal(one, other.flip(2)) for one, other in zip(seen, inputs, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(seen, inputs, strict=True)]
    assert [one != other for one, other in zip(mirrored, same, strict=True)] == [True] * BATCH
    assert any(mirrored) and any(same)


def test_noise_is_normal_with_its_deviation():
    noise = Views(noise=0.25)(torch.zeros(300, 101), torch.arange(300), 0)
    assert scipy.stats.kstest(noise.flatten().numpy() / 0.25, "norm").pvalue > 1e-3
    across_examples = torch.corrcoef(noise)[0, 1:].abs().max()
    # The correlation of independent rows of 101 values has the standard deviation 0.1.
    assert across_examples < 0.45


def test_noise_differs_between_examples_views_and_seeds():
    one = Views(count=2, noise=1.0)
    zeros = torch.zeros(2, 3, 5)
    seen = [one(zeros, torch.tensor([0, 1]), 0), one(zeros, torch.tensor([0, 1]), 1)]
    seen.append(Views(noise=1.0, seed=1)(zeros, torch.tensor([0, 1]), 0))
    values = torch.stack(seen).flatten()
    assert len(values.unique()) == len(values)


def test_noise_is_added_to_what_was_moved():
    inputs, ids = pictures(), IDS
    moved, both = Views(flip=True, shift=2)(inputs, ids, 0), Views(flip=True, shift=2, noise=0.1)(inputs, ids, 0)
    noise = Views(noise=0.1)(torch.zeros_like(inputs), ids, 0)
    assert torch.allclose(both, moved + noise)


def test_more_views_leave_the_first_ones_as_they_were():
    inputs = pictures()
    assert torch.equal(Views(count=1, shift=2)(inputs, IDS, 0), Views(count=9, shift=2)(inputs, IDS, 0))


def test_the_fingerprint_holds_every_value_plainly():
    one = Views(count=3, flip=True, shift=2, noise=0.1, seed=4).fingerprint()
    assert one == {"count": 3, "flip": True, "shift": 2, "noise": 0.1, "seed": 4, "rule": 1}
    assert Views(seed=4).fingerprint() == UNCHANGED.fingerprint(), "a seed that draws nothing changes nothing"
    assert Views(seed=4, shift=1).fingerprint() != Views(seed=5, shift=1).fingerprint()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count of Views must be at least 1; got 0. Use 1 for the same look in every epoch."),
        ({"shift": -1}, "shift of Views must be from 0 to 32767 pixels; got -1. Use 0 for no shift."),
        ({"noise": -0.5}, "noise of Views must be a standard deviation of at least 0; got -0.5. Use 0 for no noise."),
        ({"noise": math.nan}, "noise of Views must be a standard deviation of at least 0; got nan. Use 0"),
        ({"noise": math.inf}, "noise of Views must be a standard deviation of at least 0; got inf. Use 0"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(BadInput) as caught:
        Views(**values)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("view", [-1, 2])
def test_a_view_out_of_range_is_refused(view):
    message = rf"^view of Views must be from 0 to 1 \(count is 2\); got {view}\. Take epoch % count\.$"
    with pytest.raises(BadInput, match=message):
        Views(count=2, shift=1)(pictures(), IDS, view)


@pytest.mark.parametrize("views", [Views(flip=True), Views(shift=1)])
def test_only_pictures_move(views):
    message = r"^inputs of Views with flip or shift must be \[batch, channels, height, width\]; got \(6, 4\)\. Reshape"
    with pytest.raises(BadInput, match=message):
        views(torch.zeros(6, 4), IDS, 0)


def test_a_shift_out_of_the_picture_is_refused():
    with pytest.raises(BadInput, match=r"^shift of Views must be less than the 5 x 7 pixels of the inputs; got 5\."):
        Views(shift=5)(pictures(), IDS, 0)
