"""Small videos for tests of decoding, and of sound that must be heard at the right frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.encoding import write_video

CLICK_SAMPLES = 20


def write_click_video(
    path: Path,
    *,
    fps: Fraction | float = 30,
    variable: bool = False,
    sound_start: float = 0.0,
    click_frame: int = 40,
    frames: int = 60,
    sound_rate: int = 44100,
    with_audio: bool = True,
    size: tuple[int, int] = (96, 64),
) -> NDArray[np.float64]:
    """Write an .mp4 (or .avi) of `frames` grey images, silent except for a click at frame `click_frame` (from 0).

    Frame i has the grey value 4 * i % 240. With `variable` the frames are from half to twice the nominal interval
    apart. Returns (frames,) the frames' times in seconds.
    """
    rate = Fraction(fps).limit_denominator(1001)
    steps = np.full(frames - 1, 1 / float(rate))
    if variable:
        steps = np.round(1000 * steps * np.exp2(np.random.default_rng(0).uniform(-1, 1, frames - 1))) / 1000
    times = np.concatenate([[0.0], np.cumsum(steps)])
    sound = None
    if with_audio:
        assert times[click_frame] >= sound_start, "the click would come before the sound begins"
        end = times[-1] + 1 / float(rate)
        sound = np.zeros(round((end - sound_start) * sound_rate), dtype=np.float32)
        click = round((times[click_frame] - sound_start) * sound_rate)
        sound[click : click + CLICK_SAMPLES] = 0.8
    pictures = (np.full((size[1], size[0], 3), 4 * i % 240, dtype=np.uint8) for i in range(frames))
    write_video(
        path,
        pictures,
        times,
        rate=rate,
        size=size,
        variable=variable,
        sound=sound,
        sound_rate=sound_rate,
        sound_start=sound_start,
    )
    return times
