"""The measured work: a few videos of the user's data, cut to some hundred frames, with a cache of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.data.index.index import Video
from harness.io.scratch import scratch
from harness.runs.job import Job
from zoo.errors import UserError
from zoo.weights.cards import cache_dir

CACHED_WORK = "features"  # the measured work must not be in the cache already; everything else may


@contextmanager
def own_cache() -> Iterator[Path]:
    """Use a temporary cache that has the user's weights and packs, but no features; it is removed at the end."""
    real = cache_dir()
    with scratch("bench") as folder:
        for entry in real.iterdir() if real.is_dir() else ():
            if entry.name != CACHED_WORK:
                (folder / entry.name).symlink_to(entry.resolve())
        before = os.environ.get("ABAW_ZOO_CACHE")
        os.environ["ABAW_ZOO_CACHE"] = str(folder)
        try:
            yield folder
        finally:
            if before is None:
                del os.environ["ABAW_ZOO_CACHE"]
            else:
                os.environ["ABAW_ZOO_CACHE"] = before


def cut(job: Job, *, videos: int, frames: int) -> Job:
    """Return the job on the first ``frames`` frames of ``videos`` videos of each split, labelled videos first.

    Labels and masks are cut too; raise UserError if no labelled training frame is left.
    """
    chosen: list[Video] = []
    for split in ("train", "val"):
        own = [shortened(video, frames) for video in job.index.split(split)]
        own.sort(key=lambda video: not np.isfinite(video.labels).any())  # stable
        chosen += own[:videos]
    if not any(np.isfinite(v.labels).any() for v in chosen if v.split == "train"):
        raise UserError("bench-no-labelled-frame", root=job.index.root, frames=frames)
    index = replace(job.index, videos=tuple(chosen), frame_tolerance=10**9)
    return replace(job, index=index, whole=index)


def shortened(video: Video, frames: int) -> Video:
    """Return a video's first frames."""
    n = min(video.n_frames, frames)
    return replace(video, n_frames=n, crop_frames=video.crop_frames[:n], labels=video.labels[:n], rows=video.rows[:n])


def repeated(videos: Sequence[Video], clips: int, length: int, *, labelled: bool = False) -> list[Video]:
    """Repeat the videos until they hold ``clips`` clips of ``length`` frames, or of labelled frames."""
    frames = [int(np.isfinite(v.labels).any(1).sum()) if labelled else v.n_frames for v in videos]
    counts = [max(1, n // length) if n else 0 for n in frames]
    if not any(counts):
        raise UserError("bench-no-training-frame")
    out: list[Video] = []
    held = 0
    while held < clips:
        held += counts[len(out) % len(videos)]
        out.append(videos[len(out) % len(videos)])
    return out
