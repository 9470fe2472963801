"""Made-up rows come in the form of the given ones, with whole numbers whole and nothing out of range."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from attar.data.synthesis.marginal import marginal
from attar.data.synthesis.mixture import fit_mixture
from attar.data.synthesis.munge import munge
from attar.data.synthesis.synthesize import DEFAULT_GRID, Synthesis, synthesize, tune
from attar.errors import BadInput
from attar.tables.columns import Columns

METHODS = ["munge", "random", "nbe"]


def arrow(rows: int = 60) -> pa.Table:
    draws = np.random.default_rng(0)
    age, pay = draws.integers(18, 80, rows), draws.normal(3000, 500, rows)
    job = [None if value < 0.1 else ["baker", "smith", "tailor"][int(value * 3)] for value in draws.random(rows)]
    return pa.table({"age": age, "pay": pa.array(pay, mask=draws.random(rows) < 0.1), "job": job})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["arrow", "pandas", "numpy"])
def test_rows_come_in_the_form_of_the_given_ones(method, form):
    table = arrow()
    if form == "arrow":
        made = synthesize(table, 100, method=method)
        assert made.schema == table.schema and made.num_rows == 100
        frame = made.to_pydict()
    elif form == "pandas":
        pytest.importorskip("pandas")
        given = table.to_pandas()
        made = synthesize(given, 100, method=method)
        assert list(made.columns) == list(given.columns) and (made.dtypes == given.dtypes).all() and len(made) == 100
        frame = {"age": made["age"].tolist(), "job": made["job"].tolist()}
    else:
        given = np.array(list(zip(*table.to_pydict().values(), strict=True)), dtype=object)
        made = synthesize(given, 100, method=method)
        assert made.shape == (100, 3) and made.dtype == object
        frame = {"age": made[:, 0].tolist(), "job": made[:, 2].tolist()}
    assert {type(value) for value in frame["age"]} == {int} and min(frame["age"]) >= 18 and max(frame["age"]) < 80
    jobs = {value if isinstance(value, str) else None for value in frame["job"]}
    assert {"baker", "smith", "tailor"} <= jobs <= {"baker", "smith", "tailor", None}


def whole(rows: int = 50) -> tuple[np.ndarray, Columns]:
    matrix = np.random.default_rng(1).integers(0, 16, (rows, 3))
    matrix[:2] = [[0, 0, 0], [15, 15, 15]]
    columns = Columns.infer(matrix)
    return columns.encode(matrix), columns


@pytest.mark.parametrize("method", ["munge", "nbe"])
def test_numbers_are_rounded_and_kept_in_range_unless_said_otherwise(method):
    matrix, columns = whole()
    usual = Synthesis(rows=500, method=method, s=0.5).draw(matrix, columns)
    assert (usual == np.rint(usual)).all() and usual.min() == 0 and usual.max() == 15
    kept = Synthesis(rows=500, method=method, s=0.5, integers="keep", clip=False).draw(matrix, columns)
    assert (kept != np.rint(kept)).any() and kept.min() < 0 and kept.max() > 15
    assert np.array_equal(np.clip(np.rint(kept), 0, 15), usual)
    assert not np.signbit(usual).any()


def test_whole_numbers_that_are_not_rounded_come_out_as_floats():
    given = np.random.default_rng(1).integers(0, 16, (50, 3))
    assert synthesize(given, 50).dtype == given.dtype
    assert synthesize(given, 50, integers="keep").dtype == np.float64


def test_each_method_is_the_function_of_its_name():
    matrix, columns = whole()
    plain = {"rows": 120, "integers": "keep", "clip": False}
    settings = {"p": 0.3, "s": 2.0, "neighbors": "static", "symmetric": False, "distance": "sum", "nominal_weight": 0.5}
    made = Synthesis(method="munge", **plain, **settings).draw(matrix, columns, seed=4)
    assert np.array_equal(made, munge(matrix, columns.mask, rows=120, seed=4, **settings))
    made = Synthesis(method="random", **plain).draw(matrix, columns, seed=4)
    assert np.array_equal(made, marginal(matrix, rows=120, seed=4))
    made = Synthesis(method="nbe", components=3, **plain).draw(matrix, columns, seed=4)
    floors = np.full(3, 1 / math.sqrt(12))
    mixture = fit_mixture(matrix, columns.mask, components=3, floors=floors, seed=4)
    assert np.array_equal(made, mixture.sample(120, seed=4))


@pytest.mark.parametrize("method", METHODS)
def test_originals_come_first_when_asked_for_and_are_left_alone(method):
    matrix, columns = whole()
    before = matrix.copy()
    synthesis = Synthesis(rows=70, method=method, include_original=True)
    made = synthesis.draw(matrix, columns)
    assert np.array_equal(made[:50], matrix) and np.array_equal(matrix, before) and len(made) == 120
    assert np.array_equal(made[50:], replace(synthesis, include_original=False).draw(matrix, columns))
    for chunk in synthesis.in_chunks(matrix, columns):
        chunk[:] = -1
    assert np.array_equal(matrix, before)


@pytest.mark.parametrize("method", METHODS)
def test_chunks_are_the_rows(method):
    matrix, columns = whole()
    synthesis = Synthesis(rows=20_000, method=method, include_original=True)
    pieces = list(synthesis.in_chunks(matrix, columns, seed=3))
    assert len(pieces) > 2 and np.array_equal(np.concatenate(pieces), synthesis.draw(matrix, columns, seed=3))


def test_fingerprints_tell_apart_what_is_drawn_differently():
    one = Synthesis(rows=10)
    changes = [{"rows": 11}, {"p": 0.4}, {"s": 2.0}, {"neighbors": "static"}, {"symmetric": False}, {"clip": False}]
    changes += [{"distance": "sum"}, {"nominal_weight": 0.5}, {"integers": "keep"}, {"include_original": True}]
    changes += [{"method": "random"}, {"method": "nbe"}]
    prints = [replace(one, **change).fingerprint() for change in [{}, *changes]]
    assert all(first != second for i, first in enumerate(prints) for second in prints[:i])
    assert replace(one, components=3).fingerprint() == one.fingerprint()
    unconcerned = replace(one, method="random", p=0.1, s=None, symmetric=False, components=4)
    assert unconcerned.fingerprint() == replace(one, method="random").fingerprint()
    mixed = replace(one, method="nbe", components=4)
    assert mixed.fingerprint() != replace(mixed, components=5).fingerprint()


def test_tuning_takes_the_best_pair_and_keeps_what_is_set():
    def score(found: Synthesis) -> float:
        assert found.p is not None and found.s is not None
        return -abs(found.p - 0.5) - abs(found.s - 3.0)

    best, tried = tune(score, Synthesis(rows=10, p=None, s=None, clip=False))
    assert best == Synthesis(rows=10, p=0.5, s=3.0, clip=False)
    assert [(row["p"], row["s"]) for row in tried] == list(DEFAULT_GRID)
    assert max(row["score"] for row in tried) == score(best)
    best, tried = tune(score, Synthesis(rows=10, p=None, s=0.7), grid=[(0.1, 1.0), (0.6, 1.0), (0.6, 2.0)])
    assert best == Synthesis(rows=10, p=0.6, s=0.7) and len(tried) == 2
    assert tune(lambda _: 0.0, Synthesis(rows=10, p=None))[0].p == DEFAULT_GRID[0][0]


@pytest.mark.parametrize(
    ("synthesis", "grid", "found", "message"),
    [
        (Synthesis(rows=1), DEFAULT_GRID, 0.0, "of MUNGE with p or s None"),
        (Synthesis(rows=1, method="nbe", p=None), DEFAULT_GRID, 0.0, "of MUNGE with p or s None"),
        (Synthesis(rows=1, p=None), [], 0.0, "at least one pair"),
        (Synthesis(rows=1, p=None), [(0.0, 1.0)], 0.0, "p of Synthesis"),
        (Synthesis(rows=1, p=None), DEFAULT_GRID, math.nan, "p was 0.2 and s 1.0"),
    ],
)
def test_tuning_says_what_it_cannot_do(synthesis, grid, found, message):
    with pytest.raises(BadInput, match=message):
        tune(lambda _: found, synthesis, grid)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows of Synthesis"),
        ({"method": "mung"}, "Did you mean 'munge'"),
        ({"neighbors": "statik"}, "Did you mean 'static'"),
        ({"distance": "root"}, "Did you mean 'roots'"),
        ({"integers": "rounded"}, "Did you mean 'round'"),
        ({"p": 0.0}, "p of Synthesis"),
        ({"s": -1.0}, "s of Synthesis"),
        ({"nominal_weight": math.nan}, "nominal_weight of Synthesis"),
        ({"components": 0}, "components of Synthesis"),
    ],
)
def test_wrong_settings_are_named(change, message):
    settings = {"rows": 10} | change
    blank = Synthesis.__new__(Synthesis)
    for name in Synthesis.__dataclass_fields__:
        value = settings.get(name, getattr(Synthesis(rows=1), name))
        object.__setattr__(blank, name, value)
    with pytest.raises(BadInput, match=message):
        blank.__post_init__()


def test_wrong_uses_are_named():
    matrix, columns = whole()
    with pytest.raises(BadInput, match="there are 3 columns"):
        Synthesis(rows=5).draw(matrix[:, :2], columns)
    with pytest.raises(BadInput, match="let tune choose them"):
        Synthesis(rows=5, p=None).draw(matrix, columns)
    with pytest.raises(BadInput, match="left out where columns are given"):
        synthesize(matrix, 5, columns=columns, nominal=["column 0"])
