"""Training windows at random phases, and counts of training labels."""

from __future__ import annotations

import numpy as np

from harness.batching.clips import ClipData
from harness.batching.windows import Windows
from zoo.api import Counts, TrackSpec


def training_windows(data: ClipData, length: int, rng: np.random.Generator) -> Windows:
    """Return shuffled windows that visit every labelled frame once: tiles of ``length`` at a random phase per video.

    Windows without a usable label are left out.
    """
    table = _tiles(data, length, rng)
    return Windows(table[rng.permutation(len(table))])


def count_windows(data: ClipData, length: int, rng: np.random.Generator) -> int:
    """Return the number of windows that ``training_windows`` would return with this generator."""
    return len(_tiles(data, length, rng))


def _tiles(data: ClipData, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return (W, 3) int32 rows of video, first frame, and last frame (exclusive)."""
    parts = [np.zeros((0, 3), np.int32)]
    for v, order in enumerate(data.order):
        # Windows lie edge to edge, so an epoch visits every frame once. The start of the first window (the phase) is
        # drawn anew for each video and epoch. With fixed edges, the last frame of a window would never be seen together
        # with the frame after it. The first and the last window are cut at the ends of the video.
        starts = np.arange(int(rng.integers(length)) - length, len(order), length)
        first, last = starts.clip(min=0), (starts + length).clip(0, len(order))

        # Leave out windows without a usable label, from which nothing is learned. ``useful`` is a cumulative count, so
        # the test is a comparison of two numbers.
        table = np.stack([np.full_like(starts, v), first, last], 1).astype(np.int32)
        parts.append(table[data.useful[v][last] > data.useful[v][first]])
    return np.concatenate(parts)


def training_counts(track: TrackSpec, data: ClipData) -> tuple[Counts, ...]:
    """Return the counts of the training labels of every answer, for class weights and the like.

    A value is counted in 20 bins between its bounds. Raises ValueError if the data is of another split.
    """
    data, counts = data.of("train"), []
    for a, answer in enumerate(track.answers):
        values = np.concatenate(
            [data.labels[v][data.trainable(v)[:, a], a] for v in range(len(data.videos))] or [np.zeros(0)]
        )
        if answer.kind == "value":
            bins = np.histogram(values, 20, (answer.low, answer.high))[0]
        else:
            bins = np.bincount(values.astype(int), minlength=len(answer.classes) if answer.kind == "class" else 2)
        counts.append(Counts(len(values), tuple(int(b) for b in bins)))
    return tuple(counts)
