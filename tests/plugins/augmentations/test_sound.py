"""Augmentations of sound: decibels, signal-to-noise ratios, and masks against spectra of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import stft
from torch import Tensor

from tests.plugins.augmentations.test_pictures import built
from zoo.augmenting import ClipName, drawing

RATE = 16_000


def noise(seconds: float = 2.0, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def draw(block, given: Tensor, number: int = 0) -> Tensor:
    with drawing(torch.device("cpu")):
        return block.sound(given, RATE, ClipName(0, number, "v", 0, 9))


def decibels(a: Tensor, b: Tensor) -> float:
    return 10 * float(torch.log10(a.double().square().sum() / b.double().square().sum()))


def test_gain_is_uniform_in_decibels() -> None:
    given = noise(0.1)
    changes = [decibels(draw(built("gain"), given, n), given) for n in range(300)]
    assert -6.001 < min(changes) < -5.5
    assert 5.5 < max(changes) < 6.001
    assert abs(np.mean(changes)) < 4 * 12 / 12**0.5 / 300**0.5


def test_gain_stays_inside_full_scale() -> None:
    assert float(draw(built("gain", decibels=60.0), 0.9 * torch.ones(100), 1).abs().max()) <= 1.0


@pytest.mark.parametrize("ratio", [0.0, 15.0])
def test_the_noise_has_its_ratio(ratio: float) -> None:
    given = noise()
    got = draw(built("sound_noise", low=ratio, high=ratio), given)
    assert decibels(given, got - given) == pytest.approx(ratio, abs=1e-3)


def test_ratios_lie_between_low_and_high() -> None:
    given = noise(0.1)
    found = [decibels(given, draw(built("sound_noise"), given, n) - given) for n in range(200)]
    assert 7.99 < min(found) < 9
    assert 24 < max(found) < 25.01


def test_silence_stays_silent() -> None:
    for name in ("gain", "sound_noise", "specaugment"):
        assert not draw(built(name), torch.zeros(RATE)).any()


def test_without_masks_the_samples_come_back() -> None:
    given = noise()
    got = draw(built("specaugment", bands=0, spans=0), given)
    assert float((got - given).abs().max()) < 1e-6


def test_a_masked_span_is_silent_and_no_longer_than_allowed() -> None:
    given, silent = noise(), []
    for number in range(40):
        got = draw(built("specaugment", bands=0, spans=1, span=0.3), given, number)
        quiet = np.flatnonzero(got.abs().numpy() < 1e-6)
        longest = max((len(run) for run in np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)), default=0)
        silent.append(longest / RATE)
        kept = (got - given).abs().numpy() < 1e-5
        assert kept.mean() > 1 - (0.3 + 2 * 0.064) / 2  # a mask reaches into the windows at its ends
    assert 0.1 < max(silent) < 0.3


def test_masked_bands_lose_their_energy_and_no_others() -> None:
    given, share = noise(4.0), []
    for number in range(20):
        got = draw(built("specaugment", bands=1, band=16, spans=0), given, number)
        _, _, before = stft(given.numpy(), RATE, nperseg=1024)
        _, _, after = stft(got.numpy(), RATE, nperseg=1024)
        left = (np.abs(after) ** 2).mean(1) / (np.abs(before) ** 2).mean(1)
        lost = left < 0.5
        share.append(lost.mean())
        assert not lost.any() or np.ptp(np.flatnonzero(lost)) + 1 == lost.sum()  # one band
        kept = ~np.convolve(left < 0.98, np.ones(3), "same").astype(bool)
        assert np.abs(left[kept] - 1).max() < 0.03
    assert 0.05 < max(share) < 0.5


def test_sound_shorter_than_half_a_window_is_left_alone() -> None:
    given = noise(0.03)
    assert draw(built("specaugment"), given) is given
