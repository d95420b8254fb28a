"""Training clips at a stride, with overlap, and drawn by their labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from harness.batching.clips import ClipData, sums_before, window_sums
from harness.batching.training_windows import (
    LabelBalance,
    count_windows,
    number_repetitions,
    training_counts,
    training_windows,
)
from harness.batching.windows import Window, Windows, runs
from harness.config.schema import Train
from harness.training.steps import batches_of
from plugins.losses.ccc import Ccc
from tests.harness.batching.test_clips import Store, data, video
from zoo.api import Answer, AudioInput, TrackSpec

MOOD = TrackSpec("t", (Answer("mood", "class", -1, classes=("a", "b")),), "f1", (0, 1), ("x",), ("x",), "keyed", "")


@pytest.mark.parametrize("stride", [2, 3, 5])
def test_a_clip_has_every_stride_th_frame(stride: int) -> None:
    clips = data(stride=stride)
    windows = training_windows(clips, 4, np.random.default_rng(0))
    batch = clips.batch(windows, 4)
    for row, window in enumerate(windows):
        frames = list(range(window.start, window.stop, stride))
        assert len(frames) == int(batch.valid[row].sum()) <= 4
        seen = clips.present[window.video]["face"][frames]
        assert batch.present["face"][row, : len(frames)].tolist() == seen.tolist()
        numbers = batch.features["face"][row, : len(frames), 1].tolist()
        assert numbers == [frame if there else 0 for frame, there in zip(frames, seen, strict=True)]
        assert batch.labelled[row].any()


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_every_frame_is_visited_alike_often_over_the_epochs(stride: int) -> None:
    """In an epoch no frame twice; over 600 epochs each of 64 about 600 / stride times."""
    clips = data(lengths=(64,), stride=stride)
    visits: Counter[int] = Counter()
    for epoch in range(600):
        own: Counter[int] = Counter()
        for window in training_windows(clips, 5, np.random.default_rng(epoch)):
            own.update(range(window.start, window.stop, stride))
        assert set(own.values()) == {1}
        visits += own
    useful = np.flatnonzero(clips.trainable(0).any(1))
    expected = 600 / stride
    assert all(abs(visits[int(frame)] - expected) < 6 * expected**0.5 + 1 for frame in useful)


def test_windows_overlap_by_their_share() -> None:
    clips = data(lengths=(400,))
    windows = sorted((w.start, w.stop) for w in training_windows(clips, 16, np.random.default_rng(0), overlap=0.75))
    inner = [start for start, stop in windows if stop - start == 16]
    assert set(np.diff(inner)) == {4}
    visits = Counter(i for start, stop in windows for i in range(start, stop))
    assert {visits[i] for i in np.flatnonzero(clips.trainable(0).any(1)).tolist()} == {4}
    assert count_windows(clips, 16, np.random.default_rng(0), 0.75) == len(windows)


def test_sums_of_windows_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    for step in (1, 2, 3, 7):
        values = rng.random(20)
        start, stop = np.array([[a, b] for a in range(21) for b in range(a, 21)]).T
        found = window_sums(sums_before(values, step), start, stop, step)
        expected = [values[a:b:step].sum() for a, b in zip(start, stop, strict=True)]
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert window_sums(sums_before(np.zeros(0, bool), 3), np.array([0]), np.array([0]), 3).tolist() == [0]


def moods(labels: list[int]) -> ClipData:
    values = np.where(np.array(labels) < 0, np.nan, labels).astype(np.float32)[:, None]
    return ClipData(None, [video("v0", values)], ["face"], Store({"v0": np.ones(len(labels), bool)}), {})  # type: ignore[arg-type]


def test_the_weight_of_a_window_is_the_sum_over_its_frames_of_one_over_count() -> None:
    """By hand: six frames of class a, two of b, two without a label."""
    balance = LabelBalance(clips := moods([0, 0, 0, 0, -1, 0, 1, 1, 0, -1]), MOOD)
    windows = training_windows(clips, 5, np.random.default_rng(1))
    windows.table = np.array([[0, 0, 5], [0, 5, 10], [0, 6, 8]], np.int32)
    np.testing.assert_allclose(balance(windows), [4 / 6, 1 / 6 + 1 / 2 + 1 / 2 + 1 / 6, 1])


def test_a_fragment_at_the_end_of_a_video_is_drawn_for_its_frames_alone() -> None:
    """One class, windows of 16 in 100 frames: all but the first and the last weigh the same, these two less."""
    balance = LabelBalance(moods([0] * 100), MOOD)
    table = np.array([[0, start, min(start + 16, 100)] for start in range(0, 100, 16)], np.int32)
    weights = balance(Windows(table))
    np.testing.assert_allclose(weights / weights[0], [1] * 6 + [4 / 16])


def test_repetitions_are_numbered_in_the_order_of_the_epoch() -> None:
    a, b = [0, 0, 5], [0, 5, 10]
    passes = [Windows(np.array(rows, np.int32)) for rows in ([a, b, a], [a, b])]
    found = number_repetitions(passes)
    assert [[(w.start, w.repetition) for w in windows] for windows in found] == [
        [(0, 0), (5, 0), (0, 1)],
        [(0, 2), (5, 1)],
    ]


def test_copies_of_a_clip_in_a_balanced_epoch_have_different_names() -> None:
    clips, settings = moods([0] * 90 + [1] * 10), Train(clip=10, batch=4, epochs=1)
    weigher = LabelBalance(clips, MOOD)
    drawn = [w for part in batches_of(clips, settings, 0, 0, 3, weigher) for w in part]
    copies = Counter((w.start, w.stop) for w in drawn)
    assert max(copies.values()) > 5
    assert len(set(drawn)) == len(drawn)
    assert all({w.repetition for w in drawn if (w.start, w.stop) == one} == set(range(n)) for one, n in copies.items())
    assert {w.repetition for part in batches_of(clips, settings, 0, 0, 3) for w in part} == {0}
    named = [row for part in batches_of(clips, settings, 0, 0, 3, weigher) for row in clips.batch(part, 10).where]
    assert [repetition for _, _, repetition in named] == [w.repetition for w in drawn]


def test_balanced_clips_show_rare_classes_alike_often() -> None:
    """Blocks of ten frames of one class, nine of a and one of b: drawn clips have half of each."""
    clips = moods([0] * 900 + [1] * 100)
    shares = []
    for epoch in range(40):
        rng = np.random.default_rng(epoch)
        windows = training_windows(clips, 10, rng, weigher=LabelBalance(clips, MOOD))
        assert len(windows) == count_windows(clips, 10, np.random.default_rng(epoch))
        shares += [float(clips.labels[0][w.start : w.stop].mean()) for w in windows]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)


def test_runs_of_a_stride_end_at_gaps() -> None:
    assert runs(np.array([3, 6, 9, 14, 17]), 3) == [(3, 10), (14, 18)]
    assert runs(np.array([3, 6, 9]), 3) == [(3, 10)]


def test_sound_at_a_stride_is_read_without_holes() -> None:
    """The sound between the frames is heard; the times are those of the clip's frames."""

    class Sound:
        spec = AudioInput(rate=100, margin=0.0)

        def present(self, name: str) -> np.ndarray:
            return np.ones(40, bool)

        def clip(self, name: str, start: int, stop: int) -> dict[str, np.ndarray]:
            return {
                "samples": np.arange(start * 10, stop * 10, dtype=np.float32),
                "times": np.arange(stop - start) / 10,
            }

    labels = np.zeros((40, 1), np.float32)
    clips = ClipData(None, [video("v0", labels)], ["audio"], Store({}), {"audio": Sound()}, stride=4)  # type: ignore[arg-type, dict-item]
    inputs = clips.batch([Window(0, 8, 24)], 4).inputs["audio"]
    assert inputs["times"][0].tolist() == pytest.approx([0.0, 0.4, 0.8, 1.2])
    assert inputs["samples"][0].tolist() == list(range(80, 210))


def test_a_value_on_the_edge_of_a_bin_is_counted_and_looked_up_in_the_same_bin() -> None:
    """-0.3 is on an edge; of single precision it is a little below, and that bin has no other value."""
    answer = Answer("valence", "value", -5)
    track = TrackSpec("v", (answer,), "mean_ccc", (-1, 1), (), (), "keyed", "")
    values = np.array([-0.3] * 900 + [0.6] * 100, np.float32)[:, None]
    clips = ClipData(None, [video("v0", values)], ["face"], Store({"v0": np.ones(1000, bool)}), {})  # type: ignore[arg-type]
    (counts,) = training_counts(track, clips)
    assert (counts.bins[7], counts.bins[16], sum(counts.bins)) == (900, 100, 1000)
    windows = Windows(np.array([[0, 0, 1], [0, 999, 1000]], np.int32))
    np.testing.assert_allclose(LabelBalance(clips, track)(windows), [1 / 900, 1 / 100])
    loss = Ccc((answer,), (counts,))
    labels = torch.tensor(values[[0, 999]])[None]
    assert loss.bin_of(labels, labels > -5, loss.sizes).flatten().tolist() == [7, 16]
