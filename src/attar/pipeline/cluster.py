"""Workers on a Ray cluster, which may be on other machines and need not see any disk of this one.

What all jobs of a kind need (data, a teacher, its stored targets) is one object, a `Task`, which goes into Ray's object
store once and from there to each worker once. A worker does its jobs in an empty folder of its own; the finished nodes
that it leaves there travel back as bytes, and the process that asked writes them into the folder of the run. Objects go
through Ray's own transport, which pickles; no file is unpickled on either side. A Ray cluster runs what whoever reaches
it sends, so it belongs into a network that one trusts.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import sysconfig
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from attar.deployment.quiet import quiet
from attar.errors import AttarError, BadInput, missing_extra
from attar.pipeline.nodes import Nodes
from attar.pipeline.turns import Turns
from attar.training.progress import Progress

log = logging.getLogger(__name__)

_REACHED, _CONNECTED = 10.0, 60.0
"""Seconds within which somebody must answer at an address, and within which Ray must have connected."""


@runtime_checkable
class Task(Protocol):
    """What the jobs of a kind do. It travels to the workers, so that all of it can be pickled."""

    def __call__(
        self,
        arguments: Mapping[str, Any],
        given: Mapping[str, bytes],
        nodes: Nodes,
        turns: Turns | None,
        progress: Progress,
    ) -> None:
        """Do one job.

        Args:
            arguments: Which; plain values.
            given: What this job needs besides: the bytes of files, by their names.
            nodes: Of an empty folder. Those that are finished afterwards travel back.
            turns: By which others may measure meanwhile; None where nobody does.
            progress: Sees the work.
        """
        ...


class Cluster:
    """A Ray cluster that does jobs, as long as it is open.

    Attributes:
        address: As Ray knows it.
        count: How many workers it can have.
    """

    def __init__(self, address: str, count: int | None = None, *, connected: float = _CONNECTED) -> None:
        """Connect to it.

        Args:
            address: ``auto`` for the one that runs on this machine or that ``RAY_ADDRESS`` names, ``local`` for one
                that is started for as long as it is needed, ``host:port`` where this machine is a part of it,
                ``ray://host:port`` where it is not.
            count: How many workers there may be; by default one for each core of the cluster.
            connected: Seconds within which Ray must have connected.

        Raises:
            MissingExtra: If Ray is not installed.
            AttarError: If nobody is there, or it is no cluster that can be used: after 10 seconds where nobody answers
                at the address, and after 60 where whoever answers does not connect.
        """
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise missing_extra("ray", "ray", "A Ray cluster") from error
        self.address = address
        self._closes, self._closed = not ray.is_initialized(), threading.Event()
        if self._closes:
            _reach(address)
            _connect(address, connected, self._closed)
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < 1:
            self.close()
            raise AttarError(f"The Ray cluster {address!r} has no core to work with. Start a node with --num-cpus.")
        self.count = cores if count is None else count

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; one that was started goes with all of its processes."""
        if self._closes:
            import ray

            ray.shutdown()
            self._closed.set()

    def sent(self, task: Task, beside: Collection[Path] = ()) -> Sent:
        """Send a task to where workers find it.

        Args:
            task: What they do.
            beside: Folders whose modules it was made with: those that are loaded go with it.

        Raises:
            BadInput: If a part of it cannot be sent.
        """
        import ray

        try:
            return Sent(ray.put(task), ray.put(_modules(beside)))
        except Exception as error:  # whatever pickle raises for whatever it cannot pickle
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise BadInput(
                f"What workers need cannot be sent to a Ray cluster: {reason}. Leave out --ray, or make what it names "
                "something that can be pickled."
            ) from error


class Sent:
    """A task that is where workers find it."""

    def __init__(self, task: Any, modules: Any) -> None:
        self.task, self.modules = task, modules


def _modules(beside: Collection[Path]) -> dict[str, bytes]:
    """Files of the modules that are loaded from these folders, by their places in them; libraries are none of them."""
    libraries = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    libraries.append(Path(__file__).resolve().parents[1])
    files = [
        Path(one).resolve() for one in (getattr(module, "__file__", None) for module in [*sys.modules.values()]) if one
    ]
    found: dict[str, bytes] = {}
    for folder in (one.resolve() for one in beside):
        for file in files:
            within = file.is_relative_to(folder) and not any(file.is_relative_to(one) for one in libraries)
            if within and file.suffix == ".py" and file.is_file():
                found.setdefault(file.relative_to(folder).as_posix(), file.read_bytes())
    return found


def _reach(address: str) -> None:
    """See that somebody answers where a cluster is said to be: Ray itself would try for minutes.

    Raises:
        AttarError: If nobody does.
    """
    if address == "local":
        return
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    place = address.removeprefix("ray://")
    if address == "auto" or "://" in place:
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal():
        raise BadInput(
            f'--ray must be "auto", "local", host:port or ray://host:port; got {address!r}. The port is usually 6379, '
            "and 10001 after ray://."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHED).close()
    except (OSError, OverflowError) as error:
        raise AttarError(
            f"No Ray cluster can be reached at {address!r}: {getattr(error, 'strerror', None) or error}. Start one "
            "with ray start --head, or give the address that it printed."
        ) from error


def _connect(address: str, seconds: float, closed: threading.Event) -> None:
    """Connect to Ray, aside: it may take minutes to give up, and in the main thread it would take signals over.

    Raises:
        AttarError: If that fails, or takes too long.
    """
    import ray

    failed, connected = list[BaseException](), threading.Event()
    dashboard = {"include_dashboard": False} if address == "local" else {}

    def connect() -> None:
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False, **dashboard)
        except BaseException as error:
            failed.append(error)
        connected.set()
        if not failed:
            closed.wait()  # the kernel ends what this thread has started when this thread ends

    before = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # a cluster that is started here reports to nobody
    try:
        with quiet("ray"):
            threading.Thread(target=connect, daemon=True).start()
            connected.wait(seconds)
    finally:
        del os.environ["RAY_USAGE_STATS_ENABLED"]
        if before is not None:
            os.environ["RAY_USAGE_STATS_ENABLED"] = before
    if not connected.is_set():
        raise AttarError(
            f"The Ray cluster {address!r} did not connect within {seconds:.0f} seconds. See with ray status whether it "
            "runs, and with which version of Ray."
        )
    if failed and address == "auto" and isinstance(failed[0], ConnectionError):
        raise AttarError(
            "No Ray cluster runs on this machine. Start one with ray start --head, give the address of another, or "
            "give local for one that lasts as long as the run."
        ) from failed[0]
    if failed:
        raise AttarError(
            f"The Ray cluster {address!r} cannot be used: {line_of(failed[0])}. On a machine that is no part of "
            "it, give ray://host:10001."
        ) from failed[0]


def line_of(error: BaseException) -> str:
    """What an error says, on one line: of one that a worker raised, what it raised there."""
    cause = getattr(error, "cause", None)
    text = " ".join(str(cause if isinstance(cause, BaseException) else error).split())
    return f"{type(error).__name__}: {text[:300]}".rstrip(". ")
