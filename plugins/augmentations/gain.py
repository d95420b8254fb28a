"""Louder and softer sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torchaudio import functional

from zoo.layers.validation import between


class Gain:
    """Gain in decibels, uniform from -``decibels`` to ``decibels``; samples are clipped to [-1, 1]."""

    def __init__(self, decibels: float) -> None:
        between("augmentation gain", 0, 60, decibels=decibels)
        self.decibels = decibels

    def __call__(self, samples: Tensor, rate: int) -> Tensor:
        """Change the loudness of samples (S,)."""
        change = float(torch.empty(()).uniform_(-self.decibels, self.decibels))
        louder: Tensor = functional.gain(samples, change)
        return louder.clamp(-1, 1)
