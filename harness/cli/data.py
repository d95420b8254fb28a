"""`harness data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import DetectorSets, Edition, Encoders, Jobs, Launcher, Plugins, Sets, Track
from zoo.text import visible

app = typer.Typer(help="Make, check and prepare data folders.", no_args_is_help=True, rich_markup_mode=None)


@app.command("demo")
def data_demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    seed: Annotated[int, typer.Option(min=0, help="another set of videos")] = 0,
    videos: Annotated[str, typer.Option(help="train,val,test videos")] = "24,16,8",
    frames: Annotated[int, typer.Option(min=12, help="frames of a video")] = 120,
    jobs: Jobs = None,
) -> None:
    """Write the synthetic demo set."""
    from harness.cli.commands.data import demo

    demo(folder, seed, videos, frames, jobs)


@app.command("crop")
def data_crop(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="a folder of raw videos, perhaps with annotations")],
    out: Annotated[Path, typer.Option("--out", help="the data folder to make")],
    detector: Annotated[str, typer.Option(help="`harness list detectors`")] = "centerface",
    copy: Annotated[bool, typer.Option("--copy", help="copy the videos instead of linking them")] = False,
    sets: DetectorSets = None,
    jobs: Jobs = None,
    plugin: Plugins = None,
) -> None:
    """Raw videos -> a data folder with face crops and boxes."""
    from harness.cli.commands.data import crop

    crop(raw, out, detector, jobs, link=not copy, plugins=plugin or [], sets=sets or [])


@app.command("boxes")
def data_boxes(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    detector: Annotated[str, typer.Option(help="`harness list detectors`")] = "centerface",
    jobs: Jobs = None,
    plugin: Plugins = None,
) -> None:
    """Find the person's box in every frame of the raw videos."""
    from harness.cli.commands.data import boxes

    boxes(folder, detector, jobs, plugin or [])


@app.command("doctor")
def data_doctor(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    edition: Edition = None,
    track: Track = None,
    plugin: Plugins = None,
) -> None:
    """Compare a data folder with the published figures.

    Says what is missing and what to do. Exit code 1 where the folder is not clean."""
    from harness.cli.commands.data import doctor

    doctor(folder, edition, track, plugin or [])


@app.command("report")
def data_report(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    out: Annotated[Path | None, typer.Option("--out", help="the page; default: DIR/report.html")] = None,
    edition: Edition = None,
    track: Track = None,
    plugin: Plugins = None,
) -> None:
    """Draw a data folder: labels, faces, sound, lengths, groups."""
    from harness.reports.data_page import report_data
    from zoo.registry.tracks import load_plugins

    registry = load_plugins([str(p) for p in plugin or []])
    place = report_data(folder, out or folder / "report.html", registry, edition=edition, track=track)
    print(visible(f"written: {place}"))


@app.command("index")
def data_index(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    edition: Edition = None,
    track: Track = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget what is remembered of this folder first")] = False,
    plugin: Plugins = None,
) -> None:
    """Read annotations, lists and names of crops, and count them.

    Every command reads them the same way, and only those that changed since the last one did."""
    from harness.cli.commands.data import index

    index(folder, edition, track, plugin or [], fresh=fresh)


@app.command("acceptance")
def data_acceptance(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    out: Annotated[Path, typer.Option("--out", help="the text to share")] = Path("acceptance.txt"),
    edition: Edition = None,
    track: Track = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, auto")] = "auto",
    jobs: Jobs = None,
    plugin: Plugins = None,
) -> None:
    """Try everything on a data folder; writes a text to share.

    Versions, counts, and figures beside published ones; no names and no pictures. Exit code 1 where a step failed."""
    from harness.cli.commands.data import accept

    accept(folder, out, edition, track, device, jobs, plugin or [])


@app.command("pack")
def data_pack(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    streams: Annotated[str | None, typer.Option(help="face,body,context,audio; all that DIR can serve")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="DIR/pack; of another, say --set data.pack=OUT")] = None,
    size: Annotated[int, typer.Option(min=16, help="pixels a side of body and context")] = 224,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality of body and context")] = 95,
    crops: Annotated[str, typer.Option(help="cropped_aligned, cropped")] = "cropped_aligned",
    jobs: Jobs = None,
) -> None:
    """Decode every raw video once, to be read at random.

    Crops keep their own bytes. Resumable; what failed is listed at the end and in the pack's ledger.jsonl."""
    from harness.cli.commands.pack import pack

    pack(folder, streams, out, size, quality, crops, jobs)


@app.command("verify")
def data_verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    pack: Annotated[Path | None, typer.Option("--pack", help="the pack; DIR/pack")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="take out what is broken, to be packed again")] = False,
    jobs: Jobs = None,
) -> None:
    """Compare a pack with its checksums and sources.

    Exit code 1 where a file is broken, unfinished or of a source that has changed."""
    from harness.cli.commands.pack import verify

    verify(folder, pack, jobs, remove=remove)


@app.command("extract")
def data_extract(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    encoders: Encoders,
    track: Track = None,
    edition: Edition = None,
    sets: Sets = None,
    plugin: Plugins = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, auto")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="processes, a GPU each where there are several; default: this one")
    ] = None,
    launcher: Launcher = "local",
) -> None:
    """Fill the feature cache of frozen encoders."""
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
