"""Training windows at random phases, and counts of training labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.batching.clips import ClipData, sums_before, window_sums
from harness.batching.windows import Windows
from zoo.api import Answer, Counts, TrackSpec
from zoo.losses import ON_EDGE

BINS = 20
"""Number of bins in which values are counted."""

Weigher = Callable[[Windows], np.ndarray]
"""A function from W windows to their weights (W,), positive."""


def training_windows(
    data: ClipData, length: int, rng: np.random.Generator, *, overlap: float = 0.0, weigher: Weigher | None = None
) -> Windows:
    """Return shuffled windows that visit every labelled frame once: tiles of ``length`` at a random phase per video.

    With a stride, the windows of an epoch visit one frame in so many, and each frame is as likely as any other. With
    ``overlap``, neighbouring windows share that part of their frames. Windows without a usable label are left out.
    ``weigher``: windows are drawn with replacement, in proportion to its weights.
    """
    table = _tiles(data, length, rng, overlap)
    if weigher is None or not len(table):
        return Windows(table[rng.permutation(len(table))])
    weights = weigher(Windows(table))
    return Windows(table[rng.choice(len(table), len(table), p=weights / weights.sum())])


def count_windows(data: ClipData, length: int, rng: np.random.Generator, overlap: float = 0.0) -> int:
    """Return the number of windows that ``training_windows`` would return with this generator."""
    return len(_tiles(data, length, rng, overlap))


def _tiles(data: ClipData, length: int, rng: np.random.Generator, overlap: float) -> np.ndarray:
    """Return (W, 3) int32 rows of video, first frame, and last frame (exclusive)."""
    parts = [np.zeros((0, 3), np.int32)]
    for v, order in enumerate(data.order):
        # Windows lie edge to edge, so an epoch visits every frame once. The start of the first window (the phase) is
        # drawn anew for each video and epoch. With fixed edges, the last frame of a window would never be seen together
        # with the frame after it. The first and the last window are cut at the ends of the video.
        step = data.strides[v]
        span = length * step
        hop = max(1, round(span * (1 - overlap)))
        starts = np.arange(int(rng.integers(hop)) - span, len(order), hop)
        first = np.where(starts < 0, starts % step, starts).clip(max=len(order))
        last = (starts + span).clip(first, len(order))

        # Leave out windows without a usable label, from which nothing is learned.
        table = np.stack([np.full_like(starts, v), first, last], 1).astype(np.int32)
        parts.append(table[window_sums(data.useful[v], first, last, step) > 0])
    return np.concatenate(parts)


def number_repetitions(passes: Sequence[Windows]) -> list[Windows]:
    """Return the windows of the passes of an epoch, each with how often the same one stands before it."""
    table = np.concatenate([windows.table for windows in passes])
    _, group, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    number = np.empty(len(table), table.dtype)
    first = counts.cumsum() - counts  # in the table sorted by group
    number[group.argsort(kind="stable")] = np.arange(len(table)) - first.repeat(counts)
    ends = np.cumsum([len(windows) for windows in passes])[:-1]
    return [Windows(part) for part in np.split(np.column_stack([table, number]), ends)]


class LabelBalance:
    """Weights of windows that make rare labels as frequent as common ones.

    A window's weight is the sum, over its labelled frames and the answers, of 1 / the number of training frames with
    the same label: class, 0 or 1, or one of 20 bins of a value. If every window has one class, all classes are drawn
    alike often. A sum and not a mean: the few frames that a window has at the end of a video count as few.

    ``only``: names of the answers to balance; None: all.
    """

    def __init__(self, data: ClipData, track: TrackSpec, only: Sequence[str] | None = None) -> None:
        self.strides = data.strides
        counts = training_counts(track, data)
        self.sums = []
        for v, order in enumerate(data.order):
            labelled = data.trainable(v)
            weights = np.zeros(len(labelled))
            for a, answer in enumerate(track.answers):
                if only is not None and answer.name not in only:
                    continue
                labels = data.labels[v][labelled[:, a], a]
                if answer.kind == "value":
                    labels = bins_of(labels, answer)
                weights[labelled[:, a]] += 1 / np.maximum(1, np.array(counts[a].bins)[labels.astype(int)])
            self.sums.append(sums_before(weights[order], data.strides[v]))

    def __call__(self, windows: Windows) -> np.ndarray:
        """Return the weights (W,) of W windows."""
        weights = np.zeros(len(windows))
        for v, sums in enumerate(self.sums):
            own = windows.table[:, 0] == v
            start, stop = windows.table[own, 1], windows.table[own, 2]
            weights[own] = window_sums(sums, start, stop, self.strides[v])
        return weights


def bins_of(values: np.ndarray, answer: Answer) -> np.ndarray:
    """Return the index of each value's bin, of equal ones over the answer's range, as losses take it (zoo.losses)."""
    share = (np.asarray(values, np.float64) - answer.low) / (answer.high - answer.low)
    return np.clip(np.floor(share * BINS + ON_EDGE), 0, BINS - 1).astype(np.int64)


def training_counts(track: TrackSpec, data: ClipData) -> tuple[Counts, ...]:
    """Return the counts of the training labels of every answer, for class weights and the like.

    A value is counted in equal bins between its bounds. Raises ValueError if the data is of another split.
    """
    data, counts = data.of("train"), []
    for a, answer in enumerate(track.answers):
        values = np.concatenate(
            [data.labels[v][data.trainable(v)[:, a], a] for v in range(len(data.videos))] or [np.zeros(0)]
        )
        if answer.kind == "value":
            bins = np.bincount(bins_of(values, answer), minlength=BINS)
        else:
            bins = np.bincount(values.astype(int), minlength=len(answer.classes) if answer.kind == "class" else 2)
        counts.append(Counts(len(values), tuple(int(b) for b in bins)))
    return tuple(counts)
