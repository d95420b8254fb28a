"""Thresholds of action units against an exhaustive search."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from plugins.postprocess.threshold import Threshold, best_threshold, moved_to_half, plateau_threshold
from tests.support.refusals import refused
from zoo.api import Answer, VideoAnswers

UNITS = tuple(Answer(name, "binary", -1) for name in ("AU1", "AU2"))


def video(values: dict[str, np.ndarray], targets: dict[str, np.ndarray], name: str = "v") -> VideoAnswers:
    n = len(next(iter(values.values())))
    return VideoAnswers(name, name, values, targets, {"face": np.ones(n, bool)}, np.arange(n) / 30)


def random_case(seed: int, n: int, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, rounded so that some are equal, and labels that follow them loosely."""
    random = np.random.default_rng(seed)
    p = np.round(random.beta(0.7, 2.0, n), digits)
    return p, random.random(n) < p**1.5 + 0.05


def f1(positive: np.ndarray, answered: np.ndarray) -> float:
    """From the counts: 2 TP / (2 TP + FP + FN)."""
    both = positive.sum() + answered.sum()
    return 2 * float((positive & answered).sum()) / both if both else 0.0


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 60), st.sampled_from([1, 2, 8]))
def test_no_threshold_at_all_has_a_greater_f1(seed, n, digits):
    p, positive = random_case(seed, n, digits)
    t = best_threshold(p, positive)
    assert 0 <= t < 1
    if not positive.any():
        assert t == 0.5
        return
    every = [0.0, *p.tolist(), *(p + 1e-12).tolist(), 0.5]
    scores = {c: f1(positive, p >= c) for c in every}
    np.testing.assert_allclose(f1(positive, p >= t), max(scores.values()), rtol=1e-12)
    if scores[0.5] == max(scores.values()):
        assert t == 0.5  # nothing is moved without need


def test_the_middle_between_the_deciding_probabilities_is_taken_and_the_nearest_to_a_half_of_equals():
    p = np.array([0.9, 0.4, 0.3, 0.1])
    assert best_threshold(p, np.array([1, 1, 1, 0]) > 0) == pytest.approx(0.2)
    assert best_threshold(p, np.array([1, 0, 0, 0]) > 0) == 0.5
    # above 0.4: 1 hit of 1 out of 2; above 0.1: 2 hits of 4: both have F1 2/3
    assert best_threshold(p, np.array([1, 0, 0, 1]) > 0) == 0.5
    assert best_threshold(np.array([0.0, 0.0, 0.2]), np.array([1, 1, 0]) > 0) == 0.0
    assert best_threshold(np.array([1.0, 0.8]), np.array([1, 0]) > 0) == pytest.approx(0.9)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0, 1, exclude_max=True),
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.sampled_from([np.float32, np.float64]),
)
def test_moving_keeps_order_range_and_puts_the_threshold_at_a_half(threshold, p, kind):
    near = [threshold, np.nextafter(threshold, 0), np.nextafter(threshold, 1)]
    p = np.sort(np.array([*p, 0.0, 1.0, *near], kind))
    moved = moved_to_half(p, threshold)
    assert (np.diff(moved) >= 0).all()
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    np.testing.assert_array_equal(moved >= 0.5, p.astype(np.float64) >= threshold)
    assert moved[-1] == 1
    assert moved[0] == (0 if threshold > 0 else 0.5)


def test_moving_by_a_half_is_nothing_and_by_another_is_two_straight_lines():
    p = np.linspace(0, 1, 11)
    np.testing.assert_allclose(moved_to_half(p, 0.5), p, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(moved_to_half(np.array([0.1, 0.2, 0.6, 1.0]), 0.2), [0.25, 0.5, 0.75, 1.0], rtol=1e-12)


def test_fit_takes_all_videos_but_no_unlabelled_frame_and_each_answer_by_itself():
    p1, y1 = random_case(1, 80, 8)
    p2, y2 = random_case(2, 70, 8)
    t1, t2 = y1.astype(float), y2.astype(float)
    t1[::5] = np.nan
    videos = [
        video({"AU1": p1, "AU2": p1}, {"AU1": t1, "AU2": np.zeros(80)}, "a"),
        video({"AU1": p2, "AU2": p2}, {"AU1": t2, "AU2": np.full(70, np.nan)}, "b"),
    ]
    post = Threshold(UNITS)
    post.fit(videos, lambda those: pytest.fail("the score is not needed"))
    used = np.concatenate([~np.isnan(t1), np.ones(70, bool)])
    p, y = np.concatenate([p1, p2])[used], np.concatenate([y1, y2])[used]
    fitted = post.state()["threshold"]
    assert fitted == {"AU1": best_threshold(p, y), "AU2": 0.5}
    assert fitted["AU1"] != 0.5
    moved = np.concatenate([post.apply(v).values["AU1"] for v in videos])[used]
    assert f1_score(y, moved >= 0.5) > f1_score(y, p >= 0.5)
    np.testing.assert_array_equal(moved >= 0.5, p >= fitted["AU1"])


def test_unlabelled_frames_are_no_negatives_when_fitting():
    """Labelled: all above 0.1 are positive, so 0.2 is best. A hundred unlabelled ones at 0.3 would make it 0.5."""
    p = np.array([0.1] * 5 + [0.3] * 5 + [0.95] * 5 + [0.3] * 100)
    target = np.array([0.0] * 5 + [1.0] * 10 + [np.nan] * 100)
    post = Threshold(UNITS[:1])
    post.fit([video({"AU1": p}, {"AU1": target})], lambda those: pytest.fail("the score is not needed"))
    assert post.state()["threshold"]["AU1"] == pytest.approx(0.2, abs=1e-12)


def test_the_state_makes_the_same_post_processor_and_fixed_values_are_not_fitted():
    p, y = random_case(3, 50, 8)
    v = video({"AU1": p, "AU2": p}, {"AU1": y * 1.0, "AU2": y * 1.0})
    post = Threshold(UNITS)
    post.fit([v], lambda those: 0.0)
    again = Threshold(UNITS, **json.loads(json.dumps(post.state())))
    again.fit([replace(v, targets={"AU1": 1.0 - y, "AU2": 1.0 - y})], lambda those: 0.0)
    np.testing.assert_array_equal(again.apply(v).values["AU1"], post.apply(v).values["AU1"])
    fixed = Threshold(UNITS, threshold=0.3)
    fixed.fit([v], lambda those: 0.0)
    assert fixed.state() == {"threshold": {"AU1": 0.3, "AU2": 0.3}}
    assert Threshold(UNITS).state() == {"threshold": {"AU1": 0.5, "AU2": 0.5}}


def test_fitted_on_no_video_nothing_moves():
    post = Threshold(UNITS)
    post.fit([], lambda those: 0.0)
    assert post.state() == {"threshold": {"AU1": 0.5, "AU2": 0.5}}


@pytest.mark.parametrize("threshold", [-0.1, 1.0, 30.0])
def test_a_threshold_that_is_no_probability_is_named(threshold):
    with refused("plugin-error", match=f"threshold of AU1 is {threshold}"):
        Threshold(UNITS, threshold=threshold)


def plain_plateau(p: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The moving average of F1 over thresholds, by loops."""
    scores = [f1(positive, p >= k / 100) for k in range(101)]
    return np.array([np.mean(scores[max(0, k - 5) : k + 6]) for k in range(101)])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 60), st.sampled_from([1, 2, 8]))
def test_the_plateaus_centre_has_the_best_neighbourhood(seed, n, digits):
    p, positive = random_case(seed, n, digits)
    t = plateau_threshold(p, positive)
    assert 0 <= t < 1
    if not positive.any():
        assert t == 0.5
        return
    smooth = plain_plateau(p, positive)
    best = [k / 100 for k in np.flatnonzero(smooth >= smooth.max() - 1e-9)]
    assert min(abs(t - k) for k in best) < 1e-9
    assert abs(t - 0.5) <= min(abs(k - 0.5) for k in best) + 1e-9


def test_a_narrow_peak_is_passed_over_for_a_plateau():
    """One threshold is a little better than a wide range of others; on other frames the range is what remains."""
    positive = np.array([True] * 40 + [False] * 60)
    p = np.concatenate([np.full(30, 0.9), np.full(10, 0.305), np.full(30, 0.295), np.full(30, 0.1)])
    assert 0.295 < best_threshold(p, positive) < 0.305
    assert 0.34 < plateau_threshold(p, positive) < 0.9
    post = Threshold(UNITS, method="plateau")
    post.fit([video({"AU1": p, "AU2": p}, {"AU1": positive * 1.0, "AU2": positive * 1.0})], lambda videos: 0.0)
    assert post.thresholds["AU1"] == plateau_threshold(p, positive)
