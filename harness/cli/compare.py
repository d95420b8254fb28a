"""Commands that compare and repeat finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import examples
from harness.cli.options import Device, RunPlugins


@examples("harness compare runs/a runs/b", "harness compare runs/a other/record.json")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="run folders or record.json files")],
    plugin: RunPlugins = None,
) -> None:
    """Compare runs on the same videos, with confidence intervals."""
    from harness.analysis.compare import compare as command

    print(command(runs, plugin or []))


@examples("harness reproduce runs/first --data DIR", "harness reproduce record.json --data DIR --out repeated")
def reproduce(
    run: Annotated[Path, typer.Argument(metavar="RUN|RECORD", help="a finished run, or its record.json")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="write the new run into this folder")] = Path(
        "reproduced"
    ),
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="read the run's data here", show_default="the recorded folder"),
    ] = None,
    list_file: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="read the run's test list here")
    ] = None,
    plugin: RunPlugins = None,
    epochs_from: Annotated[
        Path | None, typer.Option(metavar="RUN", help="find the run that chose the epochs here")
    ] = None,
    distill: Annotated[Path | None, typer.Option(metavar="RUN", help="find the run that taught this one here")] = None,
    device: Device = None,
) -> None:
    """Train a finished run again and compare the scores.

    Exit code 0 if the new scores are inside the old intervals, 1 if not.
    """
    from harness.analysis.reproduce import Paths
    from harness.analysis.reproduce import reproduce as command

    code = command(run, out, Paths(data, list_file, tuple(plugin or ()), epochs_from, device, distill))
    if code:
        raise typer.Exit(code)
