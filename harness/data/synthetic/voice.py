"""Synthesize the voice: pitch and loudness follow arousal, brightness follows valence, at the frames' true times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.latents import Floats, LatentTrajectory

HARMONICS = 16
Sound = NDArray[np.float32]


def draw_voice(story: LatentTrajectory, seed: int) -> Sound:
    """Return samples (S,) from the start of the sound to the end of the last frame, at `plan.sound_rate` Hz.

    The values of frame i are reached at times[i] and interpolated to those of frame i + 1. The voice's base pitch and
    the background noise belong to the video and are unrelated to the labels.
    """
    rng = np.random.default_rng([seed, story.plan.index, 0, 2])
    plan, times = story.plan, story.times
    end = times[-1] + 1 / float(plan.rate)
    at = plan.sound_start + np.arange(round((end - plan.sound_start) * plan.sound_rate)) / plan.sound_rate
    valence, arousal = story.voice.T
    pitch = rng.uniform(120, 180) * np.exp2(0.55 * np.interp(at, times, arousal))
    loudness = 10 ** ((-20 + 7 * np.interp(at, times, arousal)) / 20)
    frame = np.searchsorted(times, at, side="right") - 1
    tone = loudness * ~story.silent[frame] * _tone(2 * np.pi * np.cumsum(pitch) / plan.sound_rate, at, times, valence)
    hum = 10 ** (rng.uniform(-62, -52) / 20) * rng.standard_normal(len(at))
    return np.clip(tone + hum, -1, 1).astype(np.float32)


def _tone(phase: Floats, at: Floats, times: Floats, valence: Floats) -> Floats:
    """Return a tone (S,) of HARMONICS partials at unit power; upper ones are stronger at higher valence."""
    orders = np.arange(1, HARMONICS + 1)
    strength = orders ** -(1.5 - 0.7 * valence[:, None])  # (T, HARMONICS)
    strength *= np.sqrt(2 / (strength**2).sum(axis=1, keepdims=True))
    # sin(kp) = 2 cos(p) sin((k-1)p) - sin((k-2)p): one sine and one cosine for all partials
    double, before, now = 2 * np.cos(phase), np.zeros_like(phase), np.sin(phase)
    tone = np.zeros_like(phase)
    for k in range(HARMONICS):
        tone += np.interp(at, times, strength[:, k]) * now
        before, now = now, double * now - before
    return tone
