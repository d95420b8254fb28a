"""Windows over the frames of videos: layouts, weights, batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np

Item = TypeVar("Item")


@dataclass(frozen=True)
class Window:
    """Frames [start, stop) of the video at a place in a list; frames as counted by ``ClipData.order``."""

    video: int
    start: int
    stop: int


def shift_back(labels: np.ndarray, times: np.ndarray, delay: float) -> np.ndarray:
    """labels (n, A) as they stand ``delay`` seconds after each frame (the nearest frame's); NaN where the video has
    ended by then. Annotators answer late: what they say at t + delay is about what was to be seen at t."""
    out = np.full(labels.shape, np.nan, labels.dtype)
    index, inside = nearest(times, times + delay)
    out[inside] = labels[index[inside]]
    return out


def nearest(times: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each wanted time the frame nearest to it, and whether it lies inside the video (half a frame's grace)."""
    right = np.searchsorted(times, wanted).clip(1, max(1, len(times) - 1))
    left = right - 1
    right = right.clip(max=len(times) - 1)
    index = np.where(wanted - times[left] <= times[right] - wanted, left, right)
    grace = 0.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return index, (wanted >= times[0] - grace) & (wanted <= times[-1] + grace)


def runs(frames: np.ndarray) -> list[tuple[int, int]]:
    """Rising frame numbers as runs [start, stop) without a gap."""
    if int(frames[-1]) - int(frames[0]) == len(frames) - 1:  # most often
        return [(int(frames[0]), int(frames[-1]) + 1)]
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(frames, breaks)]


class Windows(Sequence[Window]):
    """Windows as a table (N, 3) of video, start, stop: an epoch of millions of frames takes a few MB."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, i: int) -> Window: ...

    @overload
    def __getitem__(self, i: slice) -> Windows: ...

    def __getitem__(self, i: int | slice) -> Window | Windows:
        if isinstance(i, slice):
            return Windows(self.table[i])
        return Window(*self.table[i].tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Windows) and np.array_equal(self.table, other.table)

    __hash__ = None  # type: ignore[assignment]


def evaluation_windows(n_frames: int, length: int) -> list[tuple[int, int]]:
    """[start, stop) of windows with hop length / 2, the last flush with the end; depends on the video alone."""
    # Every frame stands in the middle half of some window, but for those at the video's ends: a recurrent net knows
    # little at its first frames. The last window is flush with the end instead of padded.
    if n_frames <= length:
        return [(0, n_frames)]
    starts = [*range(0, n_frames - length, max(1, length // 2)), n_frames - length]
    return [(start, start + length) for start in starts]


def triangular_window(length: int) -> np.ndarray:
    """(length,) float64 weights of a window's frames, highest in the middle, never 0."""
    ramp: np.ndarray = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float64)
    return ramp / ramp.max()


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Consecutive groups of ``size``, of windows most of all."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
