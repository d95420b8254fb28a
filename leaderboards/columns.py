"""Columns of tables and their cells: the same for Markdown, LaTeX and HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from leaderboards.rows import Row, Table

__all__ = ["Column", "columns", "figure", "sources", "wanting"]

LONGEST = 400  # characters of a reason that a table shows; the CSV has all of them


@dataclass(frozen=True)
class Column:
    """One column.

    ``text``: the text of a row's cell; ``value``: the number that rows are sorted by, in a column of numbers; ``more``:
    a detail that pages hide at first.
    """

    name: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | None] | None = None
    more: bool = False


def columns(table: Table, page: bool = False) -> list[Column]:
    """Return the columns of a table, from left to right: of runs alone, or with published results among or alone in it.

    A table of runs always has the same columns; the others leave out columns that are empty in all rows. ``page``: with
    the interval in a column of its own, the parts of a run's score, and the scores of each class, unit or answer.
    """
    found = list(_mixed(table) if table.mixed else _runs())
    needed = ["score"] if table.mixed else [column.name for column in found if column.name != "rank"]
    if page:
        at = next(i for i, column in enumerate(found) if column.name == "score")
        parts = [] if table.mixed else _parts(table)
        found[at : at + 1] = [Column("score", _alone, _standing), Column("95 % interval", _interval, _low), *parts]
        found = [part for column in found for part in (_apart(column) if column.name == "post-processed" else [column])]
        found += [_part(name, True) for name in _names(table, True)]
    return [c for c in found if c.name in needed or any(c.text(row) for row in table.rows)]


def sources(table: Table) -> dict[str, int]:
    """Return the sources of the published rows, numbered from 1 in the order in which the rows name them."""
    found = dict.fromkeys(row.source for row in table.rows if row.source)
    return {source: i for i, source in enumerate(found, 1)}


def wanting(column: Column, table: Table) -> Callable[[Row], int]:
    """Return a function from a row to the number of characters that its number lacks behind the digits.

    Compared are the decimals of the column's longest number; the point itself counts as one.
    """
    number = re.compile(r"-?\d+(\.\d+)?")

    def length(row: Row) -> int | None:
        text = column.text(row) if column.value else ""
        return len(text.partition(".")[2]) + ("." in text) if number.fullmatch(text) else None

    most = max((n for row in table.rows if (n := length(row)) is not None), default=0)
    return lambda row: 0 if (own := length(row)) is None else most - own


def figure(main: float | None, low: float | None = None, high: float | None = None) -> str:
    """Format a score with its interval."""
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return "" if main is None else f"{main:.3f}{interval}".replace("-0.000", "0.000")


# --- the layouts ------------------------------------------------------------------------------------------------------


def _runs() -> Iterator[Column]:
    yield Column("rank", lambda row: row.rank, lambda row: _leading(row.rank))
    yield Column("run", lambda row: row.label)
    yield Column("encoders", lambda row: row.encoders)
    yield Column("fusion", lambda row: row.fusion)
    yield Column("head", lambda row: row.head)
    yield Column("score", _score, _standing)
    yield from _facts(False)


def _mixed(table: Table) -> Iterator[Column]:
    numbers = sources(table)
    runs = any(row.kind == "run" for row in table.rows)
    yield Column("place", lambda row: row.place, lambda row: _leading(row.place))
    yield Column("rank", lambda row: row.rank, lambda row: _leading(row.rank))
    if runs:
        yield Column("kind", lambda row: row.kind)
    yield Column("system", lambda row: row.label)
    yield Column("score", _score, _standing)
    yield from _parts(table)
    yield Column("details", _details)
    yield from _facts(True)
    yield Column(
        "source", lambda row: f"[{numbers[row.source]}]" if row.source else "", lambda row: numbers.get(row.source)
    )
    yield Column("confidence", lambda row: row.confidence)


def _facts(more: bool) -> Iterator[Column]:
    yield Column("post-processed", _post, lambda row: row.post_score if row.status == "done" else None)
    yield Column("videos", _videos, lambda row: row.videos)
    yield Column("seeds", _seeds, None, more)
    yield Column("trained", lambda row: _thousands(row.trained_parameters), lambda row: row.trained_parameters, more)
    yield Column("weights", lambda row: row.weights, None, more)
    yield Column("selected on", _selected)


def _apart(column: Column) -> list[Column]:
    """Return the post-processed score and its interval as two columns."""
    return [
        Column("post-processed", lambda row: column.text(row).partition(" ")[0], column.value),
        Column("its interval", lambda row: column.text(row).partition(" ")[2], lambda row: row.post_low, more=True),
    ]


def _parts(table: Table) -> list[Column]:
    return [_part(name, False) for name in _names(table, False)]


def _names(table: Table, fine: bool) -> list[str]:
    return list(dict.fromkeys(name for row in table.rows for name, _ in (row.fine if fine else row.parts)))


def _part(name: str, fine: bool) -> Column:
    def value(row: Row) -> float | None:
        return dict(row.fine if fine else row.parts).get(name) if row.stands else None

    def text(row: Row) -> str:
        return _as_printed(value(row)) if row.kind == "published" else figure(value(row))

    return Column(name.replace("_", " "), text, value, more=fine)


# --- the cells --------------------------------------------------------------------------------------------------------


def _standing(row: Row) -> float | None:
    return row.score if row.stands else None


def _score(row: Row) -> str:
    if row.status != "done":
        text = f"{row.status}: {row.reason}" if row.reason else row.status
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if row.kind == "published":
        return _as_printed(row.score)
    return figure(row.score, row.low, row.high) or "no score"


def _alone(row: Row) -> str:
    return _score(replace(row, low=None, reason=""))


def _interval(row: Row) -> str:
    return figure(row.score, row.low, row.high).partition(" ")[2] if row.stands else ""


def _low(row: Row) -> float | None:
    return row.low if row.stands else None


def _selected(row: Row) -> str:
    epoch = row.selection_split + (f", of {row.selections}" if row.selections else "")
    return epoch if row.search in ("", epoch) else f"{epoch}; settings: {row.search}"


def _seeds(row: Row) -> str:
    """Return the seeds, with the spread of the score over several."""
    return row.seeds if row.spread is None else f"{row.seeds} (sd {row.spread:.3f})"


def _as_printed(number: float | None) -> str:
    """Format a published number with the digits of its source."""
    return "" if number is None else f"{number:g}"


def _post(row: Row) -> str:
    return figure(row.post_score, row.post_low, row.post_high) if row.status == "done" else ""


def _videos(row: Row) -> str:
    groups = f" ({row.groups} groups)" if row.groups is not None and row.groups != row.videos else ""
    return ("" if row.videos is None else str(row.videos)) + groups


def _details(row: Row) -> str:
    return row.detail if row.kind == "published" else ", ".join(filter(None, (row.encoders, row.fusion, row.head)))


def _thousands(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _leading(place: str) -> float | None:
    digits = place.rstrip("=")
    return float(digits) if digits else None
