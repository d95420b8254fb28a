"""Commands that judge finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import RunPlugins


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="run folders or record.json files")],
    plugin: RunPlugins = None,
) -> None:
    """Compare runs on the same videos, with an interval."""
    from harness.analysis.compare import compare as command

    print(command(runs, plugin or []))


def reproduce(
    run: Annotated[Path, typer.Argument(metavar="RUN|RECORD", help="a finished run, or its record.json alone")],
    out: Annotated[Path, typer.Option("--out", help="the folder that the new run's folder is made in")] = Path(
        "reproduced"
    ),
    data: Annotated[
        Path | None, typer.Option("--data", help="where the run's data are now; default: where they were")
    ] = None,
    list_file: Annotated[Path | None, typer.Option("--list", help="where the run's test list lies now")] = None,
    plugin: RunPlugins = None,
    epochs_from: Annotated[
        Path | None, typer.Option(metavar="RUN", help="where the run that chose the epochs lies now")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
) -> None:
    """Run a record again, and compare the scores.

    Exit code 0 where the new scores lie inside the old intervals, 1 where not."""
    from harness.analysis.reproduce import Paths
    from harness.analysis.reproduce import reproduce as command

    code = command(run, out, Paths(data, list_file, tuple(plugin or ()), epochs_from, device))
    if code:
        raise typer.Exit(code)
