"""What the contenders of a run take: times raced against each other, and memory."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from attar.errors import AttarError
from attar.evidence.latency import race
from attar.evidence.machine import machine
from attar.evidence.memory import peak_memory
from attar.pipeline.workers import available
from attar.recipes.contenders import BATCHES, Contenders, Logits
from attar.recipes.context import Context, allowed

log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Interpreters that measure memory at once, at most: each has a runtime loaded, of hundreds of megabytes perhaps."""


def measure(
    context: Context,
    contenders: Contenders,
    validation_logits: Mapping[str, Logits],
    beaten: Collection[str] = (),
    known: Mapping[str, int | None] | None = None,
) -> Mapping[str, Any]:
    """Latencies, ratios to the teacher, and memory; a node, so that a run that goes on keeps its timings.

    Args:
        context: The run.
        contenders: What was deployed.
        validation_logits: Logits of every contender on validation.
        beaten: Candidates that cannot ship, whose memory is not measured and which are timed in one form only.
        known: Memory that was measured already, by name: no file is measured twice.

    Returns:
        ``latency`` and ``faster`` by name and batch size, ``memory`` by name; of those that were measured.
    """
    timed = contenders.timed(beaten)
    settings = context.recipe.artifacts
    artifacts = {name: one.artifact for name, one in timed.items() if one.artifact is not None}

    def work(_: Path) -> dict[str, Any]:
        folders = {name: one.folder for name, one in artifacts.items() if name not in beaten}
        with context.progress("measure", len(BATCHES) + len(folders)) as advance:
            latency, faster = _raced(context, contenders, beaten, advance)
            memory = _memory(context, folders, known or {}, advance)
        return {"latency": latency, "faster": faster, "memory": memory}

    inputs = {
        "models": {
            name: [
                one.size_bytes,
                _digest(validation_logits[name]),
                artifacts[name].manifest["files"] if name in artifacts else None,
            ]
            for name, one in timed.items()
        },
        "beaten": sorted(beaten),
        "threads": settings.threads,
        "seconds": settings.seconds,
        # A folder that was copied to another machine, or found after an update, is measured anew.
        "machine": {key: value for key, value in machine().items() if key != "memory_bytes"},
    }
    return context.nodes.node("measure", inputs, work, version=2).result


def _raced(
    context: Context, contenders: Contenders, beaten: Collection[str], advance: Callable[[int], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Latencies and ratios to the teacher, by name and batch size; all contenders take turns in this process."""
    timed = contenders.timed(beaten)
    rows = np.ascontiguousarray(context.dataset.validation.floats(slice(0, max(BATCHES))).numpy())
    latency: dict[str, Any] = {name: {} for name in timed}
    faster: dict[str, Any] = {name: {} for name in timed}
    against = {
        name: of.name
        for name, one in timed.items()
        if one.kind not in ("teacher", "member") and (of := contenders.teacher_of(one)) is not None
    }
    for batch in BATCHES:
        raced = race(
            {name: one.runner for name, one in timed.items()},
            rows,
            batch,
            threads=context.recipe.artifacts.threads,
            seconds=context.recipe.artifacts.seconds,
            ratios=[(slow, name) for name, slow in against.items()],
        )
        for name in timed:
            latency[name][str(batch)] = raced.latencies[name].to_json()
        for name, slow in against.items():
            faster[name][str(batch)] = raced.ratio(slow, name).to_json()
        advance(1)
    return latency, faster


def _memory(
    context: Context, folders: Mapping[str, Path], known: Mapping[str, int | None], advance: Callable[[int], None]
) -> dict[str, int | None]:
    """Peak memory of artifacts by name, several at once: it is no time, which others would disturb."""
    threads, allow = context.recipe.artifacts.threads, allowed(context.network.use)

    def peak(name: str) -> int | None:
        if name in known:
            return known[name]
        try:
            return peak_memory(folders[name], max(BATCHES), threads=threads, allow=allow)
        except AttarError as error:  # a figure that is not there ends no run
            log.warning("%s", error)
            return None

    found: dict[str, int | None] = {}
    pool = ThreadPoolExecutor(min(available(), _AT_ONCE), "memory")
    try:
        for name, bytes_ in zip(folders, pool.map(peak, folders), strict=True):
            found[name] = bytes_
            advance(1)
    finally:
        pool.shutdown(cancel_futures=True)  # who stops the run waits for those that have begun, and for no others
    return found


def _digest(logits: Logits) -> str:
    return hashlib.sha256(np.ascontiguousarray(logits).tobytes()).hexdigest()[:16]
