"""Tables as one self-contained page for a browser: sorted by a click, filtered by a word, with a plot each.

The page is made from the template page.html; code shared with the reports of runs is in pages.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup, escape

from leaderboards.columns import Column, columns, sources, wanting
from leaderboards.render.pages import HERE, digest, environment, look, sorting, text
from leaderboards.render.plot import plot
from leaderboards.rows import Row, Table
from leaderboards.text import markup, visible

__all__ = ["to_html"]

_BADGES = ("kind", "confidence")
_NAMES = ("run", "system")


def to_html(tables: Sequence[Table], problems: Sequence[str] = (), reports: Mapping[str, str] | None = None) -> str:
    """Return the page with all tables.

    Args:
        tables: The tables to show.
        problems: Records that could not be read, a line each.
        reports: Name of a run -> address of its report, relative to the page.
    """
    style, script = look() + text(HERE / "page.css"), sorting() + text(HERE / "page.js")
    rows = [row for table in tables for row in table.rows]
    published = len({(r.run, r.score, r.place, r.detail, r.source) for r in rows if r.kind == "published"})
    return (
        environment()
        .get_template("page.html")
        .render(
            title="Leaderboard",
            policy=f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}",
            style=Markup(style),
            script=Markup(script),
            counted=_counted(sum(row.kind == "run" for row in rows), published, len(rows), len(tables)),
            contents=_contents(tables),
            tables=[_section(table, i, reports or {}) for i, table in enumerate(tables)],
            problems=problems,
        )
    )


def _counted(runs: int, published: int, rows: int, tables: int) -> str:
    """Return how many runs and results there are; with the number of rows if some are in several tables."""
    parts = [f"{n} {name}{'' if n == 1 else 's'}" for n, name in ((runs, "run"), (published, "published result")) if n]
    where = f" in {tables} tables" if tables > 1 else ""
    several = f" ({rows} rows: some are in several tables)" if rows > runs + published else ""
    return (" and ".join(parts) or "no runs") + where + several


def _contents(tables: Sequence[Table]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return anchors and names of the tables by edition; [] for a single table."""
    if len(tables) < 2:
        return []
    topics = Counter(_topic(table) for table in tables)
    return [
        (edition or "-", [(_anchor(table, i), _short(table, topics[_topic(table)] > 1)) for i, table in group])
        for edition, group in groupby(enumerate(tables), lambda pair: pair[1].key.edition)
    ]


def _topic(table: Table) -> tuple[str, str, str]:
    return table.key.edition, table.key.track, table.key.split


def _short(table: Table, twice: bool) -> str:
    which = f" ({table.key.data[:8] or 'published'})" if twice else ""
    return f"{table.key.track} {table.key.split}".strip() + which or "others"


def _anchor(table: Table, i: int) -> str:
    return f"{table.name}-{i + 1}"


# --- one table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heading:
    """The head of a column for the template."""

    name: str
    classes: str


@dataclass(frozen=True)
class Cell:
    """A cell for the template; ``number``: what the page sorts by, ``reason``: why the row is left out of the ranks."""

    classes: str
    number: str | None
    shown: str
    reason: str


@dataclass(frozen=True)
class Line:
    """A row for the template; ``words``: what the filter also finds, ``leading``: 1 for the first row of a system."""

    mark: str
    kind: str
    words: str
    leading: int
    cells: list[Cell]


@dataclass(frozen=True)
class Section:
    """A table for the template; ``sources``: the footnotes with their numbers."""

    anchor: str
    title: str
    plot: Markup
    columns: list[Heading]
    rows: list[Line]
    notes: Sequence[str]
    sources: list[tuple[int, str]]


def _section(table: Table, i: int, reports: Mapping[str, str]) -> Section:
    shown, numbers = columns(table, page=True), sources(table)
    marks = [f"t{i}r{j}" for j in range(len(table.rows))]
    leading = {row.run: mark for row, mark in reversed(list(zip(table.rows, marks, strict=True)))}
    aligned = [(column, wanting(column, table)) for column in shown]
    return Section(
        _anchor(table, i),
        table.title,
        Markup(plot(table, marks)),
        [Heading(column.name, _classes(column)) for column in shown],
        [
            _row(row, mark, aligned, leading[row.run] == mark, reports)
            for row, mark in zip(table.rows, marks, strict=True)
        ],
        table.notes,
        [(n, _linked(source)) for source, n in numbers.items()],
    )


def _classes(column: Column) -> str:
    names = [name for name, given in (("number", column.value is not None), ("more", column.more)) if given]
    return " ".join([*names, re.sub(r"[^a-z]", "-", column.name.lower())])


def _row(
    row: Row,
    mark: str,
    shown: Sequence[tuple[Column, Callable[[Row], int]]],
    leading: bool,
    reports: Mapping[str, str],
) -> Line:
    words = " ".join((row.kind, row.source, row.span))
    cells = [_cell(column, row, "\u2007" * lacks(row), reports) for column, lacks in shown]
    return Line(mark, row.kind, words, int(leading), cells)


def _cell(column: Column, row: Row, padding: str, reports: Mapping[str, str]) -> Cell:
    """Return a cell for the template. ``padding``: spaces of a digit's width, which align the points of a column."""
    text = column.text(row)
    number = column.value(row) if column.value else None
    shown: str
    if text and column.name in _BADGES:
        shown = Markup('<span class="badge {0}">{0}</span>').format(visible(text))
    elif text and column.name == "source":
        shown = Markup('<abbr title="{}">{}</abbr>').format(visible(row.source), visible(text))
    elif column.value:
        shown = text + padding
    else:
        shown = _breakable(text)
        if column.name in _NAMES and row.kind == "run" and row.run in reports:
            shown = Markup('<a href="{}">{}</a>').format(reports[row.run], shown)
    reason = row.reason if column.name in _NAMES else ""
    return Cell(_classes(column), None if number is None else repr(number), shown, reason)


def _breakable(text: str) -> Markup:
    """Return a name that may break between its parts, but not before a mark."""
    escaped = re.sub(r" ([†‡§¶◊])", "\u00a0\\1", str(escape(visible(text))))
    return Markup(re.sub(r"(?<=[+_,/-])(?=[^\s<&])", "<wbr>", escaped))


_ADDRESSES = (
    (re.compile(r"arXiv (\d{4}\.\d{4,5})"), r"https://arxiv.org/abs/\1"),
    (re.compile(r"github ([\w.-]+/[\w.-]+)"), r"https://github.com/\1"),
)


def _linked(source: str) -> Markup:
    """Return a source with links to the papers and repositories that it names."""
    text = markup(source)
    for pattern, address in _ADDRESSES:
        text = pattern.sub(rf'<a href="{address}" rel="noreferrer">\g<0></a>', text)
    return Markup(text)
