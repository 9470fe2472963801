"""Lines of Python that run an artifact on a machine that has its runtime and NumPy, and no Attar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attar.deployment.artifact import Artifact
from attar.named_inputs import NamedInputs


def without_attar(artifact: Artifact, folder: str = "artifact") -> str | None:
    """A program that asks an artifact about one example of zeros, for which a user puts in their own.

    Names of classes are read from the manifest, so that no text of the user's is part of the program but the names of
    inputs, which are quoted.

    Args:
        artifact: What ships.
        folder: Where it lies for whoever runs the program.

    Returns:
        Lines of Python; None where only Attar can read the files.
    """
    opened = artifact.candidate.backend.without_attar(artifact.candidate, folder)
    if opened is None:
        return None
    output = artifact.manifest["output"]
    inputs = "\n".join(f"    {json.dumps(name)}: {array}," for name, array in _inputs(artifact.manifest["input"]))
    named = output["kind"] == "logits" and len(output["shape"]) == 2
    lines = [
        *(["import json", ""] if named else []),
        "import numpy as np",
        f"import {opened.package}",
        "",
        opened.opening,
        f"inputs = {{  # one example; put yours in place of the zeros{_note(artifact.manifest['input'])}",
        inputs,
        "}",
        opened.asking,
        *_answer(output, folder),
    ]
    return "\n".join(lines) + "\n"


def _inputs(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each input by its name, with an array of one example."""
    if "named" in given:
        named = NamedInputs.from_json(given["named"])
        return [(one.name, _zeros([1, *one.shape], one.dtype)) for one in named.inputs]
    if "tokens" in given:
        length = given["shape"][-1]
        ids, mask = given["name"]
        return [(ids, _zeros([1, length], "int64")), (mask, f"np.ones({(1, length)}, np.int64)")]
    return [(given["name"], _zeros([1, *given["shape"][1:]], "float32"))]


def _zeros(shape: list[int], dtype: str) -> str:
    return f"np.zeros({tuple(shape)}, np.{'bool_' if dtype == 'bool' else dtype})"


def _note(given: Mapping[str, Any]) -> str:
    """What has to be done to inputs before."""
    if "columns" in given:
        return "; names as their places in the categories of input.columns in the manifest, NaN where missing"
    if "tokens" in given:
        return "; the mask is 0 where there is padding"
    scale = given.get("scale")
    return "" if scale is None else f", uint8 numbers divided by {scale:g}"


def _answer(output: Mapping[str, Any], folder: str) -> list[str]:
    """From outputs to what is meant by them."""
    kind, maps = output["kind"], len(output["shape"]) > 2
    if kind == "log_odds":
        return ["print(outputs > 0)  # of each label, whether it holds"]
    if kind == "values" or (maps and output["shape"][1] == 1):
        origin = output.get("origin")
        return [f"print(outputs + np.array({origin}))" if origin else "print(outputs)"]
    if maps:
        return ["print(outputs.argmax(axis=1))  # the number of the class of each position"]
    return [
        f'with open("{folder}/manifest.json", encoding="utf-8") as file:',
        '    classes = json.load(file)["output"]["classes"]',
        "print([classes[index] for index in outputs.argmax(axis=1)])",
    ]
