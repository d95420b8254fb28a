"""`harness sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import examples
from harness.cli.options import (
    Adapt,
    Augment,
    DataDir,
    Device,
    Edition,
    Finetune,
    Launcher,
    ListFile,
    Loss,
    Out,
    Plugins,
    Post,
    Recipe,
    Sets,
    Track,
    Tta,
)
from zoo.errors import UserError


@examples(
    "harness sweep --data DIR --encoders 'face;face,audio' --head gru,tcn --dry-run",
    "harness sweep --data DIR --track expr --fusion late,concat --seeds 3",
    "harness sweep --data DIR --search 20 --space train.lr=1e-4:1e-2:log",
)
def sweep(
    encoders: Annotated[
        str | None,
        typer.Option(
            metavar="LISTS",
            help="train these, separated by semicolons: 'face;face,context'",
            show_default="the recipe's",
        ),
    ] = None,
    fusion: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="train these fusions, comma-separated", show_default="the recipe's"),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="train these heads, comma-separated", show_default="the recipe's"),
    ] = None,
    track: Track = None,
    edition: Edition = None,
    data: DataDir = None,
    out: Out = Path("runs"),
    epochs: Annotated[
        int | None, typer.Option(min=1, help="train for at most N epochs", show_default="the recipe's")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="seed all random numbers", show_default="0")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="train each with N seeds and report mean and spread")] = 1,
    folds: Annotated[int | None, typer.Option(min=1, help="train N folds of train and val by group, 3 or more")] = None,
    finetune: Finetune = None,
    adapt: Adapt = None,
    augment: Augment = None,
    tta: Tta = None,
    loss: Loss = None,
    post: Post = None,
    recipe: Recipe = None,
    sets: Sets = None,
    plugin: Plugins = None,
    device: Device = None,
    list_file: ListFile = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="train N combinations at once", show_default="one for each GPU or core")
    ] = None,
    launcher: Launcher = "local",
    search: Annotated[
        int | None, typer.Option(min=1, help="search the settings of each in N trials (extra search)")
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="search this setting: KEY=LOW:HIGH[:log] or KEY=A,B,...; repeatable"),
    ] = None,
    search_folds: Annotated[int, typer.Option(help="score a trial on N folds of the training videos")] = 3,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list what would be trained and what does not fit, and train nothing")
    ] = False,
) -> None:
    """Train many combinations and rank them."""
    from harness.config.tta import tta_sets
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
        "adapt": adapt or None,
        "augment": augment or None,
        "plugin": [str(p) for p in plugin] if plugin else None,
        "post": [p for p in post.split(",") if p] if post is not None else None,
        "folds": folds,
    }
    more = ([f"train.epochs={epochs}"] if epochs else []) + ([f"data.list={list_file}"] if list_file else [])
    more += tta_sets(tta) if tta is not None else []
    configs = configurations(recipe, flags, [*more, *(sets or [])], combinations)
    if any(config.fit for config in configs):
        raise UserError("sweep-no-scores")
    fixed = tuple(text.partition("=")[0].strip() for text in sets or [])
    wanted = Search(search, search_folds, parse_space(space or []), fixed) if search else None
    if space and not search:
        raise UserError("space-without-search")
    if command(configs, out, seeds, How(jobs, launcher, wanted), dry_run=dry_run):
        raise typer.Exit(1)
