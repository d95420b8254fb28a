"""Committed pages of published results: made by one command, checked for being stale."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from leaderboards.comparison import editions, published_tables
from leaderboards.record import replace_file
from leaderboards.render.markdown import cell, section
from leaderboards.rows import Row, Table

__all__ = ["COMMAND", "pages", "stale", "write_pages"]

COMMAND = "harness leaderboard --published --out leaderboards"
_MADE = f"<!-- Made by `{COMMAND}` from leaderboards/published; change that, then run it again. -->"


def pages(venues: Mapping[str, str]) -> dict[str, str]:
    """Return file name -> text: one page per edition, and README.md with links to them.

    ``venues``: edition -> the place and year of its workshop.
    """
    by_edition = {name: list(group) for name, group in groupby(published_tables(), lambda table: table.key.edition)}
    found = {f"{name}.md": _page(name, by_edition[name], venues) for name in editions()}
    return {"README.md": _index(by_edition, venues), **found}


def write_pages(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write the pages into the folder, remove those of editions without published results, and return their paths."""
    for old in _others(folder, texts):
        old.unlink()
    for name, text in texts.items():
        replace_file(folder / name, text.encode())
    return [folder / name for name in texts]


def stale(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Return a line for each page of the folder that differs from ``texts``; [] if all are up to date."""
    lines = [line for name, text in texts.items() if (line := _difference(folder / name, text))]
    return lines + [f"{old}: nothing is published of this edition" for old in _others(folder, texts)]


def _difference(path: Path, text: str) -> str:
    if not path.is_file():
        return f"{path}: is missing"
    here, wanted = path.read_text(encoding="utf-8").splitlines(), text.splitlines()
    if here == wanted:
        return ""
    first = next(
        (i for i, (a, b) in enumerate(zip(here, wanted, strict=False), 1) if a != b), min(len(here), len(wanted)) + 1
    )
    return f"{path}: is stale from line {first} on"


def _others(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    made = (path for path in sorted(folder.glob("abaw*.md")) if path.name not in texts)
    return [path for path in made if path.read_text(encoding="utf-8").startswith("<!-- Made by `harness leaderboard")]


def _page(edition: str, tables: list[Table], venues: Mapping[str, str]) -> str:
    """Return the page of an edition; a note that is in all of its tables appears once, at the top."""
    common = [note for note in tables[0].notes if all(note in table.notes for table in tables)]
    parts = [_MADE, f"# {cell(_named(edition, venues))}: published results", *(cell(note) for note in common)]
    for table in tables:
        own = tuple(note for note in table.notes if note not in common)
        parts.append(section(Table(table.key, _title(table), own, table.rows, table.metric)))
    return "\n\n".join([*parts, "[All editions](README.md)"]) + "\n"


def _named(edition: str, venues: Mapping[str, str]) -> str:
    return edition + (f", {venues[edition]}" if edition in venues else "")


def _title(table: Table) -> str:
    return f"{table.key.track}, {table.key.split}" + (f": {table.metric}" if table.metric else "")


def _index(by_edition: Mapping[str, list[Table]], venues: Mapping[str, str]) -> str:
    parts = [
        _MADE,
        "# Published results",
        "Published results of the ABAW competitions, each number with its source on the page of its edition. Highest: "
        "of the numbers that were found, which for many editions are not all. Nothing here was scored by this program. "
        "Together with your own runs: `harness leaderboard RUNS --edition abaw10 --track va --split val`; to sort, "
        "filter and plot: `harness leaderboard --published --out published.html`.",
    ]
    for edition in editions():
        lines = [
            f"## [{cell(_named(edition, venues))}]({edition}.md)",
            "",
            "| track | split | metric | results | highest | by | baseline |",
            "|:--|:--|:--|--:|--:|:--|--:|",
            *(_line(edition, table) for table in by_edition[edition]),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(edition: str, table: Table) -> str:
    scored = [row for row in table.rows if row.stands]
    baselines = [row for row in scored if row.run.lower() == "baseline"]
    teams = [row for row in scored if row not in baselines]
    link = f"[{table.key.track}]({edition}.md#{_anchor(_title(table))})"
    cells = [link, table.key.split, table.metric, str(len(table.rows)), *_highest(teams), _highest(baselines)[0]]
    return "| " + " | ".join(cells) + " |"


def _highest(rows: list[Row]) -> tuple[str, str]:
    if not rows:
        return "", ""
    highest = max(rows, key=lambda row: row.score or 0.0)
    return f"{highest.score:g}", cell(highest.label)


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
