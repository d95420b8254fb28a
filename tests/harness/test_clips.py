"""Which frames are trained on and answered, and how windows are averaged."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.affwild2 import Video
from harness.data.clips import ClipData, evaluation_windows, training_windows, triangle
from harness.features import FeatureStore


class Store(FeatureStore):
    """Features that tell where they come from: (video number, frame)."""

    def __init__(self, masks: dict[str, np.ndarray]) -> None:
        super().__init__()
        for v, (name, present) in enumerate(masks.items()):
            frames = np.flatnonzero(present)
            rows = np.stack([np.full(len(frames), v), frames], 1).astype(np.float16)
            self._open["face", name] = (rows, present, np.concatenate([[0], np.cumsum(present)]))


def video(name: str, labels: np.ndarray) -> Video:
    n = len(labels)
    return Video(name, name, "train", n, None, None, np.ones(n, bool), labels.astype(np.float32), np.ones(n, bool))


def data(seed: int = 0, lengths: tuple[int, ...] = (23, 7, 64, 1)) -> ClipData:
    rng = np.random.default_rng(seed)
    videos, masks = [], {}
    for v, n in enumerate(lengths):
        labels = rng.normal(size=(n, 2))
        labels[rng.random(n) < 0.3] = np.nan
        videos.append(video(f"v{v}", labels))
        masks[f"v{v}"] = rng.random(n) < 0.8
    return ClipData(None, videos, ["face"], Store(masks), {})


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
    np.testing.assert_allclose(triangle(4), [0.5, 1, 1, 0.5])
    np.testing.assert_allclose(triangle(3), [0.5, 1, 0.5])
    assert triangle(1) == [1]


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
