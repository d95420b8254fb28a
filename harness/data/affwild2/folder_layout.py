"""Find annotations, crops and videos in an Aff-Wild2 folder, whatever the edition called its folders.

One walk of bounded depth. It never enters the per-video folders of crops, and opens no file of a folder that holds
pictures or key points only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.affwild2.groups import without_side
from harness.data.decoding.containers import DOCUMENT, UNKNOWN, kind_by_name
from harness.data.decoding.probe_cache import file_kind
from harness.io.hashing import PICTURES
from zoo.errors import UserError
from zoo.files import is_plain, name_key

DEPTH = 5
"""Maximum depth of the walk under the root.

``annotations/6th_ABAW_Annotations/VA_Estimation_Challenge/Train_Set`` is four deep.
"""

SPLIT_FOLDERS = {
    "train_set": "train",
    "training_set": "train",
    "validation_set": "val",
    "val_set": "val",
}
"""Lower-case name of a folder in an annotation set -> split."""

_LEAF = 100  # a folder with this many other files and nothing of interest holds pictures or key points
_CLOSED = ("cropped", "openpose")  # a folder whose name begins so is not entered: it has millions of files
_IN_CLOSED = f"in folders whose names begin with {' or '.join(_CLOSED)}"
_TOO_DEEP = f"more than {DEPTH} folders deep"

# A part of a release among the folders of videos: ``batch1``, ``cropped_aligned``, ``cropped_aligned_new_50_vids``. The
# whole name must match, because people call videos ``batch_of_monday`` or ``cropped_talk``.
_BATCH = re.compile(r"batch[ _-]?\d*|cropped(_aligned)?(_new_\d+_vids)?")


@dataclass(frozen=True)
class Layout:
    """The result of a walk.

    ``sets``: a folder with ``Train_Set`` or ``Validation_Set`` -> split -> files. ``texts``: other .txt files.
    ``crops``: folders named ``cropped...``. ``videos``: file name without extension -> files, those nearest to
    the root first. ``left_out``: files that are not videos, except documents -> the kind of file that they are.
    ``closed``: folders that were not entered -> the reason, in words that follow "videos". ``documents``: files next to
    the .txt files of ``sets``, such as tables in another form.
    """

    root: Path
    sets: Mapping[Path, Mapping[str, tuple[Path, ...]]]
    texts: tuple[Path, ...]
    crops: tuple[Path, ...]
    videos: Mapping[str, tuple[Path, ...]]
    left_out: Mapping[Path, str] = field(default_factory=dict)
    closed: Mapping[Path, str] = field(default_factory=dict)
    documents: tuple[Path, ...] = ()

    def relative(self, path: Path) -> str:
        """Return a path as the user knows it: relative to the data folder."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def video_of(self, name: str) -> Path | None:
        """Return the raw file of an annotated name: the one with that name, or with it minus ``_left`` / ``_right``."""
        for stem in (name, without_side(name)):
            if stem in self.videos:
                return self.videos[stem][0]
        return None

    def left_out_notes(self, most: int = 3) -> list[str]:
        """Return one line for each kind of file that is left out."""
        kinds: dict[str, list[str]] = {}
        for path, kind in sorted(self.left_out.items()):
            kinds.setdefault(kind, []).append(self.relative(path))
        return [f"left out, not videos ({kind}): {_some(names, most)}" for kind, names in sorted(kinds.items())]

    def unread_notes(self, most: int = 3) -> list[str]:
        """Return one line for each reason why files named like videos are not read.

        The folders that the walk did not enter are listed to the ground, which takes seconds for millions of crops.
        """
        reasons: dict[str, list[str]] = {}
        for folder, reason in self.closed.items():
            reasons.setdefault(reason, []).extend(map(self.relative, _named_like_videos(folder)))
        return [
            f"left out, videos {reason}: {_some(sorted(names), most)}" for reason, names in reasons.items() if names
        ]


def _some(names: list[str], most: int) -> str:
    """Return the number of names, and the first of them."""
    return f"{len(names)} ({', '.join(names[:most])}{', ...' * (len(names) > most)})"


def _named_like_videos(top: Path) -> Iterator[Path]:
    """Yield the files in a folder, and in all below it, whose names have the ending of a video. No link is followed."""
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and kind_by_name(name) == "video":
                yield Path(folder, name)


@dataclass
class _Folder:
    """The entries of one folder that matter."""

    folders: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)
    documents: list[Path] = field(default_factory=list)


def survey(root: Path) -> Layout:
    """Walk a data folder, DEPTH folders deep, in a fixed order. Raise UserError if there is no such folder."""
    if not root.is_dir():
        raise UserError("data-folder-missing", root=root)
    sets: dict[Path, dict[str, tuple[Path, ...]]] = {}
    texts: list[Path] = []
    crops: list[Path] = []
    videos: dict[str, list[Path]] = {}
    left_out: dict[Path, str] = {}
    closed: dict[Path, str] = {}
    documents: list[Path] = []
    level = [root]
    seen: set[tuple[int, int]] = set()
    for _ in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            stat = folder.stat()
            if (stat.st_dev, stat.st_ino) in seen:  # a link to a folder that was already visited
                continue
            seen.add((stat.st_dev, stat.st_ino))
            found = _entries(folder)
            split = SPLIT_FOLDERS.get(folder.name.lower())
            if split and found.texts:
                files = sets.setdefault(folder.parent, {})
                files[split] = (*files.get(split, ()), *found.texts)
                documents += found.documents
            else:
                texts += found.texts
            for video in found.videos:
                videos.setdefault(name_key(video.stem), []).append(video)
            left_out |= found.left_out
            crops += [f for f in found.folders if f.name.lower().startswith("cropped")]
            closed |= {f: _IN_CLOSED for f in found.folders if f.name.lower().startswith(_CLOSED)}
            below += [f for f in found.folders if f not in closed]
        level = below
    closed |= {folder: _TOO_DEEP for folder in level if not folder.is_symlink()}
    named = {stem: tuple(files) for stem, files in videos.items()}
    return Layout(root, sets, tuple(texts), tuple(crops), named, left_out, closed, tuple(documents))


def crop_folders(layout: Layout, kind: str) -> dict[str, tuple[Path, ...]]:
    """Return annotated name -> its crop folders, for kind ``cropped_aligned`` or ``cropped``.

    They are looked for in ``<kind>`` and ``<kind>_...`` (``cropped_aligned_new_50_vids``), directly or in ``batch1``,
    ``batch2``.
    """
    found: dict[str, list[Path]] = {}
    for top in layout.crops:
        name = top.name.lower()
        other = kind == "cropped" and name.startswith("cropped_aligned")
        if not other and (name == kind or name.startswith(f"{kind}_")):
            for folder in _video_folders(top, depth=2):
                found.setdefault(name_key(folder.name), []).append(folder)
    return {name: tuple(folders) for name, folders in found.items()}


def _entries(folder: Path) -> _Folder:
    """Sort the entries of a folder. The names alone decide whether it is a leaf, so their order does not matter."""
    found = _Folder()
    others: list[tuple[Path, str]] = []
    for entry in _scan(folder):
        if entry.is_dir():
            if not leads_up(entry):
                found.folders.append(Path(entry.path))
        elif not _is_content(entry):
            continue
        elif entry.name.lower().endswith(".txt"):
            found.texts.append(_plain(entry))
        else:
            others.append((Path(entry.path), kind_by_name(entry.name)))
    wanted = found.folders or found.texts or any(kind in ("video", "perhaps") for _, kind in others)
    if len(others) >= _LEAF and not wanted:
        if any(kind != DOCUMENT for _, kind in others):
            found.left_out[folder] = "a folder of other files"
        return found
    for path, _ in others:
        kind = kind_of_file(path)
        if kind == "video":
            found.videos.append(_checked(path))
        elif kind == DOCUMENT:
            found.documents.append(path)
        else:
            found.left_out[path] = kind
    for part in (found.folders, found.texts, found.videos, found.documents):
        part.sort()
    return found


def kind_of_file(path: Path) -> str:
    """Return the kind of a file by its name, or by its content if the name does not tell.

    Players, too, open a video that has lost its extension, and one that a browser was still loading.
    """
    kind = kind_by_name(path.name)
    if kind == UNKNOWN:
        inside = file_kind(path)
        return inside if inside == "video" else UNKNOWN
    return file_kind(path) if kind == "perhaps" else kind


def _video_folders(top: Path, depth: int) -> Iterator[Path]:
    for folder in sorted(_plain(entry) for entry in _scan(top) if entry.is_dir() and not leads_up(entry)):
        if depth and _BATCH.fullmatch(folder.name.lower()) and not _has_pictures(folder):
            yield from _video_folders(folder, depth - 1)
        else:
            yield folder


def _has_pictures(folder: Path) -> bool:
    """Return True if a folder has pictures of its own: then it holds the crops of a video."""
    return any(entry.name.lower().endswith(PICTURES) for entry in _scan(folder))


def leads_up(path: str | os.DirEntry[str]) -> bool:
    """Return True if a path is a link to a folder above it, such as ``/``: that would walk the whole machine."""
    if not (os.path.islink(path) if isinstance(path, str) else path.is_symlink()):
        return False
    return Path(os.path.realpath(os.path.dirname(os.fspath(path)))).is_relative_to(os.path.realpath(path))


def _is_content(entry: os.DirEntry[str]) -> bool:
    """Return True for a file, and for a link to a missing file, which is reported when it is read.

    A named pipe is neither.
    """
    return entry.is_file() or not os.path.exists(entry.path)


def _plain(entry: os.DirEntry[str]) -> Path:
    """Return the path of an entry. Raise UserError if its name cannot be written into a table."""
    return _checked(Path(entry.path))


def _checked(path: Path) -> Path:
    if not is_plain(path.name):
        raise UserError("name-unprintable", name=ascii(str(path)))
    return path


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder that are not hidden."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise UserError("folder-unreadable", folder=folder, strerror=error.strerror) from error
