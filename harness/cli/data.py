"""`harness data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import Group, examples
from harness.cli.options import (
    DEVICE,
    DataEdition,
    DataTrack,
    DetectorSets,
    Device,
    Edition,
    Encoders,
    Jobs,
    Launcher,
    Plugins,
    Sets,
    Track,
)
from zoo.text import visible

app = typer.Typer(help="Make, check and prepare data folders.", cls=Group, no_args_is_help=True, rich_markup_mode=None)
DataFolder = Annotated[Path, typer.Argument(metavar="DIR", help="a data folder (`harness help data`)")]
Detector = Annotated[str, typer.Option(metavar="NAME", help="find faces with this detector (`harness list detectors`)")]


@app.command("demo")
@examples("harness data demo small --videos 4,2,2 --frames 24", "harness data demo another --seed 1")
def data_demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the folder to write")],
    seed: Annotated[int, typer.Option(min=0, help="draw another set of videos")] = 0,
    videos: Annotated[str, typer.Option(metavar="N,N,N", help="make this many train, val and test videos")] = "24,16,8",
    frames: Annotated[int, typer.Option(min=12, help="make videos of N frames")] = 120,
    jobs: Jobs = None,
) -> None:
    """Write a synthetic demo set."""
    from harness.cli.commands.data import demo

    demo(folder, seed, videos, frames, jobs)


@app.command("crop")
@examples("harness data crop RAW --out data", "harness data crop RAW --out data --detector blazeface --jobs 4")
def data_crop(
    raw: Annotated[
        Path, typer.Argument(metavar="RAW", help="a folder of raw videos, with annotations if there are any")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="write the data folder here")],
    detector: Detector = "centerface",
    copy: Annotated[bool, typer.Option("--copy", help="copy the videos instead of linking them")] = False,
    sets: DetectorSets = None,
    jobs: Jobs = None,
    plugin: Plugins = None,
) -> None:
    """Make a data folder with face crops and boxes from raw videos."""
    from harness.cli.commands.data import crop

    crop(raw, out, detector, jobs, link=not copy, plugins=plugin or [], sets=sets or [])


@app.command("boxes")
@examples("harness data boxes DIR", "harness data boxes DIR --set detector.person=blazepose --jobs 4")
def data_boxes(
    folder: DataFolder,
    detector: Detector = "centerface",
    sets: DetectorSets = None,
    jobs: Jobs = None,
    plugin: Plugins = None,
) -> None:
    """Find the person in every frame of the raw videos.

    The streams portrait, body, context and pose need it. Run it again to continue after a stop.
    """
    from harness.cli.commands.data import boxes

    boxes(folder, detector, jobs, plugin or [], sets or [])


@app.command("doctor")
@examples("harness data doctor DIR", "harness data doctor DIR --edition abaw6 --track expr")
def data_doctor(
    folder: DataFolder,
    edition: DataEdition = None,
    track: DataTrack = None,
    plugin: Plugins = None,
) -> None:
    """Compare a data folder with the published counts.

    Lists what is missing and what to do. Exit code 1 if something must be done.
    """
    from harness.cli.commands.data import doctor

    doctor(folder, edition, track, plugin or [])


@app.command("report")
@examples("harness data report DIR", "harness data report DIR --track va --out va.html")
def data_report(
    folder: DataFolder,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="write the page here", show_default="DIR/report.html")
    ] = None,
    edition: DataEdition = None,
    track: DataTrack = None,
    plugin: Plugins = None,
) -> None:
    """Write a page about the data: labels, faces, sound, groups."""
    from harness.reports.data_page import report_data
    from zoo.registry.tracks import load_plugins

    registry = load_plugins([str(p) for p in plugin or []])
    place = report_data(folder, out or folder / "report.html", registry, edition=edition, track=track)
    print(visible(f"written: {place}"))


@app.command("index")
@examples("harness data index DIR", "harness data index DIR --track va --fresh")
def data_index(
    folder: DataFolder,
    edition: DataEdition = None,
    track: DataTrack = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="read everything again, also if it has not changed")] = False,
    plugin: Plugins = None,
) -> None:
    """Read and count annotations, test lists and crops.

    Every command reads them this way, and reads again only those that changed since.
    """
    from harness.cli.commands.data import index

    index(folder, edition, track, plugin or [], fresh=fresh)


@app.command("acceptance")
@examples("harness data acceptance DIR", "harness data acceptance DIR --track va --out va.txt")
def data_acceptance(
    folder: DataFolder,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="write the text here")] = Path("acceptance.txt"),
    edition: DataEdition = None,
    track: DataTrack = None,
    device: Annotated[str, typer.Option(metavar="NAME", help=DEVICE)] = "auto",
    jobs: Jobs = None,
    plugin: Plugins = None,
) -> None:
    """Try everything on a data folder and write a text to share.

    The text has versions, counts and published figures, but no names and no pictures. Exit code 1 if a step failed.
    """
    from harness.cli.commands.data import accept

    accept(folder, out, edition, track, device, jobs, plugin or [])


@app.command("pack")
@examples(
    "harness data pack DIR", "harness data pack DIR --streams face,audio --jobs 8", "harness data pack DIR --out PACK"
)
def data_pack(
    folder: DataFolder,
    streams: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="pack these of face,body,context,audio, comma-separated",
            show_default="all that DIR has",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="PACK", help="write here; read it with --set data.pack=PACK", show_default="DIR/pack"
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=16, help="store body and context with N pixels a side")] = 224,
    quality: Annotated[int, typer.Option(min=1, max=100, help="store body and context with this JPEG quality")] = 95,
    crops: Annotated[
        str, typer.Option(metavar="NAME", help="pack these face crops: cropped_aligned or cropped")
    ] = "cropped_aligned",
    jobs: Jobs = None,
) -> None:
    """Decode every raw video once into files that are fast to read.

    Face crops keep their own bytes. Run it again to continue after a stop. Failures are listed at the end and in the
    pack's ledger.jsonl.
    """
    from harness.cli.commands.pack import pack

    pack(folder, streams, out, size, quality, crops, jobs)


@app.command("verify")
@examples("harness data verify DIR", "harness data verify DIR --remove")
def data_verify(
    folder: DataFolder,
    pack: Annotated[
        Path | None, typer.Option("--pack", metavar="PACK", help="check this pack", show_default="DIR/pack")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="remove broken files, so that they are packed again")
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Compare a pack with its checksums and sources.

    Exit code 1 if a file is broken or unfinished, or if its source has changed.
    """
    from harness.cli.commands.pack import verify

    verify(folder, pack, jobs, remove=remove)


@app.command("extract")
@examples(
    "harness data extract DIR --encoders face,context",
    "harness data extract DIR --encoders face=timm:resnet18 --jobs 2",
)
def data_extract(
    folder: DataFolder,
    encoders: Encoders,
    track: Track = None,
    edition: Edition = None,
    sets: Sets = None,
    plugin: Plugins = None,
    device: Device = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="work with N processes, each with a GPU if there are several", show_default="this one"
        ),
    ] = None,
    launcher: Launcher = "local",
) -> None:
    """Compute and cache the features of frozen encoders."""
    from harness.cli.commands.data import extract

    flags = {
        "encoders": encoders,
        "track": track,
        "edition": edition,
        "data_dir": str(folder),
        "device": device,
        "plugin": [str(p) for p in plugin] if plugin else None,
    }
    extract(flags, sets or [], launcher, jobs)
