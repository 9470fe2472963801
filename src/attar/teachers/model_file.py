"""Fitted models in the files that their own packages write: skops, LightGBM, XGBoost, CatBoost. None is unpickled."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attar.errors import BadInput, CorruptFile, MissingExtra, missing_extra, shown
from attar.teachers.boosters import estimator_of_booster, estimator_of_catboost
from attar.teachers.estimator_checks import check_lightgbm, check_lightgbm_sizes, check_lightgbm_text, check_xgboost
from attar.teachers.estimator_file import from_user

FILES = (".skops", ".txt", ".json", ".ubj", ".cbm")
"""Endings of files with a fitted model: of skops, LightGBM, XGBoost (and CatBoost), XGBoost, CatBoost."""

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".sav")
_OF_TORCH = (".pt", ".pth", ".ckpt", ".bin")


def is_model_file(text: str) -> bool:
    """Whether a text names a file of a fitted model, by its ending."""
    return Path(text).suffix.lower() in FILES


def refused_file(text: str) -> str | None:
    """Why a file that is no such file is not read, and what to do; None where its ending says nothing."""
    again = "is a pickle, which can run code when it is read. Load it where it was made, and "
    if Path(text).suffix.lower() in _OF_TORCH:
        return again + "export the model to ONNX, or save its weights with safetensors.torch.save_file"
    if Path(text).suffix.lower() in _PICKLES:
        return again + "save the model with skops.io.dump; one of LightGBM, XGBoost or CatBoost with its save_model"
    return None


def read_model(
    path: str | Path, columns: Sequence[str] = (), trusts: Callable[[str], bool] = lambda module: False
) -> Any:
    """The fitted model in a file, as an estimator.

    Boosters of LightGBM and XGBoost are read by their own packages, and then checked, as their compiled code believes
    the positions in their trees.

    Args:
        path: Ends in one of `FILES`.
        columns: What the columns of the rows are called, where they have names.
        trusts: Whether types of a module, by its dotted name, may be read from a file of skops beside those that are
            known to be harmless.

    Raises:
        BadInput: If there is no such file, it holds types that nobody trusts, or a model that gives neither
            probabilities nor values.
        CorruptFile: If it is not what its name says.
        MissingExtra: If the package is not installed that reads it.
    """
    path, ending = Path(path), Path(path).suffix.lower()
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise BadInput(f"There is {what} {str(path)!r} where a fitted model is to be read. Check the path.")
    name = repr(path.name)
    if ending == ".skops":
        return from_user(path.read_bytes(), name, trusts)
    if ending == ".txt":
        return _lightgbm(path, name, columns)
    if ending == ".cbm" or (ending == ".json" and _is_catboost(path, name)):
        return _catboost(path, ending.removeprefix("."))
    return _xgboost(path, name)


def _lightgbm(path: Path, name: str, columns: Sequence[str]) -> Any:
    data = path.read_bytes()
    if data[:5].strip() != b"tree":
        raise CorruptFile(
            f"{name} is no model that LightGBM saved: it does not begin with 'tree'. Save it with "
            "booster.save_model('model.txt'), or estimator.booster_.save_model('model.txt')."
        )
    try:
        import lightgbm
    except ImportError as error:
        raise missing_extra("lightgbm", "tabular", f"Reading {name}") from error
    try:
        text = data.decode()
        check_lightgbm_text(text)
        check_lightgbm_sizes(data)
        booster = lightgbm.Booster(model_str=text)
        check_lightgbm(booster)
    except Exception as error:  # the package's own errors, and whatever a damaged text leads to
        raise _damaged(name, "LightGBM", error) from error
    return estimator_of_booster(booster, columns)


def _xgboost(path: Path, name: str) -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise missing_extra("xgboost", "tabular", f"Reading {name}") from error
    try:
        booster = xgboost.Booster(model_file=str(path))
        check_xgboost(booster)
    except Exception as error:
        raise _damaged(name, "XGBoost", error) from error
    return estimator_of_booster(booster)


def _damaged(name: str, package: str, error: Exception) -> CorruptFile:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = f"{type(error).__name__}: {shown(lines[0].rstrip('.'), 120)}" if lines else type(error).__name__
    return CorruptFile(
        f"{name} cannot be read as a model of {package} ({why}). Save it again where it was fitted, with save_model."
    )


def _is_catboost(path: Path, name: str) -> bool:
    """Whether a file of JSON is CatBoost's and not XGBoost's.

    Raises:
        CorruptFile: If it is neither's.
    """
    try:
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and ("oblivious_trees" in document or "trees" in document):
            return True
        if isinstance(document, dict) and "learner" in document:
            return False
        why = "it has no learner" if isinstance(document, dict) else "it is no object"
    except (ValueError, RecursionError) as error:
        why = f"it is no JSON, {type(error).__name__}"
    if why == "it has no learner" and "tree_info" in document:
        raise CorruptFile(
            f"{name} is what LightGBM's dump_model gives, from which no model can be read. Save it with "
            "booster.save_model('model.txt')."
        )
    raise CorruptFile(f"{name} is no model of XGBoost or CatBoost: {why}. Save it with save_model.")


def _catboost(path: Path, form: str) -> Any:
    try:
        import catboost
    except ImportError as error:
        raise MissingExtra(
            f"Reading {path.name!r} needs the package 'catboost', which is not installed. Run: pip install catboost."
        ) from error
    try:
        model = catboost.CatBoost()
        model.load_model(str(path), format=form)
        return estimator_of_catboost(model, path.read_bytes())
    except Exception as error:
        raise _damaged(repr(path.name), "CatBoost", error) from error
