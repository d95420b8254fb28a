"""Moments against Pearson's correlation, which no affine map can exceed as a CCC."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from plugins.postprocess.moments import Moments
from tests.support.refusals import refused
from zoo.api import Answer, VideoAnswers

VALENCE = (Answer("valence", "value", -5),)


def video(y: np.ndarray, target: np.ndarray, name: str = "v") -> VideoAnswers:
    n = len(y)
    return VideoAnswers(name, name, {"valence": y}, {"valence": target}, {"face": np.ones(n, bool)}, np.arange(n) / 30)


def ccc(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2))


def case(seed: int = 0, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    target = np.clip(0.2 + 0.4 * random.standard_normal(n), -1, 1)
    return 0.3 * target - 0.1 + 0.1 * random.standard_normal(n), target


@pytest.mark.parametrize("seed", range(5))
def test_on_its_own_frames_ccc_is_pearsons_r_and_no_affine_map_is_better(seed):
    y, target = case(seed)
    post = Moments(VALENCE)
    post.fit([video(y[:200], target[:200]), video(y[200:], target[200:])], lambda videos: 0.0)
    done = post.apply(video(y, target)).values["valence"]
    assert ccc(done, target) == pytest.approx(pearsonr(y, target).statistic, abs=1e-12)
    for scale in (0.9, 0.99, 1.01, 1.1):
        for shift in (-0.02, 0.0, 0.02):
            assert ccc((done - done.mean()) * scale + done.mean() + shift, target) <= ccc(done, target) + 1e-12


def test_a_share_goes_that_part_of_the_way():
    y, target = case()
    whole, half, none = (Moments(VALENCE, share) for share in (1.0, 0.5, 0.0))
    for post in (whole, half, none):
        post.fit([video(y, target)], lambda videos: 0.0)
    done = [post.apply(video(y, target)).values["valence"] for post in (whole, half, none)]
    np.testing.assert_allclose(done[1], (done[0] + y) / 2, atol=1e-12)
    np.testing.assert_array_equal(done[2], y)


def test_flat_predictions_flat_labels_and_missing_labels():
    y, target = case()
    hidden = target.copy()
    hidden[::3] = np.nan
    some, those = Moments(VALENCE), Moments(VALENCE)
    some.fit([video(y, hidden)], lambda videos: 0.0)
    those.fit([video(y[~np.isnan(hidden)], target[~np.isnan(hidden)])], lambda videos: 0.0)
    assert some.state() == those.state()
    for flat, labels in ((np.zeros(500), target), (y, np.full(500, 0.3)), (y, np.full(500, np.nan))):
        post = Moments(VALENCE)
        post.fit([video(flat, labels)], lambda videos: 0.0)
        np.testing.assert_array_equal(post.apply(video(flat, labels)).values["valence"], flat)


def test_a_share_out_of_range_is_refused():
    with refused("plugin-error"):
        Moments(VALENCE, 1.5)


def test_given_moments_are_not_measured():
    y, target = case()
    post = Moments(VALENCE, scale={"valence": 2.0}, shift={"valence": -0.1})
    post.fit([video(y, target)], lambda videos: pytest.fail("they are fixed"))
    np.testing.assert_allclose(post.apply(video(y, target)).values["valence"], 2 * y - 0.1)
