"""A worker on a Ray cluster: an actor with one core, and what it does on its node.

Times are measured elsewhere, on the machine of the process that asks. Workers that are on it, too, let it: they train
in turns with whoever measures (`attar.pipeline.turns`). Workers on other machines need not wait.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attar.pipeline.cluster import Sent, Task, line_of
from attar.pipeline.nodes import Nodes, PackedNode
from attar.pipeline.turns import Turns
from attar.pipeline.worker import Job, WorkerEnded
from attar.training.threads import using_threads
from attar.workspace import scratch, write_file

log = logging.getLogger(__name__)

_START_SECONDS = 300.0
"""Seconds within which a worker must have begun, for which a core of the cluster has to be free."""

_LOOK = 0.5
"""Seconds between two looks at how far a worker is."""


class ClusterWorker:
    """An actor of a Ray cluster, with one core, that does jobs of one task."""

    def __init__(
        self, sent: Sent, nodes: Nodes, turns: Turns, given: Callable[[Job], Mapping[str, bytes]] = lambda _: {}
    ) -> None:
        """Have Ray start it.

        Args:
            sent: What it does.
            nodes: Of the run, which get what it makes.
            turns: Of the run.
            given: The files that a job needs.
        """
        import ray

        turns.folder.mkdir(parents=True, exist_ok=True)
        self._nodes, self._given = nodes, given
        # What fails is asked for again by who asked, and two at once so that it can say how far it is.
        actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, max_concurrency=2)(_Actor)
        self._actor = actor.remote([sent.task], sent.modules, str(turns.folder.absolute()), _machine())
        self._started = self._ended = False

    @property
    def alive(self) -> bool:
        """Whether it can be asked, as far as it is known."""
        return not self._ended

    def ready(self) -> None:
        """Wait until it can begin at once.

        Raises:
            WorkerEnded: If it cannot, and why.
        """
        import ray

        try:
            there = ray.get(self._actor.ready.remote(), timeout=_START_SECONDS)
        except ray.exceptions.GetTimeoutError as error:
            raise WorkerEnded(
                f"none began on the Ray cluster within {_START_SECONDS:.0f} seconds, as its cores do something else. "
                "Wait for them, or give it another node"
            ) from error
        except Exception as error:  # whatever it raised where it began
            if self._ended:
                raise WorkerEnded("it was not needed any more") from error
            raise WorkerEnded(
                f"on the Ray cluster it raised {line_of(error)}. Install Attar on all of its nodes"
            ) from error
        if there != version("attar"):
            raise WorkerEnded(
                f"a node of the Ray cluster has version {there} of Attar, and {version('attar')} is here. Install the "
                "same one on all of them"
            )
        self._started = True

    def do(self, job: Job, advance: Callable[[int], None]) -> str | None:
        """Have it do a job, and keep the nodes that it made.

        Args:
            job: What to do: its arguments, which the task knows.
            advance: Gets optimizer steps, as they are done.

        Returns:
            What the job raised, in words; None where it raised nothing.

        Raises:
            WorkerEnded: If it, or its node, ended meanwhile.
        """
        import ray

        if not self._started:
            self.ready()
        try:
            asked = self._actor.do.remote(dict(job.arguments), dict(self._given(job)))
            while not ray.wait([asked], timeout=_LOOK)[0]:
                if self._ended:  # and perhaps let go of the cluster, which a call would start anew
                    raise WorkerEnded
                advance(ray.get(self._actor.steps.remote()))
            raised, packed = ray.get(asked)
            advance(ray.get(self._actor.steps.remote()))
        except ray.exceptions.RayError as error:
            log.info("a worker of the cluster ended while it did %s: %s", job.name, line_of(error))
            raise WorkerEnded from error
        self._nodes.take_in(packed)
        return None if raised is None else str(raised)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        import ray

        self._ended = True
        with suppress(Exception):  # the cluster may be gone
            ray.kill(self._actor)

    def end(self) -> None:
        """End it."""
        self.kill()


# -- the other side ----------------------------------------------------------------------------------------------------


class _Actor:
    """What Ray runs on a node."""

    def __init__(self, task: list[Any], modules: Mapping[str, bytes], turns: str, machine: str) -> None:
        """Get what is needed.

        Args:
            task: Where it is, in a list, so that it is not read before its modules can be imported.
            modules: Files of modules that are installed nowhere.
            turns: Folder of the run's turns, on the machine of the process that asks.
            machine: Which that is.
        """
        import ray

        self._turns: Turns | None = None
        if machine == _machine():
            if not Path(turns).is_dir():
                raise OSError(f"{turns} cannot be seen, by which it would wait while something is timed on its machine")
            self._turns = Turns(Path(turns))
        if modules:
            self._kept = ExitStack()
            beside = self._kept.enter_context(scratch(_own_folder()))  # as long as this process lives
            for name, content in modules.items():
                write_file(beside / name, content)
            sys.path.append(str(beside))
        self._task: Task = ray.get(task[0])
        self._steps = 0

    def ready(self) -> str:
        """The version of Attar."""
        return version("attar")

    def do(self, arguments: Mapping[str, Any], given: Mapping[str, bytes]) -> tuple[str | None, list[PackedNode]]:
        """What a job raised, and the nodes that it made."""
        self._steps = 0
        with scratch(_own_folder()) as folder, using_threads(1):
            nodes, raised = Nodes(folder), None
            try:
                self._task(arguments, given, nodes, self._turns, self._progress)
            except Exception as error:
                raised = f"{type(error).__name__}: {error}"
            return raised, nodes.packed()

    def steps(self) -> int:
        """How many were done since this was asked last."""
        done, self._steps = self._steps, 0
        return done

    @contextmanager
    def _progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self._steps += count

        yield advance


def _own_folder() -> Path:
    """Where workers of this user have what they need for a while; the next one takes away what killed ones left."""
    path = Path(tempfile.gettempdir()) / f"attar-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise PermissionError(f"{path} is another user's")
    return path


def _machine() -> str:
    """What tells machines apart: all containers of one are on the same."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text(encoding="ascii").strip() if boot.exists() else socket.gethostname()
