"""VGGish: a VGG network on patches of 0.96 s of log-mel spectrogram, trained on an early version of YouTube-8M.

Hershey et al. 2017, arXiv:1609.09430; the public PyTorch port from which the weights come was read: harritaylor/
torchvggish. Log-mel as in the port: windows of 25 ms (periodic Hann) every 10 ms, a transform of 512 points,
magnitudes, 64 triangles of equal width in mel between 125 and 7500 Hz, log(x + 0.01).

Choices: the port cuts a recording into consecutive patches. Here a patch is centred on each multiple of ``hop`` seconds
of the video's sound, and a frame's features are interpolated linearly between the two nearest patches, so that they
change as fast as a video's labels do. The features are the 128 numbers after the last ReLU, as in the port, without the
PCA and the quantisation to 8 bits of AudioSet's own release. Invalid samples are silence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.api import AudioInput, ModelCard
from zoo.errors import UserError
from zoo.layers.resampling import points_read, read_at
from zoo.modules import Encoder, gather, scatter

RATE = 16_000  # Hz
FRAME, STEP, POINTS = 400, 160, 512  # samples per window; samples between windows; points of the transform
BANDS, LOW, HIGH, OFFSET = 64, 125.0, 7500.0, 0.01
PATCH = 96  # spectra per patch
SPAN = (PATCH - 1) * STEP + FRAME  # samples per patch: 0.975 s
HELD = 0.1  # seconds beyond the sound for which the last patch's features are held
DIM = 128


class VGGish(Encoder):
    """VGGish encoder: samples (B, S), samples_valid (B, S), times (B, T) -> (B, T, 128).

    Times are seconds from the first sample. Features are zero more than ``hop`` + 0.1 s outside the sound. Raises
    UserError if hop is not a multiple of 10 ms or is over 0.96 s.
    """

    bank: Tensor
    window: Tensor

    def __init__(self, stream: str, argument: str | None, hop: float = 0.24) -> None:
        steps = round(hop * RATE / STEP)
        if not (1 <= steps <= PATCH and abs(steps * STEP / RATE - hop) < 1e-6):
            raise UserError(f"option 'hop' of encoder 'vggish' must be a multiple of 0.01 s, at most 0.96, not {hop}")
        grid = steps * STEP
        super().__init__(DIM, AudioInput(RATE, margin=(grid + SPAN / 2) / RATE + HELD + 0.01, grid=grid))
        self.steps = steps  # spectra from one patch to the next
        self.features = convolutions()
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, DIM), nn.ReLU()
        )
        self.register_buffer("bank", mel_bank(), persistent=False)
        self.register_buffer("window", torch.hann_window(FRAME), persistent=False)

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, 128)."""
        grid = self.steps * STEP
        known = samples_valid[:, ::grid]  # (B, K)
        patches = self.patches(torch.where(samples_valid, samples, torch.zeros_like(samples)))  # (B, K, 96, 64)
        position = times.nan_to_num() * RATE / grid
        wanted = points_read(position, known)
        if not wanted.is_meta and not bool(wanted.any()):
            return samples.new_zeros(*times.shape, DIM)
        x = self.embed(gather(patches, wanted)).unsqueeze(1)
        return read_at(scatter(x, wanted), known, position, 1 + HELD * RATE / grid)

    def patches(self, samples: Tensor) -> Tensor:
        """Return log-mel patches (B, K, 96, 64) of samples (B, S), centred on the samples 0, hop, 2 hop..."""
        grid = self.steps * STEP
        count = -(-samples.shape[1] // grid)
        padded = nn.functional.pad(samples, (SPAN // 2, (count - 1) * grid + SPAN - SPAN // 2 - samples.shape[1]))
        return self.log_mel(padded).unfold(1, PATCH, self.steps).transpose(2, 3)

    def log_mel(self, samples: Tensor) -> Tensor:
        """Return log-mel spectra (B, spectra, 64) of samples (B, S), complete windows only, not under autocast."""
        with torch.autocast(samples.device.type, enabled=False):
            spectrum = torch.fft.rfft(samples.unfold(1, FRAME, STEP) * self.window, POINTS).abs()
            return (spectrum @ self.bank + OFFSET).log()

    def embed(self, patches: Tensor) -> Tensor:
        """Encode patches (N, 1, 96, 64) to (N, 128)."""
        x: Tensor = self.features(patches)  # (N, 512, 6, 4)
        return self.embeddings(x.permute(0, 2, 3, 1).flatten(1))


def convolutions() -> nn.Sequential:
    """Return the convolutions, (N, 1, 96, 64) -> (N, 512, 6, 4), with layers numbered as in the port."""
    layers: list[nn.Module] = []
    width = 1
    for widths in ((64,), (128,), (256, 256), (512, 512)):
        for new in widths:
            layers += [nn.Conv2d(width, new, 3, padding=1), nn.ReLU()]
            width = new
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def mel_bank() -> Tensor:
    """Return the mel filters (257, 64): triangles over mel, not over Hz; the constant component has no weight."""
    bins = mel(torch.linspace(0, RATE / 2, POINTS // 2 + 1, dtype=torch.float64)).unsqueeze(1)
    low, high = (1127 * math.log1p(hz / 700) for hz in (LOW, HIGH))
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    bank = torch.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)).clamp_min(0)
    return torch.cat([torch.zeros_like(bank[:1]), bank[1:]]).float()


def mel(hz: Tensor) -> Tensor:
    """Convert Hz to mel."""
    return 1127 * torch.log1p(hz / 700)


def passport(stream: str, argument: str | None, hop: float = 0.24) -> ModelCard:
    """Return the model card of the weights; the file's name contains the start of its digest."""
    return ModelCard(
        name="vggish-10086976",
        sha256="10086976",
        license="Apache-2.0",
        source="harritaylor/torchvggish v0.1, converted from tensorflow/models research/audioset/vggish",
        url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        saw=("YouTube-8M (an early form)",),
        adapt="plugins.encoders.vggish:adapt",
        input="mono sound at 16 kHz",
        citation="Hershey et al. 2017, arXiv:1609.09430",
    )


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the file's tensors, including torchaudio's names (``features_network``, ``embedding_network``).

    The PCA (``pproc``) is dropped.
    """
    names = {"features_network.": "features.", "embedding_network.": "embeddings."}
    return {
        next((new + name.removeprefix(old) for old, new in names.items() if name.startswith(old)), name): value
        for name, value in state.items()
        if not name.startswith("pproc.")
    }
