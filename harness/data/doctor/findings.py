"""The problems and notes of ``harness data doctor``: groups on several splits, missing parts, videos, lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.data.decoding.video import VideoInfo, probe
from harness.data.index.index import NO_MEDIA, Index, Split
from harness.runtime.progress import Bar
from zoo.errors import UserError

MOST = 5
"""Most examples that are named of one kind of problem."""
_SPLIT = "put some people's files into Train_Set and others' into Validation_Set"


def crossing_groups(index: Index) -> list[str]:
    """Return a problem if groups have videos in more than one split."""
    groups: dict[str, dict[Split, str]] = {}
    for video in index.videos:
        groups.setdefault(video.group, {}).setdefault(video.split, video.name)
    crossing = [
        f"{group} ({', '.join(f'{name} in {split}' for split, name in splits.items())})"
        for group, splits in groups.items()
        if len(splits) > 1
    ]
    if not crossing:
        return []
    return [
        f"groups that cross splits, which makes scores too high: {examples(crossing)}: remove one side, or give them "
        "different groups in groups.csv (video,group) if they are different people"
    ]


def gaps_of(index: Index, own: bool) -> list[str]:
    """Return the problems of missing parts. ``own``: the user's own data, without organisers to ask."""
    gaps = []
    if index.test_list is None and not own:
        gaps.append(
            f"no official test list (looked for {', '.join(index.track.lists)}): ask the organisers for it; without it "
            "the rows of a submission are not the official ones"
        )
    if index.absent:
        gaps.append(f"{NO_MEDIA} of the listed test videos {examples(index.absent)}: unpack the archive")
    if not index.split("train") or not index.split("val"):
        gaps.append("annotations of train or val are missing: " + (_SPLIT if own else "ask the organisers for them"))
    for what, missing in (
        ("crops", [video.name for video in index.videos if video.crops is None]),
        ("raw video", [video.name for video in index.videos if video.video is None]),
    ):
        if 0 < len(missing) < len(index.videos):
            gaps.append(f"no {what} of {examples(missing)}: unpack the missing archive")
    if index.track.unit == "image" and any(video.crops for video in index.videos):
        absent = [f"{v.name} ({n})" for v in index.videos if (n := int((v.rows & ~v.crop_frames).sum()))]
        if absent:
            gaps.append(f"listed images that are not there, in {examples(absent)}: unpack the missing archive")
    return gaps


def probe_all(paths: Iterable[Path]) -> tuple[dict[Path, VideoInfo], list[str]]:
    """Return the properties of the raw videos, and an error for each that cannot be read."""
    infos: dict[Path, VideoInfo] = {}
    broken: list[str] = []
    links: dict[Path, list[Path]] = {}  # a file to which several names link is read once
    for path in sorted(set(paths)):
        links.setdefault(path.resolve(), []).append(path)
    for names in Bar(links.values(), desc="raw videos", unit="video"):
        try:
            infos |= dict.fromkeys(names, probe(names[0]))
        except UserError as error:
            broken.append(str(error))
    return infos, broken


def without_sound(infos: Mapping[Path, VideoInfo]) -> list[str]:
    """Return a note on raw videos without sound, if there are any."""
    silent = [path.name for path, info in infos.items() if not info.has_audio]
    return [f"without sound (the stream audio is absent): {examples(silent)}"] if silent else []


def compare_lengths(index: Index, infos: dict[Path, VideoInfo]) -> tuple[list[str], list[str]]:
    """Compare the videos' lengths with their annotations; return a summary, and an error for each that does not fit."""
    wrong: list[str] = []
    compared = off = 0
    for video in index.videos:
        if video.video in infos:
            frames = infos[video.video].n_frames
            compared += 1
            off += frames != video.n_frames
            try:
                index.check_length(video, frames)
            except UserError as error:
                wrong.append(str(error))
    if index.track.unit == "image" or not compared:
        return [], wrong
    same = compared - off
    note = f"{index.track.name}: the raw videos of {same} of {compared} names have as many frames as their annotations"
    return [note + (f", {off - len(wrong)} differ by {index.frame_tolerance}" if off > len(wrong) else "")], wrong


def first_of(messages: Sequence[str], what: str) -> list[str]:
    """Return the first few of many messages, and the number of the others."""
    more = len(messages) - MOST
    return [*messages[:MOST], f"{more} more {what}"] if more > 0 else list(messages)


def examples(names: Sequence[str]) -> str:
    """Return a few names, with their number if there are more."""
    shown = ", ".join(names[:MOST])
    return f"{len(names)} ({shown}, ...)" if len(names) > MOST else shown
