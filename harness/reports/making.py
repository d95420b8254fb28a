"""Report files: of a run, next to its record, and of several runs, at a chosen path."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.io.atomic import atomic
from harness.reports.run_page import run_page
from harness.reports.several_page import several_page
from harness.reports.sources import read_sources
from zoo.errors import FullDiskError, UserError, first_line
from zoo.text import visible

NAME = "report.html"
SWEEP = "sweep.html"
MOST = 50
"""Most runs on one page; use a leaderboard for more."""


def report(folder: Path) -> Path:
    """Write the report of a run next to its record and return the file.

    Raises:
        UserError: The run has no readable record, or the page cannot be written.
    """
    page = run_page(read_sources(folder))
    return _write(folder / NAME, page)


def report_several(folders: Sequence[Path], out: Path, title: str) -> Path:
    """Write one page with several runs side by side and return the file.

    Raises:
        UserError: There are more than MOST runs, a run has no readable record, or the page cannot be written.
    """
    if len(folders) > MOST:
        raise UserError("report-too-many", count=len(folders), most=MOST, folder=folders[0].parent)
    sources = [read_sources(folder, predictions=False) for folder in folders]
    return _write(out, several_page(sources, out.parent, title))


def leave_report(folder: Path) -> Path | None:
    """Write the report of a run that has just ended and return the file.

    If that fails, print a warning and return None, because the run is complete without its page.
    """
    try:
        path = report(folder)
    except Exception as error:  # any error: the run is done and must not end as a failure
        _warn(folder, error)
        return None
    print(f"report: {visible(str(path))}", flush=True)
    return path


def leave_sweep_report(folders: Sequence[Path], out: Path) -> Path | None:
    """Write the missing or outdated reports of a sweep's runs, and one page with all runs side by side.

    Print a warning if a page cannot be written; return the sweep's page, or None without one.
    """
    for folder in folders:
        if (folder / "record.json").is_file() and not _is_newer(folder / NAME, folder / "record.json"):
            try:
                report(folder)
            except Exception as error:
                _warn(folder, error)
    shown = [folder for folder in folders if (folder / "record.json").is_file()]
    if not shown:
        return None
    if len(shown) > MOST:
        print(f"no page of the sweep: {len(shown)} runs are more than {MOST}; see the leaderboard")
        return None
    try:
        path = report_several(shown, out / SWEEP, "Sweep")
    except Exception as error:
        _warn(out, error)
        return None
    print(f"report: {visible(str(path))}", flush=True)
    return path


def _warn(folder: Path, error: Exception) -> None:
    said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
    again = "make room and run" if isinstance(error, FullDiskError) else "make it again with"
    line = f"warning: no report was made ({said}); {again} `harness report {folder}`"
    print(visible(line), file=sys.stderr, flush=True)


def _is_newer(path: Path, than: Path) -> bool:
    return path.is_file() and path.stat().st_mtime_ns >= than.stat().st_mtime_ns


def _write(path: Path, page: str) -> Path:
    atomic(path, lambda part: part.write_text(page, encoding="utf-8"))
    return path
