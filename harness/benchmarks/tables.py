"""Tables of measurements, and the page that contains them between markers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmarks.measure import Machine, Rates, Ratio, describe
from harness.io.atomic import atomic
from zoo.errors import UserError

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
SPEED, WHOLE, SIZE, LOST = "Speed", "Whole commands", "Size and memory", "Nothing lost"
HEADS = {
    SPEED: ("what", "against", "frames/s there", "frames/s here", "ratio", "rounds", "wanted", "reached"),
    WHOLE: ("what", "figure", "wanted", "reached"),
    SIZE: ("what", "figure", "wanted", "reached"),
    LOST: ("what", "figure", "wanted", "reached"),
}


@dataclass(frozen=True)
class Row:
    """One line of a section's table; ``cells`` lacks the last two. ``reached``: None if there is no target."""

    section: str
    cells: tuple[str, ...]
    wanted: str = ""
    reached: bool | None = None

    def line(self) -> tuple[str, ...]:
        """Return all cells."""
        return (*self.cells, self.wanted, {True: "yes", False: "**no**", None: ""}[self.reached])


def against(what: str, other: str, there: Rates, here: Rates, wanted: float | None = None) -> Row:
    """Return a row of speeds: ``here`` over ``there``, round by round; ``wanted``: the smallest acceptable ratio."""
    ratio = here.over(there)
    cells = (what, other, f"{there.median:,.0f}", f"{here.median:,.0f}", times(ratio.median), span(ratio))
    if wanted is None:
        return Row(SPEED, cells)
    return Row(SPEED, cells, f">= {wanted:g}", ratio.median >= wanted)


def most(what: str, figures: Mapping[str, tuple[float, float | None]]) -> Row:
    """Return a row of sizes: unit -> (value, the upper limit or None)."""
    shown = ", ".join(f"{number(value)} {unit}" for unit, (value, _) in figures.items())
    limits = {unit: limit for unit, (_, limit) in figures.items() if limit is not None}
    wanted = ", ".join(f"< {number(limit)} {unit}" for unit, limit in limits.items())
    reached = all(figures[unit][0] < limit for unit, limit in limits.items()) if limits else None
    return Row(SIZE, (what, shown), wanted, reached)


def times(ratio: float) -> str:
    """Format a ratio with three significant digits: 1.84, 0.953, 23.1, 233."""
    return f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}"


def span(ratio: Ratio) -> str:
    """Format the range over rounds."""
    return f"{times(ratio.low)} to {times(ratio.high)}"


def number(value: float) -> str:
    """Format a number with at most three digits, or with commas over a thousand."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(rows: Sequence[Row], known: Machine, notes: Sequence[str] = ()) -> str:
    """Return the sections' tables below a description of the machine."""
    parts = [describe(known) + ".", *notes]
    for section, heads in HEADS.items():
        own = [row.line() for row in rows if row.section == section]
        if own:
            parts += [f"### {section}", plain(heads, own)]
    return "\n\n".join(parts)


def plain(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table. It is not aligned, because one more digit would then change every line in a diff."""
    rule = "|" + " --- |" * len(heads)
    first, *rest = ("| " + " | ".join(line) + " |" for line in (heads, *lines))
    return "\n".join([first, rule, *rest])


def page(path: Path) -> tuple[str, str]:
    """Return the text before and after a page's markers; raise UserError if it has none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError("bench-page-unreadable", file=path, strerror=error.strerror) from None
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise UserError("bench-page-without-marks", file=path, line=BEGIN, end=END)
    return text.partition(BEGIN)[0], text.partition(END)[2]


def write(path: Path, content: str) -> None:
    """Put content between the markers of a page."""
    head, tail = page(path)
    atomic(path, lambda part: part.write_text(f"{head}{BEGIN}\n{content}\n{END}{tail}", encoding="utf-8"))


def figures_of(path: Path) -> dict[str, list[str]]:
    """Return section -> the first cells of its rows, as shown between a page's markers."""
    text = path.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    out: dict[str, list[str]] = {}
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        lines = [line for line in body.splitlines() if line.startswith("|")]
        out[name.strip()] = [line.split("|")[1].strip() for line in lines[2:]]
    return out
