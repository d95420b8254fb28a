"""Windows over the frames of videos: their layout, weights and grouping into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np

Item = TypeVar("Item")


@dataclass(frozen=True)
class Window:
    """Frames [start, stop) of one video.

    ``video`` is the video's position in a list. Frames are counted in ``ClipData.order``. With a stride N, a clip has
    every Nth of them, from ``start`` on. ``repetition``: how often the same window was drawn before in the epoch.
    """

    video: int
    start: int
    stop: int
    repetition: int = 0


def shift_back(labels: np.ndarray, times: np.ndarray, delay: float) -> np.ndarray:
    """Return the labels (n, A) that apply ``delay`` seconds after each frame, or NaN if the video has ended by then.

    The label is that of the frame nearest to that time. Annotators react late: what they mark at t + delay is about
    what could be seen at t.
    """
    out = np.full(labels.shape, np.nan, labels.dtype)
    index, inside = nearest(times, times + delay)
    out[inside] = labels[index[inside]]
    return out


def nearest(times: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the frame nearest to each time of ``wanted``, and whether that time lies inside the video.

    A time counts as inside up to half a frame before the first frame or after the last one.
    """
    right = np.searchsorted(times, wanted).clip(1, max(1, len(times) - 1))
    left = right - 1
    right = right.clip(max=len(times) - 1)
    index = np.where(wanted - times[left] <= times[right] - wanted, left, right)
    grace = 0.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return index, (wanted >= times[0] - grace) & (wanted <= times[-1] + grace)


def runs(frames: np.ndarray, step: int = 1) -> list[tuple[int, int]]:
    """Split increasing frame numbers into runs [start, stop), each of frames ``step`` apart."""
    if int(frames[-1]) - int(frames[0]) == (len(frames) - 1) * step:  # the usual case: no gap
        return [(int(frames[0]), int(frames[-1]) + 1)]
    breaks = np.flatnonzero(np.diff(frames) != step) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(frames, breaks)]


class Windows(Sequence[Window]):
    """Windows as a table (N, 3) of video, start and stop, or (N, 4) with the repetition; a few MB for an epoch."""

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
    """Return windows [start, stop) with hop length / 2; the last one ends with the video.

    The layout depends on the video alone.
    """
    # A recurrent network has little context at the first frames of a window. With half-overlapping windows every frame
    # lies in the middle half of some window, except near the ends of the video. The last window is moved back to end
    # with the video, so that it needs no padding.
    if n_frames <= length:
        return [(0, n_frames)]
    starts = [*range(0, n_frames - length, max(1, length // 2)), n_frames - length]
    return [(start, start + length) for start in starts]


def triangular_window(length: int) -> np.ndarray:
    """Return (length,) float64 weights of a window's frames, highest in the middle and never 0."""
    ramp: np.ndarray = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float64)
    return ramp / ramp.max()


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield consecutive groups of ``size`` items, usually windows."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
