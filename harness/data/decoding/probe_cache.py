"""Cache of video properties, so that no file is read twice."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.decoding import video as video_module
from harness.data.decoding.containers import kind_of
from harness.io.hashing import digest, file_digest, kept
from harness.io.read_cache import Arrays, ReadCache
from zoo.errors import UserError
from zoo.weights.cards import cache_dir


@dataclass(frozen=True)
class KnownVideo:
    """Cached properties of a video; see harness.data.decoding.video.VideoInfo."""

    times: np.ndarray
    size: tuple[int, int]
    guessed: int
    notes: tuple[str, ...]
    reading: str


def known_video(path: Path) -> KnownVideo:
    """Return the properties of a video; the file is read once. Raise UserError if it cannot be read."""

    def probe() -> Arrays:
        info = video_module.probe(path)
        said = {"size": [info.width, info.height], "guessed": info.guessed, "notes": info.notes}
        return {"times": info.times, "said": np.array(json.dumps(said | {"reading": info.reading}))}

    memo = ReadCache(cache_dir() / "times" / f"{digest(os.path.abspath(path))[:32]}.memo")
    found = kept(memo, path, f"video {video_module.VERSION}, notes 4", probe)
    said = json.loads(str(found["said"]))
    width, height = said["size"]
    return KnownVideo(found["times"], (width, height), said["guessed"], tuple(said["notes"]), said["reading"])


def file_kind(path: Path) -> str:
    """Return the kind of a file by its content: ``video``, ``sound``, ``text``, ``still image`` or ``not readable``.

    The file is opened once; the result is cached.
    """

    def look() -> Arrays:
        try:
            with video_module.open_media(path) as container:
                return {"kind": np.array(kind_of(container))}
        except UserError:
            return {"kind": np.array("not readable")}

    memo = ReadCache(cache_dir() / "kinds" / f"{digest(os.path.abspath(path))[:32]}.memo")
    return str(kept(memo, path, "kind 1", look)["kind"])


def video_times(path: Path) -> np.ndarray:
    """Return the times of a video's frames: (n,) float64 seconds from the first one's time stamp."""
    return known_video(path).times


def video_size(path: Path) -> tuple[int, int]:
    """Return the width and height of a video's frames as displayed."""
    return known_video(path).size


def video_reading(path: Path) -> str:
    """Return how a video is read differently than by version 1; "" if it is not, or cannot be read at all."""
    try:
        return known_video(path).reading
    except UserError:  # reported when its pictures are read
        return ""


def video_digest(path: Path) -> str:
    """Return a sha256 of a video's name and content and of how it is read: derived files depend on both."""
    reading = video_reading(path)
    return digest(file_digest(path), reading) if reading else file_digest(path)
