"""Which samples of a video's sound its frames are given to hear: the one rule of audio windows."""

from __future__ import annotations

import numpy as np

from zoo.api import AudioInput


def sound_window(times: np.ndarray, spec: AudioInput) -> tuple[int, int]:
    """Return the first sample and the one after the last that frames at ``times`` (T,) hear.

    ``times``: increasing seconds from the first sample there is. The window reaches ``spec.margin`` seconds beyond the
    frames on both sides and begins at a multiple of ``spec.grid`` samples, so that windows of frames laid out the same
    way meet the same samples. It never begins before 0 and may end behind the last sample.
    """
    first = int(np.floor((times[0] - spec.margin) * spec.rate / spec.grid)) * spec.grid
    last = int(np.ceil((times[-1] + spec.margin) * spec.rate))
    return max(0, first), max(0, first, last)
