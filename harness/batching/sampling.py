"""Training windows at random phases, and what they come to."""

from __future__ import annotations

import numpy as np

from harness.batching.clips import ClipData
from harness.batching.windows import Windows
from zoo.api import Counts, TrackSpec


def training_windows(data: ClipData, length: int, rng: np.random.Generator) -> Windows:
    """Windows that visit every labelled frame once: tiles of ``length`` at a random phase per video, shuffled.

    Windows without a label to learn from are left out.
    """
    table = _tiles(data, length, rng)
    return Windows(table[rng.permutation(len(table))])


def count_windows(data: ClipData, length: int, rng: np.random.Generator) -> int:
    """How many ``training_windows`` there are with this generator."""
    return len(_tiles(data, length, rng))


def _tiles(data: ClipData, length: int, rng: np.random.Generator) -> np.ndarray:
    """(W, 3) int32 rows of video, first and last frame."""
    parts = [np.zeros((0, 3), np.int32)]
    for v, order in enumerate(data.order):
        # Windows lie edge to edge, so an epoch visits every frame once. Where the first one begins is drawn anew for
        # each video and epoch: with fixed edges a frame at an edge would never see what comes after it.
        starts = np.arange(int(rng.integers(length)) - length, len(order), length)
        first, last = starts.clip(min=0), (starts + length).clip(0, len(order))

        # Windows without a labelled frame teach nothing; how many labelled frames come before each is known.
        table = np.stack([np.full_like(starts, v), first, last], 1).astype(np.int32)
        parts.append(table[data.useful[v][last] > data.useful[v][first]])
    return np.concatenate(parts)


def training_counts(track: TrackSpec, data: ClipData) -> tuple[Counts, ...]:
    """Training labels of every answer, for class weights and the like; ValueError for another split's."""
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
