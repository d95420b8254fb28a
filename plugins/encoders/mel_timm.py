"""An ImageNet network on log-mel pictures of seconds of sound around a frame, as NTUA-CVSP trained its sound.

Antoniadis et al. 2021, arXiv:2107.03465; the released code was read (github PanosAntoniadis/NTUA-ABAW2021 at 3f89bb7):
every frame has a picture of 10 s, 861 columns of 512 samples at 44.1 kHz, which begins 5 s before the frame, or with
the sound where that is later, and goes through the network of the faces (affwild2/dataset.py:260, trainer/trainer.py:
126). Decibels with 80 below the loudest kept, then (x + 14.8) / 19.895, stand in an earlier version of it (aa01b4b,
dataset.py:60). What made its spectrograms was not released: 128 bands and a transform of 2048 points are choices.

Choices: pictures begin every ``every`` columns, and a frame's features lie linearly between the two pictures next to
it, so that a second of video costs 5.4 passes of the network and not one a frame; ``every=1`` is nearest to the code.
The loudest is that of the picture, not of the recording, so that a frame's features depend on its picture alone.
Samples that are not valid are silence, as is what lies behind the sound's end. The one channel goes into each of the
network's three, as the code's arrays had it.
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
from zoo.layers.resampling import beside, read_at
from zoo.modules import Encoder, gather, scatter

RATE, HOP, POINTS = 44_100, 512, 2048  # Hz; samples between columns, of the transform
FLOOR, RANGE = 1e-10, 80.0  # of energies; decibels below the picture's loudest that are kept
MEAN, SPREAD = -14.8, 19.895  # of the decibels
HELD = 0.1  # seconds that the last picture's features are held for beyond the sound
AT_ONCE = 16  # pictures through a network that is not trained


class MelTimm(Encoder):
    """samples (B, S), samples_valid (B, S), times (B, T) in seconds from the first sample -> (B, T, dim).

    ``argument``: a timm model of any picture size. ``seconds``: of a picture; ``every``: columns (11.6 ms) from one to
    the next; ``time_mask``, ``band_mask``: SpecAugment's largest masks, in training alone (Park et al. 2019,
    arXiv:1904.08779). Further than 0.1 s outside the sound features are zero. Raises UserError for a model of one fixed
    picture size, and for pictures of no column.
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
            raise UserError("encoder 'mel_timm': seconds, bands and every must give pictures of at least one column")
        net = network(argument)
        dim = int(getattr(net, "head_hidden_size", None) or net.num_features)  # type: ignore[arg-type]
        # On the right up to a whole picture: that of the first frame begins with the sound.
        grid = every * HOP
        margin = (columns * HOP + POINTS + 2 * grid) / RATE + HELD
        super().__init__(dim, AudioInput(RATE, margin=margin, grid=grid))
        self.columns, self.every = columns, every
        self.net = net
        with torch.device("cpu"):  # torchaudio looks at the filters' numbers, which the meta device has not
            bank = melscale_fbanks(POINTS // 2 + 1, 0.0, RATE / 2, bands, RATE)
        self.register_buffer("bank", bank.T.contiguous(), persistent=False)  # (bands, 1025)
        self.register_buffer("window", torch.hann_window(POINTS), persistent=False)
        masks: list[nn.Module] = [TimeMasking(time_mask, iid_masks=True)] if time_mask else []
        self.masks = nn.ModuleList(masks + ([FrequencyMasking(band_mask, iid_masks=True)] if band_mask else []))

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> (B, T, dim)."""
        grid = self.every * HOP
        known = samples_valid[:, ::grid]  # (B, K)
        position = times.nan_to_num() * RATE / grid
        wanted = beside(position, known)
        if not wanted.is_meta and not bool(wanted.any()):
            return samples.new_zeros(*times.shape, self.dim)
        energies = self.energies(torch.where(samples_valid, samples, torch.zeros_like(samples)))
        features = self.pictures(energies, wanted)
        return read_at(features, known, position, 1 + HELD * RATE / grid)

    def energies(self, samples: Tensor) -> Tensor:
        """(B, S) -> (B, bands, columns), one centred on each multiple of HOP; not in autocast's precision."""
        with torch.autocast(samples.device.type, enabled=False):
            spectrum = torch.stft(
                samples.float(), POINTS, HOP, window=self.window, pad_mode="constant", return_complex=True
            )
            return self.bank @ spectrum.abs().square()

    def pictures(self, energies: Tensor, wanted: Tensor) -> Tensor:
        """(B, bands, L), (B, K) -> (B, K, dim): features of the wanted pictures, zeros for the others."""
        # None begins before the first sample: that is the sound's first, or further than the margin from every frame.
        start = torch.arange(wanted.shape[1], device=wanted.device) * self.every - self.columns // 2
        start = start.clamp_min(0).expand_as(wanted)  # (B, K)
        rows = torch.arange(len(wanted), device=wanted.device).unsqueeze(1).expand_as(wanted)
        at = gather(torch.stack([rows, start], 2), wanted).squeeze(1)  # (N, 2)
        silence = pad(energies, (0, self.columns))
        size = len(at) if self.training else AT_ONCE
        parts = [self.embed(self.cut(silence, part)) for part in at.split(size)]
        return scatter(torch.cat(parts).unsqueeze(1), wanted)

    def cut(self, energies: Tensor, at: Tensor) -> Tensor:
        """(B, bands, L), (N, 2) rows and first columns -> (N, bands, columns), in decibels of about unit size."""
        windows = energies.unfold(2, self.columns, 1)  # (B, bands, L', columns), a view
        with torch.autocast(energies.device.type, enabled=False):
            decibels = 10 * windows[at[:, 0], :, at[:, 1]].clamp_min(FLOOR).log10()
            decibels = torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - RANGE)
            return (decibels - MEAN) / SPREAD

    def embed(self, pictures: Tensor) -> Tensor:
        """(N, bands, columns) -> (N, dim)."""
        for mask in self.masks if self.training else ():
            pictures = mask(pictures.unsqueeze(1)).squeeze(1)
        features: Tensor = self.net(pictures.unsqueeze(1).expand(-1, 3, -1, -1))
        return features


def network(argument: str | None) -> nn.Module:
    """A timm model without its classifier, with random weights; UserError where it takes one picture size alone."""
    import timm

    config = timm_models.pretrained_config(named(argument))
    if config.fixed_input_size:
        raise UserError(f"encoder 'mel_timm' needs a model of any picture size, which {argument} is not: say resnet18")
    net: nn.Module = timm.create_model(config.architecture, pretrained_cfg=config.tag, num_classes=0)
    return net


def card(stream: str, argument: str | None, **_options: object) -> ModelCard:
    """Where timm says the weights are: those of the picture network, as they are."""
    return timm_models.passport("face", named(argument))


def named(argument: str | None) -> str:
    """The name of the model; UserError if none was given."""
    if argument is None:
        raise UserError("encoder 'mel_timm' needs the name of a model: write audio=mel_timm:resnet18")
    return argument
