"""`harness weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Plugins

app = typer.Typer(help="Files of pretrained weights.", no_args_is_help=True, rich_markup_mode=None)


Weights = Annotated[str, typer.Argument(metavar="NAME", help="as in --encoders, without the slot: hsemotion:enet_b2_8")]


@app.command("list")
def weights_list(plugin: Plugins = None) -> None:
    """List the weights that encoders can name."""
    from harness.cli.commands.weights import list_weights

    list_weights(plugin or [])


@app.command("show")
def weights_show(name: Weights, plugin: Plugins = None) -> None:
    """Show all that is known of one file."""
    from harness.cli.commands.weights import show

    show(name, plugin or [])


@app.command("fetch")
def weights_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="as `harness weights list` names them")],
    plugin: Plugins = None,
) -> None:
    """Fetch and verify files, going on with what broke off."""
    from harness.cli.commands.weights import fetch

    fetch(names, plugin or [])


@app.command("verify")
def weights_verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="default: all that are here")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="with NAME: an option of its encoder, KEY=VALUE")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Compare the digests of the files that are here.

    One that is named is also loaded into its encoder, and what that took is shown."""
    from harness.cli.commands.weights import verify

    verify(name, sets or [], plugin or [])


@app.command("convert")
def weights_convert(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="state_dict or whole network, .pt, .pth, .pth.tar")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="a .safetensors file to write")],
    ema: Annotated[bool, typer.Option("--ema", help="take averaged weights, where there are others too")] = False,
) -> None:
    """Write a file of weights as safetensors; none of its code runs."""
    from harness.cli.commands.weights import convert

    convert(source, target, ema=ema)
