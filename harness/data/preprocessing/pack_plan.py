"""Plan the packing of a data folder: one item per raw video and one per crop folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.affwild2.folder_layout import Layout, crop_folders, survey
from harness.data.affwild2.raw_video_names import people_in
from harness.data.decoding.video import expected_frames
from harness.data.index.picture_folders import crop_frames
from harness.data.packed.metadata import QUALITY, SIZE, STREAMS
from harness.data.tracking.person_boxes import have_boxes
from zoo.errors import UserError


@dataclass(frozen=True)
class Settings:
    """Settings of a pack.

    ``root``: the data folder. ``pack``: the folder of the pack. ``size`` (pixels per side) and JPEG ``quality``: of
    pictures of raw video.
    """

    root: Path
    pack: Path
    size: int = SIZE
    quality: int = QUALITY


@dataclass(frozen=True)
class Item:
    """A raw video, or a crop folder if ``crops``; ``wanted``: (stream, name) of each packed file to make from it."""

    path: Path
    wanted: tuple[tuple[str, str], ...]
    frames: int
    crops: bool = False


def plan(root: Path, streams: Sequence[str] | None = None, kind: str = "cropped_aligned") -> list[Item]:
    """Return the items of a data folder for ``streams``, by default all that it has data for.

    Raise UserError if a stream is unknown, or if the folder has no data for it; the error says what to do.
    """
    unknown = [stream for stream in streams or () if stream not in STREAMS]
    if unknown:
        raise UserError("pack-stream-unknown", first=unknown[0], names=", ".join(STREAMS))
    layout = survey(root)
    crops = _crops(layout, kind)
    videos = {path: names for names, path in people_in(layout)}
    boxed = any(have_boxes(root, name, path) for path, names in videos.items() for name in names)
    have = {"face": bool(crops), "body": boxed, "context": boxed, "audio": bool(videos)}
    chosen = list(dict.fromkeys(streams or [stream for stream in STREAMS if have[stream]]))
    _check(root, chosen, have, videos=bool(videos), kind=kind)
    items = [
        Item(folder, (("face", name),), last, crops=True)
        for name, (folder, last) in (crops.items() if "face" in chosen else ())
    ]
    for path, names in videos.items():
        wanted = [("audio", path.stem)] if "audio" in chosen else []
        wanted += [(stream, name) for name in names for stream in ("body", "context") if stream in chosen]
        if wanted:
            items.append(Item(path, tuple(wanted), expected_frames(path)))
    return items


def _crops(layout: Layout, kind: str) -> dict[str, tuple[Path, int]]:
    """Return name -> the first of its folders that has crops, and the number of the last frame in it."""
    found = {}
    for name, folders in sorted(crop_folders(layout, kind).items()):
        for folder in folders:
            frames = crop_frames(folder)
            if len(frames):
                found[name] = (folder, int(frames[-1]))
                break
    return found


def _check(root: Path, chosen: Sequence[str], have: dict[str, bool], *, videos: bool, kind: str) -> None:
    if not chosen:
        raise UserError("pack-nothing", root=root, kind=kind)
    for stream in chosen:
        if not have[stream]:
            lacks = {
                "face": f"face crops ({kind}/): `harness data crop` makes them of raw videos",
                "audio": "raw videos (.mp4, .avi)",
            }.get(stream, "raw videos (.mp4, .avi)" if not videos else f"person boxes: run `harness data boxes {root}`")
            raise UserError("pack-stream-lacks", root=root, stream=stream, lacks=lacks)
