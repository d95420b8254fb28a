"""The course of a training: history.csv, and TensorBoard's events."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from harness.io.atomic import atomic
from harness.training.state import EpochRow


def write_history(path: Path, rows: list[EpochRow]) -> None:
    """Write the course of a training as CSV, a row an epoch, whole or not at all."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    atomic(path, write)


def event_writer(folder: Path, step: int) -> Any:
    """TensorBoard events; those after ``step`` are dropped when a run is continued."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "events"), purge_step=step or None, flush_secs=30)
