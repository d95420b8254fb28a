"""A benchmark: how often the intervals hold the truth, on frames that resemble their neighbours and their video."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

from leaderboards.intervals import jackknife, paired

VIDEO, FRAME, BIAS, NOISE, SHRINK, SHIFT, MEMORY = 0.25, 0.25, 0.15, 0.2, 0.6, 0.05, 0.97


def sums(groups: int, models: int, rng: np.random.Generator) -> np.ndarray:
    """(models, groups, 6) raw sums of videos of 150 to 450 frames; valence and errors drift from frame to frame and
    differ from video to video. The models differ by their errors alone."""
    found = np.empty((models, groups, 6))
    for g, frames in enumerate(rng.integers(150, 450, groups)):
        shocks = rng.normal(size=(1 + models, frames + 200)) * math.sqrt(1 - MEMORY**2)
        drift = signal.lfilter([1], [1, -MEMORY], shocks, axis=1)[:, 200:]
        truth = rng.normal() * VIDEO + drift[0] * FRAME
        for m in range(models):
            guess = SHRINK * truth + rng.normal() * BIAS + SHIFT + drift[1 + m] * NOISE
            found[m, g] = (frames, guess.sum(), truth.sum(), guess @ guess, truth @ truth, guess @ truth)
    return found


def ccc(s: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = np.moveaxis(s, -1, 0)
    x, y = x / n, y / n
    return 2 * (xy / n - x * y) / (xx / n - x * x + yy / n - y * y + (x - y) ** 2)


def true_ccc() -> float:
    variance = VIDEO**2 + FRAME**2
    return 2 * SHRINK * variance / (variance + SHRINK**2 * variance + BIAS**2 + NOISE**2 + SHIFT**2)


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "bootstrap_covers"), [(4, (0.70, 0.82)), (8, (0.81, 0.90)), (76, (0.91, 0.97))])
def test_the_jackknife_covers_where_the_bootstrap_does_not(groups: int, bootstrap_covers: tuple[float, float]) -> None:
    rng, trials, truth = np.random.default_rng(groups), 600, true_ccc()
    held = np.zeros(2)
    for _ in range(trials):
        s = sums(groups, 1, rng)[0]
        interval = jackknife(float(ccc(s.sum(0))), ccc(s.sum(0) - s), (-1, 1))
        drawn = ccc(rng.multinomial(groups, np.full(groups, 1 / groups), size=300) @ s)
        low, high = np.percentile(drawn, [2.5, 97.5])
        held += [interval.low <= truth <= interval.high, low <= truth <= high]
    jackknife_covers, bootstrap = held / trials
    print(f"{groups} videos: jackknife {jackknife_covers:.3f}, percentile bootstrap {bootstrap:.3f}")
    assert 0.915 <= jackknife_covers <= 0.97  # 93 to 95 %, within two standard errors of 600 trials
    assert bootstrap_covers[0] <= bootstrap <= bootstrap_covers[1]


@pytest.mark.slow
@pytest.mark.parametrize("groups", [8, 24])
def test_equal_models_are_called_different_in_about_one_of_twenty(groups: int) -> None:
    rng, trials, called = np.random.default_rng(groups), 600, 0
    for _ in range(trials):
        a, b = sums(groups, 2, rng)
        got = paired(float(ccc(a.sum(0))), ccc(a.sum(0) - a), float(ccc(b.sum(0))), ccc(b.sum(0) - b))
        called += got.p < 0.05
    print(f"{groups} videos: equal models called different in {called / trials:.3f}")
    assert 0.02 <= called / trials <= 0.08
