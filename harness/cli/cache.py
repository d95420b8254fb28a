"""`harness cache`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import Group, examples

app = typer.Typer(
    help="Inspect, check and clean the feature cache.", cls=Group, no_args_is_help=True, rich_markup_mode=None
)


@app.command("ls")
@examples("harness cache ls", "ABAW_ZOO_CACHE=/scratch/cache harness cache ls")
def cache_ls() -> None:
    """List the entries by stream and encoder."""
    from harness.cli.commands.cache import ls

    ls()


@app.command("gc")
@examples(
    "harness cache gc --days 60 --dry-run",
    "harness cache gc --size 200GB --keep runs",
)
def cache_gc(
    days: Annotated[
        float | None, typer.Option(min=0, help="remove entries that were not used for this many days")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="remove the longest unused entries until SIZE is left, such as 50GB"),
    ] = None,
    keep: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUNS", help="remove entries that no run in this folder was made from; repeatable"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list what would be removed, and remove nothing")] = False,
) -> None:
    """Remove damaged entries and those that the options select.

    Leftovers of killed processes are removed too, entries in use never.
    """
    from harness.cli.commands.cache import gc

    gc(days, size, keep, dry_run)


@app.command("verify")
@examples("harness cache verify", "ABAW_ZOO_CACHE=/scratch/cache harness cache verify")
def cache_verify() -> None:
    """Compare every entry with its checksums.

    Exit code 1 if an entry is damaged.
    """
    from harness.cli.commands.cache import verify

    verify()
