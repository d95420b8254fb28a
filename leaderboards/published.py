"""Published scores of others: one file per edition in ``leaderboards/published/``, each row with its source.

Columns: ``edition`` (or a range, ``abaw6-10``, if the source does not say which), ``track``, ``team``, ``split``
(val, test, or unspecified), ``metric`` (a name of zoo.metrics.scores; empty if only a place is known), ``score``,
``place``, the parts ``ccc_v``, ``ccc_a``, ``f1``, ``accuracy`` if they are given, ``best`` of several submissions
of a team, ``detail``, ``source`` and ``confidence``: *official* (the organisers' tables and sites), *paper* (the
team's paper, abstract or poster), *team* (its repository), *secondary* (somebody else about them).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["FOLDER", "PARTS", "Published", "read", "rows"]

FOLDER = Path(__file__).parent / "published"
PARTS = ("ccc_v", "ccc_a", "f1", "accuracy")


@dataclass(frozen=True)
class Published:
    """One published result. ``parts``: the numbers that the score is computed from, if they are given."""

    edition: str
    track: str
    team: str
    split: str
    metric: str
    score: float | None
    place: int | None
    parts: tuple[tuple[str, float], ...]
    best: bool
    detail: str
    source: str
    confidence: str

    def belongs(self, edition: str) -> bool:
        """Return True if this is a result of the edition: by name, or because the edition lies in its range."""
        span = re.fullmatch(r"abaw(\d+)-(\d+)", self.edition)
        number = re.fullmatch(r"abaw(\d+)", edition)
        if span and number:
            return int(span[1]) <= int(number[1]) <= int(span[2])
        return self.edition == edition


@cache
def read() -> tuple[Published, ...]:
    """Return all published results, by edition and in the order of the files.

    Raise ValueError with file and line of a bad row.
    """
    found: list[Published] = []
    for path in sorted(FOLDER.glob("*.csv"), key=lambda p: [int(n) for n in re.findall(r"\d+", p.stem)]):
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                try:
                    found.append(_published(row))
                except (KeyError, TypeError, ValueError) as error:
                    raise ValueError(f"{path}, line {reader.line_num}: {error!r}") from error
    return tuple(found)


def rows(edition: str, track: str, split: str) -> list[Published]:
    """Return the results of one table, the best score first, then those with only a place."""
    chosen: Iterable[Published] = (r for r in read() if (r.track, r.split) == (track, split) and r.belongs(edition))
    return sorted(chosen, key=lambda r: (r.score is None, -(r.score or 0.0), r.place or 0, r.team))


def _published(row: dict[str, str]) -> Published:
    parts = tuple((name, float(row[name])) for name in PARTS if row[name])
    return Published(
        edition=row["edition"],
        track=row["track"],
        team=row["team"],
        split=row["split"],
        metric=row["metric"],
        score=float(row["score"]) if row["score"] else None,
        place=int(row["place"]) if row["place"] else None,
        parts=parts,
        best=row["best"] == "yes",
        detail=row["detail"],
        source=row["source"],
        confidence=row["confidence"],
    )
