"""Index of a data folder for one track: videos, labels, and the paths of pictures and sound."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from harness.data.index.samples import TestList
from zoo.errors import UserError
from zoo.tracks import EditionSpec, TrackSpec

NO_MEDIA = "neither crops nor raw video"  # of an annotated or listed name
Split = Literal["train", "val", "test", "select", "rest"]
"""Of a fold ``select`` chooses the epoch; ``rest`` are videos outside all folds, which are only predicted."""


@dataclass(frozen=True, eq=False)
class Video:
    """One annotated person of one video. Arrays run over its n frames; frame k of a file is index k - 1.

    ``video``: the raw file, or None. ``crops``: the folder of face crops, or None. ``crop_frames``: (n,) bool, frames
    that have a crop. ``labels``: (n, A) float32 in the order of the track's answers, NaN where unlabelled. ``rows``:
    (n,) bool, frames that are scored and written. ``source``: the annotation file or test list, if any.
    """

    name: str
    group: str
    split: Split
    n_frames: int
    video: Path | None
    crops: Path | None
    crop_frames: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    source: Path | None = None


@dataclass(frozen=True, eq=False)
class Index:
    """A data folder from the point of view of one track.

    ``variant``: the annotation folder that was found. ``notes``: messages to show the user once. ``test_list``: the
    organisers' list; None if the test videos are simply the unannotated ones. ``absent``: names on that list without
    any media in the folder; no submission can be made while there are some. ``pack``: a folder of packed streams
    (harness.data.packed).
    """

    root: Path
    edition: EditionSpec
    track: TrackSpec
    variant: str
    videos: tuple[Video, ...]
    test_list: TestList | None
    notes: tuple[str, ...]
    frame_tolerance: int = 1
    absent: tuple[str, ...] = ()
    pack: Path | None = None

    def split(self, name: Split) -> list[Video]:
        """Return the videos of a split; test videos in the order of the official list."""
        return [video for video in self.videos if video.split == name]

    def fingerprint(self) -> str:
        """Return a sha256 over the videos' names, splits, lengths, labels and rows."""
        sha = hashlib.sha256()
        for video in self.videos:
            sha.update(f"{video.name}\0{video.split}\0{video.n_frames}\0".encode())
            sha.update(np.ascontiguousarray(video.labels).tobytes())
            sha.update(np.packbits(video.rows).tobytes())
        return sha.hexdigest()

    def groups_digest(self) -> str:
        """Return a sha256 over the groups of the train and validation videos, by name, whatever split each is in.

        Folds are made of these groups, and groups.csv can change them without a change of `fingerprint`.
        """
        sha = hashlib.sha256()
        for name, group in sorted((video.name, video.group) for video in self.videos if video.split != "test"):
            sha.update(f"{name}\0{group}\0".encode())
        return sha.hexdigest()

    def check_length(self, video: Video, frames: int) -> None:
        """Raise UserError if ``frames``, the length of a raw video, differs too much from its annotation.

        The difference may be ``frame_tolerance``. An image list may end anywhere before the video does. The index does
        not check this itself, because counting frames means reading the whole file; call it on opening the video.
        """
        surplus = frames - video.n_frames
        if -surplus > self.frame_tolerance or (surplus > self.frame_tolerance and self.track.unit != "image"):
            raise _length_error(video, f"{video.video} has {frames} frames", abs(surplus))


def _length_error(video: Video, found: str, difference: int) -> UserError:
    source = video.source or video.name
    return UserError(
        "annotation-length", source=source, name=video.name, n_frames=video.n_frames, found=found, difference=difference
    )
