"""Several teachers as one."""

from __future__ import annotations

import math
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attar.errors import BadInput
from attar.teachers import Ensemble, NetworkTeacher

MEANS = ["probabilities", "logits", "geometric"]
every_mean = pytest.mark.parametrize("mean", MEANS)


def member(seed: int, classes: int = 4) -> NetworkTeacher:
    torch.manual_seed(seed)
    return NetworkTeacher(
        nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, classes)), classes=classes
    )


INPUTS = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(9)) * 3


class _Says:
    """A teacher that always says the same probabilities."""

    def __init__(self, *probabilities: float) -> None:
        self.probabilities = torch.tensor(probabilities)
        self.classes = len(probabilities)

    def predict(self, inputs: Tensor) -> Tensor:
        return self.probabilities.log().expand(len(inputs), -1)

    def fingerprint(self) -> str:
        return str(self.probabilities.tolist())


@pytest.mark.parametrize(("mean", "expected"), [("probabilities", 0.7), ("geometric", 0.75), ("logits", 0.75)])
def test_hand_worked_value(mean, expected):
    said = Ensemble([_Says(0.9, 0.1), _Says(0.5, 0.5)], mean).predict(INPUTS).softmax(-1)
    torch.testing.assert_close(said, torch.tensor([expected, 1 - expected]).expand(7, 2))


@every_mean
def test_of_one_member_is_the_member(mean):
    torch.testing.assert_close(
        Ensemble([member(0)], mean).predict(INPUTS).softmax(-1), member(0).predict(INPUTS).softmax(-1)
    )


@every_mean
@given(order=st.permutations(range(4)))
@settings(deadline=None, max_examples=10)
def test_order_of_members_does_not_matter(mean, order):
    members, weights = [member(seed) for seed in range(4)], [1, 2, 3, 4]
    one = Ensemble(members, mean, weights)
    other = Ensemble([members[i] for i in order], mean, [weights[i] for i in order])
    torch.testing.assert_close(one.predict(INPUTS), other.predict(INPUTS))
    assert one.fingerprint() == other.fingerprint()


@every_mean
def test_weights_are_repetitions(mean):
    one, other = member(0), member(1)
    torch.testing.assert_close(
        Ensemble([one, other], mean, [2, 1]).predict(INPUTS), Ensemble([one, one, other], mean).predict(INPUTS)
    )


def test_fingerprint_tells_members_mean_and_weights_apart():
    one, other = member(0), member(1)
    prints = {
        Ensemble([one, other]).fingerprint(),
        Ensemble([one, member(2)]).fingerprint(),
        Ensemble([one]).fingerprint(),
        Ensemble([one, other], "geometric").fingerprint(),
        Ensemble([one, other], weights=[2, 1]).fingerprint(),
        Ensemble([one, other], weights=[1, 2]).fingerprint(),
    }
    assert len(prints) == 6
    assert Ensemble([one, other], weights=[3, 3]).fingerprint() == Ensemble([one, other]).fingerprint()


@every_mean
def test_module_says_what_the_ensemble_says_also_when_nested(mean):
    ensemble = Ensemble([member(0), Ensemble([member(1), member(2)])], mean, [1, 3])
    assert ensemble.module is not None
    torch.testing.assert_close(ensemble.module(INPUTS), ensemble.predict(INPUTS))


def test_no_module_where_a_member_is_no_network():
    assert Ensemble([member(0), _Says(0.1, 0.2, 0.3, 0.4)]).module is None


@every_mean
def test_exported_module_agrees_with_predict(mean, tmp_path):
    ensemble = Ensemble([member(0), member(1), member(2)], mean, [1, 2, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.onnx and onnxscript warn about their own insides.
        torch.onnx.export(
            ensemble.module,
            (INPUTS[:2],),
            tmp_path / "ensemble.onnx",
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    session = onnxruntime.InferenceSession(tmp_path / "ensemble.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 2, 7):
        [said] = session.run(None, {session.get_inputs()[0].name: INPUTS[:batch].numpy()})
        np.testing.assert_allclose(said, ensemble.predict(INPUTS[:batch]).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"members": []}, "members of Ensemble must be one teacher or more"),
        ({"members": [member(0), member(1, classes=5)]}, r"members of Ensemble must be of as many .* got \[4, 5\]"),
        ({"members": [member(0)], "mean": "probability"}, "mean of Ensemble .* Did you mean 'probabilities'"),
        ({"members": [member(0)], "weights": [1, 2]}, "weights of .* one number for each of the 1 members"),
        ({"members": [member(0), member(1)], "weights": [1, 0]}, "weights of .* positive and finite"),
        ({"members": [member(0), member(1)], "weights": [1, math.nan]}, "weights of .* positive and finite"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(BadInput, match=match):
        Ensemble(**arguments)


def test_member_of_the_wrong_shape_is_named():
    liar = _Says(0.5, 0.5)
    liar.classes = 4
    with pytest.raises(BadInput, match=r"output of member 1, .*_Says.* must be a tensor \[7, 4\]; got \[7, 2\]"):
        Ensemble([member(0), liar]).predict(INPUTS)


def test_the_weights_as_given_make_the_same_ensemble_where_scaling_twice_rounds_twice():
    members = [member(seed) for seed in range(6)]
    for weights in (None, [5, 0.7, 0.7, 3, 5, 1]):
        one = Ensemble(members, weights=weights)
        assert Ensemble(members, weights=one.given).fingerprint() == one.fingerprint()
    equal = Ensemble(members)
    assert Ensemble(members, weights=equal.weights).fingerprint() != equal.fingerprint(), "why there is `given`"
