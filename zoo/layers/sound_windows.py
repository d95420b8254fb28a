"""Overlapping windows of sound for networks that read a whole recording at once.

Features must not depend on the position of a clip's cut. So the sound is cut into windows that start at multiples of
half a window of the video's own sound (AudioInput.grid). Each window is encoded separately, and overlapping windows are
averaged with triangular weights. A feature therefore depends on the sound at most one window away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.layers.masked import gather, scatter
from zoo.layers.resampling import read_at

HELD = 0.1  # seconds beyond the sound for which the last hop's features are held

Encode = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Windows (N, W) and their valid samples (N, W) -> features (N, 2 hops, D) and the hops (N, 2 hops) that count."""


@dataclass(frozen=True)
class SoundWindows:
    """Windows of 2 ``hops`` feature hops each.

    Attributes:
        rate: Hz.
        hop: Samples from one feature to the next.
        field: Samples that a feature sees, from its hop's first sample on.
        hops: Hops from one window's start to the next one's.

    Examples:
        >>> from zoo.layers.sound_windows import SoundWindows
        >>> windows = SoundWindows(rate=16_000, hop=320, field=400, hops=100)
        >>> windows.step, windows.margin  # samples, seconds
        (32000, 4.04)
    """

    rate: int
    hop: int
    field: int
    hops: int

    @property
    def step(self) -> int:
        """Samples from one window's start to the next one's."""
        return self.hops * self.hop

    @property
    def margin(self) -> float:
        """Seconds of sound that a frame needs on each side."""
        return 2 * self.step / self.rate + 2 * self.hop / self.rate

    def read(self, encode: Encode, dim: int, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Encode the windows that some frame reads, and interpolate their features at the frames' times.

        Args:
            encode: The network.
            dim: D, features that it gives.
            samples: (B, S).
            samples_valid: (B, S) bool. Other samples are zeroed.
            times: (B, T) seconds from the first sample.

        Returns:
            (B, T, D); zeros more than HELD seconds outside the sound.
        """
        position = (times.nan_to_num() * self.rate - (self.field - 1) / 2) / self.hop  # in hops
        windows = self.cut(torch.where(samples_valid, samples, torch.zeros_like(samples)))  # (B, K, W)
        valid = self.cut(samples_valid)
        wanted = self.wanted(position, samples_valid, windows.shape[1]) & valid.any(-1)  # (B, K)
        if not wanted.is_meta and not bool(wanted.any()):
            return samples.new_zeros(*times.shape, dim)
        x, heard = encode(gather(windows, wanted).squeeze(1), gather(valid, wanted).squeeze(1))
        x, heard = scatter(x.unsqueeze(1), wanted), scatter(heard.unsqueeze(1), wanted)  # (B, K, 2 hops, D)
        i = torch.arange(2 * self.hops, device=x.device)
        weight = heard * torch.minimum(i + 1, 2 * self.hops - 1 - i).to(x.dtype)
        total, weights = overlap_add(x * weight.unsqueeze(-1)), overlap_add(weight.unsqueeze(-1))
        return read_at(total / weights.clamp_min(1), weights.squeeze(-1) > 0, position, HELD * self.rate / self.hop)

    def cut(self, x: Tensor) -> Tensor:
        """Cut x (B, S) into windows (B, K, W) that start every half window, padded with zeros at the end."""
        count = max(1, -(-x.shape[1] // self.step))
        return nn.functional.pad(x, (0, (count + 1) * self.step - x.shape[1])).unfold(1, 2 * self.step, self.step)

    def wanted(self, position: Tensor, samples_valid: Tensor, count: int) -> Tensor:
        """Return a mask (B, count) of the windows that at least one frame reads.

        ``position``: (B, T) in hops. ``samples_valid``: (B, S). A frame just beyond the sound reads the last hop.
        """
        index = torch.arange(samples_valid.shape[1], device=position.device)
        last = torch.where(samples_valid, index, 0).amax(1) / self.hop - 2
        position = torch.minimum(position, last.unsqueeze(1)).clamp_min(0).unsqueeze(-1)
        start = torch.arange(count, device=position.device) * self.hops
        return ((position > start - 2) & (position < start + 2 * self.hops + 1)).any(1)

    def inside(self, valid: Tensor, count: int) -> Tensor:
        """Return a mask (N, count) of the hops whose field is entirely inside the valid samples (N, W)."""
        first, last = valid[:, :: self.hop][:, :count], valid[:, self.field - 1 :: self.hop][:, :count]
        short = nn.functional.pad(last, (0, first.shape[1] - last.shape[1]))
        return (first & short).contiguous()


def overlap_add(x: Tensor) -> Tensor:
    """Add up overlapping windows (B, K, 2 h, D) that start every h points; return (B, (K + 1) h, D)."""
    first, second = x.chunk(2, 2)
    total = nn.functional.pad(first, (0, 0, 0, 0, 0, 1)) + nn.functional.pad(second, (0, 0, 0, 0, 1, 0))
    return total.flatten(1, 2)


def standardised(windows: Tensor, valid: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Standardise windows (N, W), which are 0 elsewhere, to mean 0 and variance 1 over their valid samples (N, W).

    ``epsilon`` is added to the variance.
    """
    with torch.autocast(windows.device.type, enabled=False):
        count = valid.sum(1, keepdim=True).clamp_min(1)
        centred = torch.where(valid, windows - windows.sum(1, keepdim=True) / count, torch.zeros_like(windows))
        return centred / (centred.square().sum(1, keepdim=True) / count + epsilon).sqrt()
