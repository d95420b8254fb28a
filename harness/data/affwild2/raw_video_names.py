"""Map raw videos to the annotated people in them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path

from harness.data.affwild2.folder_layout import Layout, crop_folders, survey
from zoo.errors import UserError
from zoo.files import name_key, read_bytes

# A name with a side suffix at the start of a line of any list: a bare name, or a name followed by "/00001.jpg".
_SIDED = re.compile(r"^([^,/\r\n]+_(?:left|right))(?=[,/\s]|$)", re.MULTILINE)


def raw_people(folder: Path) -> list[tuple[tuple[str, ...], Path]]:
    """Return (names, video file) for every raw video of a data folder, in the form that ``make_boxes`` takes."""
    return people_in(survey(folder))


def people_in(layout: Layout) -> list[tuple[tuple[str, ...], Path]]:
    """Return (names, video file) for every raw video of a folder that was surveyed."""
    known, videos = known_names(layout), layout.videos
    return [(names_in(stem, known, videos), files[0]) for stem, files in sorted(videos.items())]


def known_names(layout: Layout) -> set[str]:
    """Return all names of people in annotations, lists and crop folders.

    Raises UserError if a text file cannot be read.
    """
    names = {name_key(path.stem) for files in layout.sets.values() for split in files.values() for path in split}
    names |= {name_key(path.stem) for path in layout.texts}
    for path in layout.texts:
        names |= {name_key(match.strip()) for match in _SIDED.findall(_text_of(path))}
    return names.union(*(crop_folders(layout, kind) for kind in ("cropped_aligned", "cropped")))


def _text_of(path: Path) -> str:
    """Return the text of any file of the folder: a list, or somebody's notes in whatever encoding."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise UserError("text-unreadable", file=path, strerror=error.strerror) from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig", errors="replace")


def names_in(stem: str, known: Iterable[str], videos: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the people in the video ``stem``.

    These are the names among ``stem``, ``stem_left`` and ``stem_right`` that are in ``known`` and are not the name of
    another video, as ``talk_left.mp4`` beside ``talk.mp4`` is. If none is, the result is ``stem`` alone: its main
    subject. ``videos``: names of all raw videos.
    """
    known = set(known) - (set(videos) - {stem})
    found = tuple(name for name in (stem, f"{stem}_left", f"{stem}_right") if name in known)
    return found or (stem,)
