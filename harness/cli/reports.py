"""`harness report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import examples
from zoo.errors import UserError
from zoo.text import visible


@examples(
    "harness report runs/first",
    "harness report runs/a runs/b --out comparison.html",
    "harness report runs/first --figures figures --style acm",
)
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders; several are shown on one page")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="write the page here",
            show_default="report.html in the run, comparison.html next to several",
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="write figures for a paper and their data into DIR")
    ] = None,
    style: Annotated[
        str, typer.Option("--style", metavar="NAME", help="draw figures in the style ieee or acm")
    ] = "ieee",
) -> None:
    """Write a page about runs, or figures for a paper."""
    from harness.reports.making import report as make
    from harness.reports.making import report_several

    if figures is not None:
        if len(runs) > 1 or out is not None:
            raise UserError("report-figures-options")
        from harness.reports.paper_figures import write_figures

        written = write_figures(runs[0], figures, style)
        print(visible(f"written: {len(written)} files in {figures}, such as {written[0].name} and {written[1].name}"))
        return
    if len(runs) == 1 and out is None:
        print(visible(f"written: {make(runs[0])}"))
        return
    place = out or runs[0].resolve().parent / "comparison.html"
    print(visible(f"written: {report_several(runs, place, 'Runs side by side')}"))
