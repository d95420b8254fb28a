"""`harness plugin`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Write and check plugins of your own.", no_args_is_help=True, rich_markup_mode=None)


@app.command("new")
def plugin_new(
    name: Annotated[str, typer.Argument(help="the block's name, as in my-encoder")],
    kind: Annotated[str, typer.Option(help="encoder, fusion, head, loss, postprocess, detector, logger")],
    single_file: Annotated[bool, typer.Option("--single-file", help="one file, used with --plugin")] = False,
    out: Annotated[Path, typer.Option("--out", help="the folder it is written into")] = Path("."),
) -> None:
    """Write a plugin that works at once, to start from."""
    from harness.cli.commands.plugin_new import new

    new(name, kind, single_file=single_file, out=out)


@app.command("check")
def plugin_check(
    target: Annotated[str, typer.Argument(help="an installed package, a module or a .py file")],
    argument: Annotated[list[str] | None, typer.Option(help="ENCODER:ARGUMENT to check it with")] = None,
    tries: Annotated[list[str] | None, typer.Option("--try", help="OPTION=VALUE that the rule options tries")] = None,
) -> None:
    """Hold everything a plugin registers to the rules.

    Exit code 1 where a rule is broken: what was fed, what came back, why it matters."""
    from harness.cli.commands.plugin_check import check as command

    command(target, argument or [], tries or [])
