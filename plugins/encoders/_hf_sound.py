"""Models of sound as encoders: networks on samples (wav2vec 2.0, HuBERT, WavLM), and networks on spectrograms.

The sound is encoded in overlapping windows of fixed length (zoo.layers.sound_windows), so nothing depends on the batch.
That matters: base models normalise over the whole input after their first layer, and change every frame if a batch is
padded. Samples outside the sound are zeroed; they are masked too if the model's settings say that it was trained so.
Spectrograms are computed by the model's own feature extractor, on the CPU.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plugins.encoders._hf_families import Family, create, layers_of, load_library, width_of
from plugins.encoders._hf_files import preprocessor
from plugins.encoders._hf_tokens import Undecayed, choose_layers
from zoo.api import AudioInput
from zoo.errors import UserError, first_line
from zoo.layers.resampling import points_read, read_at
from zoo.layers.sound_windows import HELD, SoundWindows, standardised
from zoo.modules import Encoder, gather, scatter

with torch.device("cpu"):  # a combination is first built on the meta device, where this module's constants would stay
    import torchaudio.compliance.kaldi  # noqa: F401

SHORTEST, LONGEST = 0.2, 60.0  # seconds in a window


class _Sound(Undecayed, Encoder):
    """Base of the encoders that read states in windows: samples (B, S), samples_valid (B, S), times (B, T)."""

    def __init__(self, dim: int, windows: SoundWindows, layer: str, config: Any) -> None:
        super().__init__(dim, AudioInput(windows.rate, margin=windows.margin, grid=windows.step))
        self.windows = windows
        self.layers, self.mix = choose_layers(self, "mean" if layer == "auto" else layer, layers_of(config))

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, dim)."""
        return self.windows.read(self.encode, self.dim, samples, samples_valid, times)

    def encode(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Encode windows (N, W), valid (N, W) to features (N, 2 hops, D) and a mask (N, 2 hops) of those that count."""
        raise NotImplementedError

    def filled(self, x: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Pad features (N, P, D) and mask (N, P) at the end to the window's hops."""
        lacking = 2 * self.windows.hops - x.shape[1]
        return nn.functional.pad(x, (0, 0, 0, lacking)), nn.functional.pad(heard, (0, lacking))


class HfWaves(_Sound):
    """Encoder on samples: the mean of the layers, or those of ``layer``, in windows of ``window`` seconds."""

    def __init__(self, folder: Path, family: Family, config: Any, layer: str, window: float = 4.0) -> None:
        file, settings = preprocessor(folder)
        rate = _rate(file, settings)
        hop = math.prod(config.conv_stride)
        field, before = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            field, before = field + (kernel - 1) * before, before * stride
        windows = SoundWindows(rate, hop, field, hops=round(_length(window) * rate / 2 / hop))
        super().__init__(width_of(config), windows, layer, config)
        self.net = create(family, config)
        self.normalise = bool(settings.get("do_normalize", True))
        layer_norm = getattr(config, "feat_extract_norm", "layer") == "layer"
        self.masks = bool(settings.get("return_attention_mask", layer_norm))

    def encode(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Encode windows (N, W), valid (N, W); a hop counts if its field is inside the sound."""
        if self.normalise:
            windows = standardised(windows, valid, epsilon=1e-7)
        mask = {"attention_mask": valid.long()} if self.masks else {}
        out = self.net(windows, output_hidden_states=self.layers.all, **mask)
        x = self.layers(out.last_hidden_state, out.hidden_states, self.mix)
        return self.filled(x, self.windows.inside(valid, x.shape[1]))


class HfWhisper(_Sound):
    """Whisper's encoder: windows of up to 30 s, filled up with silence to its 30 s; 50 features per second."""

    def __init__(self, folder: Path, family: Family, config: Any, layer: str, window: float | None = None) -> None:
        self.extractor = Extractor(folder)
        hop = 2 * int(self.extractor.settings.hop_length)
        most = int(config.max_source_positions) * hop / self.extractor.rate
        hops = round(_length(window, most) * self.extractor.rate / 2 / hop)
        super().__init__(width_of(config), SoundWindows(self.extractor.rate, hop, 1, hops), layer, config)
        self.net = create(family, config)

    def encode(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Encode windows (N, W), valid (N, W)."""
        out = self.net(self.extractor(windows), output_hidden_states=self.layers.all)
        x = self.layers(out.last_hidden_state, out.hidden_states, self.mix)[:, : 2 * self.windows.hops - 1]
        return self.filled(x, self.windows.inside(valid, x.shape[1]))


class HfSpectrogram(_Sound):
    """Audio Spectrogram Transformer: the mean over the bands at each step of its patches.

    Windows are of up to its length.
    """

    def __init__(self, folder: Path, family: Family, config: Any, layer: str, window: float | None = None) -> None:
        self.extractor = Extractor(folder)
        rate, shift = self.extractor.rate, self.extractor.rate // 100  # Kaldi's frames: 25 ms every 10 ms
        hop, field = config.time_stride * shift, (config.patch_size - 1) * shift + rate // 40
        most = (int(config.max_length) - 1) * shift / rate
        hops = int(_length(window, most) * rate / 2 / hop)
        super().__init__(width_of(config), SoundWindows(rate, hop, field, hops), layer, config)
        self.net = create(family, config)
        self.tokens = family.tokens
        self.bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1

    def encode(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Encode windows (N, W), valid (N, W); a step counts if its field is inside the sound."""
        out = self.net(self.extractor(windows), output_hidden_states=self.layers.all)
        x = self.layers(out.last_hidden_state, out.hidden_states, self.mix)[:, self.tokens :]
        x = x.unflatten(1, (self.bands, -1)).mean(1)[:, : 2 * self.windows.hops - 1]  # bands vary slowest
        return self.filled(x, self.windows.inside(valid, x.shape[1]))


class HfClap(Undecayed, Encoder):
    """CLAP's audio network: one vector for each window, interpolated between two.

    The windows' centres are ``window`` / 10 apart.
    """

    def __init__(self, folder: Path, family: Family, config: Any, window: float | None = None) -> None:
        self.extractor = Extractor(folder)
        # Published settings say "fusion" for models without it too, which would give four channels instead of one.
        self.extractor.settings.truncation = "fusion" if config.enable_fusion else "rand_trunc"
        rate = self.extractor.rate
        most = int(self.extractor.settings.nb_max_samples) / rate
        self.step = max(1, round(_length(window, most) * rate) // 10)
        self.samples = 10 * self.step
        margin = (self.samples + 2 * self.step) / rate + HELD
        super().__init__(int(config.hidden_size), AudioInput(rate, margin=margin, grid=self.step))
        self.net = create(family, config)

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, dim)."""
        x = torch.where(samples_valid, samples, torch.zeros_like(samples))
        count = -(-samples.shape[1] // self.step)
        x = nn.functional.pad(x, (self.samples // 2, self.samples // 2 + count * self.step - x.shape[1]))
        windows = x.unfold(1, self.samples, self.step)[:, :count]  # the k-th is centred on sample k * step
        known = samples_valid[:, :: self.step]
        position = times.nan_to_num() * self.input.rate / self.step  # type: ignore[attr-defined]
        wanted = points_read(position, known)
        if not wanted.is_meta and not bool(wanted.any()):
            return samples.new_zeros(*times.shape, self.dim)
        given = self.extractor(gather(windows, wanted).squeeze(1))
        out = self.net(given, is_longer=torch.zeros(len(given), 1, dtype=torch.bool, device=given.device))
        vectors = scatter(out.pooler_output.unsqueeze(1), wanted)
        return read_at(vectors, wanted, position, 1 + HELD * self.input.rate / self.step)  # type: ignore[attr-defined]


class Extractor:
    """The feature extractor of a model, on batches of windows of one length.

    Attributes:
        settings: The extractor of transformers.
        rate: Hz.
    """

    def __init__(self, folder: Path) -> None:
        file, settings = preprocessor(folder)
        self.rate = _rate(file, settings)
        library = load_library()
        try:
            self.settings: Any = library.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # settings may hold anything
            raise UserError(f"{file}: transformers rejects it: {first_line(error)}") from error
        self.shape: tuple[int, ...] | None = None

    def __call__(self, windows: Tensor) -> Tensor:
        """Return the network's input for windows (N, W): (N, bands, frames) or as the model has it."""
        if windows.is_meta:
            if self.shape is None:
                with torch.device("cpu"):
                    self.shape = tuple(self(torch.zeros(1, windows.shape[1])).shape[1:])
            return windows.new_empty(len(windows), *self.shape)
        given = [row.numpy() for row in windows.detach().float().cpu()]
        with torch.autocast("cpu", enabled=False):
            out = self.settings(given, sampling_rate=self.rate, return_tensors="pt")
        features = out["input_features" if "input_features" in out else "input_values"]
        return features.to(windows.device, windows.dtype)


def _rate(file: Path, settings: dict[str, Any]) -> int:
    rate = settings.get("sampling_rate")
    if not isinstance(rate, int) or rate < 1:
        raise UserError(f"{file} must give a sampling_rate in Hz, got {rate!r}: get it from the model")
    return rate


def _length(window: float | None, most: float = LONGEST) -> float:
    """Return the seconds of a window, by default the model's ``most``. Raise UserError if they are too few or many."""
    longest = min(most, LONGEST)
    window = longest if window is None else window
    if not SHORTEST <= window <= longest:
        raise UserError(f"encoder 'hf': window must be {SHORTEST} to {longest:g} s for this model, got {window}")
    return window
