"""`harness report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import examples
from harness.cli.options import RunPlugins
from zoo.errors import UserError
from zoo.text import visible


@examples(
    "harness report runs/first",
    "harness report runs/a runs/b --out comparison.html",
    "harness report runs/first --figures figures --style acm",
    "harness report runs/first --faces",
)
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders; several are shown on one page")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="write the page here",
            show_default="report.html in the run, comparison.html next to several, faces.html",
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="write figures for a paper and their data into DIR")
    ] = None,
    style: Annotated[
        str, typer.Option("--style", metavar="NAME", help="draw figures in the style ieee or acm")
    ] = "ieee",
    faces: Annotated[
        bool, typer.Option("--faces", help="write the face crops at the largest errors into a file of its own")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="read the faces from here (with --faces)", show_default="the recorded folder"
        ),
    ] = None,
    plugin: RunPlugins = None,
) -> None:
    """Write a page about runs, or figures for a paper."""
    from harness.reports.making import report as make
    from harness.reports.making import report_several

    if faces:
        if len(runs) > 1 or figures is not None:
            raise UserError("report-faces-options")
        from harness.reports.faces_page import report_faces

        written = report_faces(runs[0], out, data=data, plugins=plugin or [])
        print(visible(f"written: {written}; it holds faces: keep it where the data are"))
        return
    if data is not None or plugin:
        raise UserError("report-data-options")
    if figures is not None:
        if len(runs) > 1 or out is not None:
            raise UserError("report-figures-options")
        from harness.reports.paper_figures import write_figures

        drawn = write_figures(runs[0], figures, style)
        print(visible(f"written: {len(drawn)} files in {figures}, such as {drawn[0].name} and {drawn[1].name}"))
        return
    if len(runs) == 1 and out is None:
        print(visible(f"written: {make(runs[0])}"))
        return
    place = out or runs[0].resolve().parent / "comparison.html"
    print(visible(f"written: {report_several(runs, place, 'Runs side by side')}"))
