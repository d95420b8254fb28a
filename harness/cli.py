"""The command line. Light: each command imports what it needs when it runs, so that --help answers at once."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import Stopped, UserError

app = typer.Typer(
    help="Train, evaluate and submit any combination of stream encoders, fusion and temporal head on ABAW data.",
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip
data_app = typer.Typer(help="Make, check and prepare data folders.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")

Encoders = Annotated[str, typer.Option("--encoders", help="slots: STREAM[.TAG][=ENCODER[:ARGUMENT]], by commas")]
OptEncoders = Annotated[
    str | None, typer.Option("--encoders", help="slots: STREAM[.TAG][=ENCODER[:ARGUMENT]], by commas")
]
Fusion = Annotated[str | None, typer.Option("--fusion", help="how slots are brought together")]
Head = Annotated[str | None, typer.Option("--head", help="the temporal model")]
Track = Annotated[str | None, typer.Option("--track", help="va, expr, au, mtl")]
Edition = Annotated[str | None, typer.Option("--edition", help="abaw10...; default: the latest that has the track")]
DataDir = Annotated[Path | None, typer.Option("--data", help="an Aff-Wild2 folder; default: the synthetic demo set")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="a plugin file; may be given again")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="any other setting, KEY=VALUE; may be given again")]
ListFile = Annotated[Path | None, typer.Option("--list", help="the organisers' test list or example file")]
Out = Annotated[Path, typer.Option("--out", help="where runs and tables are kept")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="processes; default: the number of cores")]


@app.command()
def run(
    encoders: OptEncoders = None, fusion: Fusion = None, head: Head = None, track: Track = None,
    edition: Edition = None, data: DataDir = None, out: Out = Path("runs"),
    name: Annotated[str | None, typer.Option(help="the run's folder; default: made from the combination")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="most epochs to train")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="decides all that is random")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="train with this many seeds; mean and spread")] = 1,
    finetune: Annotated[list[str] | None, typer.Option(help="train this slot's encoder on; may be given again")] = None,
    loss: Annotated[list[str] | None, typer.Option(help="a loss instead of a default one; may be given again")] = None,
    post: Annotated[str | None, typer.Option(help="post-processors in order, by commas")] = None,
    recipe: Annotated[str | None, typer.Option(help="settings: a name or a TOML file (a run's config.toml)")] = None,
    sets: Sets = None, plugin: Plugins = None,
    resume: Annotated[Path | None, typer.Option(help="continue this run")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None, list_file: ListFile = None,
) -> None:  # fmt: skip
    """Train and evaluate a combination, submit and rank it."""
    from harness.commands import run as command
    from harness.config import load_config

    flags = {
        "encoders": encoders, "fusion": fusion, "head": head, "track": track, "edition": edition, "seed": seed,
        "data_dir": str(data) if data else None, "device": device, "loss": loss or None,
        "finetune": finetune or None, "plugin": [str(p) for p in plugin] if plugin else None,
        "post": [p for p in post.split(",") if p] if post is not None else None,
    }  # fmt: skip
    more = ([f"train.epochs={epochs}"] if epochs else []) + ([f"data.list={list_file}"] if list_file else [])
    if resume is not None:
        if more or sets or name or recipe or data or seeds > 1 or any(value is not None for value in flags.values()):
            raise UserError("--resume goes on with the run's own settings: leave the other options out")
        command.resume(resume)
        return
    if recipe is None:
        recipe = "demo" if data is None or (data / "demo.json").is_file() else "default"
    command.start(load_config(recipe, flags, [*more, *(sets or [])]), out=out, name=name, seeds=seeds)


@app.command()
def predict(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="a finished run")],
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="raw videos")],
    out: Annotated[Path, typer.Option("--out", help="where the tables go")] = Path("predictions"),
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
    jobs: Jobs = None,
) -> None:
    """Answer raw videos with a trained run, one table a video."""
    from harness.commands.predict import predict as command

    command(run_folder, videos, out, device=device, jobs=jobs)


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="a finished run")],
    data: DataDir = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="withhold this slot, or all slots of this stream; may be given again")
    ] = None,
) -> None:
    """Score a run's validation videos again, from its weights."""
    from harness.commands.again import evaluate as command

    command(run_folder, data, drop or [])


@app.command()
def submit(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="a finished run")],
    edition: Edition = None, list_file: ListFile = None,
    out: Annotated[Path | None, typer.Option("--out", help="a folder; default: RUN/submission")] = None,
) -> None:  # fmt: skip
    """Write and verify a run's submission, by the official list."""
    from harness.commands.again import submit as command

    command(run_folder, edition, list_file, out)


@app.command()
def leaderboard(out: Annotated[Path, typer.Argument(metavar="RUNS", help="a folder of runs")] = Path("runs")) -> None:
    """Build the tables from the records of a folder of runs."""
    from harness.commands.show import leaderboard as command

    command(out)


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="encoders, fusions, heads, ...; default: all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    plugin: Plugins = None,
) -> None:
    """List what is there to be combined."""
    from harness.commands.show import list_blocks

    list_blocks(kind, as_json, plugin or [])


@app.command()
def recipes(name: Annotated[str | None, typer.Argument(help="one of them, in full")] = None) -> None:
    """List the recipes: published systems as settings, with what differs and the score to compare with."""
    from harness.commands.recipes import recipes as command

    command(name)


@app.command()
def info(name: Annotated[str, typer.Argument(help="a block, an edition or a metric")], plugin: Plugins = None) -> None:
    """Show what is known of a block, an edition or a metric."""
    from harness.commands.show import info as command

    command(name, plugin or [])


@app.command()
def check(
    encoders: Encoders, fusion: Fusion = "late", head: Head = "gru", track: Track = "va", edition: Edition = None,
    sets: Sets = None, plugin: Plugins = None,
) -> None:  # fmt: skip
    """Build a combination without data or weights; show shapes."""
    from harness.commands.show import check as command

    flags = {"encoders": encoders, "fusion": fusion, "head": head, "track": track, "edition": edition,
             "plugin": [str(p) for p in plugin] if plugin else None}  # fmt: skip
    command(flags, sets or [])


@data_app.command("demo")
def data_demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    seed: Annotated[int, typer.Option(min=0, help="another set of videos")] = 0,
    videos: Annotated[str, typer.Option(help="train,val,test videos")] = "24,16,8",
    frames: Annotated[int, typer.Option(min=12, help="frames of a video")] = 120,
    jobs: Jobs = None,
) -> None:
    """Write the synthetic demo set."""
    from harness.commands.data import demo

    demo(folder, seed, videos, frames, jobs)


@data_app.command("crop")
def data_crop(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="a folder of raw videos, perhaps with annotations")],
    out: Annotated[Path, typer.Option("--out", help="the data folder to make")],
    detector: Annotated[str, typer.Option(help="`harness list detectors`")] = "centerface",
    copy: Annotated[bool, typer.Option("--copy", help="copy the videos instead of linking them")] = False,
    jobs: Jobs = None, plugin: Plugins = None,
) -> None:  # fmt: skip
    """Raw videos -> a data folder with face crops and boxes."""
    from harness.commands.data import crop

    crop(raw, out, detector, jobs, link=not copy, plugins=plugin or [])


@data_app.command("boxes")
def data_boxes(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    detector: Annotated[str, typer.Option(help="`harness list detectors`")] = "centerface",
    jobs: Jobs = None, plugin: Plugins = None,
) -> None:  # fmt: skip
    """Find the person's box in every frame of the raw videos."""
    from harness.commands.data import boxes

    boxes(folder, detector, jobs, plugin or [])


@data_app.command("doctor")
def data_doctor(
    folder: Annotated[Path, typer.Argument(metavar="DIR")], edition: Edition = None, track: Track = None,
    plugin: Plugins = None,
) -> None:  # fmt: skip
    """Compare a data folder with the published figures.

    Says what is missing and what to do. Exit code 1 where the folder is not clean."""
    from harness.commands.data import doctor

    doctor(folder, edition, track, plugin or [])


@data_app.command("extract")
def data_extract(
    folder: Annotated[Path, typer.Argument(metavar="DIR")], encoders: Encoders,
    track: Track = None, edition: Edition = None, sets: Sets = None, plugin: Plugins = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
) -> None:  # fmt: skip
    """Fill the feature cache of frozen encoders."""
    from harness.commands.data import extract

    flags = {"encoders": encoders, "track": track, "edition": edition, "data_dir": str(folder), "device": device,
             "plugin": [str(p) for p in plugin] if plugin else None}  # fmt: skip
    extract(flags, sets or [])


def main() -> None:
    """Run the program. A mistake the user can mend is one line and exit code 2."""
    # Before torch is loaded: OpenMP threads that spin while they wait make a shared machine crawl. Measured with
    # two threads on two busy cores: an eigendecomposition of 1280 x 1280 took 23.7 s spinning, 0.36 s sleeping.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)  # type: ignore[assignment]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's farewell ends like Ctrl-C
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, Stopped):
        print("stopped; a run goes on with `harness run --resume RUN`", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        print(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}; make room", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
