"""The ledger of a folder of runs, ``submissions.jsonl``: a line for each submission, with its time and its run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.io.atomic import append_line
from harness.io.digests import opened, sealed
from zoo.errors import UserError
from zoo.files import reason_of

NAME = "submissions.jsonl"


def note(runs: Path, entry: Mapping[str, Any]) -> None:
    """Append an entry; raise UserError if it cannot be written."""
    path = runs / NAME
    try:
        append_line(path, sealed(entry))
    except OSError as error:
        raise UserError("ledger-not-noted", file=path, strerror=reason_of(error)) from error


def entries(runs: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return all entries, and a message for each line that cannot be read.

    Raises UserError if there is no ledger.
    """
    path = runs / NAME
    if not path.is_file():
        raise UserError("ledger-empty", file=path)
    good: list[dict[str, Any]] = []
    bad: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = opened(json.loads(line))
        except ValueError:
            entry = None
        if entry is not None and {"edition", "track", "sha256", "time"} <= entry.keys():
            good.append(entry)
        else:
            bad.append(f"{path}, line {number}: cannot be read and was left out")
    return good, bad


def used(made: Sequence[Mapping[str, Any]], edition: str, track: str) -> int:
    """Return the number of different submissions made for a track; the same content twice counts once."""
    return len({entry["sha256"] for entry in made if (entry["edition"], entry["track"]) == (edition, track)})
