"""What the packages that export, quantize and run say, in the one sentence that tells."""

from __future__ import annotations

import re
import textwrap

from attar.errors import AttarError

_LONGEST = 600
"""Characters of another package's words that are shown; beyond that the end is left out."""

_BRANCH = (
    "its forward branches on the values of its inputs, or takes a size from them, which a graph cannot do",
    "Compute both branches and choose with torch.where, or move what depends on values out of the network",
)
_FIXED = (
    "its forward fixes the number of rows, so that the batch dimension of 'input' is not free",
    "Use x.shape[0]: len(x), a loop over the rows and a number of rows in view() are constants to the exporter",
)
_KNOWN = (
    (
        re.compile(r"data-dependent expression|data.dependent|aten\._local_scalar_dense|dynamic control flow", re.I),
        _BRANCH,
    ),
    (re.compile(r"batch dimension of '\w+' is not free|Constraints violated|specialized to"), _FIXED),
)
"""What is well known, and what to do."""

_OPERATION = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'")
_PLACE = re.compile(r'File "[^"]*?([^"/\\]+)", line (\d+), in forward\n\s+(\S.*)')
_NOISE = re.compile(
    r"Check '.*' failed at \S+\s*|Exception from \S+\s*|FrontEnd API failed with \w+:?\s*|"
    r"Model wasn't fully converted\.[^\n]*|While validating (?:ONNX )?node '[^\n]*':\s*|Summary:\s*\n[\s\S]*|"
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|cpp|h|hpp|cxx|py):\d+(?::\d+)?:?\s*|\x1b\[[\d;]*m"
)
"""Lines of another package's source, and what it prints around what it has to say."""


class DeploymentError(AttarError, RuntimeError):
    """A student cannot be turned into a file for one runtime; other runtimes may still take it."""


def refused(target: str, subject: str, error: Exception) -> DeploymentError:
    """The refusal of ``subject`` by ``target``: what the package said about it, and what to do."""
    text = _text(error)
    place = _PLACE.search(text)
    for pattern, (reason, remedy) in _KNOWN:
        if pattern.search(text):
            where = f" (line {place[2]} of {place[1]}: {place[3].strip()})" if place else ""
            return DeploymentError(f"{subject} cannot be deployed to {target}: {reason}{where}. {remedy}.")
    return DeploymentError(
        f"{subject} cannot be deployed to {target}: {telling(error)}. "
        "Choose another runtime, or change the part of the network that this is about."
    )


def telling(error: BaseException) -> str:
    """What an error of another package says, without lines of its source, in one line and without a period at the end.

    Example:
        >>> telling(RuntimeError("Exception from src/core.cpp:84:\\nUnable to read the model."))
        'Unable to read the model'
    """
    text = _text(error)
    if operation := _OPERATION.search(text):
        return f"there is no ONNX form of the operation {operation[1]}"
    text = re.sub(r"-- (\w+)-\d+ with a message:", r"\1:", _NOISE.sub("", text))
    # The first paragraphs say what is wrong; what follows is advice for developers of that package.
    first = " ".join(text.split("\n\nFor more")[0].split("\n\nThe following")[0].split())
    return textwrap.shorten(first, _LONGEST, placeholder=" ...").rstrip(".:; ") or type(error).__name__


def _text(error: BaseException) -> str:
    """The words of the error that it all began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip()
