"""Estimators on disk, without pickle: bytes that can be read back without running what they say.

The bytes are a skops file. It is read only where every type in it is one that skops itself trusts or one of `TRUSTED`.
That a type is harmless says nothing of its numbers: trees are walked and support vectors are counted by compiled code
that believes the positions it is given. So whatever such code relies on is checked before the estimator is handed out.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from attar.errors import BadInput, CorruptFile, must

TRUSTED: dict[str, str] = {
    "numpy.dtype": "a data type, made from an array without elements",
    "collections.OrderedDict": "a dictionary",
    "sklearn.calibration._CalibratedClassifier": "an estimator and its calibrators; Python and NumPy only",
    "sklearn.calibration._SigmoidCalibration": "two numbers",
    "sklearn.model_selection._split.StratifiedKFold": "how rows were divided, not used in prediction; Python only",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": "arrays of numbers, not used in prediction",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer": "arrays of numbers, not used in prediction",
    "sklearn.tree._tree.Tree": "compiled; its nodes are checked here",
}
"""The types that are read beside those that skops trusts, and why."""

BOOSTERS: dict[str, str] = {
    "xgboost.core.Booster": "compiled, reads its own format; its trees are checked here, after that",
    "xgboost.sklearn.XGBClassifier": "an estimator around a Booster",
    "lightgbm.basic.Booster": "compiled, reads its own text format; its trees are checked here, after that",
    "lightgbm.sklearn.LGBMClassifier": "an estimator around a Booster",
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
        raise must("estimator", "to_bytes", "one that skops can save", _name(estimator), remedy) from error
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
            _check(estimator)
            return estimator
    except Exception as error:  # Damaged bytes can make any part of skops, zipfile or json fail in any way.
        raise CorruptFile(
            f"{of} must be an estimator as it was saved; got {len(data)} bytes that are not: {error}. "
            "Delete it and train it again."
        ) from error
    remedy = "Pass boosters=True if nobody else could have written the file: their readers can be made to crash"
    raise must("file", of, "of a model that is safe to read", sorted(others), remedy)


def _must_not_inflate(data: bytes) -> None:
    """Refuse an archive whose parts say that they are far larger than it; no more than they say is read of them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(item.file_size for item in archive.infolist())
    most = max(_ALWAYS, _LARGEST_GROWTH * len(data))
    if size > most:
        raise BadInput(f"they would grow to {size} bytes, beyond {most}")


def _check(estimator: object) -> None:
    """Raise BadInput if a model anywhere in an estimator has numbers that its compiled code cannot stand."""
    for item in _nested(estimator, ()):
        kind = _name(item)
        held = getattr(item, "__dict__", {})
        if kind == "sklearn.tree._tree.Tree":
            _check_tree(item)
        elif "tree_" in held:  # An estimator sees to it that rows have as many columns as itself, not as its tree.
            _check_columns([held["tree_"]], held["n_features_in_"])
        elif kind == "sklearn.ensemble._gb.GradientBoostingClassifier" and "estimators_" in held:
            # Its trees are walked without asking their own estimators.
            _check_columns([each.tree_ for each in held["estimators_"].reshape(-1)], held["n_features_in_"])
        elif kind in ("sklearn.svm._classes.SVC", "sklearn.svm._classes.NuSVC") and "support_vectors_" in held:
            _check_vectors(item)
        elif kind == "xgboost.core.Booster":
            _check_xgboost(item)
        elif kind == "lightgbm.basic.Booster":
            _check_lightgbm(item)


def _nested(value: Any, above: tuple[int, ...]) -> Iterator[Any]:
    """Every object inside a value, and itself, where it is no plain value or container of them."""
    if id(value) in above or value is None or isinstance(value, str | bytes | bytearray | int | float | type):
        return
    inside: Iterable[Any]
    if isinstance(value, np.ndarray):
        inside = value.reshape(-1).tolist() if value.dtype.hasobject else ()
    elif isinstance(value, dict):
        inside = itertools.chain(value.keys(), value.values())
    elif isinstance(value, list | tuple | set):
        inside = value
    else:
        yield value
        inside = getattr(value, "__dict__", {}).values()
    for item in inside:
        yield from _nested(item, (*above, id(value)))


def _check_columns(trees: Iterable[Any], columns: int) -> None:
    if any(tree.n_features > columns for tree in trees):
        raise BadInput("a tree has more columns than its estimator")


def _check_tree(tree: Any) -> None:
    if not 1 <= tree.node_count <= tree.capacity or tree.value.shape[0] != tree.node_count:
        raise BadInput("a tree has more nodes than there are")
    _check_nodes(tree.children_left, tree.children_right, tree.feature, tree.n_features)


def _check_nodes(left: Any, right: Any, feature: Any, columns: int) -> None:
    """Children must come after their parents, which also keeps a walk from going in circles; -1 marks a leaf."""
    left, right, feature = (np.asarray(each, np.int64) for each in (left, right, feature))
    if not len(left) == len(right) == len(feature) > 0:
        raise BadInput("a tree's arrays differ in length")
    inner, places = left != -1, np.arange(len(left))
    fine = np.where(
        inner,
        (left > places)
        & (left < len(left))
        & (right > places)
        & (right < len(left))
        & (feature >= 0)
        & (feature < columns),
        True,
    )
    if not fine.all() or not (right[~inner] == -1).all():
        raise BadInput("a tree points outside itself or outside the columns")


def _check_vectors(machine: Any) -> None:
    vectors, counts = len(machine.support_vectors_), np.asarray(machine._n_support)
    classes = len(machine.classes_)
    pairs = classes * (classes - 1) // 2
    fine = (
        machine.support_vectors_.ndim == 2
        and machine.support_vectors_.shape[1] == machine.n_features_in_ == machine.shape_fit_[1]
        and len(machine.support_) == vectors == counts.sum()
        and len(counts) == classes
        and (counts >= 0).all()
        and machine._dual_coef_.shape == (classes - 1, vectors)
        and machine._intercept_.shape == (pairs,)
        and len(machine._probA) in (0, pairs)
        and len(machine._probA) == len(machine._probB)
        and not machine._sparse
        and isinstance(machine.kernel, str)
        and machine.kernel != "precomputed"
    )
    if not fine:
        raise BadInput("a support vector machine's arrays do not fit together")


def _check_xgboost(booster: Any) -> None:
    model = json.loads(bytes(booster.save_raw("json")))["learner"]
    columns = int(model["learner_model_param"]["num_feature"])
    gradient = model["gradient_booster"]
    for tree in gradient.get("gbtree", gradient).get("model", {}).get("trees", []):
        if tree.get("categories"):
            raise BadInput("a tree splits by categories, which is not checked yet")
        # The default direction and the sums are as long as the nodes, or the file would not have been read.
        _check_nodes(tree["left_children"], tree["right_children"], tree["split_indices"], columns)


def _check_lightgbm(booster: Any) -> None:
    """Inner nodes come after their parents; a negative child -k - 1 is leaf k."""
    text = booster.model_to_string(num_iteration=-1)
    columns = int(re.search(r"^max_feature_idx=(\d+)$", text, re.MULTILINE).group(1)) + 1  # type: ignore[union-attr]
    for tree in text.split("\nTree=")[1:]:
        fields = dict(line.split("=", 1) for line in tree.split("end of trees")[0].splitlines() if "=" in line)
        leaves = int(fields["num_leaves"])
        if int(fields["num_cat"]):
            raise BadInput("a tree splits by categories, which is not checked yet")
        left, right, feature = (
            np.array([int(one) for one in fields.get(key, "").split()], np.int64)
            for key in ("left_child", "right_child", "split_feature")
        )
        places = np.arange(leaves - 1)
        if not len(left) == len(right) == len(feature) == leaves - 1:
            raise BadInput("a tree's arrays differ in length")
        for child in (left, right):
            if not np.where(child >= 0, (child > places) & (child < leaves - 1), ~child < leaves).all():
                raise BadInput("a tree points outside itself")
        if not ((feature >= 0) & (feature < columns)).all():
            raise BadInput("a tree points outside the columns")


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
