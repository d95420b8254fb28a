"""Choose the annotations and the test list for a track in a data folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from harness.data.affwild2.annotation_files import admitted, read_header
from harness.data.affwild2.cached_files import Files
from harness.data.affwild2.folder_layout import Layout
from harness.data.index.samples import TestList
from zoo.errors import UserError
from zoo.tracks import EditionSpec, TrackSpec

IMAGE_LISTS = {
    "training_set_annotations.txt": "train",
    "train_set.txt": "train",
    "validation_set_annotations.txt": "val",
    "validation_set.txt": "val",
}
"""Lower-case file name of an annotation list -> split, for tracks whose unit is the image."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")  # as in "Third ABAW Annotations"


@dataclass(frozen=True)
class Annotations:
    """The annotation files of a track: their ``folder``, and ``files`` as split -> paths."""

    folder: Path
    files: Mapping[str, tuple[Path, ...]]


def candidates(layout: Layout, track: TrackSpec) -> list[Annotations]:
    """Return every annotation folder whose name fits a track, in the order in which they were found."""
    if track.unit != "image":
        names = {name.lower() for name in track.folders}
        return [Annotations(folder, files) for folder, files in layout.sets.items() if folder.name.lower() in names]
    found: dict[Path, dict[str, tuple[Path, ...]]] = {}
    for path in layout.texts:
        split = IMAGE_LISTS.get(path.name.lower())
        if split:
            found.setdefault(path.parent, {}).setdefault(split, (path,))
    return [Annotations(folder, files) for folder, files in found.items()]


def choose_annotations(layout: Layout, edition: EditionSpec, track: TrackSpec) -> Annotations:
    """Return the annotations of a track.

    If several folders have them, folders with another header are ignored; then the one with the edition's number in
    its path is taken. Raise UserError, with what was found, if there is no such folder or still more than one.
    """
    found = candidates(layout, track)
    if not found:
        raise UserError("annotations-none", message=_nothing(layout, edition, track))
    fitting = [one for one in found if fits(one, track)] if len(found) > 1 else found
    numbered = [one for one in fitting if _numbered(layout.relative(one.folder), edition)]
    for choice in (fitting, numbered):
        if len(choice) == 1:
            return choice[0]
    names = ", ".join(layout.relative(one.folder) for one in found)
    raise UserError("annotations-ambiguous", root=layout.root, name=track.name, names=names)


def fits(annotations: Annotations, track: TrackSpec) -> bool:
    """Return True if any of the files has a header of the track. One is enough: single files may be damaged."""
    return any(admitted(read_header(path), track) for files in annotations.files.values() for path in files)


def choose_list(layout: Layout, edition: EditionSpec, track: TrackSpec, files: Files) -> TestList | None:
    """Return the organisers' test list in a data folder, or None.

    Lists with the edition's number in their name are preferred, then example files over lists of names. Raise
    UserError if several lists remain and differ.
    """
    patterns = [pattern.lower() for pattern in track.lists]
    paths = [path for path in layout.texts if any(fnmatch(path.name.lower(), pattern) for pattern in patterns)]
    paths = [path for path in paths if _numbered(path.name, edition)] or paths
    lists = [files.test_list(path) for path in paths]
    lists = [one for one in lists if one.kind == "rows"] or lists
    if any(not _same(one, lists[0]) for one in lists[1:]):
        names = ", ".join(layout.relative(one.path) for one in lists)
        raise UserError("test-lists-ambiguous", root=layout.root, name=track.name, names=names)
    return lists[0] if lists else None


def other_annotations(layout: Layout, edition: EditionSpec, track: TrackSpec) -> list[str]:
    """Return the names of other tracks' annotations in the folder, each with its track in the edition if known."""
    own = {one.folder for one in candidates(layout, track)}
    others = [t for t in edition.tracks if t.name != track.name]
    found = []
    for folder in layout.sets:
        if folder not in own:
            names = [t.name for t in others if folder.name.lower() in {name.lower() for name in t.folders}]
            found.append(layout.relative(folder) + (f" (track {names[0]})" if names else ""))
    if track.unit != "image":
        found += [f"{layout.relative(p)} (MTL)" for p in layout.texts if p.name.lower() in IMAGE_LISTS]
    return found


def _same(one: TestList, other: TestList) -> bool:
    return (
        one.kind == other.kind
        and one.videos == other.videos
        and np.array_equal(one.row_video, other.row_video)
        and np.array_equal(one.row_frame, other.row_frame)
    )


def _numbered(text: str, edition: EditionSpec) -> bool:
    """Return True if a path names the edition: ``3rd``, ``third`` or ``abaw3`` for abaw3."""
    number = re.search(r"\d+$", edition.name)
    if number is None:
        return edition.name.lower() in text.lower()
    n = int(number[0])
    words = [rf"(?<!\d){n}(?:st|nd|rd|th)", rf"abaw_?{n}(?!\d)", *_ORDINALS[n - 1 : n]]
    return re.search("|".join(words), text, re.IGNORECASE) is not None


def _nothing(layout: Layout, edition: EditionSpec, track: TrackSpec) -> str:
    """Return a message that says why a folder has no annotations of a track: what is missing and what is there."""
    others = other_annotations(layout, edition, track)
    wanted = _or(f"{name}/Train_Set" for name in track.folders) if track.unit != "image" else _or(IMAGE_LISTS)
    if others:
        return (
            f"{layout.root}: no annotations of track {track.name} (looked for {wanted}); there are "
            f"{', '.join(others)}: choose one of these tracks with --track"
        )
    inside = sorted(path.name for path in layout.root.iterdir() if not path.name.startswith("."))
    shown = ", ".join(inside[:8]) + (", ..." if len(inside) > 8 else "")
    return (
        f"{layout.root}: this is not an Aff-Wild2 folder: it has no annotations (looked for {wanted}); it holds "
        f"{shown or 'nothing'}; {len(layout.videos)} videos and {len(layout.crops)} folders of crops were found: "
        + (_raw(layout, track) if layout.videos and not layout.crops else f"{_GIVE}; {_form(track)}")
    )


_GIVE = "give --data the folder that has annotations, crops and videos in it"


def _raw(layout: Layout, track: TrackSpec) -> str:
    """Return advice for a folder that has only videos."""
    made = layout.root.name or "videos"
    return (
        f"put annotations next to the videos ({_form(track)}), then `harness data crop {layout.root} --out {made}-data`"
    )


def _form(track: TrackSpec) -> str:
    """Return a description of the smallest valid annotation file."""
    header = track.headers[0] if track.headers else track.submission_header
    if track.unit == "image":
        return f"a list has the line {header!r}, then one line per image"
    folder = track.folders[0] if track.folders else "ANNOTATIONS"
    return f"an annotation is {folder}/Train_Set/VIDEO.txt: the line {header!r}, then one line per frame"


def _or(names: Iterable[str]) -> str:
    listed: Sequence[str] = list(names)
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " or " + listed[-1]
