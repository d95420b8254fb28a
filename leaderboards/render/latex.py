"""Tables for a paper: LaTeX with the package booktabs, and longtable if a table does not fit on a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from leaderboards.columns import Column, columns, sources, wanting
from leaderboards.rows import Row, Table
from leaderboards.text import visible

__all__ = ["escape", "to_latex"]

LONGEST = 40  # rows on a page
WIDE = 28  # characters of a name that needs a column of fixed width
MOST = 10  # tables that may float before a page break is forced
_LEFT_OUT = ("details", "videos", "seeds", "trained", "weights", "selected on", "confidence")  # too wide for a page
_SET = r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "{-}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "¶": r"\P{}",
    "§": r"\S{}",
    "◊": r"\textlozenge{}",
    "…": r"\dots{}",
    "–": "--",
    "’": r"\textquoteright{}",
}
"""Characters that LaTeX reads as something else; brackets and asterisks after the end of a row are its options."""


def to_latex(tables: Sequence[Table]) -> str:
    """Return all tables, each with its caption, label, notes and sources."""
    head = (
        "% Needs \\usepackage{booktabs,longtable}, \\usepackage[T1]{fontenc} and \\usepackage{textcomp}.\n"
        "% Made by `harness leaderboard --format latex`.\n"
    )
    parts = [_table(table) + ("\\clearpage\n" if i % MOST == 0 else "") for i, table in enumerate(tables, 1)]
    return head + "\n".join(parts)


def escape(text: str) -> str:
    """Escape a text so that LaTeX shows it as it is; characters missing in the usual fonts become Unicode numbers."""
    return "".join(_character(c) for c in " ".join(visible(text).split()))


def _character(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    return c if " " <= c <= "~" or "À" <= c <= "ſ" else rf"\texttt{{U+{ord(c):04X}}}"


def _table(table: Table) -> str:
    shown = [column for column in columns(table) if column.name not in _LEFT_OUT]
    sides = "".join(_side(column, table) for column in shown)
    heads = " & ".join(escape(column.name) for column in shown) + r" \\"
    aligned = [(column, wanting(column, table)) for column in shown]
    body = "\n".join(_row(row, aligned) for row in table.rows)
    caption = rf"\caption{{{escape(table.title)}}}\label{{tab:{_label(table)}}}"
    if len(table.rows) > LONGEST:
        lines = [
            rf"\begin{{longtable}}{{{sides}}}",
            caption + r" \\",
            r"\toprule",
            heads,
            r"\midrule",
            r"\endfirsthead",
            r"\toprule",
            heads,
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            body,
            r"\end{longtable}",
            *_under(table),
        ]
        return "\n".join(["{" + _SET, *lines, "}", ""])
    lines = [
        r"\begin{table}[htbp]",
        _SET,
        caption,
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        heads,
        r"\midrule",
        body,
        r"\bottomrule",
        r"\end{tabular}",
        *_under(table),
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


def _side(column: Column, table: Table) -> str:
    if column.value:
        return "r"
    longest = max((len(_text(column, row)) for row in table.rows), default=0)
    return r"p{0.27\linewidth}" if longest > WIDE else "l"


def _row(row: Row, shown: Sequence[tuple[Column, Callable[[Row], int]]]) -> str:
    """Return a row, its numbers padded so that the points of a column are aligned."""
    cells = (escape(_text(c, row)) + (rf"\phantom{{{'0' * n}}}" if (n := lacks(row)) else "") for c, lacks in shown)
    return " & ".join(cells) + r" \\"


def _text(column: Column, row: Row) -> str:
    """Return the text of a cell, without the reason of a failed run and without a second interval."""
    if column.name == "score" and row.status != "done":
        return row.status
    text = column.text(row)
    return text.partition(" ")[0] if column.name == "post-processed" else text


def _under(table: Table) -> list[str]:
    notes = [escape(note) for note in table.notes]
    notes += [escape(f"[{number}] {source}") for source, number in sources(table).items()]
    return (
        [
            r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize\raggedright",
            r"\par ".join(notes),
            r"\end{minipage}",
        ]
        if notes
        else []
    )


def _label(table: Table) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", table.name)
