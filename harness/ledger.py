"""The ledger of a folder of runs, ``submissions.jsonl``: what was made, when, from which run; a line each."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import UserError

NAME = "submissions.jsonl"


def note(runs: Path, entry: Mapping[str, Any]) -> None:
    """Append an entry: in one piece, whoever else writes at the same time, and after a line that was cut short."""
    line = json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    runs.mkdir(parents=True, exist_ok=True)
    path = runs / NAME
    try:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{path}: the submission was written but not noted ({error.strerror})") from error


def entries(runs: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """All entries, and a line for each that cannot be read. UserError where there is no ledger."""
    path = runs / NAME
    if not path.is_file():
        raise UserError(f"{path}: no submission was made from here yet; `harness submit RUN` makes one")
    good, bad = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and {"edition", "track", "sha256", "time"} <= entry.keys():
            good.append(entry)
        else:
            bad.append(f"{path}, line {number}: cannot be read and was left out")
    return good, bad


def used(made: Sequence[Mapping[str, Any]], edition: str, track: str) -> int:
    """How many different submissions were made for a track: the same content twice is one."""
    return len({entry["sha256"] for entry in made if (entry["edition"], entry["track"]) == (edition, track)})
