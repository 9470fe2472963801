"""How networks are named, identified, saved and rebuilt; nothing runs but what may."""

import pytest
import torch
from torch import nn

from attar.errors import BadInput
from attar.network.spec import Spec
from attar.network.standardize import Standardize

MLP = Spec("attar.network.architectures:mlp", {"inputs": 4, "classes": 3, "hidden": [5]})


# -- spec --------------------------------------------------------------------------------------------------------------


def test_a_spec_builds_its_network():
    built = MLP.build()
    assert built(torch.zeros(2, 4)).shape == (2, 3)
    assert [layer.out_features for layer in built if isinstance(layer, nn.Linear)] == [5, 3]


def test_statistics_go_before_the_network():
    built = Spec(MLP.reference, MLP.arguments, mean=[0.5], std=[0.25]).build()
    assert isinstance(built, Standardize)
    x = torch.rand(2, 4)
    assert torch.equal(built(x), built.network((x - 0.5) / 0.25))


@pytest.mark.parametrize("statistics", [{"mean": [0.5]}, {"std": [0.5]}])
def test_half_of_the_statistics_is_refused(statistics):
    with pytest.raises(BadInput, match="mean and std of the spec must be given together"):
        Spec(MLP.reference, MLP.arguments, **statistics)


def test_wrong_arguments_name_the_function():
    with pytest.raises(
        BadInput, match=r"arguments of attar\.network\.standardize:Standardize must be what the function takes; got"
    ):
        Spec("attar.network.standardize:Standardize", {"depth": 3}).build()


def test_a_function_that_returns_something_else_is_refused():
    with pytest.raises(BadInput, match=r"network of builtins:dict must be a torch.nn.Module; got 'dict'"):
        Spec("builtins:dict").build()


def narrow(width: int) -> nn.Module:
    """A network whose function raises for what is no whole number."""
    return nn.Linear(width, 2)


def test_what_a_function_raises_is_told_with_the_arguments_that_it_was_given():
    with pytest.raises(BadInput) as found:
        Spec(f"{__name__}:narrow", {"width": 6.5}).build()
    told = str(found.value)
    assert told.startswith(f"{__name__}:narrow failed with {{'width': 6.5}}: TypeError: "), told
    assert "test_spec.py, line " in told and told.endswith("). Correct it there, or give other arguments."), told


def test_a_width_that_is_a_slip_is_refused_before_it_takes_memory():
    with pytest.raises(
        BadInput, match=r"^arguments of torch\.nn:Linear are for 1,000,001,000,000 weights, .* of the memory"
    ):
        Spec("torch.nn:Linear", {"in_features": 10**6, "out_features": 10**6}).build()


def looking(width: int) -> nn.Module:
    """A network whose function looks at a value, which nothing on the meta device has."""
    return nn.Linear(width, int(torch.ones(1).sum()))


def test_a_function_that_cannot_be_called_without_memory_is_called_with_it():
    assert Spec(f"{__name__}:looking", {"width": 5000}).build().in_features == 5000
