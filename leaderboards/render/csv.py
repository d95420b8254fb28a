"""Tables as one CSV, a row each, figures in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields

from leaderboards.rows import Key, Row, Table

__all__ = ["to_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FIGURES = ("parts", "fine")


def to_csv(tables: Sequence[Table]) -> str:
    """All rows of all tables with the columns of Key and Row, then one for each part that any row has."""
    names = [f.name for f in fields(Row) if f.name not in _FIGURES]
    parts = list(dict.fromkeys(part for table in tables for row in table.rows for part, _ in (*row.parts, *row.fine)))
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow([*Key._fields, *names, *parts])
    for table in tables:
        for row in table.rows:
            figures = dict((*row.parts, *row.fine))
            values = [*(getattr(row, name) for name in names), *(figures.get(part) for part in parts)]
            out.writerow(["" if v is None else _inert(v) for v in (*table.key, *values)])
    return text.getvalue()


def _inert(value: object) -> object:
    """A name that a spreadsheet would take for a formula, behind an apostrophe, which makes it a text there; and no
    carriage return, which csv does not quote."""
    if not isinstance(value, str):
        return value
    return f"'{value}".replace("\r", " ") if value.lstrip(" ").startswith(_FORMULA) else value.replace("\r", " ")
