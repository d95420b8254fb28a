"""Logger to plain files: ``scalars.csv`` (step, name, value), ``settings.csv``, ``figures/``."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.api import Scalar
from zoo.files import replace
from zoo.text import inert

SCALARS = ("step", "name", "value")


class CsvFiles:
    """Logger to CSV files in ``folder/logged``. When a run is resumed, rows after ``step`` are dropped.

    Args:
        folder: The folder of the run.
        step: Last step of the earlier part of the run; 0 for a new run.
    """

    pictures = True

    def __init__(self, folder: Path, step: int) -> None:
        self.place = folder / "logged"
        self.place.mkdir(parents=True, exist_ok=True)
        path = self.place / "scalars.csv"
        replace(path, lambda part: _write(part, SCALARS, _rows_until(path, step)))
        self.file = path.open("a", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)

    def settings(self, values: Mapping[str, Scalar]) -> None:
        """Write the settings."""
        rows = [(inert(name), inert(value) if isinstance(value, str) else value) for name, value in values.items()]
        replace(self.place / "settings.csv", lambda part: _write(part, ("name", "value"), rows))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Append the values of a step."""
        self.writer.writerows((step, inert(name), repr(float(value))) for name, value in values.items())
        self.file.flush()

    def figure(self, name: str, path: Path) -> None:
        """Copy a picture into ``figures/``."""
        (self.place / "figures").mkdir(exist_ok=True)
        replace(self.place / "figures" / f"{name}.png", lambda part: shutil.copyfile(path, part))

    def record(self, content: Mapping[str, Any]) -> None:
        """Do nothing: record.json is in the folder of the run."""

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _rows_until(path: Path, step: int) -> list[tuple[str, ...]]:
    """Return the rows of an earlier part of a run up to ``step``, without an incomplete last row."""
    if not step or not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(SCALARS) and row[0].isdecimal()]
    return [tuple(row) for row in rows if int(row[0]) <= step]


def _write(part: Path, heads: tuple[str, ...], rows: list[Any]) -> None:
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows(rows)
