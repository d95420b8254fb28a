"""`harness bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import DataDir, Fusion, Head, OptEncoders, Plugins, Sets, Track
from zoo.errors import UserError


def bench(
    data: DataDir = None,
    encoders: OptEncoders = None,
    fusion: Fusion = None,
    head: Head = None,
    track: Track = None,
    finetune: Annotated[list[str] | None, typer.Option(help="train this slot's encoder on; may be given again")] = None,
    recipe: Annotated[str | None, typer.Option(help="settings: a name or a TOML file (a run's config.toml)")] = None,
    sets: Sets = None,
    plugin: Plugins = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
    frames: Annotated[int, typer.Option(min=40, help="of each of three videos a split; more on a fast GPU")] = 120,
    rounds: Annotated[int, typer.Option(min=1, help="each measures everything once, in turn; the median is told")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="all figures, for programs")] = None,
    predict: Annotated[
        Path | None,
        typer.Option("--predict", metavar="VIDEO", help="measure `harness predict` on a video: its stages, one pass"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="RUN|ENCODER[:NAME]", help="--predict: what predicts, as in `harness predict`")
    ] = None,
    seed_baseline: Annotated[
        bool, typer.Option("--seed-baseline", help="this harness and the field's frame-by-frame way in turn")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="--seed-baseline: put the tables between the page's markers")
    ] = None,
    include: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="--seed-baseline: JSON results of long checks")
    ] = None,
) -> None:
    """Measure every stage of a run here, beside its limit."""
    if json_file is not None and not json_file.parent.is_dir():
        raise UserError("bench-json-no-folder", json_file=json_file, parent=json_file.parent)
    if seed_baseline:
        from harness.benchmarks.baseline_report import seed_baseline as versus

        if any((encoders, fusion, head, track, finetune, recipe, sets, plugin, device)):
            raise UserError("bench-options-mixed")
        versus(str(data) if data else None, rounds=rounds, write_to=write, include=include or [], json_file=json_file)
        return
    if write or include:
        raise UserError("bench-options-need-baseline")
    if predict is not None:
        from harness.cli.commands.bench_predict import bench_predict

        if any((data, encoders, fusion, head, track, finetune, recipe, device)):
            raise UserError("bench-predict-options")
        bench_predict(predict, model, sets or [], plugin or [], rounds=rounds, json_file=json_file)
        return
    if model is not None:
        raise UserError("bench-model-without-predict")
    from harness.cli.commands.bench import bench as command
    from harness.config.recipe import recipe_of
    from harness.config.schema import load_config

    flags = {
        "encoders": encoders,
        "fusion": fusion,
        "head": head,
        "track": track,
        "device": device,
        "data_dir": str(data) if data else None,
        "finetune": finetune or None,
        "plugin": [str(p) for p in plugin] if plugin else None,
    }
    command(
        load_config(recipe or recipe_of(data), flags, sets or []), frames=frames, rounds=rounds, json_file=json_file
    )
