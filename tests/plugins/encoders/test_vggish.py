"""VGGish step by step in NumPy: spectra, mel bands, patches, network; and where its patches lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from plugins.encoders import vggish
from plugins.encoders.vggish import RATE, VGGish
from tests.support.refusals import refused
from zoo.api import ModelCard
from zoo.testing import no_network
from zoo.weights.loading import load_pretrained


@pytest.fixture(scope="module")
def net() -> VGGish:
    torch.manual_seed(0)
    return VGGish("audio", None).eval()


def noise(seconds: float) -> torch.Tensor:
    return 0.1 * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def hear(net: VGGish, samples: torch.Tensor, times, end: int | None = None) -> np.ndarray:
    valid = torch.arange(samples.shape[1]).unsqueeze(0) < (samples.shape[1] if end is None else end)
    return net(samples, valid, torch.as_tensor(times, dtype=torch.float32).view(1, -1))[0].numpy()


# --- mathematics ------------------------------------------------------------------------------------------------------


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(S,) -> (spectra, 64), with loops over windows and triangles."""
    window = np.array([0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)])
    spectra = [np.abs(np.fft.rfft(samples[i : i + 400] * window, 512)) for i in range(0, len(samples) - 399, 160)]

    def mel(hz: float) -> float:
        return 1127.0 * math.log(1 + hz / 700)

    edges = np.linspace(mel(125), mel(7500), 66)
    bank = np.zeros((257, 64))
    for k in range(1, 257):
        m = mel(k * 8000 / 256)
        for band in range(64):
            left, middle, right = edges[band : band + 3]
            bank[k, band] = max(0.0, min((m - left) / (middle - left), (right - m) / (right - middle)))
    return np.log(np.array(spectra) @ bank + 0.01)


def embed(net: VGGish, patch: np.ndarray) -> np.ndarray:
    """One patch (96, 64) through the network's weights, layer by layer."""
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    x = patch[None]
    for pool, layers in ((0, (0,)), (1, (3,)), (2, (6, 8)), (3, (11, 13))):
        for layer in layers:
            kernel, bias = weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"]
            around = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            h, w = x.shape[1:]
            shifted = np.stack([around[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], 1)
            x = np.einsum("ckhw,ock->ohw", shifted, kernel.reshape(*kernel.shape[:2], 9), optimize=True)
            x = np.maximum(x + bias[:, None, None], 0)
        h, w = x.shape[1:]
        x = x.reshape(-1, h // 2, 2, w // 2, 2).max((2, 4))
        assert x.shape[1] == 48 >> pool
    x = x.transpose(1, 2, 0).reshape(-1)  # time, band, channel
    for layer in (0, 2, 4):
        x = np.maximum(weights[f"embeddings.{layer}.weight"] @ x + weights[f"embeddings.{layer}.bias"], 0)
    return x


def test_log_mel(net):
    samples = noise(0.3)
    np.testing.assert_allclose(net.log_mel(samples)[0], log_mel(samples[0].double().numpy()), atol=2e-5)


def test_a_frame_lies_between_its_two_patches(net):
    """At 1.2 + 0.06 s three quarters of the patch around 1.2 s and a quarter of that around 1.44 s."""
    samples = noise(3.0)
    sound = samples[0].double().numpy()
    each = []
    for middle in (1.2, 1.44):
        start = round(middle * RATE) - 7800  # half of 95 steps of 160 samples and a window of 400
        each.append(embed(net, log_mel(sound[start : start + 15_600])))
    expected = 0.75 * each[0] + 0.25 * each[1]
    assert expected.any()
    np.testing.assert_allclose(hear(net, samples, [1.26])[0], expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(hear(net, samples, [1.44])[0], each[1], rtol=1e-3, atol=1e-6)


def test_the_bands_of_a_tone(net):
    """1 kHz is 1000 mel; 64 triangles between 185 and 2782 mel."""
    tone = 0.3 * torch.sin(2 * math.pi * 1000 * torch.arange(8000) / RATE).unsqueeze(0)
    loudest = int(net.log_mel(tone)[0].mean(0).argmax())
    assert abs(loudest - ((1000 - 185) / (2782 - 185) * 65 - 1)) <= 1


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "rate"), [(0, 30.0), (4, 7.5)])
def test_a_clip_hears_what_the_whole_video_hears(net, start, rate):
    whole, grid, margin = noise(4.0), net.input.grid, net.input.margin
    times = margin + start * grid / RATE + 0.013 + torch.arange(5) / rate
    first = int((float(times[0]) - margin) * RATE) // grid * grid
    last = int(np.ceil((float(times[-1]) + margin) * RATE))
    clip = hear(net, whole[:, first:last], times - first / RATE)
    np.testing.assert_allclose(clip, hear(net, whole, times), rtol=1e-4, atol=1e-6)


def test_beyond_the_sound(net):
    """The last patch, around 1.44 s, is held for a hop and 0.1 s; with no sound there is nothing."""
    samples = noise(2.5)
    held = hear(net, samples, [1.44, 1.5, 1.7, 1.8, -0.1, -0.6], end=round(1.5 * RATE))
    assert held[0].any()
    np.testing.assert_array_equal(held[0], held[1])
    np.testing.assert_array_equal(held[0], held[2])
    assert not held[3].any()
    assert held[4].any()
    assert not held[5].any()
    assert not hear(net, samples, [0.1], end=0).any()


# --- weights, options -------------------------------------------------------------------------------------------------


def test_the_passport_names_address_and_digest():
    with no_network():
        found = vggish.passport("audio", None)
    assert found.url.endswith(f"vggish-{found.sha256}.pth")
    assert found.license == "Apache-2.0"
    assert found.saw[0].startswith("YouTube-8M")


@pytest.mark.parametrize("names", ["torchvggish", "torchaudio"])
def test_a_local_file_is_loaded(net, tmp_path, names):
    state = dict(net.state_dict())
    if names == "torchaudio":
        state = {
            k.replace("features.", "features_network.").replace("embeddings.", "embedding_network."): v
            for k, v in state.items()
        }
    else:
        state["pproc.pca_means"] = torch.zeros(128, 1)
    save_file(state, tmp_path / "net.safetensors")
    torch.manual_seed(1)
    other = VGGish("audio", None).eval()
    adapt = vggish.passport("audio", None).adapt
    with no_network():
        load_pretrained(other, ModelCard("x", None, "", "", path=str(tmp_path / "net.safetensors"), adapt=adapt))
    np.testing.assert_array_equal(hear(other, noise(1.0), [0.5]), hear(net, noise(1.0), [0.5]))


@pytest.mark.parametrize("hop", [0.0, -0.24, 0.005, 0.243, 1.0])
def test_a_hop_off_the_grid_of_spectra_is_refused(hop):
    with refused("plugin-error", match=r"0\.01 s, .* 0\.96"):
        VGGish("audio", None, hop=hop)
