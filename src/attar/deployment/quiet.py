"""Keeping the chatter of export and quantization packages away from the user, and their telemetry off the network."""

from __future__ import annotations

import importlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import ModuleType

from attar.errors import missing_extra

log = logging.getLogger(__name__)

_TELEMETRY = "openvino_telemetry"


@contextmanager
def quiet(package: str) -> Iterator[None]:
    """Nothing that ``package`` warns, prints or logs below ERROR in this block reaches the user.

    What it printed goes to the debug log. Records that the package sends through the root logger are dropped too (ONNX
    Runtime's quantizer does so), and those of other packages pass. Exceptions pass.

    Args:
        package: The name of its logger and a part of the paths of its files, such as ``onnxruntime``.
    """
    root, named = logging.getLogger(), logging.getLogger(package)
    level, printed, nobody = named.level, io.StringIO(), logging.NullHandler()

    def foreign(record: logging.LogRecord) -> bool:
        return f"/{package}/" not in record.pathname.replace("\\", "/")

    named.setLevel(logging.ERROR)
    root.addFilter(foreign)
    # With a handler on the root, logging.warning() in the package does not configure the logging of the whole program.
    root.addHandler(nobody)
    try:
        with warnings.catch_warnings(), redirect_stdout(printed), redirect_stderr(printed):
            warnings.simplefilter("ignore")
            yield
    finally:
        named.setLevel(level)
        root.removeFilter(foreign)
        root.removeHandler(nobody)
        if printed.getvalue().strip():
            log.debug("%s printed: %s", package, printed.getvalue().strip())


def import_untracked(package: str, purpose: str) -> ModuleType:
    """Import OpenVINO or NNCF without their telemetry.

    Both send usage events over the network unless the user opted out in a file in the home directory. While they are
    imported, the telemetry package is made to look absent, so that they take their own stand-in for it. A program that
    imported one of them before keeps what it had.

    Args:
        package: ``openvino`` or ``nncf``.
        purpose: What needs it; the subject of the error when it is absent.

    Raises:
        MissingExtra: If the package is not installed.
    """
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # documented: makes importing it raise ImportError
    try:
        with quiet(package):
            return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise missing_extra(package, "openvino", purpose) from error
    finally:
        if before is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before
