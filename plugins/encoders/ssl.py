"""Speech models trained without labels (wav2vec 2.0, HuBERT, WavLM), as torchaudio defines and publishes them.

They look at a whole recording at once, and features must not depend on where a clip was cut. So the sound is cut into
windows of ``window`` seconds that start at multiples of half a window of the video's own sound (AudioInput.grid); each
is encoded by itself, and where two overlap they are averaged with triangular weights. A feature thus depends on the
sound at most ``window`` seconds away. Masks: samples that are not valid are zero, hops (20 ms) that are not wholly
inside the sound are neither attended to nor read. One trace of padding stays, as in every use of the base models: the
group norm after their first layer averages over the whole window, zeros included; the window's length is fixed, so
nothing depends on a batch.

Choices: ``layer`` counts the transformer's blocks from 1; the default is the mean of all, since the best block differs
from task to task (blocks 6 to 12 in arXiv:2603.23650). ``learned`` is softmax(w) over the blocks (SUPERB,
arXiv:2105.01051), but trained along with the network, as cached features cannot have weights that still change: it
wants --finetune. ``tiny`` is a small network of the same build with random weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn

from zoo.api import AudioInput, ModelCard
from zoo.errors import UserError
from zoo.layers.resampling import read_at
from zoo.modules import Encoder, gather, scatter

RATE = 16_000  # Hz
CONVOLUTIONS = [(512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2]  # channels, kernel, stride
HOP = math.prod(stride for _, _, stride in CONVOLUTIONS)  # samples: 20 ms
FIELD = 400  # samples that one hop sees: 25 ms
SHORTEST = 0.2  # seconds of a window
HELD = 0.1  # seconds that the last hop's features are held for beyond the sound


@dataclass(frozen=True)
class Published:
    """One of torchaudio's bundles and what is known of it."""

    bundle: str
    saw: tuple[str, ...]
    citation: str


_WAVLM = (("Libri-Light", "GigaSpeech", "VoxPopuli"), "Chen et al. 2022, arXiv:2110.13900")
NETWORKS = {
    "wav2vec2_base": Published("WAV2VEC2_BASE", ("LibriSpeech",), "Baevski et al. 2020, arXiv:2006.11477"),
    "hubert_base": Published("HUBERT_BASE", ("LibriSpeech",), "Hsu et al. 2021, arXiv:2106.07447"),
    "wavlm_base_plus": Published("WAVLM_BASE_PLUS", *_WAVLM),
    "wavlm_large": Published("WAVLM_LARGE", *_WAVLM),
}
TINY: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(8, kernel, stride) for _, kernel, stride in CONVOLUTIONS],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 3,
    "encoder_num_heads": 2,
    "encoder_max_distance": 20,
    "encoder_num_buckets": 16,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 32,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": None,
}


class SpeechModel(Encoder):
    """samples (B, S), samples_valid (B, S), times (B, T) in seconds from the first sample -> (B, T, dim).

    Between hops features are interpolated linearly; further than 0.1 s outside the sound they are zero. Raises
    UserError for a layer that the network has not and for a window that is too short.
    """

    def __init__(self, stream: str, argument: str | None, layer: str = "mean", window: float = 4.0) -> None:
        params, wavlm, normalise = configuration(argument)
        if not SHORTEST <= window <= 60:
            raise UserError(f"option 'window' of encoder 'ssl' must be {SHORTEST} to 60 seconds, not {window}")
        self.hops = round(window * RATE / 2 / HOP)  # hops from one window's start to the next one's
        step = self.hops * HOP
        super().__init__(params["encoder_embed_dim"], AudioInput(RATE, margin=2 * step / RATE + 0.04, grid=step))
        self.wavlm, self.normalise = wavlm, normalise
        make = torchaudio.models.wavlm_model if wavlm else torchaudio.models.wav2vec2_model
        self.net = make(**params)
        self.blocks = chosen(layer, params["encoder_num_layers"])
        self.mix = nn.Parameter(torch.zeros(len(self.blocks))) if layer == "learned" else None
        if self.mix is not None:
            self.needs_training = "layer=learned has weights to learn, and cached features cannot change"

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> (B, T, dim)."""
        position = (times.nan_to_num() * RATE - (FIELD - 1) / 2) / HOP  # in hops
        windows = self.cut(torch.where(samples_valid, samples, torch.zeros_like(samples)))  # (B, K, W)
        valid = self.cut(samples_valid)
        wanted = self.wanted(position, samples_valid, windows.shape[1]) & valid.any(-1)  # (B, K)
        if not wanted.is_meta and not bool(wanted.any()):
            return samples.new_zeros(*times.shape, self.dim)
        x, heard = self.encode(gather(windows, wanted).squeeze(1), gather(valid, wanted).squeeze(1))
        x, heard = scatter(x.unsqueeze(1), wanted), scatter(heard.unsqueeze(1), wanted)  # (B, K, 2 hops, D)
        i = torch.arange(2 * self.hops, device=x.device)
        weight = heard * torch.minimum(i + 1, 2 * self.hops - 1 - i).to(x.dtype)
        total, weights = joined(x * weight.unsqueeze(-1)), joined(weight.unsqueeze(-1))
        return read_at(total / weights.clamp_min(1), weights.squeeze(-1) > 0, position, HELD * RATE / HOP)

    def cut(self, x: Tensor) -> Tensor:
        """(B, S) -> windows (B, K, W) that start every half window, filled up with zeros at the end."""
        step = self.hops * HOP
        count = max(1, -(-x.shape[1] // step))
        return nn.functional.pad(x, (0, (count + 1) * step - x.shape[1])).unfold(1, 2 * step, step)

    def wanted(self, position: Tensor, samples_valid: Tensor, count: int) -> Tensor:
        """position (B, T) in hops, samples_valid (B, S) -> (B, count): windows that some frame reads; a frame just
        beyond the sound reads its last hop."""
        index = torch.arange(samples_valid.shape[1], device=position.device)
        last = torch.where(samples_valid, index, 0).amax(1) / HOP - 2
        position = torch.minimum(position, last.unsqueeze(1)).clamp_min(0).unsqueeze(-1)
        start = torch.arange(count, device=position.device) * self.hops
        return ((position > start - 2) & (position < start + 2 * self.hops + 1)).any(1)

    def encode(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """windows (N, W), valid (N, W) -> features (N, 2 hops, D), zeros at the last, which is no whole hop, and
        heard (N, 2 hops): hops wholly inside the sound."""
        if self.normalise:
            windows = normalised(windows, valid)
        x, _ = self.net.feature_extractor(windows, None)
        heard = (valid[:, ::HOP][:, : x.shape[1]] & valid[:, FIELD - 1 :: HOP][:, : x.shape[1]]).contiguous()
        x = self.net.encoder.feature_projection(x)
        x = self.net.encoder.transformer._preprocess(torch.where(heard.unsqueeze(-1), x, torch.zeros_like(x)))
        x = self.transform(x, heard | ~heard.any(1, keepdim=True))
        return nn.functional.pad(x, (0, 0, 0, 1)), nn.functional.pad(heard, (0, 1))

    def transform(self, x: Tensor, heard: Tensor) -> Tensor:
        """x (N, n, D) through the transformer's blocks, those of ``layer`` averaged. torchaudio's own loop cannot be
        used: it gives WavLM a mask that WavLM refuses."""
        every = heard[:, None, None, :].expand(-1, 1, x.shape[1], -1)
        shares = [1 / len(self.blocks)] * len(self.blocks) if self.mix is None else self.mix.softmax(0).unbind()
        out, bias, kind = torch.zeros_like(x), None, self.net.encoder.feature_projection.projection.weight.dtype
        silent = torch.zeros(heard.shape, dtype=kind, device=x.device).masked_fill(~heard, -torch.inf)
        for number, block in enumerate(self.net.encoder.transformer.layers[: self.blocks[-1]], 1):
            if self.wavlm:
                x, bias = block(x, position_bias=bias, key_padding_mask=silent)
            else:
                x, _ = block(x, every)
            if number in self.blocks:
                out = out + shares[self.blocks.index(number)] * x
        return out


def configuration(argument: str | None) -> tuple[dict[str, Any], bool, bool]:
    """A network's parameters for torchaudio, whether it is a WavLM, whether its sound is standardised."""
    if argument == "tiny":
        return TINY, True, True
    if argument not in NETWORKS:
        raise UserError(f"encoder 'ssl' has no {argument!r}: it is one of {', '.join(NETWORKS)}, tiny")
    bundle = getattr(torchaudio.pipelines, NETWORKS[argument].bundle)
    return bundle._params, bundle._model_type == "WavLM", bundle._normalize_waveform


def chosen(layer: str, blocks: int) -> list[int]:
    """Numbers of the blocks that are looked at, from 1."""
    if layer in ("mean", "learned"):
        return list(range(1, blocks + 1))
    if layer.isdecimal() and 1 <= int(layer) <= blocks:
        return [int(layer)]
    raise UserError(f"option 'layer' of encoder 'ssl' must be 1 to {blocks}, mean or learned, not {layer!r}")


def normalised(windows: Tensor, valid: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the valid samples of each window (N, W), zeros elsewhere."""
    with torch.autocast(windows.device.type, enabled=False):
        count = valid.sum(1, keepdim=True).clamp_min(1)
        centred = torch.where(valid, windows - windows.sum(1, keepdim=True) / count, torch.zeros_like(windows))
        return centred / (centred.square().sum(1, keepdim=True) / count + 1e-5).sqrt()


def joined(x: Tensor) -> Tensor:
    """Windows (B, K, 2 h, D) that start every h points, added up -> (B, (K + 1) h, D)."""
    first, second = x.chunk(2, 2)
    total = nn.functional.pad(first, (0, 0, 0, 0, 0, 1)) + nn.functional.pad(second, (0, 0, 0, 0, 1, 0))
    return total.flatten(1, 2)


# --- weights ----------------------------------------------------------------------------------------------------------


def passport(stream: str, argument: str | None, layer: str = "mean", window: float = 4.0) -> ModelCard:
    """Where torchaudio publishes the weights; for ``tiny`` only how a user's own file is read."""
    read = partial(adapt, argument, layer)
    if argument not in NETWORKS:
        return ModelCard("ssl tiny", None, "as the file's owner says", "a local file", adapt=read)
    known = NETWORKS[argument]
    bundle = getattr(torchaudio.pipelines, known.bundle)
    return ModelCard(
        name=argument,
        sha256=None,  # torchaudio names none
        license="MIT",
        source=f"torchaudio.pipelines.{known.bundle}",
        url=f"https://download.pytorch.org/torchaudio/models/{bundle._path}",
        saw=known.saw,
        adapt=read,
        input="mono sound at 16 kHz" + (", standardised" if bundle._normalize_waveform else ""),
        citation=known.citation,
    )


def adapt(argument: str | None, layer: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict of torchaudio's model under this encoder's names: the weight norm of the position convolution in
    torch's present names, a speech recogniser's last layer (``aux``) left out. Learned layer weights start equal."""
    present = {
        "conv.weight_g": "conv.parametrizations.weight.original0",
        "conv.weight_v": "conv.parametrizations.weight.original1",
    }
    named = {}
    for name, value in state.items():
        for old, new in present.items():
            name = name.replace(f"pos_conv_embed.{old}", f"pos_conv_embed.{new}")
        if not name.startswith("aux."):
            named[f"net.{name}"] = value
    if layer == "learned":
        named["mix"] = torch.zeros(configuration(argument)[0]["encoder_num_layers"])
    return named
