"""The registered post-processors keep the rules; the built-in ones against references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from plugins.postprocess.clip import Clip
from plugins.postprocess.interpolate import Interpolate
from plugins.postprocess.smooth import WIDTHS, Smooth, mean_filter
from zoo.api import Answer, VideoAnswers
from zoo.testing import check_light

VALENCE = Answer("valence", "value", -5)
EXPRESSION = Answer("expression", "class", -1, classes=("a", "b", "c"))
AU = Answer("AU1", "binary", -1)


def test_the_catalogue_is_light():
    check_light("plugins.postprocess")


def video(times, values=None, present=None, targets=None, name="v") -> VideoAnswers:
    n = len(times)
    return VideoAnswers(
        name,
        name,
        {"valence": np.zeros(n), **(values or {})},
        {"valence": np.zeros(n), **(targets or {})},
        present or {"face": np.ones(n, bool)},
        np.asarray(times, float),
    )


def random_times(random: np.random.Generator, n: int) -> np.ndarray:
    """Of varying rate, 7.5 to 60 frames a second."""
    return np.cumsum(random.uniform(1 / 60, 1 / 7.5, n))


# --- interpolate ------------------------------------------------------------------------------------------------------


def interpolate(v: VideoAnswers, *answers: Answer) -> VideoAnswers:
    post = Interpolate(answers or (VALENCE,))
    post.fit([v], lambda videos: 0.0)
    return post.apply(v)


def test_the_nearer_seen_frame_counts_more():
    """A gap from 0 s to 1 s: at 0.25 s three quarters of the answer are the earlier frame's."""
    v = video([0, 0.25, 0.5, 1.0], {"valence": np.array([0.8, 9.0, 9.0, 0.0])}, {"face": np.array([1, 0, 0, 1], bool)})
    np.testing.assert_allclose(interpolate(v).values["valence"], [0.8, 0.6, 0.4, 0.0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 40))
def test_an_answer_that_is_linear_in_time_is_recovered_exactly(seed, n):
    random = np.random.default_rng(seed)
    times = random_times(random, n)
    line = random.normal() * times + random.normal()
    seen = random.random(n) > 0.5
    seen[[0, -1]] = True
    half = np.zeros(n, bool)
    half[::2] = True
    v = video(times, {"valence": np.where(seen, line, 7.0)}, {"face": seen & half, "audio": seen & ~half})
    np.testing.assert_allclose(interpolate(v).values["valence"], line, atol=1e-9)


def test_beyond_the_seen_frames_the_nearest_answer_is_held():
    seen = {"face": np.array([0, 0, 1, 1, 0], bool)}
    v = video(np.arange(5), {"valence": np.array([9.0, 9.0, 0.2, 0.4, 9.0])}, seen)
    np.testing.assert_allclose(interpolate(v).values["valence"], [0.2, 0.2, 0.2, 0.4, 0.4])


def test_probabilities_are_interpolated_column_by_column():
    p = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    seen = {"face": np.array([1, 0, 1], bool)}
    v = video([0, 1, 4], {"expression": p, "AU1": np.array([0.0, 0.9, 0.8])}, seen)
    done = interpolate(v, EXPRESSION, AU).values
    np.testing.assert_allclose(done["expression"][1], [0.75, 0.0, 0.25])
    np.testing.assert_allclose(done["AU1"], [0.0, 0.2, 0.8])
    np.testing.assert_allclose(p[1], [0, 1, 0])  # the given array is as it was


@pytest.mark.parametrize("present", [{"face": np.zeros(3, bool)}, {"face": np.ones(3, bool)}])
def test_nothing_to_interpolate_from_or_nothing_to_do(present):
    v = video(range(3), {"valence": np.array([0.1, 0.5, 0.2])}, present)
    np.testing.assert_array_equal(interpolate(v).values["valence"], [0.1, 0.5, 0.2])


# --- smooth -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0.05, 0.3, 1.7, 50.0])
def test_the_mean_filter_against_numerical_integration(width):
    random = np.random.default_rng(0)
    times = random_times(random, 25)
    values = random.standard_normal((25, 2))
    done = mean_filter(values, times, width)
    for k, t in enumerate(times):
        half = min(width / 2, t - times[0], times[-1] - t)
        for column in range(2):
            expected = values[k, column]
            if half > 0:
                inside = times[(times > t - half) & (times < t + half)]
                curve = lambda s, column=column: np.interp(s, times, values[:, column])  # noqa: E731
                area = quad(curve, t - half, t + half, points=inside, limit=200)[0]
                expected = area / (2 * half)
            np.testing.assert_allclose(done[k, column], expected, rtol=1e-9, atol=1e-9)


def test_at_a_constant_rate_it_is_the_moving_average_with_half_weights_at_the_window_s_ends():
    values = np.random.default_rng(1).standard_normal(40)
    done = mean_filter(values, np.arange(40) / 30, 4 / 30)
    kernel = np.array([0.5, 1, 1, 1, 0.5]) / 4
    np.testing.assert_allclose(done[2:-2], np.convolve(values, kernel, mode="valid"), rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0, 10))
def test_a_steady_change_is_not_moved_at_any_frame_rate(seed, n, width):
    random = np.random.default_rng(seed)
    times = random_times(random, n)
    line = random.normal() * times + random.normal()
    np.testing.assert_allclose(mean_filter(line, times, width), line, atol=1e-9)


def test_width_0_changes_nothing_and_the_ends_stay():
    random = np.random.default_rng(2)
    times, values = random_times(random, 20), random.standard_normal(20).astype(np.float32)
    np.testing.assert_array_equal(mean_filter(values, times, 0.0), values)
    done = mean_filter(values, times, 2.0)
    assert done.dtype == np.float32
    np.testing.assert_array_equal(done[[0, -1]], values[[0, -1]])


def noisy(name: str, noise: float) -> VideoAnswers:
    """Valence slow and noisy; the action unit fast and clean, so that any smoothing harms it."""
    random = np.random.default_rng(len(name))
    times = random_times(random, 400)
    slow, fast = np.sin(times / 2), (np.sin(times * 25) + 1) / 2
    values = {"valence": slow + noise * random.standard_normal(400), "AU1": fast}
    return video(times, values, targets={"valence": slow, "AU1": fast}, name=name)


def error(videos: list[VideoAnswers]) -> float:
    return -float(np.mean([(v.values[a] - v.targets[a]) ** 2 for v in videos for a in v.targets]))


def test_fit_chooses_a_width_for_each_kind_by_the_score():
    videos = [noisy("a", 0.5), noisy("bb", 0.5)]
    post = Smooth((VALENCE, AU))
    post.fit(videos, error)
    fixed = {w: error([Smooth((VALENCE,), width=w).apply(v) for v in videos]) for w in WIDTHS}
    assert post.state() == {"width": {"value": max(fixed, key=fixed.get), "binary": 0.0}}
    assert post.state()["width"]["value"] > 0.2
    assert error([post.apply(v) for v in videos]) > error(videos)


def test_of_equal_scores_the_narrowest_width_is_taken_and_nan_never():
    post = Smooth((VALENCE,))
    post.fit([noisy("a", 0.1)], lambda videos: 0.0)
    assert post.state() == {"width": {"value": 0.0}}
    scores = iter([np.nan, 0.1, np.nan, 0.3, 0.2, np.nan, 0.0, 0.1])
    post.fit([noisy("a", 0.1)], lambda videos: next(scores))
    assert post.state() == {"width": {"value": WIDTHS[3]}}


def test_a_given_width_is_kept():
    post = Smooth((VALENCE, AU), width=0.7)
    post.fit([noisy("a", 0.1)], error)
    assert post.state() == {"width": {"value": 0.7, "binary": 0.7}}


# --- clip -------------------------------------------------------------------------------------------------------------


def test_clip_brings_every_kind_into_range():
    pain = Answer("pain", "value", -1, low=0.0, high=5.0)
    values = {
        "valence": np.array([-3.0, 0.4, 1.2]),
        "pain": np.array([-3.0, 4.4, 7.0]),
        "AU1": np.array([-0.1, 0.5, 1.7]),
        "expression": np.array([[0.2, 0.2, 0.0], [-0.5, 0.5, 0.5], [-1.0, -1.0, 0.0]]),
    }
    done = Clip((VALENCE, pain, AU, EXPRESSION)).apply(video(range(3), values)).values
    np.testing.assert_allclose(done["valence"], [-1, 0.4, 1])
    np.testing.assert_allclose(done["pain"], [0, 4.4, 5])
    np.testing.assert_allclose(done["AU1"], [0, 0.5, 1])
    np.testing.assert_allclose(done["expression"], [[0.5, 0.5, 0], [0, 0.5, 0.5], [1 / 3] * 3])
