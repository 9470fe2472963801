"""Features of rows: worked out by hand, in ONNX Runtime as in torch, and every wrong description refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.deployment.artifact import Artifact
from attar.deployment.backends.onnxruntime import open_onnxruntime
from attar.deployment.deploy import deploy
from attar.deployment.export import to_onnx
from attar.errors import BadInput
from attar.models.rebuild import spec_from_json
from attar.network.architectures import tabular
from attar.network.cost import cost
from attar.network.evaluating import evaluating
from attar.network.rows import Rows
from attar.network.spec import Spec
from attar.network.weights import digest, load_weights, save_weights
from attar.quantization.formats.uniform import Uniform
from attar.quantization.quantize import quantize
from attar.tables.columns import Columns
from attar.tasks.classification import Classification

NAN = float("nan")


def number(center: float = 0.0, scale: float = 1.0, missing: bool = False, kind: str = "number") -> dict[str, Any]:
    return {"kind": kind, "categories": [], "center": center, "scale": scale, "missing": missing}


def nominal(size: int, missing: bool = False) -> dict[str, Any]:
    return {"kind": "nominal", "categories": list(range(size)), "center": 0.0, "scale": 1.0, "missing": missing}


DATE = number(10.0, 5.0, missing=True, kind="date") | {"dates": {"origin": 0, "step": 1.0, "periods": [8.0, 1.0]}}
MIXED = [nominal(3), number(10.0, 2.0), number(1.0, 0.5, missing=True, kind="integer"), nominal(2, missing=True)]
CUT = [
    nominal(2),
    number() | {"knots": [-1.0, 0.5, 2.0, 4.0], "log": True},
    number(missing=True) | {"knots": [0.0, 1.0, 3.0]},
    number(1.0, 2.0),
]
ROWS = torch.tensor(
    [
        [2.0, 14.0, 0.0, 1.0],
        [0.0, NAN, NAN, NAN],
        [3.0, 10.0, 1.0, -1.0],
        [0.5, 9.0, 2.0, 0.0],
    ]
)


def test_dates_go_around_their_circles():
    rows = Rows([number(), DATE, nominal(1)])
    assert rows.features == 1 + 1 + 1 + 4 + 1
    half = 0.5**0.5
    expected = [[1.0, -1.8, 0.0, half, 0.0, half, 1.0, 1.0], [2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    found = rows(torch.tensor([[1.0, 1.0, 0.0], [2.0, NAN, NAN]]))
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)
    assert "turns" not in Rows(MIXED).state_dict()


def test_hand_worked():
    # Two scaled numbers, one indicator, three and two categories.
    expected = [
        [2.0, -2.0, 0.0, 0, 0, 1, 0, 1],
        [0.0, 0.0, 1.0, 1, 0, 0, 0, 0],
        [0.0, 0.0, 0.0, 0, 0, 0, 0, 0],  # 3 and -1 are no categories
        [-0.5, 2.0, 0.0, 0, 0, 0, 1, 0],  # 0.5 is none either
    ]
    rows = Rows(MIXED)
    assert rows.features == 8
    assert rows(ROWS).tolist() == expected


def cut(*knots: float, log: bool = False, **more: Any) -> dict[str, Any]:
    return number(**more) | {"knots": list(knots), "log": log}


def test_long_tails_by_hand():
    rows = Rows([number(1.0, 2.0) | {"log": True}, number(1.0, 2.0)])
    features = rows(torch.tensor([[1.0, 1.0], [3.0, 3.0], [-7.0, -7.0], [NAN, NAN]]))
    expected = torch.tensor([[0.0, 0.0], [math.log(2), 1.0], [-math.log(5), -4.0], [0.0, 0.0]])
    torch.testing.assert_close(features, expected)


HUGE = [1e38, 3e38, float("inf")]


def test_numbers_beyond_all_others_count_as_a_million_scales():
    tailed = number(1.0, 1e-3) | {"log": True, "knots": [0.0, 1.0, 2.0]}
    rows = Rows([number(5.0, 0.01), tailed, DATE, cut(0.0, 1.0)], curves=1)
    for features in (rows, rows.double()):
        far = features(torch.tensor([[one] * 4 for one in HUGE], dtype=features.center.dtype))
        assert far.isfinite().all()
        assert far[:, 0].tolist() == [1e6] * 3 and far[:, 3].tolist() == [1e6] * 3
        assert ((far[:, 1] > 80) & (far[:, 1] < 95)).all()  # about log(1e38 / 1e-3), or of what is just finite
        low = features(torch.tensor([[-one] * 4 for one in HUGE], dtype=features.center.dtype))
        torch.testing.assert_close(low[:, :4], -far[:, :4])
        assert rows.pieces is not None  # the first column with knots has two pieces, the second one
        ends = torch.stack([rows.pieces[0, :, 0].sum(), rows.pieces[1, 0, 0]]).expand(3, 2)
        torch.testing.assert_close(far[:, -2:], ends)
        torch.testing.assert_close(low[:, -2:], -ends)


def finite_alike(network: nn.Module, artifact: Artifact) -> tuple[Tensor, NDArray[np.float32]]:
    """Rows of three huge numbers, and what a network and its artifact both give for them."""
    rows = torch.tensor([[sign * one] * 3 for one in HUGE for sign in (1, -1)])
    with evaluating(network):
        expected = network(rows).numpy()
    assert np.isfinite(expected).all()
    assert_allclose(artifact(rows.numpy()), expected, rtol=1e-4)
    return rows, expected


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_artifacts_give_numbers_for_whatever_is_finite_or_infinite(tmp_path: Path, runtime: str):
    columns = [number(5.0, 0.01), cut(-1.0, 0.5, 2.0, log=True), number(missing=True)]
    spec = Spec("attar.network.architectures:tabular", {"columns": columns, "outputs": 2, "hidden": [8], "curves": 2})
    network = spec.build()
    artifact = deploy(network, runtime, tmp_path, task=Classification(("a", "b")), example=torch.zeros(1, 3), spec=spec)
    rows, expected = finite_alike(network, artifact)
    with evaluating(network.double()):
        assert_allclose(network(rows.double()).numpy()[:2], expected[:2], rtol=1e-4)


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime packed"])
def test_so_do_artifacts_of_plain_arrays(tmp_path: Path, runtime: str):
    arguments = {"inputs": 3, "classes": 2, "hidden": [8]}
    spec = Spec("attar.network.architectures:mlp", arguments, mean=(0.5,), std=(0.01,))
    network = quantize(spec.build(), weights=Uniform(8)) if "packed" in runtime else spec.build()
    artifact = deploy(network, runtime, tmp_path, task=Classification(("a", "b")), example=torch.zeros(1, 3), spec=spec)
    finite_alike(network, artifact)


def test_pieces_by_hand():
    # Of two pieces and one: the second column has no second piece, and the nominal one none at all.
    rows = Rows([cut(0.0, 2.0, 6.0), nominal(2), cut(1.0, 2.0)], curves=2)
    assert rows.features == 2 + 2 + 2 * 2
    assert rows.pieces is not None and rows.pieces.shape == (2, 2, 2)
    with torch.no_grad():
        rows.pieces.copy_(torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 10.0], [5.0, 5.0]]]))
    features = rows(torch.tensor([[1.0, 0.0, 9.0], [5.0, 0.0, 0.0], [-3.0, 0.0, 1.25], [NAN, 0.0, NAN]]))[:, 4:]
    assert features.tolist() == [[0, -1, 1, 10], [1, 0.5, -1, -10], [-1, -1, -0.5, -5], [-1, -1, -1, -10]]


def test_knots_count_where_curves_are_asked_for():
    plain, described = Rows([number()]), Rows([cut(0.0, 1.0, 2.0)])
    assert described.features == 1 and digest(described) == digest(plain)
    assert list(described.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("knots", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, NAN], [0.0, 1e39], "01", [1.0, 1.0 + 1e-12]])
def test_wrong_knots(knots: object):
    with pytest.raises(BadInput, match=r"^knots of column 0 must be two or more finite numbers"):
        Rows([number() | {"knots": knots}])
    with pytest.raises(BadInput, match=r"^log of column 0 must be true or false"):
        Rows([number() | {"log": "yes"}])
    with pytest.raises(BadInput, match=r"^curves of Rows must be from 0 to"):
        Rows([number()], curves=-1)


def test_an_indicator_only_where_values_were_missing():
    rows = Rows([number(), number(missing=True)])
    assert rows(torch.tensor([[NAN, NAN], [1.0, 2.0]])).tolist() == [[0, 0, 1], [1, 2, 0]]


def test_embeddings_by_hand():
    rows = Rows(MIXED, embed=2)
    assert rows.features == 2 + 1 + 2 * 2
    assert rows.embedding is not None
    weight = rows.embedding.weight
    # 3 + 1 entries of the first nominal column, 2 + 1 of the second; the first of each is for missing.
    assert weight.shape == (7, 2)
    assert weight[0].tolist() == weight[4].tolist() == [0, 0]
    assert weight[[1, 2, 3, 5, 6]].ne(0).any(1).all()
    entries = [(3, 6), (1, 4), (0, 4), (0, 5)]
    torch.testing.assert_close(rows(ROWS)[:, 3:], torch.stack([torch.cat([weight[a], weight[b]]) for a, b in entries]))
    torch.testing.assert_close(rows(ROWS)[:, :3], Rows(MIXED)(ROWS)[:, :3])


def test_every_entry_is_trained_by_its_own_rows():
    rows = Rows([nominal(2)], embed=3)
    rows(torch.tensor([[1.0], [NAN]])).sum().backward()
    assert rows.embedding is not None and rows.embedding.weight.grad is not None
    assert rows.embedding.weight.grad.tolist() == [[1] * 3, [0] * 3, [1] * 3]


@pytest.mark.parametrize(
    "columns", [[number(3.0)], [nominal(4)], MIXED, CUT], ids=["numbers", "nominals", "mixed", "cut"]
)
@pytest.mark.parametrize("embed", [None, 3])
def test_gradients_reach_everything_and_have_no_nan(columns: list[dict[str, Any]], embed: int | None):
    torch.manual_seed(0)  # with other weights no unit may be active
    network = tabular(columns, 2, hidden=(4,), embed=embed, curves=3)
    rows = torch.tensor([[NAN] * len(columns), [1.0] * len(columns), [0.0] * len(columns)])
    network(rows).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any()


@pytest.mark.parametrize("embed", [None, 3])
@pytest.mark.parametrize(
    "columns",
    [MIXED, [number(1.0, 2.0)], [nominal(3)], [nominal(0), number(missing=True)], [DATE, nominal(3)], CUT],
    ids=["mixed", "number", "nominal", "empty", "date", "cut"],
)
def test_onnx_runtime_agrees(tmp_path: Path, columns: list[dict[str, Any]], embed: int | None):
    network = tabular(columns, 3, hidden=(5,), embed=embed, activation="tanh", curves=2)
    to_onnx(network, torch.zeros(1, len(columns)), tmp_path / "rows.onnx")
    run = open_onnxruntime(tmp_path / "rows.onnx")
    draws = torch.randint(-1, 5, (7, len(columns)), generator=torch.Generator().manual_seed(0)).float()
    draws[::2, ::2] = NAN
    draws[1] = NAN
    draws[3] += 0.5
    with evaluating(network), torch.no_grad():
        expected = network(draws).numpy()
    assert np.isfinite(expected).all()
    assert_allclose(run(draws.numpy()), expected, rtol=1e-5, atol=1e-6)
    for row in range(7):
        assert_allclose(run(draws[row : row + 1].numpy()), expected[row : row + 1], rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_each_row_is_what_a_loop_says(data: st.DataObject):
    columns = data.draw(
        st.lists(
            st.one_of(
                st.builds(number, st.floats(-100, 100), st.floats(0.01, 100), st.booleans()),
                st.builds(nominal, st.integers(1, 4)),
            ),
            min_size=1,
            max_size=5,
        )
    )
    value = st.one_of(st.just(NAN), st.integers(-1, 4).map(float), st.floats(-1000, 1000, width=32))
    rows = torch.tensor([[data.draw(value) for _ in columns] for _ in range(3)])
    expected = torch.tensor([_by_hand(columns, row) for row in rows])
    torch.testing.assert_close(Rows(columns)(rows), expected, rtol=1e-4, atol=1e-4)


def _by_hand(columns: list[dict[str, Any]], row: Tensor) -> list[float]:
    pairs = list(zip(columns, row.tolist(), strict=True))
    numbers = [(column, value) for column, value in pairs if column["kind"] != "nominal"]
    scaled = [0.0 if value != value else (value - column["center"]) / column["scale"] for column, value in numbers]
    gaps = [float(value != value) for column, value in numbers if column["missing"]]
    named = [
        float(value == code)
        for column, value in pairs
        if column["kind"] == "nominal"
        for code in range(len(column["categories"]))
    ]
    return scaled + gaps + named


def test_columns_of_a_table_are_what_it_takes():
    table = np.array([["red", 1.5], ["blue", None], ["red", 3.5]], dtype=object)
    columns = Columns.infer(table)
    dequantized = json.loads(json.dumps(columns.to_json()))
    features = Rows(dequantized)(torch.from_numpy(columns.encode(table)).float())
    assert features.tolist() == [[-1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]]


def test_an_unwritten_network_comes_back_from_its_spec_and_weights(tmp_path: Path):
    spec = Spec("attar.network.architectures:tabular", {"columns": MIXED, "outputs": 2, "hidden": [4], "embed": 2})
    network = spec_from_json(json.loads(json.dumps(spec.to_json()))).build()
    save_weights(network, tmp_path / "weights.safetensors")
    again = load_weights(spec.build(), tmp_path / "weights.safetensors")
    assert digest(again) == digest(network)
    with evaluating(network), evaluating(again):
        assert torch.equal(network(ROWS), again(ROWS))


def test_the_identity_of_a_network_tells_its_columns():
    assert digest(Rows([number(), nominal(2)])) != digest(Rows([nominal(2), number()]))
    assert digest(Rows([number(1.0)])) != digest(Rows([number(2.0)]))


def test_a_tabular_network_is_as_wide_as_asked():
    # 8 features -> 5 -> 3 with biases: 9*5 + 6*3; only the linear layers multiply.
    network = tabular(MIXED, 3, hidden=(5,))
    counted = cost(network, ROWS[:1])
    assert (counted.parameters, counted.macs) == (45 + 18, 40 + 15)
    assert cost(tabular(MIXED, 3, hidden=()), ROWS[:1]).macs == 24


@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid)])
def test_activations_and_dropout(activation: str, kind: type[nn.Module]):
    network = tabular(MIXED, 2, hidden=(4, 3), activation=activation, dropout=0.5)
    kinds = [type(module) for module in network.children()]
    assert kinds == [Rows, nn.Linear, kind, nn.Dropout, nn.Linear, kind, nn.Dropout, nn.Linear]


def test_an_unknown_activation():
    with pytest.raises(BadInput, match=r"^activation of tabular must be one that there is; got 'tahn'\. Did you mean"):
        # Past the check of types in tests, which knows the names.
        getattr(tabular, "__wrapped__", tabular)(MIXED, 2, activation="tahn")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            [{}],
            r"description of column 0 must be an object whose kind is number, integer, nominal or date; got \{\}\. Use",
        ),
        ([number(), 3], "description of column 1 must be an object .*; got 3"),
        ([{**number(), "kind": "dat"}], "description of column 0 must be an object whose kind is"),
        ([{**number(), "kind": "date"}], "dates of column 0 must be an object with periods, numbers of days; got None"),
        (
            [{**number(), "kind": "date", "dates": {"periods": [0.0]}}],
            "dates of column 0 must be an object with periods",
        ),
        ([{"kind": "nominal"}], "categories of column 0 must be a list; got None"),
        ([{"kind": "nominal", "categories": "ab"}], "categories of column 0 must be a list; got 'ab'"),
        ([{**number(), "center": None}], "center of column 0 must be a finite number; got None"),
        ([number(NAN)], "center of column 0 must be a finite number; got nan"),
        ([number(scale=0.0)], "scale of column 0 must be a finite number above 0; got 0.0"),
        ([], "columns of Rows must be with a number or a category among them; got '0 empty ones'"),
        ([nominal(0)], "columns of Rows must be with a number or a category among them; got '1 empty ones'"),
    ],
)
def test_wrong_descriptions_are_refused(columns: Any, message: str):
    with pytest.raises(BadInput, match=f"^{message}"):
        getattr(Rows.__init__, "__wrapped__", Rows.__init__)(Rows.__new__(Rows), columns)


def test_a_width_of_embeddings_below_one():
    with pytest.raises(BadInput, match=r"^embed of Rows must be at least 1; got 0\. Leave it out"):
        Rows(MIXED, embed=0)


@pytest.mark.parametrize("shape", [(2, 3), (2, 5), (4,), (2, 4, 1)])
def test_rows_of_another_width_are_refused(shape: tuple[int, ...]):
    with pytest.raises(BadInput, match=r"^rows of Rows must be \[n, 4\]; got \[.*\]\. Encode them with the columns"):
        Rows(MIXED)(torch.zeros(shape))
