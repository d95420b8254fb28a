"""Speech models against torchaudio's own, window by window, and what the windows promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from safetensors.torch import save_file

from harness.config.schema import Features
from harness.features.frozen_encoder import FrozenSlot
from plugins.encoders import ssl
from plugins.encoders.ssl import FIELD, HOP, RATE, SpeechModel
from tests.support.refusals import Part, refused
from zoo.api import Answer, ModelCard
from zoo.registry.plan import make_plan
from zoo.registry.registry import load as load_registry
from zoo.testing import no_network
from zoo.weights.loading import load_pretrained

WINDOW = 1.0  # seconds


def build(**options) -> SpeechModel:
    torch.manual_seed(0)
    return SpeechModel("audio", "tiny", **{"window": WINDOW, **options}).eval()


def noise(seconds: float) -> torch.Tensor:
    return 0.1 * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def hear(net: SpeechModel, samples: torch.Tensor, times, end: int | None = None) -> torch.Tensor:
    valid = torch.arange(samples.shape[1]).unsqueeze(0) < (samples.shape[1] if end is None else end)
    return net(samples, valid, torch.as_tensor(times, dtype=torch.float32).view(1, -1))[0]


@torch.no_grad()
def theirs(net: SpeechModel, window: torch.Tensor) -> torch.Tensor:
    """torchaudio's own answer to a whole window (1, W) after standardising it: (hops, D), mean of the blocks."""
    blocks, _ = net.net.extract_features(torch.nn.functional.layer_norm(window, window.shape[-1:]))
    return torch.stack(blocks).mean(0)[0]


# --- mathematics ------------------------------------------------------------------------------------------------------


def test_a_frame_is_the_weighted_mean_of_its_two_windows():
    """Windows of torchaudio's own model, put together step by step with NumPy."""
    net, samples = build(), noise(4.0)
    half = round(WINDOW * RATE / 2)
    for time in (1.03, 1.27, 2.4801):
        total, position = [], (time * RATE - (FIELD - 1) / 2) / HOP
        share = position - np.floor(position)
        for hop in (int(position), int(position) + 1):
            parts, weights = [], []
            for k in range(7):
                i = hop - k * half // HOP  # the hop's number in the window k
                if 0 <= i < 2 * half // HOP - 1:
                    parts.append(theirs(net, samples[:, k * half : k * half + 2 * half])[i].numpy())
                    weights.append(min(i + 1, 2 * half // HOP - 1 - i))
            total.append(np.average(parts, 0, weights))
        expected = total[0] * (1 - share) + total[1] * share
        np.testing.assert_allclose(hear(net, samples, [time])[0], expected, atol=2e-5)


@pytest.mark.parametrize("layer", ["1", "3"])
def test_one_block_is_torchaudio_s(layer):
    net, samples = build(layer=layer), noise(WINDOW)
    with torch.no_grad():
        got, heard = net.encode(samples, torch.ones_like(samples, dtype=torch.bool))
        blocks, _ = net.net.extract_features(torch.nn.functional.layer_norm(samples, samples.shape[-1:]))
    torch.testing.assert_close(got[:, :-1], blocks[int(layer) - 1], rtol=1e-5, atol=1e-5)
    assert heard.sum() == blocks[0].shape[1]


def test_masked_hops_are_those_of_torchaudio_s_lengths():
    """torchaudio masks wav2vec 2.0 by lengths; what is valid gets the same answer."""
    params = {k: v for k, v in ssl.TINY.items() if k not in ("encoder_max_distance", "encoder_num_buckets")}
    net = build(window=2.0)
    torch.manual_seed(0)
    net.net, net.wavlm, net.normalise = torchaudio.models.wav2vec2_model(**params).eval(), False, False
    samples, end = noise(2.0), 17_000
    valid = torch.arange(samples.shape[1]).unsqueeze(0) < end
    with torch.no_grad():
        got, heard = net.encode(samples * valid, valid)
        blocks, lengths = net.net.extract_features(samples * valid, torch.tensor([end]))
    assert int(heard.sum()) == int(lengths)
    torch.testing.assert_close(got[heard], torch.stack(blocks).mean(0)[heard[:, :-1]], rtol=1e-5, atol=1e-5)


def test_learned_weights_begin_equal_and_get_a_gradient():
    mean, learned, samples = build(), build(layer="learned"), noise(2.0)
    learned.net.load_state_dict(mean.net.state_dict())
    torch.testing.assert_close(hear(learned, samples, [0.5]), hear(mean, samples, [0.5]))
    learned(samples, torch.ones_like(samples, dtype=torch.bool), torch.tensor([[0.5, 1.0]])).square().sum().backward()
    assert learned.mix.grad.abs().sum() > 0


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "rate"), [(0, 30.0), (3, 7.5), (5, 60.0)])
def test_a_clip_hears_what_the_whole_video_hears(start, rate):
    """As the harness cuts: from a multiple of the grid, with the margin on both sides."""
    net, whole = build(), noise(9.0)
    grid, margin = net.input.grid, net.input.margin
    times = margin + start * grid / RATE + 0.01 + torch.arange(8) / rate
    first = int((float(times[0]) - margin) * RATE) // grid * grid
    last = int(np.ceil((float(times[-1]) + margin) * RATE))
    clip = hear(net, whole[:, first:last], times - first / RATE)
    torch.testing.assert_close(clip, hear(net, whole, times), rtol=1e-4, atol=1e-5)


def test_the_margin_is_not_wider_than_it_must_be():
    """With less sound after a frame the answer is another one."""
    net, whole = build(), noise(6.0)
    time = 2.499  # just before a window begins: the latest that it hears is a window later
    before = hear(net, whole, [time])
    assert not torch.allclose(before, hear(net, whole[:, : round((time + 0.8 * WINDOW) * RATE)], [time]), atol=1e-4)


def test_sound_further_than_the_margin_away_does_not_matter():
    net, samples = build(), noise(5.0)
    margin = net.input.margin
    times = torch.tensor([2.1, 2.6])
    moved = samples.clone()
    moved[:, : int((2.1 - margin) * RATE)] = 0.5
    moved[:, int((2.6 + margin) * RATE) + 1 :] = -0.5
    assert torch.equal(hear(net, samples, times), hear(net, moved, times))
    assert not torch.allclose(hear(net, samples, times), hear(net, samples.flip(1), times), atol=1e-3)


def test_at_the_end_of_the_sound_the_last_hop_is_held_and_then_nothing():
    net, samples = build(), noise(3.0)
    end = round(1.9 * RATE)
    held = hear(net, samples, [1.9, 1.93, 2.2, -0.05, -0.3, float("nan")], end)
    torch.testing.assert_close(held[0], held[1])
    assert held[0].any()
    assert not held[2].any()
    assert held[3].any()
    assert not held[4].any()
    assert held.isfinite().all()


def test_no_sound_at_all_gives_zeros():
    assert not hear(build(), noise(0.5), [0.1, 0.2], end=0).any()
    assert hear(build(), torch.zeros(1, 1), [0.0]).isfinite().all()
    assert hear(build(), torch.zeros(1, 2 * RATE), [0.5]).isfinite().all()  # silence has no variance


# --- names, weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ssl.NETWORKS))
def test_every_published_network_is_built_and_known(name):
    with no_network(), torch.device("meta"):
        net, found = SpeechModel("audio", name), ssl.passport("audio", name)
    bundle = getattr(torchaudio.pipelines, ssl.NETWORKS[name].bundle)
    assert net.dim == (1024 if name == "wavlm_large" else 768)
    assert found.url == f"https://download.pytorch.org/torchaudio/models/{bundle._path}"
    assert (found.license, found.sha256) == ("MIT", None)
    assert found.saw == (("LibriSpeech",) if "wavlm" not in name else ("Libri-Light", "GigaSpeech", "VoxPopuli"))
    assert net.normalise == bundle._normalize_waveform
    hop, field = 1, 1
    for _, kernel, stride in bundle._params["extractor_conv_layer_config"]:
        field, hop = field + (kernel - 1) * hop, hop * stride
    assert (hop, field) == (HOP, FIELD)


@pytest.mark.parametrize("layer", ["mean", "learned"])
@pytest.mark.parametrize("old", [True, False])
def test_a_local_file_in_old_or_new_names_is_loaded(tmp_path, layer, old):
    """Published files have the weight norm's names of torch 1; a recogniser's last layer is left out."""
    net = build()
    state = {"aux.weight": torch.zeros(3, 16), **net.net.state_dict()}
    if old:
        for i, letter in enumerate("gv"):
            conv = "encoder.transformer.pos_conv_embed.conv"
            state[f"{conv}.weight_{letter}"] = state.pop(f"{conv}.parametrizations.weight.original{i}")
    save_file(state, tmp_path / "net.safetensors")
    torch.manual_seed(5)
    other = SpeechModel("audio", "tiny", layer, WINDOW).eval()
    path = str(tmp_path / "net.safetensors")
    with no_network():
        load_pretrained(other, ModelCard("x", None, "", "", path=path, adapt=ssl.passport("", "tiny", layer).adapt))
    torch.testing.assert_close(hear(other, noise(2.0), [0.7]), hear(net, noise(2.0), [0.7]))


def slot_of(finetune=(), **options):
    answers = (Answer("valence", "value", -5),)
    chosen = {f"encoder.audio.{name}": value for name, value in options.items()}
    return make_plan(
        load_registry(),
        encoders="audio=ssl:tiny",
        fusion="concat",
        head="mlp",
        answers=answers,
        finetune=finetune,
        options=chosen,
    ).slots[0]


def test_tiny_is_trained_or_given_a_file(tmp_path):
    save_file(build().net.state_dict(), tmp_path / "net.safetensors")
    assert not slot_of(pretrained=False).frozen
    assert slot_of(weights=str(tmp_path / "net.safetensors")).frozen
    with refused("weights-none-known", name="audio", name2="ssl", argument="tiny"):
        slot_of()


def test_learned_layer_weights_want_training(tmp_path):
    save_file(build().net.state_dict(), tmp_path / "net.safetensors")
    slot = slot_of(weights=str(tmp_path / "net.safetensors"), layer="learned")
    with refused(
        "encoder-frozen-and-random",
        name="audio",
        why=Part("layer=learned"),
    ):
        _ = FrozenSlot(slot, Features(), torch.device("cpu"), tmp_path / "net.safetensors").encoder
    assert not slot_of(("audio",), weights=str(tmp_path / "net.safetensors"), layer="learned").frozen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "0"}, "1 to 3, .*'0'"),
        ({"layer": "4"}, "1 to 3"),
        ({"layer": "last"}, "1 to 3"),
        ({"window": 0.1}, "0.2 to 60 seconds"),
        ({"window": -4.0}, "0.2 to 60 seconds"),
    ],
)
def test_wrong_options_are_named(options, message):
    with refused("plugin-error", match=message):
        SpeechModel("audio", "tiny", **options)
    with refused("plugin-error", match="wav2vec2_base"):
        SpeechModel("audio", "wav2vec")
