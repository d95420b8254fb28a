"""`harness plugin`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import Group, examples

app = typer.Typer(help="Write and check your own plugins.", cls=Group, no_args_is_help=True, rich_markup_mode=None)


@app.command("new")
@examples("harness plugin new my-encoder --kind encoder --single-file", "harness plugin new my-head --kind head")
def plugin_new(
    name: Annotated[str, typer.Argument(help="the block's name, as in my-encoder")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="write an encoder, augmentation, fusion, head, loss, postprocess, detector, logger or corpus",
        ),
    ],
    single_file: Annotated[
        bool, typer.Option("--single-file", help="write one file, for --plugin, instead of a package")
    ] = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="write it into this folder")] = Path("."),
) -> None:
    """Write a small working plugin to start from."""
    from harness.cli.commands.plugin_new import new

    new(name, kind, single_file=single_file, out=out)


@app.command("check")
@examples(
    "harness plugin check my_encoder.py",
    "harness plugin check my-head",
    "harness plugin check plugins.encoders --argument timm:resnet18",
)
def plugin_check(
    target: Annotated[str, typer.Argument(help="an installed package, a module or a .py file")],
    argument: Annotated[
        list[str] | None,
        typer.Option(metavar="ENCODER:ARGUMENT", help="check this encoder with this argument; repeatable"),
    ] = None,
    tries: Annotated[
        list[str] | None, typer.Option("--try", metavar="OPTION=VALUE", help="try this value of an option; repeatable")
    ] = None,
) -> None:
    """Check that the blocks of a plugin keep all rules.

    Exit code 1 if a rule is broken; the output shows the input, the result and why it matters.
    """
    from harness.cli.commands.plugin_check import check as command

    command(target, argument or [], tries or [])
