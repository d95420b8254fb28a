"""Which frames are trained on and answered, and how windows are averaged."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.batching.clips import ClipData, collate_runs
from harness.batching.training_windows import training_windows
from harness.batching.windows import Window, evaluation_windows, nearest, runs, shift_back, triangular_window
from harness.data.index.index import Video
from harness.features.store import FeatureStore
from tests.support.refusals import refused
from zoo.api import AudioInput, FrameInput


class Store(FeatureStore):
    """Features that tell where they come from: (video number, frame)."""

    def __init__(self, masks: dict[str, np.ndarray]) -> None:
        super().__init__()
        for v, (name, present) in enumerate(masks.items()):
            frames = np.flatnonzero(present)
            rows = np.stack([np.full(len(frames), v), frames], 1).astype(np.float16)
            self._maps["face", name] = rows
            self._masks["face", name] = present, np.concatenate([[0], np.cumsum(present)])


def video(name: str, labels: np.ndarray) -> Video:
    n = len(labels)
    return Video(name, name, "train", n, None, None, np.ones(n, bool), labels.astype(np.float32), np.ones(n, bool))


def data(seed: int = 0, lengths: tuple[int, ...] = (23, 7, 64, 1), **more: bool) -> ClipData:
    rng = np.random.default_rng(seed)
    videos, masks = [], {}
    for v, n in enumerate(lengths):
        labels = rng.normal(size=(n, 2))
        labels[rng.random(n) < 0.3] = np.nan
        videos.append(video(f"v{v}", labels))
        masks[f"v{v}"] = rng.random(n) < 0.8
    return ClipData(None, videos, ["face"], Store(masks), {}, **more)


@pytest.mark.parametrize("length", [1, 5, 16, 100])
@pytest.mark.parametrize("epoch", range(4))
def test_an_epoch_visits_each_labelled_present_frame_once(length: int, epoch: int) -> None:
    clips = data()
    visits: Counter[tuple[int, int]] = Counter()
    for window in training_windows(clips, length, np.random.default_rng(epoch)):
        assert 0 < window.stop - window.start <= length
        mask = clips.trainable(window.video).any(1)
        visits.update((window.video, i) for i in range(window.start, window.stop) if mask[i])
    wanted = {(v, i) for v in range(4) for i in np.flatnonzero(clips.trainable(v).any(1))}
    assert visits == Counter(dict.fromkeys(wanted, 1))


def test_phases_differ_between_epochs_and_repeat_with_the_seed() -> None:
    clips = data()
    first = [training_windows(clips, 16, np.random.default_rng([1, epoch])) for epoch in (0, 1, 0)]
    assert first[0] != first[1]
    assert first[0] == first[2]


def test_windows_begin_at_every_phase_alike_often() -> None:
    """Of 400 epochs each of 8 phases has about 50; a phase that never came would be chance once in 10 to the 22."""
    clips = data(lengths=(64,))
    phases = Counter(
        min(window.stop for window in training_windows(clips, 8, np.random.default_rng([0, epoch]))) % 8
        for epoch in range(400)
    )
    assert sorted(phases) == list(range(8))
    assert max(phases.values()) < 90


def test_the_phases_of_two_videos_are_independent() -> None:
    clips = data(lengths=(64, 64))
    pairs = set()
    for epoch in range(300):
        windows = list(training_windows(clips, 4, np.random.default_rng(epoch)))
        pairs.add(tuple(min(w.stop for w in windows if w.video == v) % 4 for v in (0, 1)))
    assert len(pairs) == 16


def test_windows_come_in_a_random_order() -> None:
    """Neighbours of one video in one batch would make its labels alike: a window's place says nothing of its video."""
    clips = data(lengths=(64,) * 4)
    firsts, rising = Counter[int](), 0
    for epoch in range(100):
        windows = list(training_windows(clips, 8, np.random.default_rng(epoch)))
        firsts[windows[0].video] += 1
        rising += sum((a.video, a.start) < (b.video, b.start) for a, b in pairwise(windows)) / (len(windows) - 1)
    assert min(firsts[v] for v in range(4)) > 8
    assert 0.4 < rising / 100 < 0.6


def test_windows_without_a_label_to_learn_from_are_left_out() -> None:
    labels = np.full((40, 2), np.nan)
    labels[17] = 0.5
    labels[30] = 0.5
    present = np.ones(40, bool)
    present[30] = False  # labelled, and nothing to learn it from
    clips = ClipData(None, [video("v", labels)], ["face"], Store({"v": present}), {})
    for epoch in range(10):
        (window,) = training_windows(clips, 8, np.random.default_rng(epoch))
        assert window.start <= 17 < window.stop


@given(st.integers(1, 400), st.integers(1, 70))
def test_evaluation_windows_cover_every_frame_with_half_overlap(n: int, length: int) -> None:
    windows = evaluation_windows(n, length)
    covered = np.zeros(n, int)
    for start, stop in windows:
        assert stop - start == min(n, length)
        covered[start:stop] += 1
    assert covered.min() >= 1
    assert windows[-1][1] == n
    starts = [start for start, _ in windows]
    assert all(b - a <= max(1, length // 2) for a, b in pairwise(starts))


def test_triangular_weights() -> None:
    np.testing.assert_allclose(triangular_window(4), [0.5, 1, 1, 0.5])
    np.testing.assert_allclose(triangular_window(3), [0.5, 1, 0.5])
    assert triangular_window(1) == [1]


def test_batches_hold_the_right_frames_and_masks() -> None:
    clips = data()
    windows = training_windows(clips, 16, np.random.default_rng(0))[:3]
    batch = clips.batch(windows, 16)
    for row, window in enumerate(windows):
        n = window.stop - window.start
        assert batch.valid[row].tolist() == [True] * n + [False] * (16 - n)
        present = clips.present[window.video]["face"][window.start : window.stop]
        np.testing.assert_array_equal(batch.present["face"][row, :n], present)
        seen = batch.features["face"][row, :n][present].numpy()
        np.testing.assert_array_equal(seen[:, 0], window.video)
        np.testing.assert_array_equal(seen[:, 1], np.flatnonzero(present) + window.start)
        labels = clips.labels[window.video][window.start : window.stop]
        np.testing.assert_array_equal(batch.labelled[row, :n], np.isfinite(labels) & present[:, None])
        assert not batch.labelled[row, n:].any()
        mask = batch.labelled[row, :n].numpy()
        np.testing.assert_array_equal(batch.target[row, :n].numpy()[mask], labels[mask])
    assert np.isfinite(batch.target.numpy()).all()


def test_delayed_labels_are_those_of_the_frame_nearest_to_the_later_time():
    """Against a loop over frames of a video whose rate changes."""
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([1 / 30, 1 / 15], 50))
    times -= times[0]
    labels = rng.normal(size=(50, 2))
    moved = shift_back(labels, times, 0.5)
    grace = 0.5 * np.median(np.diff(times))
    for t in range(50):
        wanted = times[t] + 0.5
        if wanted > times[-1] + grace:
            assert np.isnan(moved[t]).all()
        else:
            np.testing.assert_array_equal(moved[t], labels[np.abs(times - wanted).argmin()])
    assert np.isfinite(moved[:-20]).all()


def test_nearest_frames_before_the_video_are_its_first():
    index, inside = nearest(np.array([0.0, 0.1, 0.2]), np.array([-0.5, -0.01, 0.04, 0.06, 0.5]))
    assert index.tolist() == [0, 0, 0, 1, 2]
    assert inside.tolist() == [False, True, True, True, False]
    assert nearest(np.array([0.0]), np.array([0.0]))[0].tolist() == [0]


def test_closed_gaps_leave_only_frames_to_learn_from_in_their_order():
    clips, kept = data(close_gaps=True), data()
    for v in range(4):
        np.testing.assert_array_equal(clips.order[v], np.flatnonzero(kept.trainable(v).any(1)))
    visits: Counter[tuple[int, int]] = Counter()
    for window in training_windows(clips, 8, np.random.default_rng(0)):
        batch = clips.batch([window], 8)
        frames = clips.order[window.video][window.start : window.stop]
        assert batch.labelled[0, : len(frames)].any(-1).all()
        np.testing.assert_array_equal(batch.features["face"][0, : len(frames), 1], frames)
        assert batch.where == [(f"v{window.video}", int(frames[0]), 0)]
        visits.update((window.video, int(f)) for f in frames)
    assert visits == Counter({(v, int(f)): 1 for v in range(4) for f in clips.order[v]})


def test_runs():
    assert runs(np.array([3, 4, 5, 9, 11, 12])) == [(3, 6), (9, 10), (11, 13)]
    assert runs(np.array([7])) == [(7, 8)]


def test_sound_of_several_runs_keeps_their_margins_and_the_grid():
    spec = AudioInput(rate=100, margin=0.1, grid=8)
    a = {"samples": np.arange(1, 22, dtype=np.float32), "times": np.float32([0.1, 0.11])}
    b = {"samples": np.arange(101, 121, dtype=np.float32), "times": np.float32([0.1])}
    both = collate_runs([a, b], spec)
    assert len(both["samples"]) == 24 + 24
    np.testing.assert_array_equal(both["samples"][24:44], b["samples"])
    np.testing.assert_allclose(both["times"], [0.1, 0.11, 0.34], rtol=1e-6)


def test_neighbouring_frames_and_closed_gaps_do_not_go_together():
    spec = FrameInput(8, (0, 0, 0), (1, 1, 1), context=1)
    with refused("gaps-with-context"):
        collate_runs([{"frames": np.zeros(1)}, {"frames": np.zeros(1)}], spec)


def test_one_window_over_a_gap_is_one_clip():
    clips = data(close_gaps=True)
    n = len(clips.order[2])
    batch = clips.batch([Window(2, 0, n)], n)
    assert batch.valid.all()
    assert batch.labelled.any(-1).all()
