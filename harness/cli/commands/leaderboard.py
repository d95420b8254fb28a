"""`harness leaderboard`: runs and published results as tables. Needs no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import quote

import typer

from harness.io.locks import BOARD, file_lock
from leaderboards.comparison import Official, TableQuery, boards, natural, published_tables
from leaderboards.published import read as read_published
from leaderboards.published_pages import COMMAND, pages, stale, write_pages
from leaderboards.record import Record, replace_file
from leaderboards.render.csv import to_csv
from leaderboards.render.html import to_html
from leaderboards.render.latex import to_latex
from leaderboards.render.markdown import to_markdown
from leaderboards.rows import Table
from leaderboards.tables import leaderboard as tables_of
from leaderboards.tables import load_runs, write
from zoo.errors import UserError
from zoo.files import reason_of
from zoo.registry.registry import load
from zoo.registry.suggestions import did_you_mean
from zoo.tracks import EditionSpec

Writer = Callable[[Sequence[Table], Sequence[str]], str]
FORMATS: dict[str, tuple[str, Writer]] = {
    "md": (".md", to_markdown),
    "csv": (".csv", lambda tables, problems: to_csv(tables)),
    "latex": (".tex", lambda tables, problems: to_latex(tables)),
    "html": (".html", to_html),
}
DEFAULT = Path("runs")


def own(runs: Path | None) -> None:
    """Write the tables of a folder of runs into it, and print them."""
    folder = runs or DEFAULT
    with _told(folder), file_lock(folder / BOARD) if folder.is_dir() else nullcontext():
        records, problems = _runs(folder)
        tables = tables_of(records)
        files = write(folder, tables, problems)
    print(to_markdown(tables, problems))
    print("written: " + ", ".join(map(str, files)))


def side_by_side(runs: Path | None, wanted: TableQuery, form: str | None, out: Path | None) -> None:
    """Show runs next to published results; without a folder of runs, show the published results alone."""
    records, problems = _runs(runs or DEFAULT) if runs is not None or DEFAULT.is_dir() else ([], [])
    _check(wanted, records)
    known = _editions()
    tables = boards(records, wanted, _official(known))
    if not tables:
        raise UserError("published-nothing-and-no-runs", words=_words(wanted))
    own_first = sorted(tables, key=lambda table: not any(row.kind == "run" for row in table.rows))
    _write(own_first, problems, form, out, runs or DEFAULT)


def published(wanted: TableQuery, form: str | None, out: Path | None, check: bool) -> None:
    """Show published results: write or check the pages in the folder ``out``, or write one table or file."""
    whole = not any(wanted) and form is None
    if check and not whole:
        raise UserError("check-options-mixed")
    if check or (whole and out is not None and not out.suffix):
        folder, texts = out or Path("leaderboards"), pages(_venues())
        if check:
            _tell_stale(stale(folder, texts))
        else:
            print("written: " + ", ".join(map(str, write_pages(folder, texts))))
        return
    _check(wanted, [])
    if not (tables := published_tables(wanted)):
        raise UserError("published-nothing", words=_words(wanted))
    _write(tables, [], form, out)


def _words(wanted: TableQuery) -> str:
    return " ".join(word for word in wanted if word)


def _tell_stale(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)
    if lines:
        print(f"make them again: {COMMAND}", file=sys.stderr)
        raise typer.Exit(1)
    print("the pages of published results are up to date")


def _runs(folder: Path) -> tuple[list[Record], list[str]]:
    if not folder.is_dir():
        raise UserError("runs-folder-missing", folder=folder)
    records, problems = load_runs(folder)
    if not records and not problems:
        raise UserError("runs-none", folder=folder)
    return records, problems


def _reports(runs: Path | None, out: Path | None) -> dict[str, str]:
    """Return run name -> link to its report.html, relative to the page at ``out``."""
    if runs is None or out is None:
        return {}
    beside = os.path.relpath(runs.absolute(), out.absolute().parent)
    names = sorted(path.parent.name for path in runs.glob("*/report.html"))
    return {name: quote(Path(beside, name, "report.html").as_posix()) for name in names}


def _write(
    tables: Sequence[Table], problems: Sequence[str], form: str | None, out: Path | None, runs: Path | None = None
) -> None:
    """Print the tables, or write them into a file, in the format that is named or that the file's ending implies."""
    endings = {ending: name for name, (ending, _) in FORMATS.items()}
    form = form or (endings.get(out.suffix.lower()) if out is not None else "md")
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(
            "leaderboard-format",
            message=f"unknown --format {form}; {did_you_mean(form, FORMATS)}choose from {known}"
            if form
            else f"--out {out}: its ending is not a format; use --format {known}, or end it in {', '.join(endings)}",
        )
    text = to_html(tables, problems, _reports(runs, out)) if form == "html" else FORMATS[form][1](tables, problems)
    if out is None:
        print(text, end="")
    elif out.is_dir():
        raise UserError("out-is-folder", out=out)
    else:
        with _told(out):
            replace_file(out, text.encode())
        print(f"written: {out}")


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Raise UserError if the tables cannot be written; the old ones stay."""
    try:
        yield
    except OSError as error:
        raise UserError("tables-not-writable", place=place, strerror=reason_of(error)) from None


def _check(wanted: TableQuery, records: Sequence[Record]) -> None:
    """Raise UserError for a filter that no run and no result can pass, such as a misspelt track."""
    specs, results, given = _editions(), [record.result for record in records], read_published()
    known = {
        "edition": [spec.name for spec in specs] + [str(r.get("edition")) for r in results],
        "track": [t.name for spec in specs for t in spec.tracks] + [str(r.get("track")) for r in results],
        "split": ["val", "test"] + [row.split for row in given] + [str(r.get("split")) for r in results],
    }
    for option, word in wanted._asdict().items():
        names = sorted(set(known[option]), key=natural)
        if word is not None and word not in names:
            raise UserError(
                "leaderboard-option-unknown",
                option=option,
                word=word,
                hint=did_you_mean(word, names),
                names=", ".join(names),
            )


def _editions() -> list[EditionSpec]:
    return [entry.spec for entry in load([]).entries("editions")]


def _venues() -> dict[str, str]:
    return {s.name: s.venue if str(s.year) in s.venue else f"{s.venue} ({s.year})" for s in _editions()}


def _official(specs: Sequence[EditionSpec]) -> Official:
    """Return (edition, track, split) -> the numbers of videos that the organisers publish."""
    found = {}
    for spec in specs:
        for track in spec.tracks:
            for split in ("train", "val", "test"):
                number = track.figures.get(f"videos_{split}")
                if number is not None:
                    found[spec.name, track.name, split] = number if isinstance(number, tuple) else (number,)
    return found
