"""Tables as one CSV, one row each, with unrounded numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields

from leaderboards.rows import Key, Row, Table
from leaderboards.text import inert

__all__ = ["to_csv"]

_FIGURES = ("parts", "fine")


def to_csv(tables: Sequence[Table]) -> str:
    """Return all rows of all tables with the columns of Key and Row, then one for each part that any row has."""
    names = [f.name for f in fields(Row) if f.name not in _FIGURES]
    parts = list(dict.fromkeys(part for table in tables for row in table.rows for part, _ in (*row.parts, *row.fine)))
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow([*Key._fields, *names, *map(inert, parts)])
    for table in tables:
        for row in table.rows:
            figures = dict((*row.parts, *row.fine))
            values = [*(getattr(row, name) for name in names), *(figures.get(part) for part in parts)]
            out.writerow(["" if v is None else inert(v) if isinstance(v, str) else v for v in (*table.key, *values)])
    return text.getvalue()
