"""Figures, parameters and files for MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attar.errors import BadInput, missing_extra
from attar.tracking.tracker import Tracker, why

_LONGEST = 500
"""Characters of the value of a parameter at most; every store of MLflow takes so many."""

_AT_ONCE = 100
"""Parameters in one request at most, as MLflow has it."""

_USUAL = {
    # It would try for minutes to reach a server that is gone, in which nothing is trained.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # How a database is made is nothing that the user of a run wants to read, nor that there is no git.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What MLflow reads of the environment, where nothing else is set there."""


class MLflow(Tracker):
    """Writes one run of MLflow to the address in ``MLFLOW_TRACKING_URI``.

    Without one it goes where MLflow itself writes and looks: ``mlflow.db`` and ``mlruns`` in the working directory, for
    which no server is needed. ``mlflow ui`` shows them there.

    ``mlflow = attar.MLflow()``, then ``attar.fit(..., callbacks=[mlflow.curves("student")])`` and ``mlflow.close()``.
    """

    title = "MLflow"

    def __init__(self, run: str | None = None, experiment: str | None = None) -> None:
        """Begin a run.

        Args:
            run: Name of the run; MLflow makes one up if None.
            experiment: What runs that are compared have in common; made if need be. By default what is in
                ``MLFLOW_EXPERIMENT_NAME``, or ``attar``.

        Raises:
            MissingExtra: If the package is not installed.
            BadInput: If the address cannot be reached or used.
        """
        self.check()
        for name, value in _USUAL.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", "attar")
        try:
            self._client: Any = MlflowClient()
            known = self._client.get_experiment_by_name(experiment)
            number = self._client.create_experiment(experiment) if known is None else known.experiment_id
            self.run_id: str = self._client.create_run(number, run_name=run).info.run_id
        except Exception as error:  # MLflow's own, those of its database, those of requests
            where = os.environ.get("MLFLOW_TRACKING_URI", "its files in the working directory")
            raise BadInput(
                f"MLflow cannot begin a run in {where} ({why(error)}). Correct MLFLOW_TRACKING_URI, start the "
                "server, or leave mlflow out of track."
            ) from error

    @classmethod
    def check(cls) -> None:
        """See that the packages are there.

        Raises:
            MissingExtra: If not.
        """
        for name in ("mlflow", "sqlalchemy", "alembic"):
            if find_spec(name) is None:
                raise missing_extra(name, "mlflow", "Tracking by MLflow")

    def _write_parameters(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        given = [Param(key, value[:_LONGEST]) for key, value in values.items()]
        for start in range(0, len(given), _AT_ONCE):
            self._client.log_batch(self.run_id, params=given[start : start + _AT_ONCE])

    def _write_figures(self, of: str, figures: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(
            self.run_id, [Metric(f"{of}/{name}", float(value), now, step) for name, value in figures.items()]
        )

    def _write_files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if path.is_dir():
                self._client.log_artifacts(self.run_id, str(path), path.name)
            else:
                self._client.log_artifact(self.run_id, str(path))

    def _end(self, finished: bool) -> None:
        self._client.set_terminated(self.run_id, "FINISHED" if finished else "FAILED")
