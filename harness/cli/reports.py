"""`harness report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders; several: one page side by side")],
    out: Annotated[
        Path | None, typer.Option("--out", help="the page of several runs; default: comparison.html beside them")
    ] = None,
) -> None:
    """Draw a run's report again, or several runs side by side."""
    from harness.reports.making import report as make
    from harness.reports.making import report_several

    if len(runs) == 1 and out is None:
        print(f"written: {make(runs[0])}")
        return
    place = out or runs[0].resolve().parent / "comparison.html"
    print(f"written: {report_several(runs, place, 'Runs side by side')}")
