"""Commands that train, and that use trained runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import examples
from harness.cli.options import (
    Adapt,
    AnyTrack,
    Augment,
    DataDir,
    Device,
    Devices,
    Edition,
    EvaluationData,
    Finetune,
    Fusion,
    Head,
    ListFile,
    Loss,
    Nodes,
    OptEncoders,
    Out,
    Plugins,
    Post,
    Precision,
    PredictSets,
    Recipe,
    RunData,
    RunPlugins,
    Sets,
    Track,
    Tta,
)
from zoo.errors import UserError


@examples(
    "harness run --encoders face,context --fusion late --head gru",
    "harness run --data DIR --track va --encoders face=timm:resnet18,audio",
    "harness run --data DIR --recipe ntua-cvsp-2021 --set train.epochs=5",
    "harness run --resume runs/first",
)
def run(
    encoders: OptEncoders = None,
    fusion: Fusion = None,
    head: Head = None,
    track: Track = None,
    edition: Edition = None,
    data: DataDir = None,
    out: Out = Path("runs"),
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="name the run's folder", show_default="made of its blocks")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="train for at most N epochs", show_default="the recipe's")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="seed all random numbers", show_default="0")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="train with N seeds and report mean and spread")] = 1,
    folds: Annotated[int | None, typer.Option(min=1, help="train N folds of train and val by group, 3 or more")] = None,
    folds_of: Annotated[
        str | None,
        typer.Option(metavar="SPLITS", help="make the folds of train alone, so that val stays unseen: train"),
    ] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="SPLITS", help="train on both splits: train,val; needs --epochs-from")
    ] = None,
    epochs_from: Annotated[
        Path | None, typer.Option(metavar="RUN", help="take the number of epochs and the settings from this run")
    ] = None,
    distill: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="learn from this finished run's predictions too (distill.* in the settings)"),
    ] = None,
    finetune: Finetune = None,
    adapt: Adapt = None,
    augment: Augment = None,
    tta: Tta = None,
    loss: Loss = None,
    post: Post = None,
    recipe: Recipe = None,
    sets: Sets = None,
    plugin: Plugins = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="continue this run")] = None,
    device: Device = None,
    devices: Devices = None,
    nodes: Nodes = None,
    precision: Precision = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="compile the networks that are trained with torch.compile")
    ] = False,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="score an encoder that predicts by itself, without training")
    ] = False,
    trees: Annotated[
        bool,
        typer.Option("--trees", help="fit boosted trees on frozen features in place of a network"),
    ] = False,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            help="notes the course (`harness list loggers`); comma-separated, repeatable; default: tensorboard"
        ),
    ] = None,
    list_file: ListFile = None,
) -> None:
    """Train, evaluate, rank and submit a combination."""
    from harness.config.schema import load_usual
    from harness.config.tta import tta_sets
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
        "adapt": adapt or None,
        "augment": augment or None,
        "plugin": [str(p) for p in plugin] if plugin else None,
        "post": [p for p in post.split(",") if p] if post is not None else None,
        "folds": folds,
        "folds_of": [part.strip() for part in folds_of.split(",")] if folds_of else None,
        "fit": [part.strip() for part in fit.split(",")] if fit else None,
        "epochs_from": str(epochs_from) if epochs_from else None,
        "zero_shot": zero_shot or None,
        "trees": trees or None,
        "logger": [name.strip() for text in logger for name in text.split(",") if name.strip()] if logger else None,
    }
    machines = {"devices": devices, "nodes": nodes}
    more = ([f"train.epochs={epochs}"] if epochs else []) + ([f"data.list={list_file}"] if list_file else [])
    more += [f"train.precision={precision}"] if precision else []
    more += tta_sets(tta) if tta is not None else []
    more += [f"distill.run={json.dumps(str(distill))}"] if distill else []
    more += ["train.compile=true"] if compile else []
    if resume is not None:
        others = [value for key, value in flags.items() if key not in ("plugin", "data_dir")]
        if more or sets or name or recipe or seeds > 1 or any(value is not None for value in others):
            raise UserError("resume-options-mixed")
        command.resume(resume, machines, plugins=plugin or [], data=data, after=leave_report, draw=draw_pictures)
        return
    if fit and epochs_from and (epochs_from / "config.toml").is_file():
        recipe = recipe or str(epochs_from / "config.toml")
        flags |= {"folds": folds or 0, "folds_of": flags["folds_of"] or ["train", "val"], "fold": -1}
    config = load_usual(recipe, {**flags, **machines}, [*more, *(sets or [])])
    command.start(config, out=out, name=name, seeds=seeds, after=leave_report, draw=draw_pictures)


@examples(
    "harness predict my_video.mp4 --overlay drawn.mp4",
    "harness predict videos/ --model runs/first --people all",
    "harness predict 0 --model runs/first",
    "harness predict my_video.mp4 --out - --format jsonl",
)
def predict(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="INPUT...", help="videos, images, sound files, folders of them, or a camera's number"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="RUN|ENCODER[:NAME]",
            help="predict with this finished run, or with an encoder that predicts by itself",
            show_default="fer",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR|-", help="write the tables into this folder; -: print each row as soon as it is final"
        ),
    ] = Path("predictions"),
    people: Annotated[
        str,
        typer.Option("--people", metavar="WHO", help="predict the main person of a video (main) or everybody (all)"),
    ] = "main",
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="write the tables as csv, parquet or jsonl")
    ] = "csv",
    overlay: Annotated[
        Path | None,
        typer.Option(
            "--overlay", metavar="PATH", help="write a video with the predictions: a file, or a folder for several"
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="PATH",
            help="write a page that plays the video with its predictions: a .html file, or a folder for several",
        ),
    ] = None,
    device: Device = None,
    tta: Tta = None,
    sets: PredictSets = None,
    plugin: RunPlugins = None,
    jobs: Annotated[int | None, typer.Option("--jobs", hidden=True, min=1)] = None,
) -> None:
    """Predict videos, images and sound files, one table for each."""
    from harness.config.tta import tta_sets
    from harness.predicting.command import predict as command
    from harness.predicting.request import Request
    from harness.reports.video_page import write_video_page

    files = (inputs or [], model, out, people, form, overlay, device, plugin or [])
    command(Request(*files, sets or [], report, write_video_page, tta_sets(tta) if tta is not None else []))


@examples(
    "harness evaluate runs/first",
    "harness evaluate runs/first --drop each --noise 0.5,1,2",
    "harness evaluate runs/first --tta flip,strides=1+2",
    "harness evaluate --predictions table.csv --labels labels.csv --track va",
)
def evaluate(
    run_folder: Annotated[Path | None, typer.Argument(metavar="RUN", help="a finished run")] = None,
    data: EvaluationData = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="score this table (parquet, csv) instead of a run; needs --track"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="with --predictions: read the labels here", show_default="its columns ..._true"
        ),
    ] = None,
    track: AnyTrack = None,
    edition: Edition = None,
    plugin: RunPlugins = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BRANCH", help="leave out this input branch or stream; repeatable; each: one after the other"
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(metavar="X,X,...", help="add noise of X standard deviations to the features, comma-separated"),
    ] = None,
    tta: Tta = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="name the run that --tta makes", show_default="the run's, with the passes"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace predictions that have another score")] = False,
) -> None:
    """Score a run again, or a table of predictions."""
    from harness.analysis.rescore import evaluate as command
    from harness.reports.making import leave_report

    if (run_folder is None) == (predictions is None):
        raise UserError("evaluate-what")
    if predictions is not None:
        from harness.analysis.score_table import score_table

        if track is None or data is not None or drop or noise is not None or tta is not None:
            raise UserError("evaluate-predictions-options")
        score_table(predictions, labels, edition, track, plugin or [])
        return
    assert run_folder is not None
    if labels is not None or track is not None or edition is not None:
        raise UserError("evaluate-run-options")
    if tta is not None:
        from harness.analysis.averaged_run import evaluate_with
        from harness.config.tta import tta_sets

        given = {"--data": data, "--drop": drop, "--noise": noise, "--force": force}
        if what := ", ".join(option for option, value in given.items() if value):
            raise UserError("tta-not-with", what=what)
        leave_report(evaluate_with(run_folder, tta_sets(tta), name=name, plugins=plugin or []))
        return
    levels = noise_levels(noise) if noise is not None else []
    command(run_folder, data, drop or [], levels, plugins=plugin or [], force=force)
    leave_report(run_folder)


def noise_levels(text: str) -> list[float]:
    """Parse ``0.5,1,2``; raise UserError if a part is not a positive number."""
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(0 < level < float("inf") for level in levels):
        raise UserError("noise-invalid", got=text)
    return list(dict.fromkeys(levels))


@examples("harness ensemble runs/a runs/b", "harness ensemble runs/a runs/b runs/c --method weights --name best")
def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="finished runs; a run of several seeds counts as several members"),
    ],
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="merge by mean, vote, ccc (values); fitted on folds: weights, channels, greedy, stack",
        ),
    ] = "mean",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="name the folder", show_default="made of its members")
    ] = None,
    out: Out = Path("runs"),
    post: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="use these post-processors, comma-separated", show_default="the members'"),
    ] = None,
    data: RunData = None,
    plugin: RunPlugins = None,
) -> None:
    """Merge finished runs into an ensemble and rank it with them."""
    from harness.analysis.ensemble_run import ensemble as command
    from harness.reports.making import leave_report

    chosen = [p for p in post.split(",") if p] if post is not None else None
    leave_report(command(runs, method, name=name, out=out, post=chosen, data=data, plugins=plugin or []))


@examples(
    "harness leaderboard runs",
    "harness leaderboard runs --track va --format html --out board.html",
    "harness leaderboard --published --edition abaw6",
)
def leaderboard(
    runs: Annotated[Path | None, typer.Argument(metavar="RUNS", help="a folder of runs", show_default="runs")] = None,
    edition: Annotated[
        str | None, typer.Option(metavar="NAME", help="add the published results of this edition, such as abaw10")
    ] = None,
    track: Annotated[str | None, typer.Option(metavar="NAME", help="show this track: va, expr, au or mtl")] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="show this split: val, test, cv6")] = None,
    form: Annotated[str | None, typer.Option("--format", metavar="NAME", help="write md, csv, latex or html")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PATH", help="write into this file; --published: into this folder")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="show published results only")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="with --published: check that its pages are up to date")
    ] = False,
) -> None:
    """Rank runs, on their own or next to published results."""
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
