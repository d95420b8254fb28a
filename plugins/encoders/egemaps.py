"""eGeMAPS: 88 voice and prosody features (pitch, loudness, formants, spectrum) over a window around each frame.

Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417; computed by openSMILE (feature set eGeMAPSv02, functionals), which is
an extra, ``pip install abaw-zoo[opensmile]``. Its licence permits research only, also for features computed with it.

Choices: a window of ``window`` seconds is centred on each multiple of ``hop`` seconds of the video's sound, and a
frame's features are interpolated linearly between the two nearest windows. Windows shorter than 100 ms are widened to
100 ms, because openSMILE returns NaN for very short sounds (measured: 50 ms all NaN, 60 ms none). At the ends of the
sound a window is cut, but it keeps at least 100 ms.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.api import AudioInput
from zoo.errors import UserError, first_line
from zoo.layers.resampling import read_at
from zoo.modules import Encoder

RATE = 16_000  # Hz
SHORTEST = 0.1  # shortest window in seconds
HELD = 0.1  # seconds beyond the sound for which the last window's features are held
DIM = 88
LICENSE = "audEERING research licence: non-commercial research only, also for the features"


class EGeMaps(Encoder):
    """eGeMAPS encoder: samples (B, S), samples_valid (B, S), times (B, T) -> (B, T, 88).

    Times are seconds from the first sample. Features are zero more than ``hop`` + 0.1 s outside the sound. Raises
    UserError if openSMILE is missing, or window or hop is out of range.
    """

    def __init__(self, stream: str, argument: str | None, window: float = 1.0, hop: float = 0.1) -> None:
        if not (0 < window <= 30 and 0.01 <= hop <= 30):
            raise UserError(
                f"encoder 'egemaps': window must be over 0 and hop from 0.01 s, both up to 30 s, not {window} and {hop}"
            )
        self.analyse = functionals()
        self.around = max(window, SHORTEST) * RATE / 2  # samples on each side
        self.grid = round(hop * RATE)
        margin = (self.grid + self.around) / RATE + SHORTEST + HELD
        super().__init__(DIM, AudioInput(RATE, margin=margin, grid=self.grid))

    @torch.no_grad()
    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, 88)."""
        known = samples_valid[:, :: self.grid]  # (B, K)
        position = times.nan_to_num() * RATE / self.grid
        x = samples.new_zeros(*known.shape, DIM)
        if not x.is_meta:
            for b in range(len(x)):
                sound = samples[b, samples_valid[b]].float().cpu().numpy()  # valid samples are a prefix
                last = max(0, -(-len(sound) // self.grid) - 1)
                near = position[b].clamp(0, last)
                points = torch.cat([near.floor(), near.ceil()]).long().clamp_max(last).unique().tolist()
                for k in points if len(sound) else ():
                    x[b, k] = torch.from_numpy(self.window(sound, k * self.grid)).to(x)
        return read_at(x, known, position, 1 + HELD * RATE / self.grid)

    def window(self, sound: np.ndarray, middle: int) -> np.ndarray:
        """Return the 88 features of the window around a sample, cut at the ends of the sound to at least 100 ms."""
        shortest = int(SHORTEST * RATE)
        start, stop = max(0, round(middle - self.around)), min(len(sound), round(middle + self.around))
        start, stop = max(0, min(start, stop - shortest)), max(stop, min(len(sound), start + shortest))
        part = sound[start:stop]
        part = np.pad(part, (0, max(0, shortest - len(part))))  # if the whole sound is shorter than 100 ms
        return self.analyse(part)

    def describe(self) -> dict[str, Any]:
        """Describe the features for a run's record."""
        from importlib.metadata import version

        return {
            "name": "eGeMAPSv02",
            "license": LICENSE,
            "source": f"opensmile {version('opensmile')}",
            "saw": [],
            "precision": "float32",
            "citation": "Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417",
        }


@functools.lru_cache(maxsize=1)
def functionals() -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that maps samples (S,) at 16 kHz to features (88,) float32.

    Raises UserError if openSMILE is not installed.
    """
    try:
        opensmile = importlib.import_module("opensmile")
    except (ImportError, OSError) as error:  # OSError if its own libraries cannot be loaded
        raise UserError(
            f"encoder 'egemaps' needs openSMILE ({first_line(error)}): install the extra (`uv sync --extra opensmile`, "
            "or pip install 'abaw-zoo[opensmile]'; its licence permits research only)"
        ) from None
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals
    )

    def analyse(samples: np.ndarray) -> np.ndarray:
        numbers: np.ndarray = smile(samples, RATE).reshape(-1)
        return numbers

    return analyse
