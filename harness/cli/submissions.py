"""Commands that write, check and list submissions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import examples
from harness.cli.options import AnyTrack, Edition, ListFile, Plugins, RunData
from zoo.errors import UserError

RUNS = Path("runs")


@examples(
    "harness submit runs/first --zip",
    "harness submit runs/first --list trial-1.txt --out handed-in",
    "harness submit --predictions table.csv --edition abaw8 --track ah --out handed-in",
)
def submit(
    run_folder: Annotated[Path | None, typer.Argument(metavar="RUN", help="a finished run")] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="submit this table (parquet, csv) instead of a run")
    ] = None,
    edition: Edition = None,
    track: AnyTrack = None,
    list_file: ListFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="write into this folder", show_default="RUN/submission")
    ] = None,
    archive: Annotated[bool, typer.Option("--zip", help="write a ZIP archive too")] = False,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", metavar="NAME", help="name the file, such as trial-3.txt", show_default="the track's usual"
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(metavar="RUNS", help="with --predictions: record it in this folder", show_default="runs"),
    ] = None,
    plugin: Plugins = None,
    data: RunData = None,
) -> None:
    """Write and verify a submission of a run or of a table."""
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


@examples(
    "harness verify runs/first/submission --manifest runs/first/submission/manifest.json",
    "harness verify FILE --edition abaw10 --track va --list LIST",
    "harness verify FILE --edition abaw10 --track va --against OLDER",
)
def verify(
    path: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="a submission")],
    edition: Edition = None,
    track: Annotated[
        str | None,
        typer.Option(
            "--track", metavar="NAME", help="check it for this track: va, expr, ...", show_default="the manifest's"
        ),
    ] = None,
    list_file: ListFile = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="compare the values with this manifest.json")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="PATH", help="show how it differs from this submission")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Check the rows, format and values of a submission.

    Exit code 1 if anything is wrong, 3 if nothing is but the rows could not be checked for lack of a list.
    """
    from harness.cli.commands.verify import verify as command

    code = command(path, edition, track, list_file, manifest, against, plugin or [])
    if code:
        raise typer.Exit(code)


@examples("harness submissions", "harness submissions other-runs")
def submissions(runs: Annotated[Path, typer.Argument(metavar="RUNS", help="a folder of runs")] = RUNS) -> None:
    """List the submissions of runs, and how many are left."""
    from harness.cli.commands.submit import submissions as command

    command(runs)
