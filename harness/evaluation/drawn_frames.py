"""Draw labelled training frames, for models that are fitted on single frames held in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from harness.batching.clips import ClipData


@dataclass(frozen=True)
class Limits:
    """The most frames; the most numbers in all of them together; and the frames that are used in any case."""

    frames: int
    numbers: int
    fewest: int


@dataclass(frozen=True)
class DrawnFrames:
    """Training frames.

    Attributes:
        x: (N, D) features.
        labels: (N, A), NaN if unlabelled.
        groups: (N,) the groups of their videos.
        total: The number of frames that they were drawn from.
    """

    x: np.ndarray
    labels: np.ndarray
    groups: list[str] = field(repr=False)
    total: int


def draw_frames(read: Callable[[int], np.ndarray], data: ClipData, limits: Limits, seed: int) -> DrawnFrames | None:
    """Return labelled frames at which a slot has data, drawn without replacement; None if there are none.

    Args:
        read: Returns the features (n, D) of all frames of a video, by its position.
        data: The videos.
        limits: How many frames are drawn.
        seed: Seed of the draw.
    """
    usable = [data.trainable(v).any(1) for v in range(len(data.videos))]
    counts = np.array([int(mask.sum()) for mask in usable])
    total = int(counts.sum())
    if not total:
        return None
    width = read(int(counts.argmax())).shape[1]
    most = min(limits.frames, max(limits.fewest, limits.numbers // width), total)
    picked = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    owner = np.searchsorted(np.cumsum(counts), picked, side="right")
    before = np.cumsum(counts) - counts
    x, labels, groups = [], [], []
    for v in np.unique(owner):
        rows = np.flatnonzero(usable[v])[picked[owner == v] - before[v]]
        x.append(read(int(v))[rows])
        labels.append(data.labels[v][rows])
        groups += [data.videos[v].group] * len(rows)
    return DrawnFrames(np.concatenate(x), np.concatenate(labels), groups, total)
