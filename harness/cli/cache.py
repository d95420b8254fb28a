"""`harness cache`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The cache of features.", no_args_is_help=True, rich_markup_mode=None)


@app.command("ls")
def cache_ls() -> None:
    """List what is there, by encoder."""
    from harness.cli.commands.cache import ls

    ls()


@app.command("gc")
def cache_gc(
    days: Annotated[float | None, typer.Option(min=0, help="entries that were not used for so many days")] = None,
    size: Annotated[str | None, typer.Option(help="the longest unused, until the rest is at most this: 50GB")] = None,
    keep: Annotated[
        list[Path] | None, typer.Option(help="entries that no run in this folder was made from; may be given again")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, and remove nothing")] = False,
) -> None:
    """Remove leftovers and damaged entries, and what the options say; never what is in use."""
    from harness.cli.commands.cache import gc

    gc(days, size, keep, dry_run)


@app.command("verify")
def cache_verify() -> None:
    """Compare every entry with its checksums. Exit code 1 where one is damaged."""
    from harness.cli.commands.cache import verify

    verify()
