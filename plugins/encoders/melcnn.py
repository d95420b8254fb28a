"""Log-mel spectrogram and a small CNN, sampled at each video frame's time; trained from scratch, without weights.

The features at a frame depend only on the sound within ``MARGIN`` seconds of it. They do not depend on the start of the
clip, as long as that is on the grid of hops. Invalid samples (padding, or outside the sound) have no influence, because
the output of each layer is masked there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from zoo.api import AudioInput
from zoo.modules import Encoder

RATE = 16_000  # Hz
HOP = 160  # samples: 10 ms
WINDOW = 800  # samples: 50 ms, enough to separate the harmonics of a low voice
BANDS = 64
MARGIN = 0.25  # seconds; the field is 25 ms (window) + 20 + 10 + 80 (convolutions) + 10 ms (interpolation) per side
FLOOR, MEAN, SPREAD = 1e-6, -2.0, 3.0  # of the log-mel energies; fixed, so that nothing depends on the batch


class MelCnn(Encoder):
    """Log-mel CNN encoder: samples (B, S), samples_valid (B, S), times (B, T) -> (B, T, dim).

    Times are seconds from the first sample. Outside the sound the features fall to zero.
    """

    def __init__(self, stream: str, argument: str | None, channels: int = 16, dim: int = 64) -> None:
        super().__init__(dim=dim, input=AudioInput(rate=RATE, margin=MARGIN, grid=HOP))
        with torch.device("cpu"):  # torchaudio reads the filters' values, which do not exist on the meta device
            self.mel = MelSpectrogram(
                RATE, n_fft=1024, win_length=WINDOW, hop_length=HOP, f_min=50.0, n_mels=BANDS, pad_mode="constant"
            )
        self.first = _layer(1, channels, kernel=5)
        self.second = _layer(channels, 2 * channels, kernel=3)
        self.last = nn.Conv1d(2 * channels * BANDS // 16, dim, kernel_size=5, dilation=4, padding=8)

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, dim)."""
        x = self.log_mel(torch.where(samples_valid, samples, torch.zeros_like(samples)))  # (B, BANDS, L)
        mask = _hops_valid(samples_valid, x.shape[-1])
        x = (x * mask.unsqueeze(1)).unsqueeze(1)
        for layer in (self.first, self.second):
            x = layer(x) * mask.view(mask.shape[0], 1, 1, -1)
        x = nn.functional.gelu(self.last(x.flatten(1, 2))) * mask.unsqueeze(1)
        return _read(x, times * (RATE / HOP))

    def log_mel(self, samples: Tensor) -> Tensor:
        """Return the log-mel spectrogram (B, BANDS, S // HOP + 1) of samples (B, S), in float32 even under autocast.

        It is normalised to about zero mean and unit variance for speech.
        """
        with torch.autocast(samples.device.type, enabled=False):
            energy: Tensor = self.mel(samples.float())
            return (energy.clamp_min(FLOOR).log() - MEAN) / SPREAD


def _layer(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return a convolution over bands and time, then a pooling over bands: (B, C, M, L) -> (B, outputs, M / 4, L)."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.GELU(), nn.AvgPool2d((4, 1)))


def _hops_valid(samples_valid: Tensor, hops: int) -> Tensor:
    """Return a float mask (B, hops): 1 if the sample in the middle of the hop's window is valid in (B, S)."""
    middle = samples_valid[:, ::HOP]
    return nn.functional.pad(middle, (0, hops - middle.shape[1])).float()


def _read(x: Tensor, position: Tensor) -> Tensor:
    """Interpolate x (B, D, L) linearly at real-valued positions (B, T), zero outside; return (B, T, D)."""
    length = x.shape[-1]
    x = nn.functional.pad(x, (1, 1)).transpose(1, 2)  # a zero on each side
    position = (position.nan_to_num() + 1).clamp(0, length + 1)
    low = position.floor().clamp_max(length).long()
    share = (position - low).unsqueeze(-1)
    index = low.unsqueeze(-1).expand(-1, -1, x.shape[-1])
    return x.gather(1, index) * (1 - share) + x.gather(1, index + 1) * share
