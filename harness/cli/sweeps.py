"""`harness sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import DataDir, Edition, Launcher, ListFile, Out, Plugins, Sets, Track
from zoo.errors import UserError


def sweep(
    encoders: Annotated[str | None, typer.Option(help="lists of slots, by semicolons: 'face;face,context'")] = None,
    fusion: Annotated[str | None, typer.Option(help="fusions, by commas")] = None,
    head: Annotated[str | None, typer.Option(help="heads, by commas")] = None,
    track: Track = None,
    edition: Edition = None,
    data: DataDir = None,
    out: Out = Path("runs"),
    epochs: Annotated[int | None, typer.Option(min=1, help="most epochs to train")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="decides all that is random")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="train each with this many seeds; mean and spread")] = 1,
    folds: Annotated[int | None, typer.Option(min=1, help="k-fold over train and val by group, 3 or more")] = None,
    finetune: Annotated[list[str] | None, typer.Option(help="train this slot's encoder on; may be given again")] = None,
    loss: Annotated[list[str] | None, typer.Option(help="a loss instead of a default one; may be given again")] = None,
    post: Annotated[str | None, typer.Option(help="post-processors in order, by commas")] = None,
    recipe: Annotated[str | None, typer.Option(help="settings: a name or a TOML file (a run's config.toml)")] = None,
    sets: Sets = None,
    plugin: Plugins = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
    list_file: ListFile = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="trainings at once; default: one a GPU, or a core")] = None,
    launcher: Launcher = "local",
    search: Annotated[
        int | None, typer.Option(min=1, help="choose settings of each among so many trials (extra search)")
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option(help="what to choose: KEY=LOW:HIGH[:log] or KEY=A,B,...; may be given again")
    ] = None,
    search_folds: Annotated[int, typer.Option(help="folds of the training videos that a trial is scored on")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and what does not fit")] = False,
) -> None:
    """Train many combinations, and rank them."""
    from harness.config.recipe import recipe_of
    from harness.sweeps.grid import configurations, grid

    combinations = grid(encoders, fusion, head)
    from harness.cli.commands.sweep import sweep as command
    from harness.sweeps.launch import How
    from harness.sweeps.search import Search
    from harness.sweeps.search_space import parse_space

    flags = {
        "track": track,
        "edition": edition,
        "seed": seed,
        "data_dir": str(data) if data else None,
        "device": device,
        "loss": loss or None,
        "finetune": finetune or None,
        "plugin": [str(p) for p in plugin] if plugin else None,
        "post": [p for p in post.split(",") if p] if post is not None else None,
        "folds": folds,
    }
    more = ([f"train.epochs={epochs}"] if epochs else []) + ([f"data.list={list_file}"] if list_file else [])
    configs = configurations(recipe or recipe_of(data), flags, [*more, *(sets or [])], combinations)
    if any(config.fit for config in configs):
        raise UserError("sweep-no-scores")
    fixed = tuple(text.partition("=")[0].strip() for text in sets or [])
    wanted = Search(search, search_folds, parse_space(space or []), fixed) if search else None
    if space and not search:
        raise UserError("space-without-search")
    if command(configs, out, seeds, How(jobs, launcher, wanted), dry_run=dry_run):
        raise typer.Exit(1)
