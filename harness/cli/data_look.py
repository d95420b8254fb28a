"""`harness data look`, apart from the other commands of `harness data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.data import DataFolder, app
from harness.cli.help import examples
from harness.cli.options import BRANCHES, Augment, DataEdition, DataTrack, Plugins, Sets
from zoo.text import visible

__all__ = ["app", "data_look"]


@app.command("look")
@examples(
    "harness data look DIR",
    "harness data look DIR --augment face=crop,blur --set augment.face.crop.low=0.5",
    "harness data look DIR --encoders face,context --clips 4 --draws 8 --out drawn.html",
)
def data_look(
    folder: DataFolder,
    encoders: Annotated[str, typer.Option("--encoders", metavar="BRANCHES", help=BRANCHES)] = "face",
    augment: Augment = None,
    clips: Annotated[int, typer.Option(min=1, help="show the first clip of N training videos")] = 6,
    draws: Annotated[int, typer.Option(min=1, help="show N draws of each, those of the first epochs")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="draw with this seed")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="write the page here", show_default="DIR/look.html")
    ] = None,
    edition: DataEdition = None,
    track: DataTrack = None,
    sets: Sets = None,
    plugin: Plugins = None,
) -> None:
    """Write a page with pictures as augmentation draws them.

    The page holds faces: keep it with the data.
    """
    from harness.config.recipe import recipe_of
    from harness.config.schema import load_config
    from harness.reports.look_page import look

    flags = {
        "encoders": encoders,
        "augment": augment or None,
        "seed": seed,
        "edition": edition,
        "track": track,
        "data_dir": str(folder),
        "plugin": [str(p) for p in plugin] if plugin else None,
    }
    config = load_config(recipe_of(folder), flags, sets or [])
    print(visible(f"written: {look(config, out or folder / 'look.html', clips=clips, draws=draws)}"))
