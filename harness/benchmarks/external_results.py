"""Results of long checks, run by separate scripts, as rows: fuzzed readers, killed commands, memory over hours.

A JSON file is one of:

    {"readers": [{"name", "inputs", "accepted", "refused", "crashes": {what: count}, "peak_mb"}, ...]}
    {"stages": [{"name", "kills", "resumed", "wrong": [line, ...]}, ...]}
    {"rows": [{"section", "what", "figure", "wanted", "reached"}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from harness.benchmarks.tables import HEADS, LOST, Row
from zoo.errors import UserError


class FuzzedReader(TypedDict):
    """A reader that was given mutated inputs; ``crashes``: what -> how often."""

    name: str
    inputs: int
    accepted: int
    refused: int
    crashes: dict[str, int]
    peak_mb: float


class KilledStage(TypedDict):
    """A command that was killed again and again; ``wrong``: a line for each result that was not the same."""

    name: str
    kills: int
    resumed: int
    wrong: list[str]


class FreeRow(TypedDict):
    """A row as it is shown."""

    section: str
    what: str
    figure: str
    wanted: NotRequired[str]
    reached: NotRequired[bool | None]


def read(paths: Sequence[Path]) -> list[Row]:
    """Return the rows of all files, in order; raise UserError with the name of a file in no such format."""
    return [row for path in paths for row in _read(path)]


def _read(path: Path) -> list[Row]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "readers" in content:
            return [_fuzzed(content["readers"])]
        if "stages" in content:
            return [_killed(content["stages"])]
        return [_row(row) for row in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("bench-include-invalid", file=path, name=type(error).__name__, error=error) from None


def _fuzzed(readers: Sequence[FuzzedReader]) -> Row:
    inputs = [int(reader["inputs"]) for reader in readers]
    crashes = sum(sum(reader["crashes"].values()) for reader in readers)
    kept = sum(int(reader["accepted"]) for reader in readers)
    figure = (
        f"{len(readers)} readers, {min(inputs):,} mutated inputs or more each, {sum(inputs):,} in all: {crashes} "
        f"crashes, {kept:,} taken as valid, the others refused by the reader's own error"
    )
    return Row(LOST, ("fuzzed readers", figure), "0 crashes, 10,000 each", crashes == 0 and min(inputs) >= 10_000)


def _killed(stages: Sequence[KilledStage]) -> Row:
    kills = sum(int(stage["kills"]) for stage in stages)
    wrong = sum(len(stage["wrong"]) for stage in stages)
    names = ", ".join(str(stage["name"]) for stage in stages)
    figure = f"{kills} kills in {names}; {sum(int(s['resumed']) for s in stages)} continued to the end, {wrong} wrong"
    return Row(LOST, ("SIGKILL at random moments", figure), "0 wrong, 100 kills", wrong == 0 and kills >= 100)


def _row(row: FreeRow) -> Row:
    if row["section"] not in HEADS or len(HEADS[row["section"]]) != 4:
        raise KeyError(f"section {row['section']!r}")
    reached = row.get("reached")
    if reached is not None and not isinstance(reached, bool):
        raise TypeError("reached must be true, false or null")
    return Row(row["section"], (str(row["what"]), str(row["figure"])), str(row.get("wanted", "")), reached)
