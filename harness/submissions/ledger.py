"""The ledger of a folder of runs, ``submissions.jsonl``: a line for each submission, with its time and its run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeGuard, cast

from harness.io.atomic import append_line
from harness.io.digests import opened, sealed
from zoo.errors import UserError
from zoo.files import reason_of

NAME = "submissions.jsonl"
REQUIRED = ("edition", "track", "sha256", "time")


class Entry(TypedDict):
    """A submission that was made.

    ``time`` as ISO text; ``list``: the name of the official list, or None; ``limit``: the submissions that a team may
    make, or None if unknown. Entries of older versions may lack what is not required.
    """

    edition: str
    track: str
    sha256: str
    time: str
    rows: NotRequired[int]
    run: NotRequired[str | None]
    record_sha256: NotRequired[str | None]
    list: NotRequired[str | None]
    path: NotRequired[str]
    limit: NotRequired[int | None]


def note(runs: Path, entry: Entry) -> None:
    """Append an entry; raise UserError if it cannot be written."""
    path = runs / NAME
    try:
        append_line(path, sealed(cast(Mapping[str, Any], entry)))
    except OSError as error:
        raise UserError("ledger-not-noted", file=path, strerror=reason_of(error)) from error


def entries(runs: Path) -> tuple[list[Entry], list[str]]:
    """Return all entries, and a message for each line that cannot be read.

    Raises UserError if there is no ledger.
    """
    path = runs / NAME
    if not path.is_file():
        raise UserError("ledger-empty", file=path)
    good: list[Entry] = []
    bad: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = opened(json.loads(line))
        except ValueError:
            entry = None
        if _is_entry(entry):
            good.append(entry)
        else:
            bad.append(f"{path}, line {number}: cannot be read and was left out")
    return good, bad


def _is_entry(content: Any) -> TypeGuard[Entry]:
    return isinstance(content, dict) and all(isinstance(content.get(key), str) for key in REQUIRED)


def used(made: Sequence[Entry], edition: str, track: str) -> int:
    """Return the number of different submissions made for a track; the same content twice counts once."""
    return len({entry["sha256"] for entry in made if (entry["edition"], entry["track"]) == (edition, track)})
