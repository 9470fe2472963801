"""Data sets from arrays, tensors, tables and sequences in memory, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar.data.division import divided, numbered, rows_by_role
from attar.data.split import Dataset, infinite_row
from attar.data.tables import Naming, from_tables
from attar.data.truth import truth_of
from attar.data.weights import weights_of
from attar.errors import BadInput, Words, must
from attar.named_inputs import NamedInputs
from attar.network.entry_point import entry_point
from attar.regular_arrays import regular_array
from attar.tables.rows import is_table, rereadable
from attar.tables.tokens import IDS, MASK, Tokens, integers

_KEYS = {"train": "train", "validation": "val", "test": "test"}


@entry_point
def from_arrays(
    name: object,
    arrays: object = None,
    *surplus: object,
    source: str = "arrays in memory",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    **more: object,
) -> Dataset:
    """The data set in NumPy arrays, tensors or tables.

    Args:
        name: What the data set is called; or ``x``, the inputs, where ``arrays`` is ``y``, the labels.
        arrays: Either ``x`` and ``y``, or ``x_train`` and ``y_train``, and, where they exist, ``x_val``, ``y_val``,
            ``x_test``, ``y_test``; also ``task``, what the labels mean (a name of `attar.tasks.known.TASKS`),
            ``classes``, their names, ``names``, those of the values of a regression, and ``split``, for each row of
            ``x`` one of ``train``, ``validation`` and ``test``, and ``weights``, what each row of ``x`` (or
            ``x_train``) counts in training. Inputs are ``[n, ...]`` floats, or uint8 pixels (one of
            ``[n, height, width]`` gets a channel axis); labels are ``[n]`` whole numbers from 0 (or from 1), bools or
            names, in train -1, NaN or None where unknown. Without names the classes are called by their labels. Of a
            regression they are ``[n]`` or ``[n, values]`` numbers, in train NaN where unknown; numbers with a fraction
            are values also where ``task`` is left out. Of ``"multilabel"`` they are ``[n, labels]`` of 1 and 0, of
            ``"dense"`` whole numbers ``[n, height, width]``, -1 where unknown.
            Inputs are taken for the rows of a table if they are DataFrames, Arrow tables or lists of dicts, or if there
            is ``columns``, the names of the columns, or ``nominal``, the names of those of which numbers are mere names
            (or places, as in ``column 3``, without ``columns``), or ``ignore``, the names of those to leave out. Then
            values may be missing, see `from_tables`.
            Sequences of tokens are ``ids`` in place of ``x`` (and ``ids_train``, ``ids_val``, ``ids_test``), whole
            numbers ``[n, length]``, and beside each ``mask`` of the same shape, 1 where a token counts and 0 for
            padding (all count without it); also ``words``, what each token is called, or ``vocabulary``, how many there
            are (as many as the largest number in the data says, if both are left out). ``input_ids`` and
            ``attention_mask``, as tokenizers of Hugging Face call them, are the same.
            Several inputs are a dict of arrays ``[n, ...]`` in place of ``x`` (and ``x_train``, ...), or ``x.NAME``,
            by the names that ``forward`` of the networks has; see `attar.named_inputs.NamedInputs`.
        surplus: None: two arguments at most have no name.
        source: Where the data came from, in words.
        validation: As in `load`.
        test: As in `load`.
        seed: As in `load`.
        more: Further entries of ``arrays``.

    Raises:
        BadInput: If an array is missing, not known or breaks a rule of `Split` or `Dataset`, or arguments are too many.

    Example:
        >>> x, y = np.zeros((40, 3), dtype="float32"), np.arange(40) % 2
        >>> from_arrays("zeros", {"x": x, "y": y})
        Dataset(zeros: train 29, validation 3, test 8; inputs 3; 2 classes; from arrays in memory)
        >>> from_arrays(x, y)
        Dataset(arrays: train 29, validation 3, test 8; inputs 3; 2 classes; from arrays in memory)
    """
    if surplus:
        raise BadInput(
            f"from_arrays takes inputs and labels, or a name and a dict of arrays, and got {2 + len(surplus)} "
            "arguments without a name. Call from_arrays(x, y), or from_arrays(name, {'x': x, 'y': y})."
        )
    name, given_arrays = _called(name, arrays, more)
    tokens, given_arrays = _sequences(name, of_tokenizer(name, given_arrays))
    named, given_arrays = _named(name, given_arrays)
    pairs = {role: (f"x_{key}", f"y_{key}") for role, key in _KEYS.items()}
    if "x" in given_arrays:
        pairs["train"] = ("x", "y")
    given = {role: keys for role, keys in pairs.items() if role == "train" or not given_arrays.keys().isdisjoint(keys)}
    needed = {key for keys in given.values() for key in keys}
    if missing := sorted(needed - given_arrays.keys()):
        remedy = f"Add {' and '.join(map(repr, missing))}"
        wanted = ", ".join(sorted(needed))
        if needed.isdisjoint(given_arrays):
            wanted, remedy = "x and y, or x_train and y_train", "Name the inputs x and the labels y"
        raise must("arrays", name, f"complete: {wanted}", sorted(given_arrays), remedy)
    if unknown := sorted(given_arrays.keys() - needed - _BESIDE):
        rule = (
            "x and y (or x_train and y_train), x_val, y_val, x_test and y_test, with or without "
            f"{', '.join(sorted(_BESIDE))}"
        )
        raise must("arrays", name, rule, unknown, f"Leave out {' and '.join(map(repr, unknown))}")
    for _, y in given.values():
        if isinstance(given_arrays[y], list | tuple):
            given_arrays[y] = regular_array(given_arrays[y], y, name)
    first = given_arrays[given["train"][0]]
    labels_given: Any = given_arrays[given["train"][1]]
    if np.shape(labels_given)[:1] == (0,):
        raise must(given["train"][1], name, "labels of at least one row", Words("none"), "Give rows to learn from")
    tables = not given_arrays.keys().isdisjoint(("columns", "nominal", "ignore")) or is_table(first)
    inputs: dict[str, Any] = {
        role: _rows(given_arrays[x])
        if tables
        else _inputs(x, name, given_arrays[x])
        if tokens is None and named is None
        else given_arrays[x]
        for role, (x, _) in given.items()
    }
    labels, task = truth_of(
        name,
        {role: (y, given_arrays[y]) for role, (_, y) in given.items()},
        task=_text_of(given_arrays.get("task")),
        classes=given_arrays.get("classes"),
        names=given_arrays.get("names"),
    )
    for role, (x, y) in given.items():
        if len(labels[role]) != len(inputs[role]):
            rule = f"as long as {x} ({len(inputs[role])} rows)"
            raise must(
                y, name, rule, Words(f"{len(labels[role])} rows"), "Give one label for each row, -1 where unknown"
            )
    roles = given_arrays.get("split")
    role_rows = None if roles is None else rows_by_role(name, "split", roles, len(labels["train"]), list(given))
    counts = given_arrays.get("weights")
    weights = None if counts is None else weights_of("weights", name, counts, len(labels["train"]))
    if tables:
        naming = Naming(
            _names("columns", name, given_arrays.get("columns")),
            _names("nominal", name, given_arrays.get("nominal")) or (),
            _names("ignore", name, given_arrays.get("ignore")) or (),
        )
        return from_tables(
            name, inputs, labels, task, naming, source=source, validation=validation, test=test, seed=seed,
            role_rows=role_rows, weights=weights,
        )  # fmt: skip
    splits = {
        role: numbered(
            inputs[role], labels[role], task, tokens=tokens, named=named, weights=weights if role == "train" else None
        )
        for role in given
    }
    return divided(name, source, splits, validation, test, seed, role_rows)


_BESIDE = {"classes", "columns", "ignore", "names", "nominal", "split", "task", "weights"}
"""What may stand beside inputs and labels."""


def of_tokenizer(name: str, arrays: Mapping[str, object]) -> dict[str, object]:
    """Arrays by our names where they are called as tokenizers of Hugging Face call them; others as they are.

    Args:
        name: What the data set is called; for messages.
        arrays: By name.

    Raises:
        BadInput: If types of tokens stand beside them that tell sentences apart, which a sequence does not hold.
    """
    found = dict(arrays)
    for ending in ("", *(f"_{key}" for key in _KEYS.values())):
        if f"input_ids{ending}" not in found or f"{IDS}{ending}" in found:
            continue
        types = found.pop(f"token_type_ids{ending}", None)
        if types is not None and np.any(_rows(types)):
            remedy = "Name the arrays x.input_ids, x.attention_mask and x.token_type_ids, for networks of these inputs"
            raise must(f"token_type_ids{ending}", name, "left out, or 0 everywhere", Words("others"), remedy)
        found[f"{IDS}{ending}"] = found.pop(f"input_ids{ending}")
        if f"attention_mask{ending}" in found:
            found[f"{MASK}{ending}"] = found.pop(f"attention_mask{ending}")
    return found


def _sequences(name: str, arrays: dict[str, object]) -> tuple[Tokens | None, dict[str, object]]:
    """Sequences of tokens as ``x``, ids and mask stacked, with what they have in common; None for other data.

    Raises:
        BadInput: If an array breaks a rule of `Tokens`.
    """
    endings = [key.removeprefix(IDS) for key in arrays if key in _SEQUENCES]
    if not endings:
        return None, arrays
    if both := [f"x{ending}" for ending in endings if f"x{ending}" in arrays]:
        raise must("arrays", name, "ids or x, and not both", both, "Leave one of them out")
    ids = {ending: integers(IDS + ending, name, _rows(arrays[IDS + ending])) for ending in endings}
    masks = {
        ending: integers(MASK + ending, name, _rows(arrays[MASK + ending]))
        for ending in endings
        if MASK + ending in arrays
    }
    words = _names("words", name, arrays.get("words"))
    largest = max((int(one.max()) for one in ids.values() if one.size), default=0)
    count = _text_of(arrays.get("vocabulary", max(2, largest + 1) if words is None else len(words)))
    if isinstance(count, bool) or not isinstance(count, int):
        raise must("vocabulary", name, "a whole number, how many tokens there are", count, "Leave it out to count them")
    length = max(one.shape[1] for one in ids.values())
    tokens = Tokens(length, count, None if words is None else tuple(words))
    x = {
        f"x{ending}": torch.from_numpy(
            tokens.stacked(one, masks.get(ending), f"{name} ({IDS}{ending})" if ending else name)
        )
        for ending, one in ids.items()
    }
    beside = {*(IDS + ending for ending in endings), *(MASK + ending for ending in endings), "words", "vocabulary"}
    return tokens, {**{key: one for key, one in arrays.items() if key not in beside}, **x}


def _named(name: str, arrays: dict[str, object]) -> tuple[NamedInputs | None, dict[str, object]]:
    """Several named inputs as ``x``, one row for each example, with what they are; None for other data.

    Raises:
        BadInput: If an array breaks a rule of `NamedInputs`.
    """
    found: dict[str, dict[str, object]] = {}
    rest: dict[str, object] = {}
    for key, values in arrays.items():
        head, point, input_name = key.partition(".")
        if head not in _INPUTS:
            rest[key] = values
        elif point:
            found.setdefault(head, {})[input_name] = _rows(values)
        elif isinstance(values, Mapping) and any(np.ndim(_rows(one)) > 0 for one in values.values()):
            found.setdefault(head, {}).update({str(one): _rows(array) for one, array in values.items()})
        else:
            rest[key] = values
    if not found:
        return None, arrays
    first = "x" if "x" in found else next(iter(found))
    named, rows = NamedInputs.of(found[first], f"{name} ({first})")
    for key, given in found.items():
        rest[key] = torch.from_numpy(rows if key == first else named.packed(given, f"{name} ({key})"))
    return named, rest


_INPUTS = {"x", *(f"x_{key}" for key in _KEYS.values())}
"""What inputs may be called."""

_SEQUENCES = {IDS, *(f"{IDS}_{key}" for key in _KEYS.values())}
"""What the numbers of tokens may be called."""


_FIRST = {"x", "x_train", IDS, f"{IDS}_train", "input_ids", "input_ids_train"}
"""By one of which a dict is known as one of arrays."""


def _text_of(given: object) -> object:
    """A text also where an archive holds it as an array of one."""
    return given.item() if isinstance(given, np.ndarray) and given.size == 1 else given


def _called(name: object, arrays: object, more: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """The name, and the arrays by theirs."""
    if isinstance(name, str):
        if arrays is not None and not isinstance(arrays, Mapping):
            rule = "a dict of arrays, as in {'x': x, 'y': y}"
            raise must(
                "arrays", name, rule, Words(f"a {type(arrays).__name__}"), "Or leave the name out: from_arrays(x, y)"
            )
        return name, {**(arrays or {}), **more}
    if arrays is None and isinstance(name, Mapping) and not _FIRST.isdisjoint(name):
        return "arrays", {**name, **more}
    if arrays is None and "y" not in more and "y_train" not in more:
        remedy = "Call from_arrays(x, y), or from_arrays(name, {'x': x, 'y': y})"
        raise must("y", "from_arrays", "given with x", None, remedy)
    return "arrays", {"x": name, **({} if arrays is None else {"y": arrays}), **more}


def _rows(values: object) -> Any:
    """The rows of a table in a form that `Columns` takes."""
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    return rereadable(values) if is_table(values) else regular_array(values, "inputs", "the data")


def _names(key: str, name: str, given: object) -> list[str] | None:
    """A list of the names of columns."""
    if given is None:
        return None
    names = None if isinstance(given, str) else np.asarray(given)
    if names is None or names.ndim != 1 or (names.dtype.kind != "U" and names.size):
        raise must(key, name, "a list of names of columns", given, "Write them as an array of strings")
    return [str(one) for one in names]


def _inputs(key: str, name: str, values: object) -> Tensor:
    """An array of inputs as a Split takes it: float32 or uint8, pictures with a channel axis."""
    tensor = _tensor(key, name, values)
    if tensor.is_floating_point():
        tensor = tensor.float()
        row = infinite_row(tensor, gaps=False) if tensor.dim() > 1 else None
        if row is not None:
            raise must(
                key, name, "finite in float32", Words(f"NaN or infinity in row {row}"), "Remove or repair such rows"
            )
    elif tensor.dtype != torch.uint8:
        remedy = "Convert it, for instance with .astype('float32')"
        raise must(key, name, "floats, or uint8 for pixels", str(tensor.dtype).removeprefix("torch."), remedy)
    shape = tuple(tensor.shape)
    if len(shape) < 2 or 0 in shape[1:]:
        raise must(key, name, "[n, ...] with at least two axes", shape, "Give each example at least one value")
    if tensor.dtype == torch.uint8 and len(shape) == 3:
        return tensor.unsqueeze(1)
    if tensor.dtype == torch.uint8 and len(shape) == 4 and shape[1] > 4 >= shape[3]:
        remedy = "Move the channels with .transpose(0, 3, 1, 2)"
        raise must(key, name, "[n, channels, height, width]", shape, remedy)
    return tensor


def _tensor(key: str, name: str, values: object) -> Tensor:
    """An array or tensor as a tensor on the CPU, without a copy where possible."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    array = regular_array(values, key, name)
    if array.dtype.kind not in "biuf":
        raise must(
            key,
            name,
            "an array of numbers",
            Words(f"{type(values).__name__} of {array.dtype}"),
            "Convert it to numbers",
        )
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())
