"""Time lines and sizes of videos, kept so that no file is read twice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from harness.data.decoding import video as video_module
from harness.io.hashing import digest, kept
from harness.io.read_cache import Arrays, ReadCache
from zoo.weights.cards import cache_dir


def video_times(path: Path) -> np.ndarray:
    """(n,) float64 seconds of a video's frames, see harness.data.decoding.video.probe; the file is read once."""
    return _probed(path)["times"]


def video_size(path: Path) -> tuple[int, int]:
    """Width and height of a video's frames as displayed, likewise."""
    width, height = _probed(path)["size"].tolist()
    return width, height


def _probed(path: Path) -> Arrays:
    def probe() -> Arrays:
        info = video_module.probe(path)
        return {"times": info.times, "size": np.array([info.width, info.height])}

    memo = ReadCache(cache_dir() / "times" / f"{digest(os.path.abspath(path))[:32]}.memo")
    return kept(memo, path, f"times and size {video_module.VERSION}", probe)
