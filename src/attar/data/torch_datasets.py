"""Map-style data sets of PyTorch: read once, item after item, into arrays."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, Subset, TensorDataset

from attar.data.arrays import from_arrays
from attar.data.matrices import Growing
from attar.data.split import Dataset
from attar.errors import AttarError, BadInput, Words, must
from attar.network.entry_point import entry_point
from attar.training.progress import Progress, silent

log = logging.getLogger(__name__)

_LABELS = ("label", "labels", "y", "target", "targets")
"""What the label of an item is called that is a dict."""

_TOGETHER = 256
"""Items that are put into an array at once."""


@entry_point
def from_torch(
    train: Any,
    *,
    validation: Any = 0.1,
    test: Any = 0.2,
    name: str = "data",
    task: str | None = None,
    classes: Any = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Dataset:
    """The data set in map-style data sets of PyTorch, such as those of torchvision.

    Each item is asked for once and kept, in memory or, where they are many, in a file that is mapped into it: what a
    data set draws anew each time stays as it was drawn then. Views (`attar.Views`) vary examples in training.

    Args:
        train: A `torch.utils.data.Dataset` with a length, whose items are pairs of input and label, dicts with a
            ``label`` (or ``labels``, ``y``, ``target``) and one input or several by their names, or inputs alone, which
            are examples without labels then. Inputs are tensors, arrays or images of Pillow of one shape: floats, or
            uint8 pixels. ``ids`` or ``input_ids`` in a dict are numbers of tokens, beside them ``mask`` or
            ``attention_mask``.
        validation: Another one, or what is taken from train for it, as in `attar.load_data`.
        test: The same for test.
        name: What the data set is called.
        task: What labels mean, as in `attar.from_arrays`.
        classes: Names of the classes; those of ``train.classes`` if left out.
        seed: As in `attar.load_data`.
        progress: Told the items as they are read.

    Raises:
        BadInput: If a data set cannot be asked for its items by number, is empty, raises an error or gives items that
            differ in shape; or an array breaks a rule of `attar.from_arrays`.

    Example:
        >>> pairs = TensorDataset(torch.rand(40, 3), torch.arange(40) % 2)
        >>> from_torch(pairs, name="pairs")
        Dataset(pairs: train 29, validation 3, test 8; inputs 3; 2 classes; from data sets of PyTorch)
    """
    given = {"train": train, "val": validation, "test": test}
    shares: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for key, one in given.items():
        role = "validation" if key == "val" else key
        if key != "train" and isinstance(one, int | float):
            shares[role] = one
            continue
        inputs, labels = items_of(one, f"the {role} items of {name}", progress)
        if labels is None and role != "train":
            raise must(f"the {role} items", name, "pairs of input and label", Words("inputs alone"), "Give labels")
        arrays |= _named(key, inputs)
        arrays[f"y_{key}"] = labels
    names = _classes_of(train) if classes is None else list(classes)
    if arrays["y_train"] is None:
        count = len(train)
        known = arrays.get("y_val", arrays.get("y_test"))
        if known is None:
            raise must("the train items", name, "pairs of input and label, as nothing else has labels",
                       Words("inputs alone"), "Give validation and test with labels")  # fmt: skip
        floats = known.dtype.kind == "f"
        arrays["y_train"] = np.full((count, *known.shape[1:]), np.nan if floats else -1, float if floats else int)
    if names is not None and task in (None, "classification") and np.asarray(arrays["y_train"]).dtype.kind in "iu":
        arrays["classes"] = names
    if task is not None:
        arrays["task"] = task
    return from_arrays(name, arrays, source="data sets of PyTorch", seed=seed, **shares)


def is_torch_dataset(given: object) -> bool:
    """Whether it is a data set of PyTorch."""
    return isinstance(given, TorchDataset)


def items_of(dataset: Any, of: str, progress: Progress = silent) -> tuple[dict[str, Any] | Any, Any]:
    """All items of a data set: inputs, as an array or several by their names, and labels, None without.

    Args:
        dataset: The data set.
        of: What it is called in errors.
        progress: Told of every item.

    Raises:
        BadInput: See `from_torch`.
    """
    streams = isinstance(dataset, IterableDataset)
    if isinstance(dataset, Mapping):
        rule, got = "a map-style torch.utils.data.Dataset", Words(f"a dict of {', '.join(map(str, dataset))}")
        remedy = "Give each by its name: from_torch(sets['train'], test=sets['test'])"
        raise must("the data set", of, rule, got, remedy)
    if streams or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        got = Words(f"a {type(dataset).__name__}" + (", whose items come in a stream" if streams else ""))
        remedy = "Give one with __len__ and __getitem__, or its items as arrays: attar.from_arrays(x, y)"
        raise must("the data set", of, "a map-style torch.utils.data.Dataset", got, remedy)
    try:
        count = len(dataset)
    except Exception as error:  # what the user's code raises can be anything
        raise must("the data set", of, "of a known length", Words(_reason(error)), "Give it __len__") from error
    if count == 0:
        raise must("the data set", of, "of at least one item", Words("none"), "Give some")
    try:
        tensors = _tensors(dataset)
    except (IndexError, TypeError, ValueError, RuntimeError):  # indices that are none: the item says which
        tensors = None
    if tensors is not None and len(tensors) in (1, 2):
        arrays = [_of_tensor(one, of) for one in tensors]
        return arrays[0], arrays[1] if len(arrays) == 2 else None
    return _read(dataset, count, of, progress)


def _tensors(dataset: Any) -> list[Tensor] | None:
    """The tensors that a data set consists of; None for all others."""
    if type(dataset) is TensorDataset:
        return list(dataset.tensors)
    if type(dataset) is Subset:
        tensors = _tensors(dataset.dataset)
        return None if tensors is None else [one[torch.as_tensor(list(dataset.indices))] for one in tensors]
    return None


def _read(dataset: Any, count: int, of: str, progress: Progress) -> tuple[dict[str, Any] | Any, Any]:
    first = _item(dataset, 0, of)
    again = _item(dataset, 0, of)
    if {key: one.tobytes() for key, one in first.items()} != {key: one.tobytes() for key, one in again.items()}:
        log.warning(
            "%s come out differently each time that they are asked for, and are kept as they come out now: leave "
            "random changes of examples to views, which draw new ones in each epoch",
            of,
        )
    growing = {key: Growing((count, *one.shape), one.dtype) for key, one in first.items() if key != _LABEL}
    labels: list[Any] = []
    with progress(f"read {of}", count) as advance:
        for start in range(0, count, _TOGETHER):
            places = range(start, min(start + _TOGETHER, count))
            items = [_item(dataset, place, of) for place in places]
            for place, one in zip(places, items, strict=True):
                _check_alike(one, first, place, of)
            for key, target in growing.items():
                target.append(np.stack([one[key] for one in items]))
            labels += [one[_LABEL] for one in items if _LABEL in one]
            advance(len(items))
    inputs = {key: target.array() for key, target in growing.items()}
    alone: Any = inputs[_INPUT] if _INPUT in inputs else inputs
    if not labels:
        return alone, None
    return alone, np.array([one.item() for one in labels]) if labels[0].ndim == 0 else np.stack(labels)


_INPUT, _LABEL = "the input", "the label"


def _item(dataset: Any, place: int, of: str) -> dict[str, Any]:
    """One item as arrays by their names."""
    try:
        item = dataset[place]
    except AttarError:
        raise
    except Exception as error:  # what the user's code raises can be anything
        raise BadInput(f"Item {place} of {of} cannot be read: {_reason(error)}. Repair it, or leave it out.") from error
    where = f"item {place} of {of}"
    if isinstance(item, Mapping):
        labels = [key for key in _LABELS if key in item]
        names = [key for key in item if not labels or key != labels[0]]
        if not names:
            raise must("the inputs", where, "there beside the label", list(item), "Add one")
        found = {
            str(key) if len(names) > 1 or str(key) in _SEQUENCE else _INPUT: _array(item[key], where) for key in names
        }
        return found | ({_LABEL: _array(item[labels[0]], where)} if labels else {})
    if isinstance(item, tuple | list):
        if len(item) not in (1, 2):
            rule = "a pair of input and label, a dict, or an input alone"
            raise must("what is read", where, rule, Words(f"{len(item)} values"), "Return one of these")
        return dict(zip((_INPUT, _LABEL), (_array(one, where) for one in item), strict=False))
    return {_INPUT: _array(item, where)}


_SEQUENCE = ("ids", "input_ids")
"""By which an input is a sequence of tokens also where it is the only one."""

_SEQUENCES = (("ids", "mask"), ("input_ids", "attention_mask", "token_type_ids"))
"""What a sequence of tokens has."""


def _reason(error: Exception) -> str:
    """What went wrong in the user's code, in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200].rstrip('.') if lines else 'no reason given'}"


def _of_tensor(tensor: Tensor, where: str) -> Any:
    """A tensor as an array; 16-bit floats of which NumPy has no type become float32.

    Raises:
        BadInput: If its numbers are not there, or not all of them.
    """
    try:
        found = tensor.detach().cpu()
        return (found.float() if found.dtype == torch.bfloat16 else found).numpy()
    except (TypeError, NotImplementedError, RuntimeError) as error:
        got = Words(f"a tensor of {tensor.dtype} on {tensor.device}, {tensor.layout}")
        remedy = "Convert it, for instance with .to_dense() and .float()"
        raise must("what is read", where, "tensors with all of their numbers", got, remedy) from error


_AS_NUMBERS = ("L", "RGB", "RGBA", "I", "I;16", "F")
"""Modes of Pillow in which the numbers of an image are its brightness or its colors, which are kept."""


def _array(value: Any, where: str) -> Any:
    """A value of an item as an array; of an image ``[channels, height, width]``."""
    if isinstance(value, Tensor):
        array = _of_tensor(value, where)
    elif hasattr(value, "getbands") and hasattr(value, "convert"):  # an image of Pillow
        kept = value.mode in _AS_NUMBERS  # of a palette the numbers are places in it
        array = np.asarray(value if kept else value.convert("L" if value.mode in ("1", "LA") else "RGB"))
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    else:
        array = np.asarray(value)
    if array.dtype.kind not in "biufU":
        rule = "tensors, arrays, numbers or names"
        remedy = "Convert it, for instance by a transform of the data set"
        raise must("what is read", where, rule, Words(f"a {type(value).__name__}"), remedy)
    return array.astype(np.float32) if array.dtype == np.float64 and array.ndim else array


def _check_alike(item: Mapping[str, Any], first: Mapping[str, Any], place: int, of: str) -> None:
    """See that an item has what the first has, in its shape, and a label only where that has one."""
    if _LABEL in item and _LABEL not in first:
        got = Words(f"one in item {place} and none in item 0")
        raise must(_LABEL, of, "there in all items, or in none", got, "Give -1 where it is unknown")
    for key, one in first.items():
        name = key if key in (_INPUT, _LABEL) else f"input {key}"
        if key not in item:
            raise must(name, f"item {place} of {of}", "there, as in item 0", sorted(item), "Give all of each item")
        got = item[key]
        if got.shape != one.shape or (got.dtype.kind != one.dtype.kind and key != _LABEL):
            rule = f"of shape {list(one.shape)} {one.dtype}, as in item 0"
            remedy = "Bring all into one shape, for instance with a transform that resizes or pads"
            raise must(name, f"item {place} of {of}", rule, Words(f"{list(got.shape)} {got.dtype}"), remedy)


def _named(key: str, inputs: Any) -> dict[str, Any]:
    """Inputs as `from_arrays` takes them."""
    if not isinstance(inputs, dict):
        return {f"x_{key}": inputs}
    if not any(set(inputs) <= set(beside) for beside in _SEQUENCES):
        return {f"x_{key}": inputs}  # what stands beside tokens is an input, too
    return {f"{one}_{key}": values for one, values in inputs.items()}


def _classes_of(dataset: Any) -> list[str] | None:
    """What a data set calls its classes, as those of torchvision do."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    names: Any = getattr(dataset, "classes", None)
    usable = isinstance(names, list | tuple) and len(names) > 1 and all(isinstance(one, str) for one in names)
    return list(names) if usable and len(set(names)) == len(names) else None
