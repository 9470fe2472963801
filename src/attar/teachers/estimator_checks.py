"""What compiled code relies on in a fitted model that came from a file, checked before the model is asked anything.

Trees are walked and support vectors are counted by code that believes the positions it is given.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from attar.errors import BadInput


def check_model(estimator: object) -> None:
    """See that no model anywhere in an estimator has numbers that its compiled code cannot stand.

    Raises:
        BadInput: If one has.
    """
    for item in _nested(estimator, ()):
        kind = name_of_type(item)
        held = getattr(item, "__dict__", {})
        if kind == "sklearn.tree._tree.Tree":
            _check_tree(item)
        elif "tree_" in held:  # An estimator sees to it that rows have as many columns as itself, not as its tree.
            _check_columns([held["tree_"]], held["n_features_in_"])
        elif kind.startswith("sklearn.ensemble._gb.GradientBoosting") and "estimators_" in held:
            # Its trees are walked without asking their own estimators.
            _check_columns([each.tree_ for each in held["estimators_"].reshape(-1)], held["n_features_in_"])
        elif "_predictors" in held and "n_features_in_" in held:
            _check_binned(held["_predictors"], held["_bin_mapper"], held["n_features_in_"])
        elif kind in ("sklearn.svm._classes.SVC", "sklearn.svm._classes.NuSVC") and "support_vectors_" in held:
            _check_vectors(item)
        elif kind == "xgboost.core.Booster":
            check_xgboost(item)
        elif kind == "lightgbm.basic.Booster":
            check_lightgbm(item)


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


def _check_binned(iterations: Any, bins: Any, columns: int) -> None:
    """Trees of histogram gradient boosting: nodes are records, and sets of categories are rows of bits."""
    if bins.is_categorical_.shape != (columns,) or len(bins.bin_thresholds_) != columns:
        raise BadInput("the bins are of other columns than the trees")
    for place in np.flatnonzero(bins.is_categorical_):
        known = np.asarray(bins.bin_thresholds_[place])
        if not ((known >= 0) & (known < 256)).all():
            raise BadInput("a column has a category beyond 255")
    for tree in itertools.chain.from_iterable(iterations):
        nodes, sets = tree.nodes, tree.raw_left_cat_bitsets
        inner = nodes["is_leaf"] == 0
        left, right = (np.where(inner, nodes[side].astype(np.int64), -1) for side in ("left", "right"))
        _check_nodes(left, right, nodes["feature_idx"], columns)
        by_set = inner & (nodes["is_categorical"] != 0)
        if sets.ndim != 2 or sets.shape[1] != 8 or (nodes["bitset_idx"][by_set] >= len(sets)).any():
            raise BadInput("a tree points outside its sets of categories")


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


def check_xgboost(booster: Any) -> None:
    """See that the trees of XGBoost point nowhere else than into themselves, their columns and categories.

    Raises:
        BadInput: If they do.
    """
    model = json.loads(bytes(booster.save_raw("json")))["learner"]
    columns = int(model["learner_model_param"]["num_feature"])
    gradient = model["gradient_booster"]
    inner = gradient.get("gbtree", gradient).get("model", {})
    for tree in inner.get("trees", []):
        # The default direction and the sums are as long as the nodes, or the file would not have been read.
        _check_nodes(tree["left_children"], tree["right_children"], tree["split_indices"], columns)
        if tree.get("categories"):
            _check_xgboost_sets(tree)
    for names in inner.get("cats", {}).get("enc", []):
        offsets = names.get("offsets")
        if offsets and not _ascending(offsets, len(names["values"])):
            raise BadInput("the names of categories are cut outside of themselves")


def _check_xgboost_sets(tree: Any) -> None:
    """A node that splits by categories has a run of them in one list."""
    nodes, starts, sizes = (np.asarray(tree[f"categories_{key}"], np.int64) for key in ("nodes", "segments", "sizes"))
    marked = np.flatnonzero(np.asarray(tree["split_type"]) == 1)
    fine = (
        len(nodes) == len(starts) == len(sizes)
        and len(tree["split_type"]) == len(tree["left_children"])
        and np.array_equal(nodes, marked)
        and (starts >= 0).all()
        and (sizes >= 0).all()
        and (starts + sizes <= len(tree["categories"])).all()
        and min(tree["categories"]) >= 0
    )
    if not fine:
        raise BadInput("a tree points outside its sets of categories")


def check_lightgbm(booster: Any) -> None:
    """See that the trees of LightGBM point nowhere else than into themselves, their columns and categories.

    Inner nodes come after their parents; a negative child -k - 1 is leaf k.

    Raises:
        BadInput: If they do.
    """
    check_lightgbm_text(booster.model_to_string(num_iteration=-1))


def check_lightgbm_text(text: str) -> None:
    """The same of the text of a model, before LightGBM reads it: a file that was cut off ends its process.

    Raises:
        BadInput: If it is not all there, or a tree points where it must not.
    """
    columns = _first(text, r"^max_feature_idx=(\d+)$") + 1
    trees = text.split("\nTree=")
    if "\nend of trees" not in trees[-1]:
        raise BadInput("its end is missing")
    for tree in trees[1:]:
        fields = dict(line.split("=", 1) for line in tree.split("end of trees")[0].splitlines() if "=" in line)
        leaves = int(fields["num_leaves"])
        left, right, feature = (_integers(fields, key) for key in ("left_child", "right_child", "split_feature"))
        places = np.arange(leaves - 1)
        if not len(left) == len(right) == len(feature) == leaves - 1:
            raise BadInput("a tree's arrays differ in length")
        for child in (left, right):
            if not np.where(child >= 0, (child > places) & (child < leaves - 1), ~child < leaves).all():
                raise BadInput("a tree points outside itself")
        if not ((feature >= 0) & (feature < columns)).all():
            raise BadInput("a tree points outside the columns")
        if int(fields["num_cat"]):
            _check_lightgbm_sets(fields)
        if int(fields.get("is_linear", "0")):
            counts, used = _integers(fields, "num_features"), _integers(fields, "leaf_features")
            if len(counts) != leaves or (counts < 0).any() or counts.sum() != len(used):
                raise BadInput("a tree's arrays differ in length")
            if len(fields["leaf_coeff"].split()) != len(used) or not ((used >= 0) & (used < columns)).all():
                raise BadInput("a tree points outside the columns")


def check_lightgbm_sizes(data: bytes) -> None:
    """See that the trees in a file of LightGBM begin where its header says.

    Raises:
        BadInput: If they do not.
    """
    sizes = re.search(rb"^tree_sizes=([\d ]*)\r?$", data, re.MULTILINE)
    place = data.find(b"\nTree=0") + 1
    for number, size in enumerate(sizes[1].split() if sizes is not None else ()):
        if not data.startswith(b"Tree=%d" % number, place):
            raise BadInput("its trees are not where its header says")
        place += int(size)


def _first(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise BadInput("its header is not complete")
    return int(found[1])


def _check_lightgbm_sets(fields: dict[str, str]) -> None:
    """A node whose decision is by categories has a number of a set as its threshold; sets are rows of bits."""
    count, cuts, bits = int(fields["num_cat"]), _integers(fields, "cat_boundaries"), _integers(fields, "cat_threshold")
    by_set = (_integers(fields, "decision_type") & 1) == 1
    chosen = np.array([float(one) for one in fields.get("threshold", "").split()])
    if len(by_set) != len(chosen) or len(chosen) != len(_integers(fields, "left_child")):
        raise BadInput("a tree's arrays differ in length")
    chosen = chosen[by_set]
    if len(cuts) != count + 1 or not _ascending(cuts, len(bits)) or not ((chosen >= 0) & (chosen < count)).all():
        raise BadInput("a tree points outside its sets of categories")


def _integers(fields: dict[str, str], key: str) -> Any:
    return np.array([int(one) for one in fields.get(key, "").split()], np.int64)


def _ascending(cuts: Any, most: int) -> bool:
    """Whether positions begin at 0, never fall, and end where the list ends."""
    steps = np.asarray(cuts, np.int64)
    return bool(steps[0] == 0 and steps[-1] == most and (np.diff(steps) >= 0).all())


def name_of_type(value: object) -> str:
    """The full name of the type of a value."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
