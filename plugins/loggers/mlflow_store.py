"""Logger to MLflow: each run is a run of the experiment abaw-zoo, in a local SQLite file or another store."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.api import Scalar
from zoo.errors import UserError

EXPERIMENT = "abaw-zoo"
KEPT = "mlflow_run"
"""File in the run's folder with the id of its run in the store."""
BATCH = 500
"""Values that are written at once; a store takes milliseconds for each call."""
LONGEST = 500
"""Most characters of a setting that a store accepts."""


class MlflowStore:
    """Logger to an MLflow tracking store. Nothing is sent elsewhere: MLflow's telemetry is turned off.

    Args:
        folder: The folder of the run.
        step: Last step of the earlier part of the run; 0 for a new run.
        uri: The tracking store; empty: ``mlflow.db`` in the folder of the runs.

    Raises:
        UserError: MLflow is not installed.
    """

    pictures = True

    def __init__(self, folder: Path, step: int, uri: str = "") -> None:
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
            os.environ.setdefault(name, "true")
        try:
            from mlflow.entities import Metric, Param
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise UserError(
                "logger mlflow: MLflow is not installed; install the extra (`uv sync --extra mlflow`, or pip install "
                "'abaw-zoo[mlflow]')"
            ) from None
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # MLflow logs every table that it creates
        self.metric, self.param = Metric, Param
        runs = folder.resolve().parent
        self.client = MlflowClient(uri or f"sqlite:///{runs / 'mlflow.db'}")
        self.waiting: list[Any] = []
        self.run = self._continued(folder, step) or self._new(folder, runs)

    def settings(self, values: Mapping[str, Scalar]) -> None:
        """Log the settings as parameters; parameters logged before are kept."""
        there = self.client.get_run(self.run).data.params
        params = [self.param(key, str(value)[:LONGEST]) for key, value in values.items() if key not in there]
        for first in range(0, len(params), 100):
            self.client.log_batch(self.run, params=params[first : first + 100])

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log the values of a step."""
        now = int(time.time() * 1000)
        self.waiting += [self.metric(name, float(value), now, step) for name, value in values.items()]
        if len(self.waiting) >= BATCH:
            self._write()

    def figure(self, name: str, path: Path) -> None:
        """Store a picture as an artifact."""
        self.client.log_artifact(self.run, str(path), "figures")

    def record(self, content: Mapping[str, Any]) -> None:
        """Store the record as an artifact and end the run."""
        self.client.log_dict(self.run, dict(content), "record.json")
        self.client.set_terminated(self.run, "FINISHED" if content.get("status") == "done" else "FAILED")

    def close(self) -> None:
        """Write the pending values."""
        self._write()

    def _write(self) -> None:
        for first in range(0, len(self.waiting), BATCH):
            self.client.log_batch(self.run, metrics=self.waiting[first : first + BATCH])
        self.waiting.clear()

    def _continued(self, folder: Path, step: int) -> str | None:
        """Return the id of the run that an earlier part of the training began; None if there is none."""
        path = folder / KEPT
        if not step or not path.is_file():
            return None
        return str(self.client.get_run(path.read_text().strip()).info.run_id)

    def _new(self, folder: Path, runs: Path) -> str:
        known = self.client.get_experiment_by_name(EXPERIMENT)
        place = (runs / "mlflow-files").as_uri()
        experiment = known.experiment_id if known else self.client.create_experiment(EXPERIMENT, place)
        found = str(self.client.create_run(experiment, run_name=folder.name).info.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / KEPT).write_text(found + "\n")
        return found
