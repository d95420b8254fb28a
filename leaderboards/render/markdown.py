"""Tables as GitHub Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from leaderboards.columns import columns, sources
from leaderboards.rows import Table
from leaderboards.text import visible

__all__ = ["cell", "section", "to_markdown"]


def to_markdown(tables: Sequence[Table], problems: Sequence[str] = ()) -> str:
    """Return all tables, and the records that could not be read."""
    parts = ["# Leaderboard", *(section(t) for t in tables)]
    if not tables:
        parts.append("There are no runs yet.")
    if problems:
        parts.append("## Not in the tables\n\n" + "\n".join(f"- {cell(p)}" for p in problems))
    return "\n\n".join(parts) + "\n"


def section(table: Table) -> str:
    """Return one table under its title, with its notes and the numbered sources of its rows."""
    shown = columns(table)
    body = [[cell(column.text(row)) for column in shown] for row in table.rows]
    sides = ["right" if column.value and column.name not in _PLAIN else "left" for column in shown]
    grid = tabulate(
        body,
        headers=[cell(column.name) for column in shown],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=sides if table.mixed else None,
    )
    told = "\n".join(f"- [{number}] {cell(source)}" for source, number in sources(table).items())
    parts = [f"## {cell(table.title)}", *(cell(note) for note in table.notes), grid, *([told] if told else [])]
    return "\n\n".join(parts)


_PLAIN = ("post-processed", "score")  # with an interval, or a reason


def cell(text: str) -> str:
    """Escape a text so that it cannot end a cell or a line nor start HTML, whatever a reason or a file name holds."""
    flat = " ".join(visible(text).split())
    safe = flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return safe.replace("](", "]\\(")  # prevents links and images
