"""The voice encoder gives the numbers of the package's own spectrogram and network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from plugins.encoders import resemblyzer
from plugins.encoders.resemblyzer import HOP, RATE, Resemblyzer
from tests.support.paths import TESTS
from zoo.testing import no_network
from zoo.weights.cards import place
from zoo.weights.loading import load_pretrained

# Resemblyzer 0.1.4 with librosa 0.10.2, on sound(): its mel spectrogram and its LSTM's outputs, every eighth of 160,
# and the outputs for a fiftieth of that sound, after its own normalize_volume.
GOLDEN = np.load(TESTS / "plugins" / "golden" / "resemblyzer.npz")


def sound() -> np.ndarray:
    """1.6 s less a sample of a hoarse hum, louder than -30 dBFS."""
    n = np.arange(int(RATE * 1.6) - 1) / RATE
    hum = sum(
        np.sin(2 * np.pi * 110 * k * n + k) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * n + k)) / k for k in range(1, 30)
    )
    return (0.1 * hum * (1 + 0.3 * np.sin(2 * np.pi * 1.3 * n))).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> Resemblyzer:
    path = place(resemblyzer.card("audio", None))
    if path is None or not path.is_file():
        pytest.skip("the wheel of resemblyzer is neither installed nor kept here")
    encoder = Resemblyzer("audio", None)
    with no_network():
        loaded = load_pretrained(encoder, resemblyzer.card("audio", None), download=False)
    assert loaded.notes == ("taken from 'model_state'",)
    return encoder.eval()


@torch.no_grad()
def hear(net: Resemblyzer, samples: np.ndarray, times, first: int = 0) -> Tensor:
    """States at times in seconds of the sound; ``first``: samples that are not valid before it."""
    heard = torch.cat([torch.full((first,), 9.0), torch.from_numpy(samples)]).unsqueeze(0)
    valid = torch.arange(heard.shape[1]).unsqueeze(0) >= first
    return net(heard, valid, torch.as_tensor(times, dtype=torch.float32).view(1, -1) + first / RATE)[0]


def test_the_mel_energies_are_librosas(net):
    got = net.mel(torch.from_numpy(sound()).unsqueeze(0))[0, ::8]
    torch.testing.assert_close(got, torch.from_numpy(GOLDEN["mel"]), rtol=1e-4, atol=1e-6)


def test_the_states_are_the_packages(net):
    got = hear(net, sound(), np.arange(0, 160, 8) * HOP / RATE)
    torch.testing.assert_close(got, torch.from_numpy(GOLDEN["states"]), rtol=0, atol=1e-4)


def test_quiet_sound_is_raised_as_the_package_does(net):
    """In a piece that is the package's whole recording: from its middle on."""
    got = hear(net, 0.02 * sound(), np.arange(80, 160, 8) * HOP / RATE)
    torch.testing.assert_close(got, torch.from_numpy(GOLDEN["quiet"][10:]), rtol=0, atol=1e-4)


def test_what_lies_before_the_sound_counts_nowhere(net):
    times = np.array([0.0, 0.3, 0.81, 1.5])
    for hops in (80, 160, 240):
        torch.testing.assert_close(hear(net, sound(), times, hops * HOP), hear(net, sound(), times), rtol=0, atol=1e-5)


def test_a_clip_that_begins_later_gives_the_same(net):
    rng = np.random.default_rng(0)
    long = (0.1 * rng.standard_normal(RATE * 6)).astype(np.float32)
    times = np.array([3.5, 3.97, 4.2])
    whole = hear(net, long, times)
    grid = net.input.grid
    first = int((times[0] - net.input.margin) * RATE // grid) * grid
    assert first > 0
    last = int((times[-1] + net.input.margin) * RATE) + 1
    torch.testing.assert_close(hear(net, long[first:last], times - first / RATE), whole, rtol=0, atol=1e-5)


def test_far_outside_the_sound_there_is_nothing(net):
    got = hear(net, sound(), [1.65, 1.75, 3.0])
    assert got[0].abs().sum() > 0
    assert not got[2].any()


def test_silence_is_not_made_loud(net):
    assert torch.isfinite(hear(net, np.zeros(RATE, np.float32), [0.5])).all()
    hiss = (1e-5 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    silent = hear(net, np.zeros(2 * RATE, np.float32), [1.5])
    torch.testing.assert_close(hear(net, hiss, [1.5]), silent, rtol=0, atol=0.05)


def test_a_video_without_sound_costs_nothing(net, monkeypatch):
    monkeypatch.setattr(net, "mel", lambda _: pytest.fail("no frame wants the sound"))
    assert not hear(net, np.zeros(0, np.float32), [0.1, 0.2], first=RATE).any()
