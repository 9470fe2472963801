"""Networks rebuilt from their specs, with all kinds of edits that there are, and filled with their weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from attar.errors import BadInput, must, near
from attar.network.defaults import with_library_defaults
from attar.network.fitting import build_to_fit
from attar.network.references import ARCHITECTURES, check_architecture, within
from attar.network.scaled_outputs import ScaleOutputs
from attar.network.shift_bias import ShiftBias
from attar.network.spec import Edit, Spec
from attar.network.unpacked import UnpackInputs
from attar.network.weights import fill, read_tensors
from attar.pruning.edit import Prune
from attar.pruning.resize import Resize
from attar.quantization.edit import Quantize

EDITS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "prune": Prune,
        "quantize": Quantize,
        "resize": Resize,
        "scale_outputs": ScaleOutputs,
        "shift_bias": ShiftBias,
        "unpack_inputs": UnpackInputs,
    }
)
"""Every kind of edit, by the name that ``use`` gives."""

MOST_EDITS = 100
"""Edits that a spec from a file may have: each costs as much as a look at the whole network."""


def spec_from_json(document: Any, allow: Collection[str] = ("attar",)) -> Spec:
    """Read a spec that came with a file, which may come from anywhere.

    Args:
        document: What `Spec.to_json` gave.
        allow: Packages or modules whose functions the file may name; ``attar`` stands for its architectures alone.
            Nothing else is imported, so that a file cannot choose what code runs.

    Raises:
        BadInput: If the document is no spec, has an unknown edit, or names a function outside ``allow``.
    """
    document = document if isinstance(document, Mapping) else {}
    reference, arguments = document.get("reference"), document.get("arguments", {})
    if not isinstance(reference, str) or not isinstance(arguments, Mapping):
        raise must("spec", "the file", "a reference and its arguments", dict(document), "Write the artifact again")
    module = reference.partition(":")[0]
    package = module.partition(".")[0]
    if package == "attar" and "attar" in allow and module == ARCHITECTURES:
        check_architecture(reference, "network of the file")
    elif not within(module, [name for name in allow if name != "attar"]):
        raise must(
            "network",
            "the file",
            f"a function of {', '.join(sorted(allow)) or 'no package'}",
            reference,
            f"If you trust it, pass allow=[{package!r}], or pass the network itself",
        )
    edits = edits_from_json(document.get("edits", []))
    return Spec(reference, dict(arguments), document.get("mean"), document.get("std"), edits)


def edits_from_json(documents: Any) -> tuple[Edit, ...]:
    """Read the edits of a spec that came with a file.

    Args:
        documents: A list of what `Edit.to_json` gave.

    Raises:
        BadInput: If it is no list, there are too many, or one of them is of an unknown kind or another form.
    """
    if not isinstance(documents, list) or len(documents) > MOST_EDITS:
        rule = f"a list of at most {MOST_EDITS}"
        got = f"{len(documents)} of them" if isinstance(documents, list) else documents
        raise must("edits", "the spec", rule, got, "Save the network again")
    return tuple(map(_edit, documents))


def _edit(document: Any) -> Edit:
    use = document.get("use") if isinstance(document, Mapping) else None
    if not isinstance(use, str) or use not in EDITS:
        given = document if use is None else use
        raise must("use", "an edit of the spec", "a known kind of edit", given, near(str(use), EDITS))
    try:
        edit: Edit = EDITS[use].from_json(document)
    except BadInput as error:
        raise type(error)(f"edit {use!r} of the spec: {error}") from error
    return edit


@with_library_defaults
def rebuild(spec: Spec, path: Path, weights: Mapping[str, Tensor] | None = None, seed: int = 0) -> nn.Module:
    """The network of a spec with its edits, filled with weights, in eval mode.

    Args:
        spec: How to build it.
        path: The safetensors file of the weights.
        weights: What was read from it already; read if left out.
        seed: Of what the function draws and no weight holds, such as buffers that are not saved.

    Raises:
        BadInput: If the weights are another network's, or the spec cannot be built.
        CorruptFile: If the file is damaged.
    """
    tensors = read_tensors(path)[0] if weights is None else weights
    return fill(build_to_fit(spec, tensors, path, seed), tensors, path).eval()
