"""Commands that train, and that use what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import (
    AnyTrack,
    DataDir,
    DetectorSets,
    Edition,
    EvaluationData,
    Fusion,
    Head,
    ListFile,
    OptEncoders,
    Out,
    Plugins,
    RunData,
    RunPlugins,
    Sets,
    Track,
)
from zoo.errors import UserError


def run(
    encoders: OptEncoders = None,
    fusion: Fusion = None,
    head: Head = None,
    track: Track = None,
    edition: Edition = None,
    data: DataDir = None,
    out: Out = Path("runs"),
    name: Annotated[str | None, typer.Option(help="the run's folder; default: made from the combination")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="most epochs to train")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="decides all that is random")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="train with this many seeds; mean and spread")] = 1,
    folds: Annotated[int | None, typer.Option(min=1, help="k-fold over train and val by group, 3 or more")] = None,
    fit: Annotated[str | None, typer.Option(help="train,val: train on both, with the epochs of --epochs-from")] = None,
    epochs_from: Annotated[
        Path | None, typer.Option(metavar="RUN", help="the run that chose the epochs; its settings are the default")
    ] = None,
    finetune: Annotated[list[str] | None, typer.Option(help="train this slot's encoder on; may be given again")] = None,
    loss: Annotated[list[str] | None, typer.Option(help="a loss instead of a default one; may be given again")] = None,
    post: Annotated[str | None, typer.Option(help="post-processors in order, by commas")] = None,
    recipe: Annotated[str | None, typer.Option(help="settings: a name or a TOML file (a run's config.toml)")] = None,
    sets: Sets = None,
    plugin: Plugins = None,
    resume: Annotated[Path | None, typer.Option(help="continue this run")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="devices of this machine that share each batch")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="machines, each with as many devices")] = None,
    precision: Annotated[str | None, typer.Option(help="32, bf16-mixed")] = None,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="score an encoder that predicts by itself; trains nothing")
    ] = False,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            help="notes the course (`harness list loggers`); comma-separated, repeatable; default: tensorboard"
        ),
    ] = None,
    list_file: ListFile = None,
) -> None:
    """Train and evaluate a combination, submit and rank it."""
    from harness.config.recipe import recipe_of
    from harness.config.schema import load_config
    from harness.reports.making import leave_report
    from harness.reports.paper_figures import draw_pictures
    from harness.runs import start as command

    flags = {
        "encoders": encoders,
        "fusion": fusion,
        "head": head,
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
        "fit": [part.strip() for part in fit.split(",")] if fit else None,
        "epochs_from": str(epochs_from) if epochs_from else None,
        "zero_shot": zero_shot or None,
        "logger": [name.strip() for text in logger for name in text.split(",") if name.strip()] if logger else None,
    }
    machines = {"devices": devices, "nodes": nodes}
    more = ([f"train.epochs={epochs}"] if epochs else []) + ([f"data.list={list_file}"] if list_file else [])
    more += [f"train.precision={precision}"] if precision else []
    if resume is not None:
        others = [value for key, value in flags.items() if key not in ("plugin", "data_dir")]
        if more or sets or name or recipe or seeds > 1 or any(value is not None for value in others):
            raise UserError("resume-options-mixed")
        command.resume(resume, machines, plugins=plugin or [], data=data, after=leave_report, draw=draw_pictures)
        return
    if fit and epochs_from and (epochs_from / "config.toml").is_file():
        recipe = recipe or str(epochs_from / "config.toml")
        flags |= {"folds": folds or 0, "fold": -1}
    if recipe is None:
        recipe = recipe_of(data)
    config = load_config(recipe, {**flags, **machines}, [*more, *(sets or [])])
    command.start(config, out=out, name=name, seeds=seeds, after=leave_report, draw=draw_pictures)


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="videos, images, sound files, folders of them, a camera's number"),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="RUN|ENCODER[:NAME]",
            help="a finished run, or an encoder that predicts by itself; default: the one of the default recipe",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="where the tables go")] = Path("predictions"),
    people: Annotated[str, typer.Option("--people", help="main: the main person of a video; all: everybody")] = "main",
    form: Annotated[str, typer.Option("--format", help="of the tables: csv, parquet, jsonl")] = "csv",
    overlay: Annotated[
        Path | None, typer.Option("--overlay", help="draw into the video: a file for one video, a folder for several")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="a page that plays the video beside its predictions: a .html file for one video, a folder for several",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
    sets: DetectorSets = None,
    plugin: RunPlugins = None,
    jobs: Annotated[int | None, typer.Option("--jobs", hidden=True, min=1)] = None,
) -> None:
    """Predict videos, images and sound files, one table each."""
    from harness.predicting.command import Request
    from harness.predicting.command import predict as command
    from harness.reports.video_page import write_video_page

    command(
        Request(inputs, model, out, people, form, overlay, device, plugin or [], sets or [], report, write_video_page)
    )


def evaluate(
    run_folder: Annotated[Path | None, typer.Argument(metavar="RUN", help="a finished run")] = None,
    data: EvaluationData = None,
    predictions: Annotated[
        Path | None, typer.Option(help="score a table instead of a run (parquet, csv), with --track and --edition")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="their labels; default: the table's columns ..._true")] = None,
    track: AnyTrack = None,
    edition: Edition = None,
    plugin: RunPlugins = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="withhold this slot, or all slots of this stream; may be given again; each: a table of all"),
    ] = None,
    noise: Annotated[
        str | None, typer.Option(help="a table with noise of so many standard deviations of the features, by commas")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace predictions whose score is another")] = False,
) -> None:
    """Score a run again, or a table of predictions."""
    from harness.analysis.rescore import evaluate as command
    from harness.reports.making import leave_report

    if (run_folder is None) == (predictions is None):
        raise UserError("evaluate-what")
    if predictions is not None:
        from harness.analysis.score_table import score_table

        if track is None or data is not None or drop or noise is not None:
            raise UserError("evaluate-predictions-options")
        score_table(predictions, labels, edition, track, plugin or [])
        return
    assert run_folder is not None
    if labels is not None or track is not None or edition is not None:
        raise UserError("evaluate-run-options")
    levels = noise_levels(noise) if noise is not None else []
    command(run_folder, data, drop or [], levels, plugins=plugin or [], force=force)
    leave_report(run_folder)


def noise_levels(text: str) -> list[float]:
    """``0.5,1,2`` as numbers; UserError where one is none, or not over 0."""
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(0 < level < float("inf") for level in levels):
        raise UserError("noise-invalid", got=text)
    return list(dict.fromkeys(levels))


def ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="finished runs; several seeds count as so many")],
    method: Annotated[str, typer.Option(help="mean, vote, ccc (values), weights (fitted on folds)")] = "mean",
    name: Annotated[str | None, typer.Option(help="the ensemble's folder; default: made from its members")] = None,
    out: Out = Path("runs"),
    post: Annotated[str | None, typer.Option(help="post-processors by commas; default: those of its members")] = None,
    data: RunData = None,
    plugin: RunPlugins = None,
) -> None:
    """Merge finished runs into one, and rank it with them."""
    from harness.analysis.ensemble_run import ensemble as command
    from harness.reports.making import leave_report

    chosen = [p for p in post.split(",") if p] if post is not None else None
    leave_report(command(runs, method, name=name, out=out, post=chosen, data=data, plugins=plugin or []))


def leaderboard(
    runs: Annotated[Path | None, typer.Argument(metavar="RUNS", help="a folder of runs; default: runs")] = None,
    edition: Annotated[str | None, typer.Option(help="with what is published of this edition, abaw10")] = None,
    track: Annotated[str | None, typer.Option(help="of this track: va, expr, au, mtl")] = None,
    split: Annotated[str | None, typer.Option(help="on this split: val, test, cv6")] = None,
    form: Annotated[str | None, typer.Option("--format", help="md, csv, latex, html (one page, no network)")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="a file; default: print")] = None,
    published: Annotated[bool, typer.Option("--published", help="published alone; --out FOLDER: pages")] = False,
    check: Annotated[bool, typer.Option("--check", help="--published: whether the pages are stale")] = False,
) -> None:
    """Build the tables of runs, beside what is published."""
    from harness.cli.commands import leaderboard as command
    from leaderboards.comparison import TableQuery

    wanted = TableQuery(edition, track, split)
    if published and runs is not None:
        raise UserError("published-with-runs")
    if check and not published:
        raise UserError("check-needs-published")
    if published:
        command.published(wanted, form, out, check)
    elif any(wanted) or form or out:
        command.side_by_side(runs, wanted, form, out)
    else:
        command.own(runs)
