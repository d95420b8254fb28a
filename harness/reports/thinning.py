"""Downsampling of long lines for a page.

Of every stretch of frames the least and the greatest value are kept, in the order in which they occur, so that no
extreme is lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def edges(n: int, points: int) -> NDArray[np.int64]:
    """Return the first frames of the stretches of n frames, followed by n.

    Each stretch is shown by two values, so ``points`` values show ``points // 2`` stretches. If n is at most
    ``points``, each frame is a stretch.
    """
    stretches = n if n <= points else max(1, points // 2)
    return np.unique(np.linspace(0, n, stretches + 1).astype(np.int64))


def thin_times(times: Floats, bounds: NDArray[np.int64]) -> Floats:
    """Return the times of the values of ``thin``: those of each stretch's first and middle frame."""
    if _whole(len(times), bounds):
        return times
    return times[np.stack([bounds[:-1], (bounds[:-1] + bounds[1:]) // 2], axis=1).reshape(-1)]


def thin(values: Floats, bounds: NDArray[np.int64]) -> Floats:
    """Return two values a stretch, its least and greatest in order of time; NaN for a stretch without values.

    Args:
        values: (n,) numbers; NaN if missing.
        bounds: From ``edges``.
    """
    if _whole(len(values), bounds):
        return values
    begins, missing = bounds[:-1], np.isnan(values)
    least = np.minimum.reduceat(np.where(missing, np.inf, values), begins)
    greatest = np.maximum.reduceat(np.where(missing, -np.inf, values), begins)
    stretch = np.repeat(np.arange(len(begins)), np.diff(bounds))
    frame = np.arange(len(values))
    first_least = _first(values == least[stretch], stretch, frame, len(begins))
    first_greatest = _first(values == greatest[stretch], stretch, frame, len(begins))
    pairs = np.where(
        (first_least <= first_greatest)[:, None], np.stack([least, greatest], 1), np.stack([greatest, least], 1)
    )
    return np.where(np.isfinite(pairs), pairs, np.nan).reshape(-1)


def thin_share(flags: NDArray[np.bool_], bounds: NDArray[np.int64]) -> Floats:
    """Return the share of true frames of each stretch, repeated for its two values."""
    if _whole(len(flags), bounds):
        return flags.astype(np.float64)
    shares = np.add.reduceat(flags.astype(np.float64), bounds[:-1]) / np.diff(bounds)
    return np.repeat(shares, 2)


def _whole(n: int, bounds: NDArray[np.int64]) -> bool:
    return len(bounds) - 1 >= n


def _first(hit: NDArray[np.bool_], stretch: NDArray[np.int64], frame: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the first frame of each stretch with a true ``hit``; the number of frames if there is none."""
    found = np.full(n, len(frame), np.int64)
    np.minimum.at(found, stretch[hit], frame[hit])
    return found
