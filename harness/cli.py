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
plugin_app = typer.Typer(help="Write and check plugins of your own.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(plugin_app, name="plugin")

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
    """List recipes, published systems as settings; show one."""
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
    invariance: Annotated[bool, typer.Option("--invariance", help="what changes an answer that should not")] = False,
) -> None:  # fmt: skip
    """Build a combination without data or weights; show shapes."""
    from harness.commands.show import check as command

    flags = {"encoders": encoders, "fusion": fusion, "head": head, "track": track, "edition": edition,
             "plugin": [str(p) for p in plugin] if plugin else None}  # fmt: skip
    command(flags, sets or [])
    if invariance:
        from harness.commands.invariance import report

        report(flags, sets or [])


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


@plugin_app.command("new")
def plugin_new(
    name: Annotated[str, typer.Argument(help="the block's name, as in my-encoder")],
    kind: Annotated[str, typer.Option(help="encoder, fusion, head, loss, postprocess, detector")],
    single_file: Annotated[bool, typer.Option("--single-file", help="one file, used with --plugin")] = False,
    out: Annotated[Path, typer.Option("--out", help="the folder it is written into")] = Path("."),
) -> None:
    """Write a plugin that works at once, to start from."""
    from harness.commands.plugin_new import new

    new(name, kind, single_file=single_file, out=out)


@plugin_app.command("check")
def plugin_check(
    target: Annotated[str, typer.Argument(help="an installed package, a module or a .py file")],
    argument: Annotated[list[str] | None, typer.Option(help="ENCODER:ARGUMENT to check it with")] = None,
    tries: Annotated[list[str] | None, typer.Option("--try", help="OPTION=VALUE that the rule options tries")] = None,
) -> None:
    """Hold everything a plugin registers to the rules.

    Exit code 1 where a rule is broken: what was fed, what came back, why it matters."""
    from harness.commands.plugin_check import check as command

    command(target, argument or [], tries or [])


weights_app = typer.Typer(help="Files of pretrained weights: what is known of them.", no_args_is_help=True,
                          rich_markup_mode=None)  # fmt: skip
app.add_typer(weights_app, name="weights")
Weights = Annotated[str, typer.Argument(metavar="NAME", help="as in --encoders, without the slot: hsemotion:enet_b2_8")]


@weights_app.command("list")
def weights_list(plugin: Plugins = None) -> None:
    """List the weights that encoders can name."""
    from harness.commands.weights import list_weights

    list_weights(plugin or [])


@weights_app.command("show")
def weights_show(name: Weights, plugin: Plugins = None) -> None:
    """Show all that is known of one file."""
    from harness.commands.weights import show

    show(name, plugin or [])


@weights_app.command("fetch")
def weights_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="as `harness weights list` names them")],
    plugin: Plugins = None,
) -> None:
    """Fetch and verify files, going on with what broke off."""
    from harness.commands.weights import fetch

    fetch(names, plugin or [])


@weights_app.command("verify")
def weights_verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="default: all that are here")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="with NAME: an option of its encoder, KEY=VALUE")]
    = None,
    plugin: Plugins = None,
) -> None:  # fmt: skip
    """Compare the digests of the files that are here.

    One that is named is also loaded into its encoder, and what that took is shown."""
    from harness.commands.weights import verify

    verify(name, sets or [], plugin or [])


@weights_app.command("convert")
def weights_convert(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="state_dict or whole network, .pt, .pth, .pth.tar")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="a .safetensors file to write")],
) -> None:
    """Write a file of weights as safetensors; none of its code runs."""
    from harness.commands.weights import convert

    convert(source, target)


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
