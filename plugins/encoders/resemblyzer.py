"""Voice encoder: states of the LSTM of the package ``resemblyzer``, trained to distinguish speakers (GE2E).

Wan et al. 2018, arXiv:1710.10467. The package's code (Resemblyzer 0.1.4, audio.py and voice_encoder.py) was read: mel
energies (not their logarithms) in 40 bands, of windows of 25 ms every 10 ms at 16 kHz, as in librosa; three layers of
256 units; training and inference on pieces of 1.6 s, whose level is raised to -30 dBFS if it is lower.

Choices:

- The package embeds a whole recording; here the last layer's states are the features.
- A state depends on all input before it, so states are computed in pieces of 1.6 s. Pieces begin every 0.8 s of the
  video's sound, and a state is taken from the second half of a piece, after 0.8 to 1.6 s of sound, or after all sound
  since its beginning if that is less. So a frame's features depend only on the sound around it and not on the start of
  the clip, at twice the cost of one long pass.
- The level is raised in each piece separately, by at most 30 dB; the package measures the whole recording.
- Silences are not removed, because features have times.
- The last linear layer, which serves only to distinguish speakers, is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchaudio.functional import melscale_fbanks

from zoo.api import AudioInput, ModelCard, Wheel
from zoo.layers.resampling import points_read, read_at
from zoo.modules import Encoder, gather, scatter

RATE, WINDOW, HOP, BANDS = 16_000, 400, 160, 40
PIECE, HALF = 160, 80  # spectra per piece; spectra between the beginnings of pieces
LEVEL, MOST = 10 ** (-30 / 20), 10 ** (30 / 20)  # root mean square to which quieter pieces are raised; largest factor
HELD = 0.1  # seconds beyond the sound for which the last state is held
MARGIN = (PIECE * HOP + WINDOW + HOP) / RATE + HELD
DIM = 256


class Resemblyzer(Encoder):
    """Resemblyzer encoder: samples (B, S), samples_valid (B, S), times (B, T) -> (B, T, 256).

    Times are seconds from the first sample. Features are zero more than 0.11 s outside the sound.
    """

    bank: Tensor
    window: Tensor

    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__(DIM, AudioInput(RATE, margin=MARGIN, grid=HALF * HOP))
        self.lstm = nn.LSTM(BANDS, DIM, 3, batch_first=True)
        with torch.device("cpu"):  # torchaudio reads the filters' values, which do not exist on the meta device
            bank = melscale_fbanks(WINDOW // 2 + 1, 0.0, RATE / 2, BANDS, RATE, norm="slaney", mel_scale="slaney")
        self.register_buffer("bank", bank, persistent=False)  # (201, 40)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, 256)."""
        known = samples_valid[:, ::HOP]  # (B, L)
        position = times.nan_to_num() * RATE / HOP
        read = points_read(position, known).unsqueeze(-1).to(samples)
        wanted = self.pieces(read, before=0).gt(0).any(3).any(2)  # (B, K)
        if not wanted.is_meta and not bool(wanted.any()):
            return samples.new_zeros(*times.shape, DIM)
        heard = torch.where(samples_valid, samples, torch.zeros_like(samples))
        with torch.autocast(samples.device.type, enabled=False):
            states = self.states(self.mel(heard)[:, : known.shape[1]], self.power(heard, known.shape[1]), known, wanted)
        return read_at(states, known, position, 1 + HELD * RATE / HOP)

    def mel(self, samples: Tensor) -> Tensor:
        """Return mel energies (B, L, 40) of windows around each multiple of 10 ms of samples (B, S), zero-padded."""
        spectrum = torch.stft(samples, WINDOW, HOP, window=self.window, pad_mode="constant", return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2) @ self.bank

    def power(self, samples: Tensor, count: int) -> Tensor:
        """Return the mean square (B, L) of the 10 ms from each multiple of 10 ms on of samples (B, S)."""
        return pad(samples.square(), (0, count * HOP - samples.shape[1])).unflatten(1, (count, HOP)).mean(2)

    def pieces(self, x: Tensor, before: int = HALF) -> Tensor:
        """Cut x (B, L, C) into pieces (B, K, before + 80, C): 80 rows each and the ``before`` rows preceding them.

        Missing rows are zero.
        """
        count = -(-x.shape[1] // HALF)
        x = pad(x, (0, 0, before, count * HALF - x.shape[1]))
        return x.unfold(1, before + HALF, HALF).transpose(2, 3)

    def states(self, mel: Tensor, power: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        """Return the LSTM's states (B, L, 256), zero in pieces outside ``wanted`` (B, K).

        ``mel``: (B, L, 40). ``power`` and ``known``: (B, L).
        """
        x = gather(self.pieces(torch.cat([mel, power.unsqueeze(2), known.unsqueeze(2).to(mel)], 2)), wanted).squeeze(1)
        spectra, loud, there = x[..., :BANDS], x[..., BANDS], x[..., BANDS + 1] > 0  # (N, 160, ...)
        mean = (loud * there).sum(1) / there.sum(1).clamp_min(1)
        gain = (LEVEL / mean.clamp_min(1e-20).sqrt()).clamp(1, MOST)
        # The LSTM must start with the sound, so the spectra with sound are moved to the front, and their states back.
        start = there.long().argmax(1, keepdim=True)  # (N, 1)
        steps = torch.arange(PIECE, device=x.device)
        ahead = (steps + start).clamp_max(PIECE - 1).unsqueeze(-1).expand(-1, -1, BANDS)
        y = self.lstm((spectra * gain.square().view(-1, 1, 1)).gather(1, ahead))[0]
        back = (steps - start).clamp_min(0)[:, HALF:].unsqueeze(-1).expand(-1, -1, DIM)
        blocks = scatter(y.gather(1, back).flatten(1).unsqueeze(1), wanted)  # (B, K, 80 * 256)
        return blocks.unflatten(2, (HALF, DIM)).flatten(1, 2)[:, : mel.shape[1]]


def card(stream: str, argument: str | None) -> ModelCard:
    """Return the model card of the weights, which are in the package's wheel."""
    return ModelCard(
        name="resemblyzer",
        sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        license="Apache-2.0",
        source="the package Resemblyzer 0.1.4, from resemble-ai/Resemblyzer",
        wheel=Wheel("resemblyzer", "0.1.4", "resemblyzer/pretrained.pt"),
        saw=("LibriSpeech", "VoxCeleb1", "VoxCeleb2"),
        adapt="plugins.encoders.resemblyzer:adapt",
        size=17_090_379,
        input="mono sound at 16 kHz",
        citation="Wan, Wang, Papir & Lopez Moreno 2018, arXiv:1710.10467",
    )


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep the LSTM's tensors; drop the layers that serve only to distinguish speakers."""
    return {name: tensor for name, tensor in state.items() if name.startswith("lstm.")}
