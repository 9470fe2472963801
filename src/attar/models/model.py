"""A model: what one step gives to the next, and what is saved of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from attar.errors import BadInput, CorruptFile
from attar.models.rebuild import rebuild, spec_from_json
from attar.network.spec import Spec
from attar.network.weights import digest, read_tensors, save_weights
from attar.records import sealed, unsealed

MODEL = "model.safetensors"
"""The file of a saved model: its weights, and in the header all the rest."""

FORMAT = 1
"""Version of what the header says."""

_REMEDY = "Restore it, or make the model again."


@dataclass(frozen=True)
class Model:
    """A network with all that is needed to build it again.

    Attributes:
        module: The network.
        spec: How it is built; its edits are those that were made to the module.
        history: One plain entry per epoch of all of its trainings, in order.
        key: Under which the step that made it is cached; empty where none made it.
    """

    module: nn.Module
    spec: Spec
    history: Sequence[Mapping[str, Any]] = ()
    key: str = ""


def save_model(model: Model, folder: Path) -> Path:
    """Write a model as one file, whole or not at all.

    Args:
        model: What to save.
        folder: Where; made if need be.

    Returns:
        The file.

    Raises:
        BadInput: If the spec has a format of the user's own.
    """
    document = {
        "format": FORMAT,
        "spec": model.spec.to_json(),
        "history": list(model.history),
        "key": model.key,
        "digest": digest(model.module),
    }
    save_weights(model.module, folder / MODEL, sealed(document))
    return folder / MODEL


def load_model(folder: Path, allow: Collection[str] = ("attar",), seed: int = 0) -> Model:
    """Read what `save_model` wrote: the same outputs, the same state, the same spec. Nothing is unpickled.

    Args:
        folder: Where it lies.
        allow: Packages or modules whose functions the file may name; ``attar`` stands for its architectures alone.
        seed: Of what the function draws and no weight holds, such as buffers that are not saved.

    Returns:
        The model, its module in eval mode.

    Raises:
        BadInput: If there is none, it is of another version, or it names a function outside ``allow`` or what its
            network has not.
        CorruptFile: If the file is damaged.
    """
    path = Path(folder) / MODEL
    tensors, header = read_tensors(path, _REMEDY)
    document = unsealed(header, f"The header of {path}", _REMEDY)
    if document.get("format") != FORMAT:
        raise BadInput(f"{path} is of version {document.get('format')}, and version {FORMAT} is read. {_REMEDY}")
    kinds = {"spec": dict, "history": list, "key": str, "digest": str}
    if any(not isinstance(document.get(key), kind) for key, kind in kinds.items()):
        raise CorruptFile(f"The header of {path} must name {', '.join(kinds)}. {_REMEDY}")
    try:
        spec = spec_from_json(document["spec"], allow)
        module = rebuild(spec, path, tensors, seed)
    except BadInput as error:
        raise type(error)(f"{path}: {error}") from error
    if digest(module) != document["digest"]:
        raise CorruptFile(f"{path} has other weights than were written. {_REMEDY}")
    return Model(module, spec, document["history"], document["key"])
