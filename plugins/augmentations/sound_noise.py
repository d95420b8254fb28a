"""White noise in sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torchaudio import functional

from zoo.layers.validation import between, ordered

WHO = "augmentation sound_noise"


class SoundNoise:
    """White Gaussian noise at a signal-to-noise ratio in decibels, uniform from ``low`` to ``high``.

    The ratio is that of the energies over the clip. A silent clip stays silent.
    """

    def __init__(self, low: float, high: float) -> None:
        between(WHO, -20, 100, low=low, high=high)
        ordered(WHO, low=low, high=high)
        self.low, self.high = low, high

    def __call__(self, samples: Tensor, rate: int) -> Tensor:
        """Add noise to samples (S,)."""
        ratio = torch.empty(1).uniform_(self.low, self.high).to(samples.device)
        if not bool(samples.any()):
            return samples
        noisy: Tensor = functional.add_noise(samples, torch.randn_like(samples), ratio.squeeze(0))
        return noisy
