"""Median and Gaussian filters, and widths for each kind of answer, against references written out frame by frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.signal import medfilt

from plugins.postprocess.smooth import WIDTHS, Smooth, gaussian_filter, mean_filter, median_filter
from tests.support.refusals import Part, refused
from zoo.api import Answer, VideoAnswers

VALENCE = Answer("valence", "value", -5)
EXPRESSION = Answer("expression", "class", -1, classes=("a", "b", "c"))
AU = Answer("AU1", "binary", -1)
FILTERS = {"mean": mean_filter, "median": median_filter, "gaussian": gaussian_filter}


def random_times(random: np.random.Generator, n: int) -> np.ndarray:
    """Of varying rate, 7.5 to 60 frames a second."""
    return np.cumsum(random.uniform(1 / 60, 1 / 7.5, n))


def video(values: dict[str, np.ndarray], times: np.ndarray | None = None) -> VideoAnswers:
    n = len(next(iter(values.values())))
    targets = {name: np.zeros(n) for name in values}
    times = np.arange(n) / 30 if times is None else times
    return VideoAnswers("v", "g", values, targets, {"face": np.ones(n, bool)}, times)


def window(times: np.ndarray, k: int, half: float) -> np.ndarray:
    """Frames of frame k's window, which shrinks on both sides near an end."""
    half = min(half, times[k] - times[0], times[-1] - times[k])
    return np.abs(times - times[k]) <= half + 1e-6


@pytest.mark.parametrize("width", [0.05, 0.3, 1.7, 50.0])
def test_the_median_is_that_of_the_frames_in_the_window(width):
    random = np.random.default_rng(0)
    times, values = random_times(random, 60), random.standard_normal((60, 2))
    expected = [np.median(values[window(times, k, width / 2)], axis=0) for k in range(60)]
    np.testing.assert_allclose(median_filter(values, times, width), expected, rtol=1e-12)


@pytest.mark.parametrize("width", [0.05, 0.3, 1.7, 50.0])
def test_the_gaussian_weighs_frames_by_distance_and_by_their_share_of_the_time(width):
    random = np.random.default_rng(1)
    times, values = random_times(random, 60), random.standard_normal((60, 2))
    deviation = width / np.sqrt(12)
    share = np.gradient(times)
    for k in range(60):
        at = window(times, k, 4 * deviation)
        weight = share[at] * np.exp(-((times[at] - times[k]) ** 2) / (2 * deviation**2))
        expected = (weight[:, None] * values[at]).sum(0) / weight.sum()
        np.testing.assert_allclose(gaussian_filter(values, times, width)[k], expected, rtol=1e-12)


def test_at_a_constant_rate_they_are_scipy_s_inside_the_video():
    values, times = np.random.default_rng(2).standard_normal(200), np.arange(200) / 30
    np.testing.assert_allclose(median_filter(values, times, 6 / 30)[3:-3], medfilt(values, 7)[3:-3], rtol=1e-12)
    deviation = 2.5  # frames
    done = gaussian_filter(values, times, deviation / 30 * np.sqrt(12))
    expected = gaussian_filter1d(values, deviation, truncate=4)
    np.testing.assert_allclose(done[12:-12], expected[12:-12], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", FILTERS)
def test_one_width_removes_about_as_much_noise_by_every_method(method):
    noise, times = np.random.default_rng(3).standard_normal(20_000), np.arange(20_000) / 30
    left = FILTERS[method](noise, times, 1.0)[100:-100].std()
    assert 0.15 < left < 0.25  # the mean of 30 independent frames has 0.18


@pytest.mark.parametrize("method", FILTERS)
def test_the_ends_stay_width_0_changes_nothing_and_blocks_of_rows_join(method):
    random = np.random.default_rng(4)
    times, values = random_times(random, 9000), random.standard_normal(9000).astype(np.float32)
    np.testing.assert_array_equal(FILTERS[method](values, times, 0.0), values)
    done = FILTERS[method](values, times, 2.0)
    assert done.dtype == np.float32
    np.testing.assert_allclose(done[[0, -1]], values[[0, -1]], rtol=1e-6)
    middle = slice(4000, 4200)  # across the border between two blocks
    np.testing.assert_allclose(
        FILTERS[method](values[3000:5200], times[3000:5200], 2.0)[1000:1200], done[middle], rtol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0, 10), st.sampled_from(sorted(FILTERS)))
def test_probabilities_stay_probabilities(seed, n, width, method):
    random = np.random.default_rng(seed)
    p = random.dirichlet([0.2] * 3, n)
    done = Smooth((EXPRESSION, AU), method, width).apply(
        video({"expression": p, "AU1": p[:, 0]}, random_times(random, n))
    )
    np.testing.assert_allclose(done.values["expression"].sum(1), 1, rtol=1e-9)
    for values in done.values.values():
        assert (values >= -1e-12).all()
        assert (values <= 1 + 1e-12).all()


def test_medians_that_are_all_0_leave_the_frame_as_it_was():
    p = np.eye(3)[np.arange(9) % 3]
    done = Smooth((EXPRESSION,), "median", 8.1 / 30).apply(video({"expression": p})).values["expression"]
    np.testing.assert_array_equal(done[4], p[4])
    np.testing.assert_array_equal(done.sum(1), 1)


def test_a_single_outlier_is_gone_by_the_median_and_smeared_by_the_mean():
    values = np.zeros(31)
    values[15] = 1.0
    for method, gone in (("median", True), ("mean", False), ("gaussian", False)):
        done = Smooth((VALENCE,), method, 0.2).apply(video({"valence": values})).values["valence"]
        assert (not done.any()) is gone
        assert gone or 0 < done[15] < 0.3


def test_each_kind_may_have_its_own_width_and_the_others_are_fitted():
    noisy = np.random.default_rng(5).standard_normal(300)
    v = video({"valence": noisy, "AU1": noisy})

    def score(videos: list[VideoAnswers]) -> float:
        return -float(np.mean([np.mean(v.values[name] ** 2) for v in videos for name in ("valence", "AU1")]))

    post = Smooth((VALENCE, AU), width_binary=0.1)
    post.fit([v], score)
    assert post.state() == {"width": {"value": WIDTHS[-1], "binary": 0.1}}
    post = Smooth((VALENCE, AU), width=1.6, width_binary=0.0)
    post.fit([v], score)
    assert post.state() == {"width": {"value": 1.6, "binary": 0.0}}
    np.testing.assert_array_equal(post.apply(v).values["AU1"], noisy)
    np.testing.assert_array_equal(post.apply(v).values["valence"], mean_filter(noisy, v.times, 1.6))


def test_each_answer_may_have_its_own_width():
    """Noise on valence wants a wide window, clean and quick arousal none; one width for both is a compromise."""
    random = np.random.default_rng(0)
    times = np.arange(600) / 25
    slow, quick = np.sin(times / 4), np.sin(times * 6)
    given = {"valence": slow + random.standard_normal(600), "arousal": quick}
    clip = replace(video(given, times), targets={"valence": slow, "arousal": quick})
    answers = (Answer("valence", "value", -5), Answer("arousal", "value", -5))

    def score(videos):
        return -sum(np.mean((v.values[name] - v.targets[name]) ** 2) for v in videos for name in ("valence", "arousal"))

    both, apart = Smooth(answers), Smooth(answers, each=True)
    both.fit([clip], score)
    apart.fit([clip], score)
    assert set(both.widths) == {"value"}
    assert apart.widths["arousal"] == 0.0 < both.widths["value"] < apart.widths["valence"]
    again = Smooth(answers, each=True, **apart.state())
    for name, values in apart.apply(clip).values.items():
        np.testing.assert_array_equal(again.apply(clip).values[name], values)
    fixed = Smooth(answers, each=True, width_value=0.4)
    assert fixed.chosen == []
    assert fixed.widths == {"valence": 0.4, "arousal": 0.4}


def test_a_negative_width_is_named():
    with refused("option-too-small", who=Part("smooth (binary answers)"), name="width", value=-0.1, least=0):
        Smooth((VALENCE, AU), width=0.2, width_binary=-0.1)
