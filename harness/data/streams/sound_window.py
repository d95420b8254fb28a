"""Audio windows: the sound samples that belong to a range of frames."""

from __future__ import annotations

import numpy as np

from zoo.api import AudioInput


def sound_window(times: np.ndarray, spec: AudioInput) -> tuple[int, int]:
    """Return the window of samples for frames at ``times`` (T,), as [first, stop).

    ``times``: increasing seconds from the first sample of the sound track. The window reaches ``spec.margin`` seconds
    beyond the frames on both sides. It begins at a multiple of ``spec.grid`` samples, so that frames with the same
    spacing get the same samples. It never begins before 0 and may end after the last sample.
    """
    first = int(np.floor((times[0] - spec.margin) * spec.rate / spec.grid)) * spec.grid
    last = int(np.ceil((times[-1] + spec.margin) * spec.rate))
    return max(0, first), max(0, first, last)
