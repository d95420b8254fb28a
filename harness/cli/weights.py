"""`harness weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import Group, examples
from harness.cli.options import Plugins, RunPlugins

app = typer.Typer(
    help="List, fetch and check pretrained weights.", cls=Group, no_args_is_help=True, rich_markup_mode=None
)


Weights = Annotated[str, typer.Argument(metavar="NAME", help="a name such as blazeface or hsemotion:enet_b2_8")]


@app.command("list")
@examples("harness weights list", "harness weights list --plugin my_encoder.py")
def weights_list(plugin: Plugins = None) -> None:
    """List the weights that encoders and detectors can use."""
    from harness.cli.commands.weights import list_weights

    list_weights(plugin or [])


@app.command("show")
@examples("harness weights show fer", "harness weights show hsemotion:enet_b2_8")
def weights_show(name: Weights, plugin: Plugins = None) -> None:
    """Show the model card of a weight file."""
    from harness.cli.commands.weights import show

    show(name, plugin or [])


@app.command("fetch")
@examples("harness weights fetch hsemotion:enet_b2_8", "harness weights fetch timm:resnet18 places365:resnet18")
def weights_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="names of `harness weights list`")],
    plugin: Plugins = None,
) -> None:
    """Download and verify weight files; continue broken downloads."""
    from harness.cli.commands.weights import fetch

    fetch(names, plugin or [])


@app.command("verify")
@examples("harness weights verify", "harness weights verify hsemotion:enet_b2_8")
def weights_verify(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="a name of `harness weights list`", show_default="all on this machine"),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="with NAME: set an option of its encoder; repeatable"),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Compare the weight files on this machine with their digests.

    With NAME, the file is also loaded into its encoder.
    """
    from harness.cli.commands.weights import verify

    verify(name, sets or [], plugin or [])


@app.command("convert")
@examples(
    "harness weights convert net.pth net.safetensors", "harness weights convert net.pth.tar net.safetensors --ema"
)
def weights_convert(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="a state_dict or a whole network: .pt, .pth, .pth.tar")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="the .safetensors file to write")],
    ema: Annotated[bool, typer.Option("--ema", help="take the averaged weights, if the file has others too")] = False,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="PLACE", help="take the network at this place: teacher, checkpoint/model"),
    ] = None,
) -> None:
    """Convert a weight file to safetensors without running its code."""
    from harness.cli.commands.weights import convert

    convert(source, target, ema=ema, key=key)


@app.command("merge")
@examples(
    "harness weights merge runs/first merged.safetensors",
    "harness weights merge runs/first merged.safetensors --branch face",
)
def weights_merge(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a finished run with adapters (`--adapt`)")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="the .safetensors file to write")],
    branch: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="the adapted input branch", show_default="the only one")
    ] = None,
    plugin: RunPlugins = None,
) -> None:
    """Merge a run's adapters into their encoder's weights.

    The file can be used wherever the encoder's usual weights can: --set encoder.BRANCH.weights=OUT.
    """
    from harness.cli.commands.weights import merge

    merge(run, target, branch, plugin or [])
