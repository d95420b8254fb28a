"""Commands that show what is there."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import Edition, Fusion, Head, OptEncoders, Plugins, Sets, Track


def list_(
    kind: Annotated[str | None, typer.Argument(help="encoders, fusions, heads, ...; default: all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    plugin: Plugins = None,
) -> None:
    """List what is there to be combined."""
    from harness.cli.commands.catalogue import list_plugins

    list_plugins(kind, as_json, plugin or [])


def recipes(name: Annotated[str | None, typer.Argument(help="one of them, in full")] = None) -> None:
    """List recipes, published systems as settings; show one."""
    from harness.cli.commands.recipes import recipes as command

    command(name)


def info(name: Annotated[str, typer.Argument(help="a block, an edition or a metric")], plugin: Plugins = None) -> None:
    """Show what is known of a block, an edition or a metric."""
    from harness.cli.commands.catalogue import info as command

    command(name, plugin or [])


def check(
    encoders: OptEncoders = None,
    fusion: Fusion = None,
    head: Head = None,
    track: Track = None,
    edition: Edition = None,
    sets: Sets = None,
    plugin: Plugins = None,
    recipe: Annotated[str | None, typer.Option(help="a recipe by name or file; flags replace its parts")] = None,
    finetune: Annotated[list[str] | None, typer.Option(help="train this slot's encoder on; repeatable")] = None,
    invariance: Annotated[bool, typer.Option("--invariance", help="what changes an answer that should not")] = False,
) -> None:
    """Build a combination without data or weights; show shapes."""
    from harness.cli.commands.catalogue import check as command

    flags = {
        "encoders": encoders,
        "fusion": fusion,
        "head": head,
        "track": track,
        "edition": edition,
        "plugin": [str(p) for p in plugin] if plugin else None,
        "finetune": finetune or None,
    }
    command(flags, sets or [], recipe)
    if invariance:
        from harness.analysis.invariance import report

        report(flags, sets or [], recipe)


def env(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Show machine, versions and whether the libraries load. Exit code 1 where one does not."""
    from harness.cli.commands.env import env as command

    command(as_json)


def explain(
    code: Annotated[
        str | None, typer.Argument(help="an error's code, or the whole sentence; default: all errors, as a page")
    ] = None,
) -> None:
    """Explain an error by its code: cause, example, way out."""
    from harness.cli.commands.explain import explain as command

    command(code)
