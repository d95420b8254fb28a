"""Log-mel spectrogram and a small CNN, read at each video frame's time; trained in place, no weights.

Three properties are built in. The answer at a frame depends on the sound within ``MARGIN`` seconds of it alone; it
does not depend on where the clip starts, as long as that is on the grid of hops; and samples that are not valid
(padding, or outside the sound) leave no trace, because every layer's output is masked there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from zoo.api import AudioInput
from zoo.modules import Encoder

RATE = 16_000  # Hz
HOP = 160  # samples: 10 ms
WINDOW = 800  # samples: 50 ms, which separates the harmonics of a low voice
BANDS = 64
MARGIN = 0.25  # seconds; the answer reaches 25 ms (window) + 20 + 10 + 80 (convolutions) + 10 ms (interpolation)
FLOOR, MEAN, SPREAD = 1e-6, -2.0, 3.0  # of the log-mel energies: fixed, so that nothing depends on the batch


class MelCnn(Encoder):
    """samples (B, S), samples_valid (B, S), times (B, T) in seconds from the first sample -> (B, T, dim).

    At a time outside the sound the features fade to zero.
    """

    def __init__(self, stream: str, argument: str | None, channels: int = 16, dim: int = 64) -> None:
        super().__init__(dim=dim, input=AudioInput(rate=RATE, margin=MARGIN, grid=HOP))
        with torch.device("cpu"):  # torchaudio looks at the filters' numbers, which the meta device has not
            self.mel = MelSpectrogram(
                RATE, n_fft=1024, win_length=WINDOW, hop_length=HOP, f_min=50.0, n_mels=BANDS, pad_mode="constant"
            )
        self.first = _layer(1, channels, kernel=5)
        self.second = _layer(channels, 2 * channels, kernel=3)
        self.last = nn.Conv1d(2 * channels * BANDS // 16, dim, kernel_size=5, dilation=4, padding=8)

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> (B, T, dim)."""
        x = self.log_mel(torch.where(samples_valid, samples, torch.zeros_like(samples)))  # (B, BANDS, L)
        mask = _hops_valid(samples_valid, x.shape[-1])
        x = (x * mask.unsqueeze(1)).unsqueeze(1)
        for layer in (self.first, self.second):
            x = layer(x) * mask.view(mask.shape[0], 1, 1, -1)
        x = nn.functional.gelu(self.last(x.flatten(1, 2))) * mask.unsqueeze(1)
        return _read(x, times * (RATE / HOP))

    def log_mel(self, samples: Tensor) -> Tensor:
        """(B, S) -> (B, BANDS, S // HOP + 1), about zero mean and unit size for speech; float32 also in autocast."""
        with torch.autocast(samples.device.type, enabled=False):
            energy: Tensor = self.mel(samples.float())
            return (energy.clamp_min(FLOOR).log() - MEAN) / SPREAD


def _layer(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution over bands and time, then a quarter of the bands: (B, C, M, L) -> (B, outputs, M / 4, L)."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.GELU(), nn.AvgPool2d((4, 1)))


def _hops_valid(samples_valid: Tensor, hops: int) -> Tensor:
    """(B, S) -> (B, hops) float: 1 where the sample in the middle of the hop's window is valid."""
    middle = samples_valid[:, ::HOP]
    return nn.functional.pad(middle, (0, hops - middle.shape[1])).float()


def _read(x: Tensor, position: Tensor) -> Tensor:
    """x (B, D, L) at real-valued positions (B, T), linearly between neighbours, zero outside -> (B, T, D)."""
    length = x.shape[-1]
    x = nn.functional.pad(x, (1, 1)).transpose(1, 2)  # a zero on each side
    position = (position.nan_to_num() + 1).clamp(0, length + 1)
    low = position.floor().clamp_max(length).long()
    share = (position - low).unsqueeze(-1)
    index = low.unsqueeze(-1).expand(-1, -1, x.shape[-1])
    return x.gather(1, index) * (1 - share) + x.gather(1, index + 1) * share
