"""Estimators on disk, without pickle: bytes that can be read back without running what they say.

The bytes are a skops file. It is read only where every type in it is one that skops itself trusts or one of `TRUSTED`.
That a type is harmless says nothing of its numbers: trees are walked and support vectors are counted by compiled code
that believes the positions it is given. So whatever such code relies on is checked before the estimator is handed out.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

from attar.errors import BadInput, CorruptFile, must
from attar.teachers.estimator_checks import check_model, name_of_type

TRUSTED: dict[str, str] = {
    "numpy.dtype": "a data type, made from an array without elements",
    "collections.OrderedDict": "a dictionary",
    "sklearn.calibration._CalibratedClassifier": "an estimator and its calibrators; Python and NumPy only",
    "sklearn.calibration._SigmoidCalibration": "two numbers",
    "sklearn.model_selection._split.StratifiedKFold": "how rows were divided, not used in prediction; Python only",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": "arrays of numbers, not used in prediction",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer": "arrays of numbers, not used in prediction",
    "sklearn.tree._tree.Tree": "compiled; its nodes are checked",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": "arrays for compiled code; they are checked",
    "sklearn.utils._bunch.Bunch": "a dictionary",
}
"""The types that are read beside those that skops trusts, and why."""

BOOSTERS: dict[str, str] = {
    "xgboost.core.Booster": "compiled, reads its own format; its trees are checked after that",
    "xgboost.sklearn.XGBClassifier": "an estimator around a Booster",
    "xgboost.sklearn.XGBRegressor": "the same",
    "lightgbm.basic.Booster": "compiled, reads its own text format; its trees are checked after that",
    "lightgbm.sklearn.LGBMClassifier": "an estimator around a Booster",
    "lightgbm.sklearn.LGBMRegressor": "the same",
}
"""The types that are read only for who asks for it: their compiled readers can be made to crash by what they read."""


_ALWAYS, _LARGEST_GROWTH = 2**26, 100
"""Bytes that an estimator may take in any case when it is read, and times that its file may grow: trees take ten."""


def to_bytes(estimator: object) -> bytes:
    """An estimator as the bytes of a file.

    Raises:
        BadInput: If it holds something that `from_bytes` would not read back.
    """
    import skops.io

    try:
        data: bytes = skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
        others = sorted(set(skops.io.get_untrusted_types(data=data)) - {*TRUSTED, *BOOSTERS})
    except Exception as error:  # skops lets through whatever its parts raise.
        remedy = "Use another kind of estimator, or keep this one in memory"
        raise must("estimator", "to_bytes", "one that skops can save", name_of_type(estimator), remedy) from error
    if others:
        remedy = "Use another kind of estimator, or keep this one in memory"
        raise must("estimator", "to_bytes", "made of types known to be safe to read", others, remedy)
    return data


def from_bytes(data: bytes, of: str, *, boosters: bool = False) -> Any:
    """The estimator that `to_bytes` made these bytes of.

    Args:
        data: The bytes of the file.
        of: What to call it in an error.
        boosters: Whether to read models of XGBoost and LightGBM. Their readers do not run what a file says, but a file
            made to harm can crash them: say True for files of your own.

    Raises:
        BadInput: If there is a model of XGBoost or LightGBM in it, and ``boosters`` is off.
        CorruptFile: If the bytes are no such file, name types that are not trusted, or hold a model that compiled code
            must not be given.
    """
    import skops.io

    try:
        _must_not_inflate(data)
        others = set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED)
        if not others or boosters or not others <= set(BOOSTERS):
            estimator = skops.io.loads(data, trusted=[*TRUSTED, *(BOOSTERS if boosters else ())])
            check_model(estimator)
            return estimator
    except Exception as error:  # Damaged bytes can make any part of skops, zipfile or json fail in any way.
        raise CorruptFile(
            f"{of} must be an estimator as it was saved; got {len(data)} bytes that are not: {error}. "
            "Delete it and train it again."
        ) from error
    remedy = "Pass boosters=True if nobody else could have written the file: their readers can be made to crash"
    raise must("file", of, "of a model that is safe to read", sorted(others), remedy)


def from_user(data: bytes, of: str, trusts: Callable[[str], bool]) -> Any:
    """The estimator in a file that the user made with skops.

    Besides `TRUSTED` and `BOOSTERS` it may hold types of modules that the user trusts.

    Args:
        data: The bytes of the file.
        of: What to call it in an error.
        trusts: Whether types of a module, by its dotted name, may be read.

    Raises:
        BadInput: If it names types that nobody trusts.
        CorruptFile: If the bytes are no such file, or hold a model that compiled code must not be given.
    """
    import skops.io

    try:
        _must_not_inflate(data)
        others = sorted(set(skops.io.get_untrusted_types(data=data)) - {*TRUSTED, *BOOSTERS})
    except Exception as error:
        raise _not_of_skops(of, error) from error
    if refused := [one for one in others if not trusts(one.rpartition(".")[0])]:
        package = refused[0].partition(".")[0]
        raise BadInput(
            f"{of} holds {', '.join(refused[:5])}{', ...' if len(refused) > 5 else ''}, and what is read with such "
            f"types could run code. If you made the file, add --allow {package} (in Python, allow=[{package!r}])."
        )
    try:
        estimator = skops.io.loads(data, trusted=[*TRUSTED, *BOOSTERS, *others])
        check_model(estimator)
    except Exception as error:
        raise _not_of_skops(of, error) from error
    return estimator


def _not_of_skops(of: str, error: Exception) -> CorruptFile:
    lines = str(error).strip().splitlines()
    why = f"{type(error).__name__}: {lines[0][:200].rstrip('.')}" if lines else type(error).__name__
    return CorruptFile(
        f"{of} must be an estimator that skops saved, and it cannot be read ({why}). Save it again where it was "
        "fitted: skops.io.dump(estimator, 'model.skops')."
    )


def _must_not_inflate(data: bytes) -> None:
    """Refuse an archive whose parts say that they are far larger than it; no more than they say is read of them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(item.file_size for item in archive.infolist())
    most = max(_ALWAYS, _LARGEST_GROWTH * len(data))
    if size > most:
        raise BadInput(f"they would grow to {size} bytes, beyond {most}")
