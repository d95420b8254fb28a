"""Folders of numbered pictures: the frames that have a picture, and the file names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.io.hashing import PICTURES, crops_digest, digest
from zoo.errors import UserError

_NAME = re.compile(r"0*([0-9]{1,7})\.[a-z]+", re.IGNORECASE)  # more digits are a date or another number
_PLAIN = 5  # digits
_UNREAD = (".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".ppm", ".pgm", ".tga")  # image kinds
_UNREAD_NAME = re.compile(rf"[0-9]{{1,7}}(?:{'|'.join(map(re.escape, _UNREAD))})", re.IGNORECASE)

ABSENT = "folders, pipes or links that lead to no file are in place of crops"
"""Begin of a note on them."""


@dataclass(frozen=True, eq=False)
class PictureFolder:
    """The pictures of a folder by frame.

    ``frames``: (k,) int32, sorted, counted from 1. ``names``: their file names in that order; None if all are called
    like ``00001.jpg``. ``others``: pictures whose names are not frame numbers; they are not used. ``unread``: numbered
    pictures of kinds that are not read; they are not used either. ``absent``: names of pictures that are
    folders, named pipes or links that lead to no file; their targets may come back while the folder stays the same.
    """

    folder: Path
    frames: np.ndarray
    names: tuple[str, ...] | None = None
    others: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def path(self, frame: int) -> str:
        """Return the file of a frame, counted from 1. A frame without a picture gets the usual name."""
        place = int(np.searchsorted(self.frames, frame))
        named = self.names is not None and place < len(self.frames) and self.frames[place] == frame
        return f"{self.folder}/{self.names[place]}" if named and self.names else f"{self.folder}/{frame:05d}.jpg"


def picture_folder(folder: Path) -> PictureFolder:
    """Find the numbered pictures of a folder, such as ``00001.jpg``, ``1.png`` or ``000001.JPG``.

    Padding, case and picture format do not matter. Raise UserError if the folder has pictures but none is numbered, if
    all are of kinds that are not read, if there is a frame 0 (which would shift all others), or if one frame has two
    files. Folders, named pipes and links that lead to no file are not pictures, whatever their names.
    """
    names, absent = _files(folder)
    plain = _plain_numbers(names)
    if plain is not None:
        return _checked(PictureFolder(folder, np.sort(plain), absent=absent))
    pictures = [name for name in names if name.lower().endswith(PICTURES)]
    numbered = [(int(match[1]), name) for name in pictures if (match := _NAME.fullmatch(name))]
    if pictures and not numbered:
        raise UserError("crop-name", file=folder / min(pictures))
    unread = tuple(sorted(name for name in names if _UNREAD_NAME.fullmatch(name)))
    if unread and not pictures:
        kinds = ", ".join(sorted({Path(name).suffix.lower() for name in unread}))
        raise UserError("crop-kind", folder=folder, kinds=kinds, known=", ".join(PICTURES))
    numbered.sort()
    frames = np.array([frame for frame, _ in numbered], np.int32)
    plain_names = all(name == f"{frame:05d}.jpg" for frame, name in numbered)
    used = tuple(name for _, name in numbered)
    others = tuple(sorted(set(pictures) - set(used)))
    return _checked(PictureFolder(folder, frames, None if plain_names else used, others, unread, absent))


def pictures_digest(folder: Path) -> str:
    """Return a sha256 over the names, the content and the frame numbers of a folder's pictures."""
    names = picture_folder(folder).names
    return crops_digest(folder) if names is None else digest(crops_digest(folder), *names)


def crop_frames(folder: Path) -> np.ndarray:
    """Return the frame numbers of a folder's pictures: (k,) int32, sorted, from 1; see ``picture_folder``."""
    return picture_folder(folder).frames


def _files(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of a folder's files that are not hidden, and of pictures that are no files.

    Folders of crops have millions of files: the folder tells their types, and only links cost a look at the disk.
    """
    with os.scandir(folder) as inside:
        entries = [entry for entry in inside if not entry.name.startswith(".")]
    names = [entry.name for entry in entries if _is_file(entry)]
    if len(names) == len(entries):
        return names, ()
    others = {entry.name for entry in entries}.difference(names)
    return names, tuple(sorted(name for name in others if name.lower().endswith(PICTURES)))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself, or into a folder that may not be looked into
        return False


def _checked(pictures: PictureFolder) -> PictureFolder:
    frames, folder = pictures.frames, pictures.folder
    if len(frames) and frames[0] == 0:
        raise UserError("crop-frame-zero", folder=folder)
    twice = np.flatnonzero(np.diff(frames) == 0)
    if len(twice):
        assert pictures.names is not None  # plain names cannot give one frame twice
        first, second = pictures.names[twice[0] : twice[0] + 2]
        raise UserError("crop-frame-twice", folder=folder, first=first, second=second, frame=int(frames[twice[0]]))
    return pictures


def _plain_numbers(names: Sequence[str]) -> np.ndarray | None:
    """Return the frame numbers (k,) int32 if all names are like ``00001.jpg``, else None.

    This is the usual case; the names are parsed as one block of bytes because that is fast.
    """
    joined = "".join(names)
    length = _PLAIN + len(".jpg")
    if len(joined) != length * len(names) or not joined.isascii():
        return None
    letters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, length)
    digits = letters[:, :_PLAIN].astype(np.int32) - ord("0")
    if not ((letters[:, _PLAIN:] == np.frombuffer(b".jpg", np.uint8)).all() and ((digits >= 0) & (digits <= 9)).all()):
        return None
    return digits @ np.array([10_000, 1_000, 100, 10, 1], np.int32)
