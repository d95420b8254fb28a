"""Training history: history.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from harness.io.atomic import atomic
from harness.training.state import EpochRow
from zoo.text import inert


def write_history(path: Path, rows: list[EpochRow]) -> None:
    """Write the training history as CSV, one row an epoch; the file is replaced whole or not at all."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            table = [_flat(row) for row in rows]
            names = list(dict.fromkeys(name for row in table for name in row))
            writer = csv.writer(file)
            writer.writerow(map(inert, names))
            writer.writerows([row.get(name, "") for name in names] for row in table)

    atomic(path, write)


def _flat(row: EpochRow) -> dict[str, Any]:
    """Return a row with the parts of its score in columns of their own, ``val_<part>``."""
    plain = {name: value for name, value in row.items() if name != "parts"}
    return plain | {f"val_{name}": value for name, value in (row.get("parts") or {}).items()}
