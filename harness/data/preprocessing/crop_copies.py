"""Copies of what lies beside raw videos: annotations, lists, ``groups.csv`` and the words spoken.

``crop.json`` lists them, so that a copy is removed once its original is gone, and nothing else ever is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.affwild2.folder_layout import Layout
from harness.data.index.group_tables import TABLE
from harness.data.streams.transcripts import FOLDER as WORDS
from harness.data.streams.transcripts import transcripts_of
from harness.data.tracking.person_boxes import content_sha256
from harness.io.atomic import atomic, clear_parts_of
from zoo.errors import UserError
from zoo.files import file_sha256, name_key, reason_of

MARK = "crop.json"
"""Marks a folder as made by `harness data crop`, so that the command can be resumed."""

VIDEOS = "videos"

People = Sequence[tuple[Sequence[str], Path]]
"""(names, raw video) of each video."""


@dataclass(frozen=True)
class Mark:
    """The content of ``crop.json``.

    ``raw``: the folder of the raw videos. ``copied``: path in the folder -> sha256 of what was copied there.
    ``videos``: names of the linked or copied videos. Earlier versions wrote ``raw`` only.
    """

    raw: str
    copied: Mapping[str, str] = field(default_factory=dict)
    videos: frozenset[str] = frozenset()


def read_mark(out: Path) -> Mark | None:
    """Return the mark of a folder; None if it has none. Raise UserError if it is damaged."""
    path = out / MARK
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Mark(said["raw"], dict(said.get("copied", {})), frozenset(said.get("videos", ())))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("crop-mark-damaged", mark=path) from error


def write_mark(out: Path, mark: Mark) -> None:
    """Write the mark of a folder atomically."""
    said = {"raw": mark.raw, "copied": dict(sorted(mark.copied.items())), "videos": sorted(mark.videos)}
    atomic(out / MARK, lambda part: part.write_text(json.dumps(said, indent=1), encoding="utf-8"))


# --- texts ------------------------------------------------------------------------------------------------------------


def texts_to_copy(layout: Layout, people: People) -> dict[str, Path]:
    """Return path in the folder of crops -> file of the raw folder.

    Annotations and lists go to ``annotations/`` with their paths below the last folder of that name, words to
    ``transcripts/``. Raise UserError if two files with different contents have one path.
    """
    found: dict[str, Path] = {}
    for target, path in [*_annotations(layout), *_words(layout, people)]:
        first = found.setdefault(target, path)
        if first != path and _sha256(first) != _sha256(path):
            raise UserError("crop-same-text", first=first, first2=path, target=target, raw=layout.root)
    return found


def _annotations(layout: Layout) -> Iterator[tuple[str, Path]]:
    files = [path for splits in layout.sets.values() for paths in splits.values() for path in paths]
    for path in [*files, *layout.texts]:
        parts = list(path.relative_to(layout.root).parts)
        while "annotations" in parts:
            parts = parts[parts.index("annotations") + 1 :]
        yield "/".join(("annotations", *parts)), path
    if (layout.root / TABLE).is_file():
        yield TABLE, layout.root / TABLE


def _words(layout: Layout, people: People) -> Iterator[tuple[str, Path]]:
    """Yield all files with the words of a video: if they are two, the command that reads them raises the error."""
    for names, video in people:
        for name in names:
            for path in transcripts_of(layout.root, name, video):
                yield f"{WORDS}/{path.name}", path


def copy_texts(texts: Mapping[str, Path], out: Path) -> None:
    """Copy texts into a folder, and remove copies whose originals are gone.

    A copy that was changed since stays, and so does a file with somebody's own words: it is not overwritten.
    """
    mark = read_mark(out)
    assert mark is not None  # the command has claimed the folder
    own = _own_words(out, mark)
    wanted = {target: path for target, path in texts.items() if not _is_word_of(target, own)}
    now = {target: _sha256(path) for target, path in wanted.items()}
    # Written before the copies, so that a killed command leaves none that is not listed.
    write_mark(out, Mark(mark.raw, {**mark.copied, **now}, mark.videos))
    for target, path in wanted.items():
        if _sha256_if_there(out / target) != now[target]:
            copy(path, out / target)
    for target in mark.copied.keys() - now.keys():
        if _sha256_if_there(out / target) == mark.copied[target]:
            _remove(out / target, out)
    write_mark(out, Mark(mark.raw, now, mark.videos))


def _own_words(out: Path, mark: Mark) -> set[str]:
    """Return the names of the videos whose words were put into ``transcripts/`` by somebody else."""
    folder = out / WORDS
    names = os.listdir(folder) if folder.is_dir() else []
    return {name_key(Path(name).stem) for name in names if f"{WORDS}/{name}" not in mark.copied}


def _is_word_of(target: str, names: set[str]) -> bool:
    return target.startswith(f"{WORDS}/") and name_key(Path(target).stem) in names


def _remove(path: Path, out: Path) -> None:
    """Delete a file, and the folders that it leaves empty."""
    path.unlink()
    for folder in path.relative_to(out).parents[:-1]:
        try:
            (out / folder).rmdir()
        except OSError:  # it is not empty
            return


def copy(path: Path, target: Path) -> None:
    """Copy a file atomically; only for the holder of the folder's lock."""
    clear_parts_of(target)
    atomic(target, lambda part: shutil.copyfile(path, part))


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise UserError("file-unreadable", file=path, strerror=reason_of(error)) from None


def _sha256_if_there(path: Path) -> str:
    """Return the digest of a copy; "" if it is missing or is a link, which this program never makes of a text."""
    if path.is_symlink():
        return ""
    with suppress(OSError):
        return file_sha256(path)
    return ""


# --- videos -----------------------------------------------------------------------------------------------------------


def clear_videos(paths: Iterable[Path], out: Path) -> None:
    """Remove links and copies of videos that now have another ending, and list those that are to be made.

    Of ``one.avi`` and ``one.mp4`` a reader would take the first, whichever the crops were made of.
    """
    mark = read_mark(out)
    assert mark is not None  # the command has claimed the folder
    names = {name_key(path.stem): path.name for path in paths}
    gone = set()
    for entry in sorted((out / VIDEOS).iterdir()) if (out / VIDEOS).is_dir() else ():
        now = names.get(name_key(entry.stem), entry.name)
        if entry.name != now and (entry.name in mark.videos or _leads_to(entry, mark.raw)):
            entry.unlink()
            gone.add(entry.name)
    write_mark(out, Mark(mark.raw, mark.copied, (mark.videos - gone) | set(names.values())))


def _leads_to(entry: Path, raw: str) -> bool:
    """Return True for a link into the raw folder: earlier versions made links without listing them."""
    return entry.is_symlink() and Path(os.readlink(entry)).is_relative_to(raw)


def place(path: Path, target: Path, *, link: bool) -> None:
    """Link the original video, or copy it if links are unwanted or impossible. A copy of other content is replaced."""
    target.parent.mkdir(exist_ok=True)
    if _is_placed(path, target, link=link):
        return
    target.unlink(missing_ok=True)
    if link:
        try:
            target.symlink_to(path)
            return
        except OSError:  # a file system without links: copy instead
            pass
    copy(path, target)


def _is_placed(path: Path, target: Path, *, link: bool) -> bool:
    if target.is_symlink():
        return link and os.path.realpath(target) == os.path.realpath(path)
    try:
        return target.stat().st_size == path.stat().st_size and content_sha256(target) == content_sha256(path)
    except OSError:
        return False
