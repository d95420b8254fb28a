"""Cached reading of a data folder's annotations, test lists and crop names (harness.io.read_cache)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import numpy as np

from harness.data.affwild2.annotation_files import ImageLabels, read_frame_labels, read_image_labels
from harness.data.affwild2.test_lists import read_test_list
from harness.data.index.picture_folders import picture_folder
from harness.data.index.samples import Images, TestList
from harness.io.hashing import digest
from harness.io.locks import LazyLock
from harness.io.read_cache import Arrays, ReadCache
from zoo.tracks import TrackSpec
from zoo.weights.cards import cache_dir

VERSION = 2  # increase when the same annotation file, list or crop folder would be read differently


class Files:
    """Cached readers of annotations, test lists and crop names for one track.

    The methods raise what the underlying readers raise. Call ``save`` at the end.
    """

    def __init__(self, root: Path, track: TrackSpec) -> None:
        rules = (track.answers, track.headers, track.joint_labels, track.unit, track.submission_header)
        self.track = track
        self._lock = LazyLock(index_folder(root) / ".lock")
        self._labels = _memo(root, f"{track.name}-{digest(VERSION, *rules)[:12]}", self._lock)
        self._crops = _memo(root, "crops", self._lock)
        self.unused_pictures: dict[Path, str] = {}  # crop folder -> its first picture without a frame number as name
        self.unread_pictures: dict[Path, str] = {}  # crop folder -> its first picture of a kind that is not read
        self.absent_pictures: dict[Path, str] = {}  # crop folder -> its first picture that is a folder or a dead link

    def frame_labels(self, path: Path) -> np.ndarray:
        """Read per-frame labels; see ``read_frame_labels``."""
        return self._labels.read(path, "frames", lambda: {"labels": read_frame_labels(path, self.track)})["labels"]

    def image_labels(self, path: Path) -> ImageLabels:
        """Read an annotated image list; see ``read_image_labels``."""

        def read() -> Arrays:
            listed = read_image_labels(path, self.track)
            return {**_rows(listed.images), "labels": listed.labels}

        found = self._labels.read(path, "images", read)
        return ImageLabels(Images(_names(found), found["row_video"], found["row_frame"]), found["labels"])

    def test_list(self, path: Path) -> TestList:
        """Read a test list; see ``read_test_list``."""

        def read() -> Arrays:
            official = read_test_list(path, self.track)
            return {**_rows(official), "rows": np.array(official.kind == "rows")}

        found = self._labels.read(path, "list", read)
        kind: Literal["rows", "names"] = "rows" if found["rows"] else "names"
        return TestList(path, kind, _names(found), found["row_video"], found["row_frame"])

    def crop_frames(self, folder: Path) -> np.ndarray:
        """Return the frames of a crop folder; see ``harness.data.index.picture_folders.crop_frames``.

        Pictures whose names are not frame numbers are added to ``unused_pictures``, those of other kinds to
        ``unread_pictures``, what stands in place of a file to ``absent_pictures``.
        """

        def read() -> Arrays:
            pictures = picture_folder(folder)
            frames = pictures.frames
            there = np.zeros(int(frames[-1]) + 1 if len(frames) else 0, bool)
            there[frames] = True
            unused, unread, absent = (
                np.array(f"{folder / left[0]} ({len(left)})" if left else "")
                for left in (pictures.others, pictures.unread, pictures.absent)
            )
            bits = np.packbits(there)  # one per frame
            return {"there": bits, "unused": unused, "unread": unread, "absent": absent}

        found = self._crops.read(folder, "crops 4", read, hashed=False)
        if str(found["absent"]):  # the target of a link may have come back
            found = read()
        notes = {"unused": self.unused_pictures, "unread": self.unread_pictures, "absent": self.absent_pictures}
        for key, kept in notes.items():
            if str(found[key]):
                kept[folder] = str(found[key])
        return np.flatnonzero(np.unpackbits(found["there"])).astype(np.int32)

    def save(self) -> None:
        """Write the cache for the next command. Raise UserError if it cannot be written."""
        try:
            self._labels.save()
            self._crops.save()
        finally:
            self.close()

    def close(self) -> None:
        """Release the locks without saving, so that another process can write the cache."""
        self._labels.release()
        self._crops.release()
        self._lock.release()


def index_folder(root: Path) -> Path:
    """Return the cache folder that holds the index of a data folder."""
    return cache_dir() / "index" / digest(os.path.abspath(root))[:16]


def forget(root: Path) -> None:
    """Delete the cached index of a data folder."""
    shutil.rmtree(index_folder(root), ignore_errors=True)


def _memo(root: Path, name: str, lock: LazyLock) -> ReadCache:
    return ReadCache(index_folder(root) / f"{name}.memo", lock)


def _rows(images: Images | TestList) -> Arrays:
    return {"videos": np.array(images.videos, dtype=str), "row_video": images.row_video, "row_frame": images.row_frame}


def _names(found: Arrays) -> tuple[str, ...]:
    names: list[str] = found["videos"].tolist()
    return tuple(names)
