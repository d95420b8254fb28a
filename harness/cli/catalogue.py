"""Commands that show the registered blocks, recipes, errors and the machine."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.help import examples
from harness.cli.options import Adapt, Augment, Edition, Finetune, Fusion, Head, OptEncoders, Plugins, Sets, Track


@examples("harness list", "harness list encoders", "harness list heads --json")
def list_(
    kind: Annotated[str | None, typer.Argument(help="encoders, fusions, heads, ...", show_default="all kinds")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    plugin: Plugins = None,
) -> None:
    """List encoders, fusions, heads and all other blocks."""
    from harness.cli.commands.catalogue import list_plugins

    list_plugins(kind, as_json, plugin or [])


@examples("harness recipes", "harness recipes ntua-cvsp-2021")
def recipes(name: Annotated[str | None, typer.Argument(help="a recipe to show in full")] = None) -> None:
    """List recipes (settings of published systems), or show one."""
    from harness.cli.commands.recipes import recipes as command

    command(name)


@examples("harness info timm", "harness info abaw10", "harness info mean_ccc")
def info(name: Annotated[str, typer.Argument(help="a block, an edition or a metric")], plugin: Plugins = None) -> None:
    """Show a block, an edition or a metric in full."""
    from harness.cli.commands.catalogue import info as command

    command(name, plugin or [])


@examples(
    "harness check --encoders face=timm:resnet18,audio --fusion concat --head lstm",
    "harness check --recipe ntua-cvsp-2021 --head tcn",
    "harness check --encoders face --head gru --invariance",
)
def check(
    encoders: OptEncoders = None,
    fusion: Fusion = None,
    head: Head = None,
    track: Track = None,
    edition: Edition = None,
    sets: Sets = None,
    plugin: Plugins = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="start from these settings", show_default="the default settings"),
    ] = None,
    finetune: Finetune = None,
    adapt: Adapt = None,
    augment: Augment = None,
    invariance: Annotated[
        bool, typer.Option("--invariance", help="measure how predictions change with batch size, padding and precision")
    ] = False,
) -> None:
    """Check that a combination fits together, without data."""
    from harness.cli.commands.catalogue import check as command

    flags = {
        "encoders": encoders,
        "fusion": fusion,
        "head": head,
        "track": track,
        "edition": edition,
        "plugin": [str(p) for p in plugin] if plugin else None,
        "finetune": finetune or None,
        "adapt": adapt or None,
        "augment": augment or None,
    }
    command(flags, sets or [], recipe)
    if invariance:
        from harness.analysis.invariance import report

        report(flags, sets or [], recipe)


@examples("harness env", "harness env --json")
def env(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """Show the machine, versions and whether the libraries load.

    Exit code 1 if a library does not load.
    """
    from harness.cli.commands.env import env as command

    command(as_json)


@examples("harness explain annotation-empty", "harness explain")
def explain(
    code: Annotated[
        str | None, typer.Argument(help="an error's code or its message", show_default="all errors, as Markdown")
    ] = None,
) -> None:
    """Explain an error: its cause, an example and what to do."""
    from harness.cli.commands.explain import explain as command

    command(code)


@examples("harness help", "harness help branches", "harness help settings", "harness help data pack")
def help_(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC|COMMAND", help="show this topic or command")
    ] = None,
) -> None:
    """Explain a topic, or show the help of a command."""
    from harness.cli.commands.help import show

    show(words or [], ctx.find_root())
