"""Published results and runs side by side, marked by kind.

A published result has neither an interval nor a score for every group of videos, so it cannot be compared with a run or
with another by a test: it has no rank, only the place that its competition gave it. It is shown together with runs that
were scored on the organisers' data of the same edition, track and split by the same metric, and otherwise in a table of
its own: synthetic data (the demo set) and a part of the videos are other data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from leaderboards import published
from leaderboards.published import Published
from leaderboards.ranks import printed
from leaderboards.record import Record
from leaderboards.rows import PARTS, Key, Row, Table
from leaderboards.tables import leaderboard

__all__ = ["Official", "TableQuery", "boards", "editions", "natural", "published_table", "published_tables"]

Official = Mapping[tuple[str, str, str], Collection[int]]
"""(edition, track, split) -> the numbers of videos that its organisers state, if they are known."""

_PRINTED = {"ccc_v": "CCC-V", "ccc_a": "CCC-A", "f1": "F1", "accuracy": "accuracy"}


class TableQuery(NamedTuple):
    """Selection of tables; None: all."""

    edition: str | None = None
    track: str | None = None
    split: str | None = None

    def holds(self, edition: str, track: str, split: str) -> bool:
        """Return True if the query selects this table."""
        return all(w is None or w == given for w, given in zip(self, (edition, track, split), strict=True))


def boards(records: Sequence[Record], wanted: TableQuery, official: Official) -> list[Table]:
    """Return the selected runs with published results among or after them; without a run, all published results."""
    runs = [table for table in leaderboard(records) if wanted.holds(*_of(table.key))]
    topics = {_of(table.key) for table in runs}
    others = wanted if any(wanted) or not runs else None
    if others is not None:
        topics |= set(_topics(others))
    found: list[Table] = []
    for topic in sorted(topics, key=_in_order):
        theirs = published_table(*topic)
        mine = [_beside(table, theirs, official.get(topic)) for table in runs if _of(table.key) == topic]
        found += [table for table, _ in sorted(mine, key=lambda pair: not pair[1])]
        if theirs.rows and not any(joined for _, joined in mine):
            found.append(theirs)
    return found


def published_tables(wanted: TableQuery = TableQuery()) -> list[Table]:  # noqa: B008  (immutable)
    """Return the published results, one table for every edition, track and split."""
    return [published_table(*topic) for topic in _topics(wanted)]


def published_table(edition: str, track: str, split: str) -> Table:
    """Return the published results for one edition, track and split.

    They are sorted by place if all have one, else by score, highest first, with rows that have only a place last.
    """
    given = published.rows(edition, track, split)
    metric = next((row.metric for row in given if row.metric), "")
    placed = _placed(_joined(_row(row, edition, split) for row in given))
    all_placed = all(row.place or _baseline(row) for row in placed)
    rows = tuple(sorted(placed, key=_standing if all_placed else _height))
    title = f"{edition} {track}{metric and f', {metric}'}: {split}, published results"
    return Table(Key("", edition, track, "", split), title, tuple(_notes(rows)), rows, metric)


def editions() -> list[str]:
    """Return the editions with published results, the oldest first."""
    names = {row.edition for row in published.read() if not re.search(r"\d-\d", row.edition)}
    return sorted(names, key=natural)


# --- which tables -----------------------------------------------------------------------------------------------------


def _of(key: Key) -> tuple[str, str, str]:
    return key.edition, key.track, key.split


def _topics(wanted: TableQuery) -> list[tuple[str, str, str]]:
    found = {
        (edition, row.track, row.split)
        for row in published.read()
        for edition in editions()
        if row.belongs(edition) and wanted.holds(edition, row.track, row.split)
    }
    return sorted(found, key=_in_order)


def _in_order(topic: tuple[str, str, str]) -> tuple[list[tuple[int, str]], str, str]:
    return natural(topic[0]), topic[1], topic[2]


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts abaw2 before abaw10."""
    return [(int(part or -1), text) for part, text in re.findall(r"(\d+)|(\D+)", name)]


# --- published rows ---------------------------------------------------------------------------------------------------


def _row(given: Published, edition: str, split: str) -> Row:
    names = {"f1": "F1"} if given.metric not in PARTS else _PRINTED
    return Row(
        run=given.team,
        status="done",
        score=given.score,
        kind="published",
        best=given.best,
        # A place that a paper names with a score on val is its team's place on test.
        place=str(given.place) if given.place is not None and split == "test" else "",
        span="" if given.edition == edition else given.edition,
        detail=given.detail,
        source=given.source,
        confidence=given.confidence,
        parts=tuple((names[part], value) for part, value in given.parts if part in names),
    )


def _joined(rows: Iterable[Row]) -> list[Row]:
    """Add a place without a score to its team's score, if the team has one score here and no other place."""
    listed = list(rows)
    for bare in [row for row in listed if row.score is None]:
        own = [row for row in listed if row.run == bare.run and row is not bare]
        if len(own) == 1 and own[0].score is not None and own[0].place in ("", bare.place):
            told = own[0].source if bare.source == own[0].source else f"{own[0].source}; place: {bare.source}"
            detail = "; ".join(filter(None, (own[0].detail, bare.detail)))
            listed[listed.index(own[0])] = replace(own[0], place=bare.place, source=told, detail=detail)
            listed.remove(bare)
    return listed


def _placed(rows: list[Row]) -> list[Row]:
    """Set places by the printed score if a whole official list is known: its teams' best submissions are marked."""
    places = iter(printed([row.score or 0.0 for row in rows if _listed(row)]))
    return [replace(row, place=next(places)) if _listed(row) else row for row in rows]


def _listed(row: Row) -> bool:
    return row.best and row.confidence == "official" and not row.place and not _baseline(row)


def _baseline(row: Row) -> bool:
    return row.run.lower() == "baseline"


def _height(row: Row) -> tuple[bool, float, float, str]:
    return not row.stands, -(row.score or 0.0), _place(row), row.run


def _standing(row: Row) -> tuple[float, float, str]:
    return _place(row), -(row.score or 0.0), row.run


def _place(row: Row) -> float:
    return float(row.place.rstrip("=") or math.inf)


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield (
        "Numbers as their sources print them, without an interval. Confidence: official, the organisers; paper, the "
        "team's own; team, its repository; secondary, somebody else about them."
    )
    if any(row.best for row in rows):
        yield "Place: of each team's highest submission, by its score; the baseline has none."
    if any(not row.stands for row in rows):
        yield "Rows without a score: only the place is known."
    if spans := sorted({row.span for row in rows if row.span}, key=natural):
        yield f"§ The source does not say which edition of {', '.join(spans)}: the row is in the tables of all of them."


# --- side by side -----------------------------------------------------------------------------------------------------


def _beside(runs: Table, theirs: Table, official: Collection[int] | None) -> tuple[Table, bool]:
    """Return a table of runs with the published rows, or with a note why they are apart; True if they were added."""
    if not theirs.rows:
        return runs, False
    if why := _apart(runs, theirs, official):
        return replace(runs, notes=(*runs.notes, f"Published results are in a table of their own: {why}.")), False
    notes = [
        "Kind: a run was scored by this program, a published row by its source. Published rows have no interval, so a "
        "small difference between the two says nothing.",
        *(
            []
            if official
            else ["It is not confirmed that these are the organisers' videos: their number is not known."]
        ),
        *runs.notes,
        *theirs.notes,
    ]
    rows = tuple(sorted((*theirs.rows, *runs.rows), key=_height))
    return replace(runs, title=f"{runs.title}, with published results", notes=tuple(notes), rows=rows), True


def _apart(runs: Table, theirs: Table, official: Collection[int] | None) -> str:
    if runs.synthetic:
        return "these runs were scored on synthetic data, not on the organisers'"
    if runs.metric and theirs.metric and runs.metric != theirs.metric:
        return f"they are {theirs.metric}, these runs {runs.metric}"
    if official and runs.videos is not None and runs.videos not in official:
        return f"these data have {runs.videos} videos of {runs.key.split}, the organisers' {_either(official)}"
    return ""


def _either(numbers: Iterable[int]) -> str:
    return " or ".join(str(number) for number in sorted(numbers))
