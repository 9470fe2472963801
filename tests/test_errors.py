"""Errors: one sentence, the value in it, a remedy; and classes that callers can catch in the usual way."""

from pathlib import Path

import pytest

from attar.errors import (
    AttarError,
    BadInput,
    CorruptFile,
    Diverged,
    MissingExtra,
    NothingMatched,
    StaleStore,
    Words,
    missing_extra,
    must,
    near,
    shown,
)


def test_a_broken_rule_is_said_in_one_way():
    error = must("temperature", "SoftTargets", "greater than 0", -1.5, "Use 1 for plain probabilities")
    assert isinstance(error, BadInput)
    expected = "temperature of SoftTargets must be greater than 0; got -1.5. Use 1 for plain probabilities."
    assert str(error) == expected


def test_words_in_the_place_of_a_value_are_not_quoted():
    error = must("size", "the rows", "of numbers", Words(f"{'big'!r} in row 3"), "Convert it")
    assert str(error) == "size of the rows must be of numbers; got 'big' in row 3. Convert it."


def test_a_question_as_remedy_ends_as_a_question():
    message = str(must("key", "the recipe", "known", "temprature", near("temprature", ["temperature"])))
    assert message == "key of the recipe must be known; got 'temprature'. Did you mean 'temperature'?"


@pytest.mark.parametrize("kind", [BadInput, NothingMatched, StaleStore, CorruptFile, MissingExtra, Diverged])
def test_every_error_is_ours(kind):
    assert issubclass(kind, AttarError)


@pytest.mark.parametrize(
    ("kind", "usual"),
    [
        (BadInput, ValueError),
        (NothingMatched, BadInput),
        (StaleStore, BadInput),
        (CorruptFile, BadInput),
        (MissingExtra, ImportError),
        (Diverged, ArithmeticError),
    ],
)
def test_every_error_is_of_the_usual_kind(kind, usual):
    with pytest.raises(usual):
        raise kind("said")


def test_values_are_shown_shortened():
    assert shown("x") == "'x'" and shown(Path("a/b")) == "'a/b'" and shown(3) == "3"
    long = shown(list(range(1000)))
    assert len(long) == 120 and long.startswith("[0, 1, 2") and long.endswith("998, 999]")
    assert shown("abcdefghijkl", limit=12) == "'abc ... kl'"
    assert shown(1 << 20_000) == "a int"


def test_close_names_are_offered():
    names = ["temperature", "weight", "start_epoch", "end_epoch"]
    assert near("temprature", names) == "Did you mean 'temperature'?"
    assert near("T", names) == "Did you mean 'temperature'?"
    assert near("strt_epoch", names) == "Did you mean 'start_epoch' or 'end_epoch'?"


def test_without_close_names_all_are_listed_in_order():
    assert near("zzz", iter(["weight", "of"])) == "Choose from 'of', 'weight'"


def test_a_missing_extra_says_how_to_get_it():
    error = missing_extra("openvino", "openvino", "deploying to OpenVINO")
    assert isinstance(error, MissingExtra)
    expected = "deploying to OpenVINO needs the package 'openvino', which is not installed. "
    assert str(error) == expected + "Run: pip install 'attar[openvino]'."


def test_a_package_of_an_extra_can_be_had_alone():
    told = str(missing_extra("xgboost", "tabular", "Reading model.ubj"))
    assert told.endswith(
        "Run: pip install 'attar[tabular]', or for this one alone pip install xgboost-cpu, which leaves out hundreds "
        "of megabytes for GPUs."
    )
    assert "or for this one alone pip install lightgbm." in str(missing_extra("lightgbm", "tabular", "It"))
