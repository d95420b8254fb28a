"""eGeMAPS by openSMILE itself where it is installed; with a stand-in for it, where its windows lie."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch

from plugins.encoders import egemaps
from plugins.encoders.egemaps import RATE, EGeMaps
from tests.support.refusals import refused
from zoo.registry.registry import load as load_registry

INSTALLED = importlib.util.find_spec("opensmile") is not None
needs_opensmile = pytest.mark.skipif(not INSTALLED, reason="openSMILE is not installed (extra: opensmile)")


@pytest.fixture(autouse=True)
def fresh():
    egemaps.functionals.cache_clear()
    yield
    egemaps.functionals.cache_clear()


@pytest.fixture
def windows(monkeypatch) -> list[np.ndarray]:
    """Instead of openSMILE: keeps what it is given and answers its first sample and its length."""
    seen: list[np.ndarray] = []

    def analyse(samples: np.ndarray) -> np.ndarray:
        seen.append(samples)
        out = np.zeros(88, np.float32)
        out[:2] = samples[0], len(samples)
        return out

    monkeypatch.setattr(egemaps, "functionals", lambda: analyse)
    return seen


def ramp(seconds: float) -> torch.Tensor:
    """Sample n is n, so that a window tells where it begins."""
    return torch.arange(round(seconds * RATE), dtype=torch.float32).unsqueeze(0)


def hear(net: EGeMaps, samples: torch.Tensor, times, end: int | None = None) -> np.ndarray:
    valid = torch.arange(samples.shape[1]).unsqueeze(0) < (samples.shape[1] if end is None else end)
    return net(samples, valid, torch.as_tensor(times, dtype=torch.float32).view(1, -1))[0].numpy()


# --- where the windows lie ----------------------------------------------------------------------------------------------


def test_a_window_lies_around_each_multiple_of_the_hop(windows):
    net = EGeMaps("audio", None, window=1.0, hop=0.1)
    got = hear(net, ramp(4.0), [2.0, 2.05, 2.1])
    assert {(w[0], len(w)) for w in windows} == {(24_000, 16_000), (25_600, 16_000)}  # around 2.0 and 2.1 s
    np.testing.assert_allclose(got[:, 0], [24_000, 24_800, 25_600], rtol=1e-6)  # linear between them


@pytest.mark.parametrize("window", [0.02, 0.05, 0.09, 0.1])
def test_short_windows_are_widened(windows, window):
    hear(EGeMaps("audio", None, window=window), ramp(1.0), [0.5])
    assert {len(w) for w in windows} == {1600}


def test_at_the_ends_of_the_sound_there_is_less_but_not_too_little(windows):
    net = EGeMaps("audio", None, window=0.12, hop=0.1)
    hear(net, ramp(2.0), [0.0, 1.0], end=round(1.0 * RATE))
    assert sorted((w[0], len(w)) for w in windows) == [(0, 1600), (13_440, 1920)]
    windows.clear()
    hear(net, ramp(2.0), [0.0], end=800)  # a sound of 50 ms: silence up to 100 ms
    assert [len(w) for w in windows] == [1600]
    assert not windows[0][800:].any()


def test_beyond_the_sound_there_is_nothing(windows):
    net = EGeMaps("audio", None)
    got = hear(net, ramp(2.0), [1.0, 1.09, 1.3, -0.15, -0.3, float("nan")], end=RATE)
    assert (got[[0, 1, 3], 1] > 0).all()
    assert not got[[2, 4]].any()
    assert np.isfinite(got).all()
    assert not hear(net, ramp(0.5), [0.1], end=0).any()


# --- openSMILE ----------------------------------------------------------------------------------------------------------


@needs_opensmile
def test_the_numbers_are_opensmile_s():
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    samples = 0.1 * torch.randn(1, 3 * RATE, generator=torch.Generator().manual_seed(0))
    got = hear(EGeMaps("audio", None, window=1.0, hop=0.1), samples, [1.5])
    expected = smile.process_signal(samples[0, RATE : 2 * RATE].numpy(), RATE).to_numpy()[0]
    assert got.shape[1] == len(smile.feature_names) == 88
    np.testing.assert_allclose(got[0], expected, rtol=1e-5)


@needs_opensmile
@pytest.mark.parametrize("kind", ["noise", "silence", "tone"])
def test_the_shortest_window_gives_numbers(kind):
    time = torch.arange(RATE) / RATE
    samples = {"noise": torch.randn(RATE), "silence": 0 * time, "tone": torch.sin(1400 * time)}[kind].unsqueeze(0)
    assert np.isfinite(hear(EGeMaps("audio", None, window=0.03), samples, [0.0, 0.5, 1.0])).all()


# --- without it ---------------------------------------------------------------------------------------------------------


def test_without_opensmile_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with refused("plugin-error", match=r"abaw-zoo\[opensmile\].*research only"):
        EGeMaps("audio", None)


def test_the_licence_is_shown():
    spec = load_registry().get("encoders", "egemaps")
    assert "research" in spec.license
    assert spec.license == egemaps.LICENSE


@pytest.mark.parametrize("options", [{"window": 0.0}, {"window": -1.0}, {"hop": 0.0}, {"hop": -0.1}])
def test_wrong_options_are_refused(windows, options):
    with refused("plugin-error", match="window .* hop "):
        EGeMaps("audio", None, **options)
