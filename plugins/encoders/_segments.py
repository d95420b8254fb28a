"""Segments of ``features:DIR``: rows with a start and an end in seconds, their checks, and their values at frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.errors import UserError

SLACK = 0.5  # seconds that a segment may end after the last frame: containers and frame times differ by as much
ROUNDING = 1e-6  # seconds by which a written time may differ from the frame's
ASSUMED_STEP = 1 / 30  # seconds that the only frame of a video lasts


@dataclass(frozen=True)
class Segments:
    """Rows (S, D) float32 of a file, and where they begin and end: (S,) float64, seconds from the first video frame."""

    file: Path
    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def check(self, video: str, times: np.ndarray) -> None:
        """Raise UserError, which names the file and the row, if the segments cannot be those of the video.

        Args:
            video: The video's name.
            times: (n,) seconds of its frames.
        """
        start, end = self.start, self.end
        last = duration(times)
        if (row := _first(~np.isfinite(start) | ~np.isfinite(end))) is not None:
            raise self._refusal(row, "start and end must be numbers")
        if (row := _first(start >= end)) is not None:
            raise self._refusal(row, "start must be before end")
        if (row := _first(start < -SLACK)) is not None:
            raise self._refusal(row, "start must not be before the video; times count from its first frame")
        if (row := _first(np.diff(start, prepend=start[:1]) < 0)) is not None:
            raise self._refusal(row, "rows must be sorted by start")
        if (row := _first((end > last + SLACK) | (start > times[-1] + ROUNDING))) is not None:
            hint = _hint(float(end.max()), float(last), len(times))
            raise self._refusal(row, f"the video {video} ends at {last:g} s{hint}")

    def _refusal(self, row: int, what: str) -> UserError:
        return UserError(f"{self.file}, row {row + 1}: start = {self.start[row]:g}, end = {self.end[row]:g}: {what}")

    def at(self, times: np.ndarray, overlap: str) -> np.ndarray:
        """Return the features (n, D) float32 at frames; NaN at a frame that no segment covers.

        A segment covers the frames with start <= time < end. A row with a NaN covers none.

        Args:
            times: (n,) seconds of the frames, rising.
            overlap: What counts if several segments cover a frame: their ``mean``, or the one whose centre is
                ``nearest`` (of two as near, the earlier).
        """
        known = ~np.isnan(self.rows).any(1)
        first, stop = (np.searchsorted(times, edge - ROUNDING) for edge in (self.start, self.end))
        total = np.zeros((len(times), self.rows.shape[1]))
        count, distance = np.zeros(len(times)), np.full(len(times), np.inf)
        for i in np.flatnonzero(known & (first < stop)):
            span = np.arange(first[i], stop[i])
            if overlap == "mean":
                total[span] += self.rows[i]
                count[span] += 1
                continue
            away = np.abs(times[span] - (self.start[i] + self.end[i]) / 2)
            nearer = away < distance[span] - ROUNDING
            span, away = span[nearer], away[nearer]
            total[span], count[span], distance[span] = self.rows[i], 1, away
        found: np.ndarray = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)
        return found.astype(np.float32)


def duration(times: np.ndarray) -> float:
    """Return the second at which the last of a video's frames (n,) ends."""
    return float(times[-1]) + (float(np.median(np.diff(times))) if len(times) > 1 else ASSUMED_STEP)


def _first(wrong: np.ndarray) -> int | None:
    return int(wrong.argmax()) if wrong.any() else None


def _hint(end: float, last: float, frames: int) -> str:
    """Return what the times seem to be if they are not seconds: their largest is near the length in another unit."""
    for unit, length in (("milliseconds", 1000 * last), ("frame numbers", frames)):
        if 0.5 * length < end < 1.5 * length:
            return f"; these look like {unit}: write seconds"
    return "; cut the last segment, or leave it out"
