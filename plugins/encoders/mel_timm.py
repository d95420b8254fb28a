"""An ImageNet network on log-mel spectrograms of several seconds around a frame, as NTUA-CVSP trained its sound.

Antoniadis et al. 2021, arXiv:2107.03465; the released code was read (github PanosAntoniadis/NTUA-ABAW2021 at 3f89bb7).
In it, each frame has a spectrogram of 10 s, 861 columns of 512 samples at 44.1 kHz. It begins 5 s before the frame, or
with the sound if that is later, and is the input of the same network as the faces (affwild2/dataset.py:260,
trainer/trainer.py:126). An earlier version of the code (aa01b4b, dataset.py:60) keeps 80 dB below the maximum and then
computes (x + 14.8) / 19.895. The code that made its spectrograms was not released: 128 bands and a transform of 2048
points are choices.

Choices:

- Spectrograms begin every ``every`` columns, and a frame's features are interpolated linearly between the two nearest
  ones. So a second of video costs 5.4 passes of the network instead of one pass per frame. ``every=1`` is closest to
  the code.
- The maximum is that of the spectrogram, not of the recording, so that a frame's features depend only on its
  spectrogram.
- Invalid samples and samples after the end of the sound are silence.
- The single channel is repeated for the network's three channels, as in the code's arrays.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import FrequencyMasking, TimeMasking

from plugins.encoders import timm_models
from zoo.api import AudioInput, ModelCard
from zoo.errors import UserError
from zoo.layers.resampling import points_read, read_at
from zoo.modules import Encoder, gather, scatter

RATE, HOP, POINTS = 44_100, 512, 2048  # Hz; samples between columns; points of the transform
FLOOR, RANGE = 1e-10, 80.0  # lowest energy; decibels kept below the spectrogram's maximum
MEAN, SPREAD = -14.8, 19.895  # normalisation of the decibels
HELD = 0.1  # seconds beyond the sound for which the last spectrogram's features are held
AT_ONCE = 16  # batch size of a network that is not trained


class MelTimm(Encoder):
    """Spectrogram encoder: samples (B, S), samples_valid (B, S), times (B, T) -> (B, T, dim).

    Times are seconds from the first sample. Features are zero more than 0.1 s outside the sound.

    ``argument``: a timm model without fixed input size. ``seconds``: length of a spectrogram. ``bands``: mel bands.
    ``every``: columns (11.6 ms) from one spectrogram to the next. ``time_mask``, ``band_mask``: SpecAugment's largest
    masks, only in training (Park et al. 2019, arXiv:1904.08779). Raises UserError if the model has a fixed input size
    or a spectrogram would have no column.
    """

    bank: Tensor
    window: Tensor

    def __init__(
        self,
        stream: str,
        argument: str | None,
        seconds: float = 10.0,
        bands: int = 128,
        every: int = 16,
        time_mask: int = 0,
        band_mask: int = 0,
    ) -> None:
        columns = int(seconds * RATE / HOP)
        if columns < 1 or every < 1 or bands < 1:
            raise UserError(
                "encoder 'mel_timm': seconds, bands and every must give spectrograms of at least one column"
            )
        net = network(argument)
        dim = int(getattr(net, "head_hidden_size", None) or net.num_features)  # type: ignore[arg-type]
        # Up to a whole spectrogram on the right: that of the first frame begins with the sound.
        grid = every * HOP
        margin = (columns * HOP + POINTS + 2 * grid) / RATE + HELD
        super().__init__(dim, AudioInput(RATE, margin=margin, grid=grid))
        self.columns, self.every = columns, every
        self.net = net
        with torch.device("cpu"):  # torchaudio reads the filters' values, which do not exist on the meta device
            bank = melscale_fbanks(POINTS // 2 + 1, 0.0, RATE / 2, bands, RATE)
        self.register_buffer("bank", bank.T.contiguous(), persistent=False)  # (bands, 1025)
        self.register_buffer("window", torch.hann_window(POINTS), persistent=False)
        masks: list[nn.Module] = [TimeMasking(time_mask, iid_masks=True)] if time_mask else []
        self.masks = nn.ModuleList(masks + ([FrequencyMasking(band_mask, iid_masks=True)] if band_mask else []))

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, dim)."""
        grid = self.every * HOP
        known = samples_valid[:, ::grid]  # (B, K)
        position = times.nan_to_num() * RATE / grid
        wanted = points_read(position, known)
        if not wanted.is_meta and not bool(wanted.any()):
            return samples.new_zeros(*times.shape, self.dim)
        energies = self.energies(torch.where(samples_valid, samples, torch.zeros_like(samples)))
        features = self.pictures(energies, wanted)
        return read_at(features, known, position, 1 + HELD * RATE / grid)

    def energies(self, samples: Tensor) -> Tensor:
        """Return mel energies (B, bands, columns) of samples (B, S), in float32 even under autocast.

        One column is centred on each multiple of HOP.
        """
        with torch.autocast(samples.device.type, enabled=False):
            spectrum = torch.stft(
                samples.float(), POINTS, HOP, window=self.window, pad_mode="constant", return_complex=True
            )
            return self.bank @ spectrum.abs().square()

    def pictures(self, energies: Tensor, wanted: Tensor) -> Tensor:
        """Return features (B, K, dim) of the spectrograms in ``wanted`` (B, K), with zeros elsewhere.

        ``energies``: (B, bands, L).
        """
        # No spectrogram begins before the first sample. That sample either is the sound's first, or is further than the
        # margin from all frames.
        start = torch.arange(wanted.shape[1], device=wanted.device) * self.every - self.columns // 2
        start = start.clamp_min(0).expand_as(wanted)  # (B, K)
        rows = torch.arange(len(wanted), device=wanted.device).unsqueeze(1).expand_as(wanted)
        at = gather(torch.stack([rows, start], 2), wanted).squeeze(1)  # (N, 2)
        silence = pad(energies, (0, self.columns))
        size = len(at) if self.training else AT_ONCE
        parts = [self.embed(self.cut(silence, part)) for part in at.split(size)]
        return scatter(torch.cat(parts).unsqueeze(1), wanted)

    def cut(self, energies: Tensor, at: Tensor) -> Tensor:
        """Cut spectrograms (N, bands, columns) in normalised decibels from energies (B, bands, L).

        ``at``: (N, 2), rows and first columns.
        """
        windows = energies.unfold(2, self.columns, 1)  # (B, bands, L', columns), a view
        with torch.autocast(energies.device.type, enabled=False):
            decibels = 10 * windows[at[:, 0], :, at[:, 1]].clamp_min(FLOOR).log10()
            decibels = torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - RANGE)
            return (decibels - MEAN) / SPREAD

    def embed(self, pictures: Tensor) -> Tensor:
        """Encode spectrograms (N, bands, columns) to (N, dim)."""
        for mask in self.masks if self.training else ():
            pictures = mask(pictures.unsqueeze(1)).squeeze(1)
        features: Tensor = self.net(pictures.unsqueeze(1).expand(-1, 3, -1, -1))
        return features


def network(argument: str | None) -> nn.Module:
    """Create a timm model without its classifier, with random weights. Raise UserError if its input size is fixed."""
    import timm

    config = timm_models.pretrained_config(named(argument))
    if config.fixed_input_size:
        raise UserError(
            f"encoder 'mel_timm' needs a model without fixed input size, which {argument} is not: use resnet18"
        )
    net: nn.Module = timm.create_model(config.architecture, pretrained_cfg=config.tag, num_classes=0)
    return net


def card(stream: str, argument: str | None, **_options: object) -> ModelCard:
    """Return the model card of timm's weights of the image model, which are used unchanged."""
    return timm_models.passport("face", named(argument))


def named(argument: str | None) -> str:
    """Return the name of the model. Raise UserError if none was given."""
    if argument is None:
        raise UserError("encoder 'mel_timm' needs the name of a model: write audio=mel_timm:resnet18")
    return argument
