"""The distribution that fits a generalist and some specialists best."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from attar.errors import BadInput
from attar.ops.kl_inference import SpecialistLogits, kl_inference, kl_objective

WAYS = ["probabilities", "logits"]
every_way = pytest.mark.parametrize("way", WAYS)


def case(seed: int, batch: int = 6, classes: int = 8, count: int = 3, sharp: float = 2.0):
    """A generalist and specialists of random overlapping sets, each asked about random rows."""
    draws = torch.Generator().manual_seed(seed)
    specialists = []
    for specialist in range(count):
        size = int(torch.randint(1, classes, (), generator=draws))
        known = torch.randperm(classes, generator=draws)[:size]
        rows = torch.rand(batch, generator=draws).lt(0.6).nonzero()[:, 0]
        specialists.append(
            SpecialistLogits(specialist, known, rows, torch.randn(len(rows), size + 1, generator=draws) * sharp)
        )
    return torch.randn(batch, classes, generator=draws) * sharp, specialists


def loop(z: np.ndarray, generalist: np.ndarray, sets: list[list[int]], said: list[np.ndarray]) -> tuple:
    """Objective and gradient of one row, by the formulas for one class after the other."""
    q = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    value = sum(p * (np.log(p) - np.log(q[j])) for j, p in enumerate(generalist))
    gradient = q - generalist
    for known, p in zip(sets, said, strict=True):
        rest = 1 - sum(q[j] for j in known)
        value += sum(p[i] * (np.log(p[i]) - np.log(q[j])) for i, j in enumerate(known))
        value += p[-1] * (np.log(p[-1]) - np.log(rest))
        for j in range(len(q)):
            gradient[j] += q[j] - p[known.index(j)] if j in known else q[j] - p[-1] * q[j] / rest
    return value, gradient


def rows_of(generalist: torch.Tensor, specialists: list[SpecialistLogits], row: int) -> tuple:
    """What the loop wants, of one row."""
    asked = [one for one in specialists if row in one.rows.tolist()]
    places = [one.rows.tolist().index(row) for one in asked]
    said = [one.logits[place].double().softmax(0).numpy() for one, place in zip(asked, places, strict=True)]
    return generalist[row].double().softmax(0).numpy(), [one.classes.tolist() for one in asked], said


@every_way
@pytest.mark.parametrize("seed", range(4))
def test_against_scipy(way, seed):
    generalist, specialists = case(seed)
    found = kl_inference(generalist, specialists, parametrization=way, tolerance=1e-9, max_steps=2000)
    values = kl_objective(found.logits, generalist, specialists)
    for row in range(len(generalist)):
        given_ = rows_of(generalist, specialists, row)
        best = minimize(loop, np.zeros(8), args=given_, jac=True, method="BFGS", options={"gtol": 1e-9})
        q = np.exp(best.x - best.x.max())
        np.testing.assert_allclose(found.logits[row].exp().numpy(), q / q.sum(), atol=2e-6)
        assert float(values[row]) == pytest.approx(best.fun, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_objective_and_gradient_are_those_of_the_paper_and_of_autograd(seed):
    generalist, specialists = case(seed)
    z = torch.randn(generalist.shape, dtype=torch.float64, requires_grad=True)
    values = kl_objective(z, generalist, specialists)
    (gradient,) = torch.autograd.grad(values.sum(), z)
    for row in range(len(z)):
        value, expected = loop(z[row].detach().numpy(), *rows_of(generalist, specialists, row))
        assert float(values[row].detach()) == pytest.approx(value, abs=1e-10)
        np.testing.assert_allclose(gradient[row].numpy(), expected, atol=1e-10)


@every_way
@given(seed=st.integers(0, 10_000), sharp=st.sampled_from([0.1, 2.0, 8.0]))
@settings(deadline=None, max_examples=25)
def test_the_residual_is_the_gradient_and_small(way, seed, sharp):
    generalist, specialists = case(seed, sharp=sharp)
    found = kl_inference(generalist, specialists, parametrization=way)
    z = found.logits.double().requires_grad_()
    (gradient,) = torch.autograd.grad(kl_objective(z, generalist, specialists).sum(), z)
    # Specialists that are sure of opposite things drive a probability to 0, which takes ever longer.
    assert float(found.residual.max()) <= (1e-6 if sharp < 8 else 1e-2)
    assert bool((gradient.abs().amax(1) < 2 * found.residual + 1e-5).all())
    torch.testing.assert_close(found.logits.exp().sum(1), torch.ones(len(generalist)))


@every_way
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_the_objective_never_rises(way, seed):
    generalist, specialists = case(seed)
    before = kl_objective(generalist, generalist, specialists)
    for steps in range(1, 12):
        now = kl_inference(generalist, specialists, parametrization=way, max_steps=steps)
        after = kl_objective(now.logits, generalist, specialists)
        assert bool((after <= before + 1e-6).all())
        before = after


@every_way
def test_without_specialists_it_is_the_generalist_exactly(way):
    generalist, specialists = case(0, count=1)
    asked = torch.cat([one.rows for one in specialists])
    untouched = [row for row in range(6) if row not in asked.tolist()]
    found = kl_inference(generalist, specialists, parametrization=way)
    none = kl_inference(generalist, [], parametrization=way)
    expected = torch.log_softmax(generalist.double(), 1).float()
    assert torch.equal(none.logits, expected) and int(none.steps.sum()) == 0
    assert torch.equal(found.logits[untouched], expected[untouched])
    assert untouched, "the case must have such a row"


def test_of_one_specialist_the_minimum_is_in_closed_form_and_takes_one_step():
    generalist, specialists = case(5, count=1)
    (one,) = specialists
    found = kl_inference(generalist, specialists)
    q, p = generalist[one.rows].softmax(1), one.logits.softmax(1)
    # Known classes get the mean of both; the others share the mean of both rests out as the generalist does.
    rest = 1 - q[:, one.classes].sum(1)
    expected = q * ((rest + p[:, -1]) / 2 / rest)[:, None]
    expected[:, one.classes] = (q[:, one.classes] + p[:, :-1]) / 2
    torch.testing.assert_close(found.logits[one.rows].exp(), expected)
    assert int(found.steps.max()) <= 2  # the second one sees that the first was enough


@every_way
def test_sure_specialists_move_mass_to_their_class(way):
    generalist = torch.tensor([[0.3, 0.4, 0.2, 0.1]]).log()
    sure = torch.tensor([[30.0, 0.0, 0.0]])
    specialists = [SpecialistLogits(0, torch.tensor([0, 1]), torch.tensor([0]), sure)]
    specialists.append(SpecialistLogits(1, torch.tensor([0, 2]), torch.tensor([0]), sure))
    found = kl_inference(generalist, specialists, parametrization=way).logits.exp()
    assert int(found.argmax()) == 0 and float(found[0, 0]) > 0.7


@every_way
@given(seed=st.integers(0, 10_000), data=st.data())
@settings(deadline=None, max_examples=10)
def test_neither_the_order_of_rows_nor_that_of_specialists_matters(way, seed, data):
    generalist, specialists = case(seed)
    rows = torch.tensor(data.draw(st.permutations(range(6))))
    back = rows.argsort()
    shuffled = [
        SpecialistLogits(one.specialist, one.classes, back[one.rows], one.logits)
        for one in data.draw(st.permutations(specialists))
    ]
    one = kl_inference(generalist, specialists, parametrization=way)
    other = kl_inference(generalist[rows], shuffled, parametrization=way)
    torch.testing.assert_close(one.logits[rows], other.logits, atol=1e-5, rtol=1e-5)


@every_way
def test_rows_in_several_chunks_are_those_of_one(way, monkeypatch):
    generalist, specialists = case(3, batch=40)
    whole = kl_inference(generalist, specialists, parametrization=way)
    monkeypatch.setattr("attar.ops.kl_inference._CHUNK", 24)
    torch.testing.assert_close(
        kl_inference(generalist, specialists, parametrization=way).logits, whole.logits, atol=1e-5, rtol=1e-4
    )


@every_way
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_logits_stay_finite_and_keep_their_ratios(way, size):
    generalist = torch.tensor([[0.0, -1.0, -2.0, -1.5]]) * size
    opinion = SpecialistLogits(0, torch.tensor([1]), torch.tensor([0]), torch.tensor([[0.0, size]]))
    found = kl_inference(generalist, [opinion], parametrization=way).logits
    assert bool(found.isfinite().all())
    if way == "probabilities":
        # Classes that no specialist knows keep the generalist's ratios, however unlikely they are.
        assert float(found[0, 3] - found[0, 2]) == pytest.approx(0.5 * size, rel=1e-5)
        assert float(found[0, 0] - found[0, 3]) == pytest.approx(1.5 * size, rel=1e-5)


def _output(classes: list[int], rows: list[int], width: int) -> SpecialistLogits:
    return SpecialistLogits(0, torch.tensor(classes), torch.tensor(rows), torch.zeros(len(rows), width))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (_output([0, 1], [0], 2), r"logits of specialist output 0 .*\(1, 3\)"),
        (_output([0, 1, 2], [0], 4), "not all"),
        (_output([0, 3], [0], 3), "class"),
        (_output([0, 0], [0], 3), "once"),
        (_output([0], [2], 2), "below 2"),
        (_output([0], [1, 1], 2), "once"),
    ],
)
def test_an_output_that_does_not_fit_is_named(output, message):
    with pytest.raises(BadInput, match=message):
        kl_inference(torch.zeros(2, 3), [output])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"parametrization": "logit"}, "logits"),
        ({"max_steps": 0}, "max_steps"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
    ],
)
def test_settings_are_checked(setting, said):
    with pytest.raises(BadInput, match=said):
        getattr(kl_inference, "__wrapped__", kl_inference)(torch.zeros(2, 3), [], **setting)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_search_that_ran_out_of_steps_tells_the_gradient_of_what_it_returns(steps):
    generalist, specialists = case(5)
    found = kl_inference(generalist, specialists, max_steps=steps, tolerance=1e-12)
    z = found.logits.double().requires_grad_()
    (gradient,) = torch.autograd.grad(kl_objective(z, generalist, specialists).sum(), z)
    out = found.steps == steps
    assert bool(out.any())
    torch.testing.assert_close(found.residual[out], gradient.abs().amax(1)[out], rtol=1e-3, atol=1e-6)
