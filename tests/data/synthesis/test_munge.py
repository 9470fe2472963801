"""MUNGE against a plain loop over lists, bit for bit; and what its rows are like."""

import math
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.data.synthesis.munge import chosen_of_round, draws_of_round, munge, munge_in_rounds
from attar.errors import BadInput


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


class Reference:
    """MUNGE as one would write it down, with lists and floats."""

    def __init__(self, matrix, nominal, *, p, s, neighbors, symmetric, distance, nominal_weight, seed):
        self.table = matrix.tolist()
        self.nominal = nominal.tolist()
        self.p, self.s, self.neighbors, self.symmetric = p, s, neighbors, symmetric
        self.distance, self.weight, self.seed = distance, nominal_weight, seed
        self.low, self.span = [], []
        for column in zip(*self.table, strict=True):
            seen = [value for value in column if not math.isnan(value)] or [0.0]
            self.low.append(min(seen))
            self.span.append(max(seen) - min(seen) or 1.0)

    def between(self, one, other):
        squares, different = 0.0, 0
        for a, nominal in enumerate(self.nominal):
            if nominal:
                different += not same(one[a], other[a])
            elif math.isnan(one[a]) or math.isnan(other[a]):
                squares += 0.0 if same(one[a], other[a]) else 1.0
            else:
                apart = (one[a] - self.low[a]) / self.span[a] - (other[a] - self.low[a]) / self.span[a]
                squares += apart * apart
        if self.distance == "squares":
            return squares + self.weight * different
        if self.distance == "sum":
            return math.sqrt(squares) + self.weight * different
        return math.sqrt(squares) + math.sqrt(self.weight * different)

    def nearest(self, table, me):
        found, best = -1, math.inf
        for other in range(len(table)):
            if other != me and (found < 0 or self.between(table[me], table[other]) < best):
                found, best = other, self.between(table[me], table[other])
        return found

    def round(self, number):
        work = [list(row) for row in self.table]
        for first, chances, noise in draws_of_round(self.seed, number, len(work), len(self.nominal)):
            for turn, (chance, mine, its) in enumerate(zip(chances, *noise, strict=True)):
                me = first + turn
                other = self.nearest(work if self.neighbors == "dynamic" else self.table, me)
                source = self.table if self.neighbors == "static" and not self.symmetric else work
                for a, nominal in enumerate(self.nominal):
                    if chance[a] < self.p:
                        x, y = work[me][a], source[other][a]
                        if nominal or math.isnan(x) or math.isnan(y):
                            work[me][a] = y
                            after = x
                        else:
                            deviation = abs(x - y) / self.s
                            work[me][a] = y + deviation * float(mine[a])
                            after = x + deviation * float(its[a])
                        if self.symmetric:
                            work[other][a] = after
        return work

    def rows(self, wanted):
        size = len(self.table)
        made = []
        for number in range(-(-wanted // size)):
            kept = range(size)
            if wanted - len(made) < size:
                kept = chosen_of_round(self.seed, number, size, wanted - len(made))
            work = self.round(number)
            made += [work[row] for row in kept]
        return np.array(made)


def bits(matrix: np.ndarray) -> np.ndarray:
    """Zeros of both signs differ; NaN is NaN."""
    return np.where(np.isnan(matrix), -1, matrix.view(np.int64))


@st.composite
def tables(draw, most_rows=80, most_columns=7):
    """Small mixed tables with ties, duplicates, constants, missing values and far apart scales."""
    rows, columns = draw(st.integers(2, most_rows)), draw(st.integers(1, most_columns))
    nominal = np.array(draw(st.lists(st.booleans(), min_size=columns, max_size=columns)))
    values = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.lists(st.sampled_from(["few", "many", "constant", "wide"]), min_size=columns, max_size=columns))
    matrix = np.empty((rows, columns))
    for a, kind in enumerate(kinds):
        if kind == "few":
            matrix[:, a] = values.integers(0, 3, rows)
        elif kind == "many":
            matrix[:, a] = values.integers(-5, 100, rows) if nominal[a] else values.normal(size=rows)
        elif kind == "constant":
            matrix[:, a] = -2.5
        else:
            matrix[:, a] = values.normal(size=rows) * 1e12 + 1e15
    if draw(st.booleans()):
        matrix[values.random(matrix.shape) < draw(st.sampled_from([0.05, 0.4, 1.0]))] = np.nan
    if draw(st.booleans()):
        matrix = matrix[values.integers(0, rows, rows)]
    return matrix, nominal


arguments = st.fixed_dictionaries(
    {
        "p": st.sampled_from([0.2, 0.5, 1.0]),
        "s": st.sampled_from([0.5, 1.0, 5.0]),
        "neighbors": st.sampled_from(["dynamic", "dynamic", "static"]),
        "symmetric": st.booleans(),
        "distance": st.sampled_from(["squares", "sum", "roots"]),
        "nominal_weight": st.sampled_from([0.0, 0.3, 1.0]),
        "seed": st.integers(0, 2**40),
    }
)


@settings(deadline=None, max_examples=60)
@given(table=tables(), arguments=arguments, share=st.floats(0.1, 2.5))
def test_rows_equal_the_plain_loop_bit_for_bit(table, arguments, share):
    matrix, nominal = table
    rows = max(1, round(share * len(matrix)))
    before = matrix.copy()
    made = munge(matrix, nominal, rows=rows, **arguments)
    assert np.array_equal(bits(matrix), bits(before))
    expected = Reference(matrix, nominal, **arguments).rows(rows)
    assert np.array_equal(bits(made), bits(expected))


def mixed(rows: int = 150, numbers: int = 70, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """More columns than are added before a look, more categories than a block's bits, and gaps."""
    draws = np.random.default_rng(seed)
    columns = [draws.normal(size=(rows, 5)) @ draws.normal(size=(5, numbers))]
    columns += [draws.integers(0, 500, (rows, 3)) * 1.0, draws.integers(0, 2, (rows, 3)) * 1.0]
    matrix = np.concatenate(columns, axis=1)
    matrix[draws.random(matrix.shape) < 0.02] = np.nan
    return matrix, np.arange(matrix.shape[1]) >= numbers


@pytest.mark.parametrize("distance", ["squares", "sum", "roots"])
def test_wide_tables_with_many_categories_equal_the_plain_loop(distance):
    matrix, nominal = mixed()
    settings = {"p": 0.5, "s": 2.0, "neighbors": "dynamic", "symmetric": True, "distance": distance}
    made = munge(matrix, nominal, rows=150, nominal_weight=0.5, seed=3, **settings)
    expected = Reference(matrix, nominal, nominal_weight=0.5, seed=3, **settings).rows(150)
    assert np.array_equal(bits(made), bits(expected))


@pytest.mark.parametrize(
    ("spread", "s", "gaps"),
    [(0.02, 0.5, 0.15), (0.02, 3.0, 0.02), (0.3, 0.25, 0.15), (0.3, 0.1, 0.02), (0.3, 1.0, 0.02)],
)
def test_rows_that_lie_in_clumps_equal_the_plain_loop(spread, s, gaps):
    # Most blocks of rows are ruled out by their bounds here; with a small s rows move far away from their blocks.
    draws = np.random.default_rng(0)
    clump = draws.integers(0, 12, 360)
    numbers = draws.normal(size=(12, 2))[clump] + draws.normal(scale=spread, size=(360, 2))
    gap = np.where(draws.random(360) < gaps, np.nan, numbers[:, 0].round(1))
    matrix = np.stack([*numbers.T, gap, np.where(draws.random(360) < 0.95, clump, 70 + clump)], axis=1)
    settings = {"p": 0.5, "s": s, "neighbors": "dynamic", "symmetric": True, "distance": "squares"}
    nominal = np.array([False, False, False, True])
    made = munge(matrix, nominal, rows=360, nominal_weight=0.1, seed=1, **settings)
    expected = Reference(matrix, nominal, nominal_weight=0.1, seed=1, **settings).rows(360)
    assert np.array_equal(bits(made), bits(expected))


def test_gaps_that_move_into_blocks_without_any_equal_the_plain_loop():
    # Seed and sizes were searched for: a gap comes into a block that had none and is the nearest to another gap there.
    draws = np.random.default_rng(32)
    matrix = draws.normal(size=(100, 3))
    matrix[draws.choice(100, 4, replace=False), 2] = np.nan
    nominal = np.zeros(3, bool)
    settings = {"p": 0.5, "s": 0.15, "neighbors": "dynamic", "symmetric": True, "distance": "squares"}
    made = munge(matrix, nominal, rows=400, nominal_weight=1.0, seed=32, **settings)
    expected = Reference(matrix, nominal, nominal_weight=1.0, seed=32, **settings).rows(400)
    assert np.array_equal(bits(made), bits(expected))


@pytest.mark.parametrize("distance", ["squares", "roots"])
def test_rows_that_are_all_about_equally_far_equal_the_plain_loop(distance):
    # Whether a row can still be the nearest is looked at after 32 and 64 of the 66 columns: it often just can.
    matrix, nominal = numbers_only(rows=200, columns=66)
    settings = {"p": 0.5, "s": 1.0, "neighbors": "dynamic", "symmetric": True, "distance": distance}
    made = munge(matrix, nominal, rows=200, nominal_weight=1.0, seed=0, **settings)
    expected = Reference(matrix, nominal, nominal_weight=1.0, seed=0, **settings).rows(200)
    assert np.array_equal(bits(made), bits(expected))


def numbers_only(rows: int = 300, columns: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(seed).normal(size=(rows, columns)), np.zeros(columns, bool)


@pytest.mark.parametrize("neighbors", ["dynamic", "static"])
def test_threads_make_no_difference(neighbors):
    matrix, nominal = mixed(numbers=3)
    one, three = (munge(matrix, nominal, rows=1000, neighbors=neighbors, seed=5, threads=n) for n in (1, 3))
    assert np.array_equal(bits(one), bits(three))


def test_fewer_rows_are_a_part_of_more_and_the_last_round_is_thinned_at_random():
    matrix, nominal = numbers_only()
    many, few = munge(matrix, nominal, rows=900), munge(matrix, nominal, rows=700)
    assert np.array_equal(many[:600], few[:600])
    last, kept = many[600:].tolist(), few[600:].tolist()
    places = [last.index(row) for row in kept]
    assert places == sorted(places) and len(set(places)) == 100
    # A hundred of three hundred places, drawn evenly: five standard deviations of their mean are 35.
    assert abs(np.mean(places) - 149.5) < 35


def test_rounds_are_the_rows_in_pieces():
    matrix, nominal = numbers_only()
    pieces = list(munge_in_rounds(matrix, nominal, rows=700, seed=1))
    assert [len(piece) for piece in pieces] == [300, 300, 100]
    assert np.array_equal(np.concatenate(pieces), munge(matrix, nominal, rows=700, seed=1))


def test_seeds_and_rounds_differ():
    matrix, nominal = numbers_only()
    made = munge(matrix, nominal, rows=600, seed=1)
    assert not np.array_equal(made[:300], made[300:])
    assert not np.array_equal(made[:300], munge(matrix, nominal, rows=300, seed=2))


def test_the_matrix_need_not_be_contiguous():
    matrix, nominal = numbers_only()
    turned = np.asfortranarray(matrix)
    assert np.array_equal(munge(matrix, nominal, rows=300), munge(turned, nominal, rows=300))


@pytest.mark.parametrize("row", [0, 1])
def test_a_number_is_normal_around_the_neighbors_with_the_difference_over_s(row):
    # Two rows, 0 and 10; one-sided from the original, each is drawn around the other with deviation 10 / 4.
    made = munge(
        np.array([[0.0], [10.0]]),
        np.array([False]),
        rows=3000,
        p=1.0,
        s=4.0,
        neighbors="static",
        symmetric=False,
        seed=11,
    )
    drawn = made[row::2, 0]
    assert scipy.stats.kstest(drawn, "norm", args=(10.0 - 10.0 * row, 2.5)).pvalue > 0.001


def test_chances_are_uniform_and_noise_normal_and_both_rows_have_their_own():
    first, chances, noise = next(draws_of_round(7, 0, 4000, 3))
    assert first == 0 and chances.shape == (4000, 3) and noise.shape == (2, 4000, 3)
    assert scipy.stats.kstest(chances.ravel(), "uniform").pvalue > 0.001
    assert scipy.stats.kstest(noise.ravel(), "norm").pvalue > 0.001
    # Five standard deviations of a correlation over 12,000 pairs are 0.046.
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.046


def test_draws_of_long_rounds_come_in_pieces_and_are_all_different():
    pieces = list(draws_of_round(0, 0, 40_000, 3))
    assert len(pieces) == 2 and [first for first, _, _ in pieces] == [0, len(pieces[0][1])]
    everything = np.concatenate([chances for _, chances, _ in pieces])
    assert everything.shape == (40_000, 3) and len(np.unique(everything)) == 120_000


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_attributes_change_with_probability_p(p):
    # One-sided from the original: each cell is touched once.
    matrix, nominal = numbers_only(columns=10)
    made = munge(matrix, nominal, rows=3000, p=p, neighbors="static", symmetric=False)
    changed = (made.reshape(10, 300, 10) != matrix).mean()
    assert abs(changed - p) < 5 * math.sqrt(p * (1 - p) / made.size)


def test_with_a_great_s_values_are_traded_and_columns_keep_their_values():
    matrix, _ = numbers_only()
    nominals = munge(matrix, np.ones(4, bool), rows=300, p=0.5)
    assert np.array_equal(np.sort(nominals, axis=0), np.sort(matrix, axis=0))
    assert not np.array_equal(nominals, matrix)
    numbers = munge(matrix, np.zeros(4, bool), rows=300, p=0.5, s=1e15)
    np.testing.assert_allclose(np.sort(numbers, axis=0), np.sort(matrix, axis=0), atol=1e-9)


def one_sided(matrix, nominal, **settings):
    """Every row as its nearest one in the original is: who it is shows."""
    matrix, nominal = np.array(matrix, float), np.array(nominal)
    made = munge(matrix, nominal, rows=len(matrix), p=1.0, s=1e15, neighbors="static", symmetric=False, **settings)
    return made.round(9).tolist()


def test_of_equally_near_rows_the_first_is_taken_and_never_the_row_itself():
    # Row 1 has its double, row 3, at no distance, and the other way round.
    assert one_sided([[0], [1], [-1], [1], [5]], [False]) == [[1], [1], [0], [1], [1]]


def test_numbers_are_scaled_to_their_range_before_they_are_compared():
    # Unscaled, row 0 is nearest to row 2 (1 away); scaled, to row 1 (100 / 1000 against 1 / 2).
    assert one_sided([[0, 0], [100, 0], [0, 1], [1000, 2]], [False, False])[0] == [100, 0]


@pytest.mark.parametrize(
    ("distance", "weight", "nearest"),
    [
        # Row 1: numbers 0.6 and 0.6 away, so x = 0.72. Row 2: 0 away and another name. Row 3 gives the range.
        ("squares", 1.0, 1),  # 0.72 against 1
        ("squares", 0.5, 2),  # 0.72 against 0.5
        ("sum", 0.8, 2),  # 0.849 against 0.8; "squares" would say 0.72 against 0.8
        ("sum", 0.9, 1),
        ("roots", 0.8, 1),  # 0.849 against 0.894
        ("roots", 0.7, 2),
    ],
)
def test_how_numbers_and_nominals_join(distance, weight, nearest):
    matrix = [[0, 0, 7], [0.6, 0.6, 7], [0, 0, 8], [1, 1, 9]]
    made = one_sided(matrix, [False, False, True], distance=distance, nominal_weight=weight)
    assert made[0] == matrix[nearest]


def test_missing_is_one_more_value():
    gap = math.nan
    # A gap is 1 away from any number and 0 away from a gap: row 0 is 0.9 + 0 from row 1 and 0 + 1 from row 2.
    matrix = [[0.0, gap], [0.9, gap], [0.0, 0.5], [1.0, 1.0], [0.0, 0.0]]
    assert str(one_sided(matrix, [False, False])[0]) == str([0.9, gap])
    # So is a missing name: row 0 equals row 2 in the second column.
    names = [[0, gap], [0, 1], [1, gap], [1, 1]]
    assert one_sided(names, [True, True])[0] == [0, 1]  # one difference each: the first one
    # Where one of two has a gap they are exchanged as they are.
    traded = munge(np.array([[gap, 0.0], [3.0, 0.0]]), np.array([False, False]), rows=200, p=0.5, s=1.0)
    assert set(traded[np.isfinite(traded)].tolist()) == {0.0, 3.0}
    assert (np.isnan(traded).sum(axis=1).reshape(100, 2).sum(axis=1) == 1).all()


def test_a_column_without_any_value_stays_so():
    matrix = np.array([[math.nan, 0.0], [math.nan, 1.0], [math.nan, 2.0]])
    made = munge(matrix, np.array([False, False]), rows=6)
    assert np.isnan(made[:, 0]).all() and not np.isnan(made[:, 1]).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows of munge must be at least 1"),
        ({"p": 0.0}, "p of munge"),
        ({"p": 1.1}, "p of munge"),
        ({"p": math.nan}, "p of munge"),
        ({"s": 0.0}, "s of munge"),
        ({"s": math.inf}, "s of munge"),
        ({"neighbors": "dynamik"}, "Did you mean 'dynamic'"),
        ({"distance": "sums"}, "Did you mean 'sum'"),
        ({"nominal_weight": -1.0}, "nominal_weight of munge"),
        ({"seed": -1}, "seed of munge"),
        ({"threads": 0}, "threads of munge"),
        ({"matrix": np.zeros((1, 2))}, "A row needs another one"),
        ({"matrix": np.zeros((3, 0)), "nominal": np.zeros(0, bool)}, "at least one column wide"),
        ({"matrix": np.zeros((3, 3))}, "got 2 values. The matrix has 3 columns"),
        ({"matrix": np.array([[0.0, 1.0], [2.0, -math.inf]])}, "-inf in row 1, column 1"),
        ({"matrix": np.array([[0.0, 1e308], [2.0, -1e308]])}, "an infinite one in column 1"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    call = {"matrix": np.zeros((3, 2)), "nominal": np.array([False, True]), "rows": 3} | change
    with pytest.raises(BadInput, match=message.replace("(", r"\(")):
        # The tests' check of types would be first to say what it finds.
        getattr(munge_in_rounds, "__wrapped__", munge_in_rounds)(**call)


def test_differences_that_grow_beyond_all_numbers_are_an_error_not_rows():
    matrix, nominal = numbers_only()
    with pytest.raises(BadInput, match="s of munge must be great enough"):
        munge(matrix, nominal, rows=300, p=1.0, s=1e-300)


def test_every_turn_is_told():
    told = []

    @contextmanager
    def progress(title, total):
        told.append(total)
        yield lambda steps: told.append(-steps)

    matrix, nominal = numbers_only()
    munge(matrix, nominal, rows=700, threads=2, progress=progress)
    assert told[0] == 900 and sum(told) == 0
    told.clear()
    munge(matrix, nominal, rows=300, neighbors="static", progress=progress)
    assert told[0] == 600 and sum(told) == 0


def test_rounds_that_are_left_early_end_their_threads():
    matrix, nominal = numbers_only()
    rounds = munge_in_rounds(matrix, nominal, rows=10**9, threads=2)
    next(rounds)
    rounds.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("munge")]


def run(code: str, **environment: str) -> str:
    """Run some Python in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_numba_is_not_imported_before_it_is_needed():
    assert run("import sys, attar.data.synthesis.synthesize; print('numba' in sys.modules)") == "False"


def test_where_nothing_can_be_written_the_kernel_still_compiles(tmp_path):
    # A file where the folder of compiled code would be, and no home: no place to keep machine code is left.
    from attar.data.synthesis import kernel

    copy = tmp_path / "kernel.py"
    shutil.copy(Path(kernel.__file__), copy)
    (tmp_path / "__pycache__").touch()
    code = (
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('kernel', {str(copy)!r})\n"
        "kernel = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(kernel)\n"
        "print(kernel._joined(4.0, 3.0, 0.5, kernel.SUM))"
    )
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "NUMBA_CACHE_DIR": "", "LOCALAPPDATA": "/dev/null"}
    assert run(code, **nowhere) == "3.5"
