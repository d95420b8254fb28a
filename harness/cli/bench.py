"""`harness bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import examples
from harness.cli.options import (
    Adapt,
    DataDir,
    Device,
    Finetune,
    Fusion,
    Head,
    OptEncoders,
    Plugins,
    Recipe,
    Sets,
    Track,
)
from zoo.errors import UserError


@examples(
    "harness bench",
    "harness bench --data DIR --encoders face,context",
    "harness bench --data DIR --encoders face --json rates.json",
)
def bench(
    data: DataDir = None,
    encoders: OptEncoders = None,
    fusion: Fusion = None,
    head: Head = None,
    track: Track = None,
    finetune: Finetune = None,
    adapt: Adapt = None,
    recipe: Recipe = None,
    sets: Sets = None,
    plugin: Plugins = None,
    device: Device = None,
    frames: Annotated[int, typer.Option(min=40, help="use N frames of three videos per split")] = 120,
    rounds: Annotated[int, typer.Option(min=1, help="measure everything N times and report the median")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write all figures as JSON")] = None,
    predict: Annotated[
        Path | None,
        typer.Option("--predict", metavar="VIDEO", help="measure `harness predict` on a video: its stages, one pass"),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="RUN|NAME", help="predict with this model (with --predict)")
    ] = None,
    seed_baseline: Annotated[
        bool, typer.Option("--seed-baseline", help="compare this harness with frame-by-frame scripts")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="PAGE", help="with --seed-baseline: write the tables between the page's markers"),
    ] = None,
    include: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="with --seed-baseline: add JSON results of long checks; repeatable"),
    ] = None,
) -> None:
    """Measure how fast every stage of a run is, next to its limit."""
    if json_file is not None and not json_file.parent.is_dir():
        raise UserError("bench-json-no-folder", json_file=json_file, parent=json_file.parent)
    if seed_baseline:
        from harness.benchmarks.baseline_report import seed_baseline as versus

        if any((encoders, fusion, head, track, finetune, adapt, recipe, sets, plugin, device)):
            raise UserError("bench-options-mixed")
        versus(str(data) if data else None, rounds=rounds, write_to=write, include=include or [], json_file=json_file)
        return
    if write or include:
        raise UserError("bench-options-need-baseline")
    if predict is not None:
        from harness.cli.commands.bench_predict import bench_predict

        if any((data, encoders, fusion, head, track, finetune, adapt, recipe, device)):
            raise UserError("bench-predict-options")
        bench_predict(predict, model, sets or [], plugin or [], rounds=rounds, json_file=json_file)
        return
    if model is not None:
        raise UserError("bench-model-without-predict")
    from harness.cli.commands.bench import bench as command
    from harness.config.schema import load_usual

    flags = {
        "encoders": encoders,
        "fusion": fusion,
        "head": head,
        "track": track,
        "device": device,
        "data_dir": str(data) if data else None,
        "finetune": finetune or None,
        "adapt": adapt or None,
        "plugin": [str(p) for p in plugin] if plugin else None,
    }
    command(load_usual(recipe, flags, sets or []), frames=frames, rounds=rounds, json_file=json_file)
