"""Self-supervised speech models (wav2vec 2.0, HuBERT, WavLM), as defined and published by torchaudio.

The sound is encoded in overlapping windows of ``window`` seconds (zoo.layers.sound_windows).

Invalid samples are zeroed. Hops (20 ms) that are not entirely inside the sound are masked and not read. Padding has one
remaining influence, as in every use of the base models: the group norm after their first layer averages over the whole
window, zeros included. The window's length is fixed, so nothing depends on the batch.

Choices: ``layer`` counts the transformer's blocks from 1. The default is the mean of all blocks, because the best block
differs from task to task (blocks 6 to 12 in arXiv:2603.23650). ``learned`` is softmax(w) over the blocks (SUPERB,
arXiv:2105.01051), trained together with the network. It needs --finetune, because cached features cannot depend on
weights that change. ``tiny`` is a small network of the same architecture with random weights.
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
from zoo.layers.sound_windows import SoundWindows, standardised
from zoo.modules import Encoder

RATE = 16_000  # Hz
CONVOLUTIONS = [(512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2]  # channels, kernel, stride
HOP = math.prod(stride for _, _, stride in CONVOLUTIONS)  # samples: 20 ms
FIELD = 400  # samples in the receptive field of one hop: 25 ms
SHORTEST = 0.2  # shortest window in seconds


@dataclass(frozen=True)
class Published:
    """One of torchaudio's bundles, its training data and its paper."""

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
    """Speech model encoder: samples (B, S), samples_valid (B, S), times (B, T) -> (B, T, dim).

    Times are seconds from the first sample. Features are interpolated linearly between hops and zero more than 0.1 s
    outside the sound. Raises UserError if the network has no such layer or the window's length is out of range.
    """

    def __init__(self, stream: str, argument: str | None, layer: str = "mean", window: float = 4.0) -> None:
        params, wavlm, normalise = configuration(argument)
        if not SHORTEST <= window <= 60:
            raise UserError(f"option 'window' of encoder 'ssl' must be {SHORTEST} to 60 seconds, not {window}")
        windows = SoundWindows(RATE, HOP, FIELD, hops=round(window * RATE / 2 / HOP))
        super().__init__(params["encoder_embed_dim"], AudioInput(RATE, margin=windows.margin, grid=windows.step))
        self.windows = windows
        self.wavlm, self.normalise = wavlm, normalise
        make = torchaudio.models.wavlm_model if wavlm else torchaudio.models.wav2vec2_model
        self.net = make(**params)
        self.blocks = chosen(layer, params["encoder_num_layers"])
        self.mix = nn.Parameter(torch.zeros(len(self.blocks))) if layer == "learned" else None
        if self.mix is not None:
            self.last_layer = ("mix",)
            self.needs_training = "layer=learned has weights to learn, and cached features cannot change"

    def forward(self, samples: Tensor, samples_valid: Tensor, times: Tensor) -> Tensor:
        """Map samples (B, S), samples_valid (B, S) and times (B, T) in seconds to features (B, T, dim)."""
        return self.windows.read(self.encode, self.dim, samples, samples_valid, times)

    def encode(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Encode windows (N, W) with mask valid (N, W).

        Returns features (N, 2 hops, D), zero at the last hop, which is incomplete, and a mask (N, 2 hops) of the hops
        entirely inside the sound.
        """
        if self.normalise:
            windows = standardised(windows, valid)
        x, _ = self.net.feature_extractor(windows, None)
        heard = self.windows.inside(valid, x.shape[1])
        x = self.net.encoder.feature_projection(x)
        x = self.net.encoder.transformer._preprocess(torch.where(heard.unsqueeze(-1), x, torch.zeros_like(x)))
        x = self.transform(x, heard | ~heard.any(1, keepdim=True))
        return nn.functional.pad(x, (0, 0, 0, 1)), nn.functional.pad(heard, (0, 1))

    def transform(self, x: Tensor, heard: Tensor) -> Tensor:
        """Run x (N, n, D) through the transformer's blocks and average the outputs of those chosen by ``layer``.

        torchaudio's own loop cannot be used, because it passes WavLM a mask that WavLM rejects.
        """
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
    """Return a network's parameters for torchaudio, a flag for WavLM, and a flag for standardised input.

    Raises UserError if the name is unknown.
    """
    if argument == "tiny":
        return TINY, True, True
    if argument not in NETWORKS:
        raise UserError(f"encoder 'ssl' has no {argument!r}: it is one of {', '.join(NETWORKS)}, tiny")
    bundle = getattr(torchaudio.pipelines, NETWORKS[argument].bundle)
    return bundle._params, bundle._model_type == "WavLM", bundle._normalize_waveform


def chosen(layer: str, blocks: int) -> list[int]:
    """Return the numbers, from 1, of the blocks used. Raise UserError if ``layer`` is invalid."""
    if layer in ("mean", "learned"):
        return list(range(1, blocks + 1))
    if layer.isdecimal() and 1 <= int(layer) <= blocks:
        return [int(layer)]
    raise UserError(f"option 'layer' of encoder 'ssl' must be 1 to {blocks}, mean or learned, not {layer!r}")


# --- weights ----------------------------------------------------------------------------------------------------------


def passport(stream: str, argument: str | None, layer: str = "mean", window: float = 4.0) -> ModelCard:
    """Return the model card of torchaudio's weights; for ``tiny`` it only defines how a user's own file is read."""
    read = partial(adapt, argument, layer)
    if argument not in NETWORKS:
        return ModelCard("ssl tiny", None, "as the file's owner says", "a local file", adapt=read)
    known = NETWORKS[argument]
    bundle = getattr(torchaudio.pipelines, known.bundle)
    return ModelCard(
        name=argument,
        sha256=None,  # torchaudio publishes none
        license="MIT",
        source=f"torchaudio.pipelines.{known.bundle}",
        url=f"https://download.pytorch.org/torchaudio/models/{bundle._path}",
        saw=known.saw,
        adapt=read,
        input="mono sound at 16 kHz" + (", standardised" if bundle._normalize_waveform else ""),
        citation=known.citation,
    )


def adapt(argument: str | None, layer: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state_dict of torchaudio's model to this encoder's names.

    The weight norm of the position convolution gets PyTorch's current names. A speech recogniser's last layer (``aux``)
    is left out. Learned layer weights are initialised as equal.
    """
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
