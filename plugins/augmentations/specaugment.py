"""SpecAugment (Park et al. 2019, arXiv:1904.08779) on the samples themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import TimeMasking

from zoo.layers.validation import between

WHO = "augmentation specaugment"
MELS = 64
SECONDS = 0.064  # of a window of the short-time spectrum; a quarter of it is the hop


class SpecAugment:
    """Masks over frequency and over time in the short-time Fourier spectrum, which is then turned back into samples.

    The paper masks the log-mel spectrum that its network reads. Masking the samples' own spectrum fits encoders of any
    kind, those of waveforms too. A band is drawn in the mel scale, as in the paper: its triangular filters, which add
    up to 1, are taken away. What is masked has no energy; the paper sets it to the mean. Time is not warped.
    """

    def __init__(self, bands: int, band: int, spans: int, span: float) -> None:
        between(WHO, 0, 1000, bands=bands, spans=spans)
        between(WHO, 1, MELS, band=band)
        between(WHO, 0, 60, span=span)
        self.bands, self.band, self.spans, self.span = bands, band, spans, span

    def __call__(self, samples: Tensor, rate: int) -> Tensor:
        """Mask samples (S,) at a rate in Hz; sound shorter than half a window is returned as it is."""
        size = 4 * round(SECONDS * rate / 4)
        if len(samples) <= size // 2:
            return samples
        shape: dict[str, Any] = {
            "n_fft": size,
            "hop_length": size // 4,
            "window": torch.hann_window(size, device=samples.device),
        }
        spectrum = torch.stft(samples, **shape, return_complex=True)
        kept = self._bands(len(spectrum), rate).unsqueeze(-1).repeat(1, spectrum.shape[1])  # (F, N)
        longest = round(self.span * rate / (size // 4))
        for _ in range(self.spans if longest else 0):
            kept = TimeMasking(longest)(kept)
        spectrum = spectrum * kept.to(samples.device)
        return torch.istft(spectrum, **shape, length=len(samples))

    def _bands(self, bins: int, rate: int) -> Tensor:
        """Return (bins,) factors in [0, 1]: 0 in the middle of a masked band of mel filters."""
        filters = melscale_fbanks(bins, 0.0, rate / 2, MELS, rate)
        left = torch.ones(bins)
        for _ in range(self.bands):
            width = int(torch.randint(self.band + 1, ()))
            first = int(torch.randint(MELS - width + 1, ()))
            left = left * (1 - filters[:, first : first + width].sum(1))
        return left.clamp_min(0)
