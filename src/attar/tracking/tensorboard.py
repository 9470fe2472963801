"""Figures for TensorBoard, as the event files that it reads."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attar.errors import missing_extra
from attar.tracking.tracker import Tracker

_ENDING = ".attar"
"""How the names of event files end that are written here."""


class TensorBoard(Tracker):
    """Writes event files: ``tensorboard --logdir FOLDER`` shows them.

    Each training is a run of its own in TensorBoard, so that the curves of several lie in one chart. What an earlier
    tracker wrote into the same folder is removed, as the same trainings are written anew.

    ``board = attar.TensorBoard("tensorboard")``, and then ``attar.fit(..., callbacks=[board.curves("student")])``.
    """

    title = "TensorBoard"

    def __init__(self, folder: Path | str) -> None:
        """Make the folder.

        Args:
            folder: Where event files go.

        Raises:
            MissingExtra: If the package is not installed.
        """
        self.check()
        self.folder = Path(folder)
        for old in self.folder.rglob(f"events.out.tfevents.*{_ENDING}"):
            old.unlink(missing_ok=True)
        self._writers: dict[str, Any] = {}

    @classmethod
    def check(cls) -> None:
        """See that the package is there.

        Raises:
            MissingExtra: If not.
        """
        if find_spec("tensorboard") is None:
            raise missing_extra("tensorboard", "tensorboard", "Tracking by TensorBoard")

    def _write_parameters(self, values: Mapping[str, str]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto

        text = "\n".join(["| key | value |", "| --- | --- |", *(f"| {key} | {one} |" for key, one in values.items())])
        value = Summary.Value(
            tag="recipe",
            metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")),
            tensor=TensorProto(dtype="DT_STRING", string_val=[text.encode()]),
        )
        self._write("recipe", [value], 0)

    def _write_figures(self, of: str, figures: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(of, [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()], step)

    def _write_files(self, paths: Sequence[Path]) -> None:
        """It keeps no files."""

    def _end(self, finished: bool) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, of: str, values: Sequence[Any], step: int) -> None:
        """Append values to the file of a training, at once: what cannot be written is known here, not in a thread."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        if of not in self._writers:
            folder = self.folder / of
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}{_ENDING}"
            self._writers[of] = RecordWriter(path.open("wb"))
            self._writers[of].write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._writers[of].write(event.SerializeToString())
        self._writers[of].flush()
