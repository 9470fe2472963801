"""The network of an artifact as a torch module again, with the weights that were kept for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attar.deployment.packed.container import read_packed
from attar.deployment.weight_files import PACKED
from attar.errors import CorruptFile, must
from attar.models.rebuild import edits_from_json, spec_from_json
from attar.network.copying import copied
from attar.network.defaults import with_library_defaults
from attar.network.fitting import build_to_fit
from attar.network.float32 import number_types
from attar.network.weights import fill, read_tensors

_OTHER_FLOATS = {torch.float16, torch.bfloat16, torch.float64}


@with_library_defaults
def network_of(
    folder: Path, document: Mapping[str, Any], given: nn.Module | None, allow: Collection[str] = ("attar",)
) -> nn.Module:
    """Build the network of an artifact from its spec, or copy a given one, and fill it; in evaluation mode.

    Args:
        folder: Of the artifact.
        document: What its manifest says of the network.
        given: A network that takes the place of the one that the spec would build; a copy is filled.
        allow: Packages whose functions may build it.

    Raises:
        BadInput: If there is neither spec nor network, if the spec names a function outside of ``allow``, or if the
            weights are another network's.
        CorruptFile: If the saved weights were removed or are damaged.
    """
    if given is None and "reference" not in document:
        raise must(
            "network",
            str(folder),
            "given, because the student was deployed without a spec",
            None,
            "Pass network=, built by the code that built the student, to load",
        )
    path = folder / document["weights"]
    if not path.is_file():
        raise CorruptFile(f"{path} is missing, and the network cannot be rebuilt without it. Deploy again.")
    packed = read_packed(path) if path.name == PACKED else None
    weights = read_tensors(path)[0] if packed is None else packed.shaped()
    if given is None:
        network = build_to_fit(spec_from_json(document, allow), weights, path)
    else:
        network = copied(given)
        for edit in edits_from_json(document.get("edits")):
            network = edit.apply(network)
    if number_types(network) and not {tensor.dtype for tensor in weights.values()} & _OTHER_FLOATS:
        network = network.float()  # as it was deployed
    return fill(network, weights if packed is None else packed.state(), path).eval()
