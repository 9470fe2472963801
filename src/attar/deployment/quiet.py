"""Keeping the chatter of export and quantization packages away from the user, and their telemetry off the network."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import ModuleType

from attar.errors import missing_extra

log = logging.getLogger(__name__)

_SENDER, _DECISION = "openvino_telemetry", "ORT_DISABLE_TELEMETRY"


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


def import_untracked(package: str, purpose: str, extra: str | None = None) -> ModuleType:
    """Import ONNX Runtime, OpenVINO or NNCF without their telemetry.

    All three report their use over the network unless told otherwise. ONNX Runtime (from 1.29) decides once, when it is
    imported, by an environment variable. OpenVINO and NNCF are told by a file in the home directory; here the package
    that sends their events is made to look absent while they are imported, so that they take their own stand-in for
    it. Both measures end with the import. A program that imported one of the three before keeps what it had.

    Args:
        package: ``onnxruntime``, ``openvino`` or ``nncf``.
        purpose: What needs it; the subject of the error when it is absent.
        extra: The extra of Attar that brings it; None for what every installation has.

    Raises:
        MissingExtra: If the package is not installed.
    """
    sender, decision = sys.modules.get(_SENDER), os.environ.get(_DECISION)
    sys.modules[_SENDER] = None  # type: ignore[assignment]  # documented: makes importing it raise ImportError
    os.environ[_DECISION] = "1"
    try:
        with quiet(package):
            return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise missing_extra(package, extra, purpose) from error
    finally:
        del sys.modules[_SENDER], os.environ[_DECISION]
        if sender is not None:
            sys.modules[_SENDER] = sender
        if decision is not None:
            os.environ[_DECISION] = decision
