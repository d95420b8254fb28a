"""Commands about what is handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import AnyTrack, Edition, ListFile, Plugins, RunData
from zoo.errors import UserError

RUNS = Path("runs")


def submit(
    run_folder: Annotated[Path | None, typer.Argument(metavar="RUN", help="a finished run")] = None,
    predictions: Annotated[Path | None, typer.Option(help="a table instead of a run: parquet or csv")] = None,
    edition: Edition = None,
    track: AnyTrack = None,
    list_file: ListFile = None,
    out: Annotated[Path | None, typer.Option("--out", help="a folder; default: RUN/submission")] = None,
    archive: Annotated[bool, typer.Option("--zip", help="write the archive too")] = False,
    file: Annotated[str | None, typer.Option("--file", help="its name, as in trial-3.txt; default: the usual")] = None,
    runs: Annotated[Path | None, typer.Option(help="the folder whose ledger notes a table's submission")] = None,
    plugin: Plugins = None,
    data: RunData = None,
) -> None:
    """Write and verify a submission, of a run or a table."""
    from harness.cli.commands.submit import submit_run, submit_table

    if (run_folder is None) == (predictions is None):
        raise UserError("submit-what")
    if run_folder is not None:
        if runs is not None:
            raise UserError("submit-run-options")
        plugins = plugin or []
        submit_run(run_folder, edition, track, list_file, out, name=file, archive=archive, data=data, plugins=plugins)
        return
    assert predictions is not None
    if track is None or out is None or data is not None:
        raise UserError("submit-predictions-options")
    submit_table(
        predictions,
        edition,
        track,
        list_file,
        out,
        name=file,
        archive=archive,
        runs=runs or RUNS,
        plugins=plugin or [],
    )


def verify(
    path: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="a submission")],
    edition: Edition = None,
    track: Annotated[str | None, typer.Option("--track", help="va, expr, ...; default: the manifest's")] = None,
    list_file: ListFile = None,
    manifest: Annotated[Path | None, typer.Option(help="check the values too, against what was written")] = None,
    against: Annotated[Path | None, typer.Option(help="another submission: how the two differ")] = None,
    plugin: Plugins = None,
) -> None:
    """Check a submission as a strict stranger would.

    Exit code 1 where anything is wrong, 3 where nothing is but rows could not be checked for want of a list."""
    from harness.cli.commands.verify import verify as command

    code = command(path, edition, track, list_file, manifest, against, plugin or [])
    if code:
        raise typer.Exit(code)


def submissions(runs: Annotated[Path, typer.Argument(metavar="RUNS", help="a folder of runs")] = RUNS) -> None:
    """List the submissions made from a folder of runs."""
    from harness.cli.commands.submit import submissions as command

    command(runs)
