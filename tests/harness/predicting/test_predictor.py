"""What a predictor of frames as they come keeps of the sound."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.predicting.live_checks import check_frame, check_samples, check_time
from harness.predicting.predictor import Predictor
from tests.support.refusals import Part, refused
from zoo.api import AudioInput


@pytest.mark.parametrize("order", [1, -1])
def test_sound_that_any_branch_still_hears_is_kept(order: int) -> None:
    """A branch with a long reach keeps its samples, whatever branch was asked first; every grid is kept."""
    near, far = AudioInput(16_000, margin=0.1, grid=160), AudioInput(16_000, margin=5.0, grid=7_000)
    predictor = Predictor.__new__(Predictor)
    predictor.frames = deque([SimpleNamespace(time=60.0)])  # type: ignore[list-item]
    predictor.samples, predictor.heard_from = np.arange(16_000 * 61, dtype=np.float32), 0.0
    predictor._forget([near, far][::order])
    first = int(predictor.samples[0])
    assert first == round(predictor.heard_from * 16_000)
    assert 0 < first <= (60 - 2 * 5 - 1) * 16_000
    assert first % 160 == 0
    assert first % 7_000 == 0


def test_what_is_no_frame_no_time_and_no_sound() -> None:
    good = np.zeros((4, 6, 3), np.uint8)
    check_frame(good, None)
    check_frame(good, (4, 6, 3))
    for frame in ([[1]], None, np.zeros((0, 0, 3), np.uint8), np.zeros((4, 6), np.uint8), good.astype(np.float32)):
        with refused("predictor-frame"):
            check_frame(frame, None)
    with refused("predictor-frame-size", got="6 x 4", first="8 x 4"):
        check_frame(good, (4, 8, 3))
    check_time(1.0, 1.0)
    check_time(np.float32(2), 1.0)
    for time in (float("nan"), float("inf"), "1", True, None):
        with refused("predictor-time"):
            check_time(time, None)
    with refused("predictor-time-back", got=1.0, last=5.0):
        check_time(1.0, 5.0)
    for samples in (np.zeros(3, np.int16), np.zeros(3, np.float64), np.zeros(0, np.float32)):
        check_samples(samples)
    bad = (
        np.zeros((16, 2), np.float32), np.zeros(3, np.int32), np.zeros(3, np.uint8), [0.1], np.array([0.0, np.nan])
    )  # fmt: skip
    for samples in bad:
        with refused("predictor-sound"):
            check_samples(samples)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "25", True, None])
def test_a_rate_that_is_none(rate: Any) -> None:
    with refused("predictor-rate", got=rate if rate == rate else Part("nan")):
        Predictor(SimpleNamespace(), rate=rate)  # type: ignore[arg-type]


def test_a_stride_takes_every_so_many_frames_up_to_the_newest() -> None:
    """The network learnt from frames that are this far apart; between its clip's frames no others are kept."""
    predictor = Predictor.__new__(Predictor)
    predictor.model = SimpleNamespace(branches=SimpleNamespace(plans=[]), latest=lambda recent: recent.times)
    predictor.step = 3
    for count in range(1, 14):
        newest = deque([SimpleNamespace(time=float(k), present={}) for k in range(count)], maxlen=(4 - 1) * 3 + 1)
        predictor.frames = newest  # type: ignore[assignment]
        wanted = [float(k) for k in range(count - 1, -1, -3)][:4][::-1]
        assert predictor._window().tolist() == wanted  # type: ignore[attr-defined]


def listening(*inputs: AudioInput) -> Predictor:
    predictor = Predictor.__new__(Predictor)
    branches = SimpleNamespace(plans=inputs, spec=lambda plan: plan)
    predictor.model = SimpleNamespace(branches=branches)  # type: ignore[assignment]
    predictor.samples, predictor.heard_from, predictor.heard = np.zeros(0, np.float32), 0.0, False
    return predictor


def test_sound_is_placed_by_its_time() -> None:
    """As in a file: a gap becomes silence, an overlap is cut, and 20 ms are the jitter of a clock."""
    predictor = listening(AudioInput(16_000, margin=0.1, grid=160))
    predictor.hear(np.ones(8_000, np.float32), time=2.0)
    predictor.hear(np.full(8_000, 2.0, np.float32), time=5.0)
    assert predictor.heard_from == 2.0
    wanted = np.concatenate([np.ones(8_000), np.zeros(round(2.5 * 16_000)), np.full(8_000, 2.0)])
    np.testing.assert_array_equal(predictor.samples, wanted)
    predictor.hear(np.full(1_600, 3.0, np.float32), time=5.45)  # 50 ms of it are heard already
    assert (predictor.samples == 3.0).sum() == 800
    predictor.hear(np.full(100, 4.0, np.float32), time=5.56)
    predictor.hear(np.full(100, 4.0, np.float32))
    np.testing.assert_array_equal(predictor.samples[-200:], 4.0)
    assert len(predictor.samples) == round(3.55 * 16_000) + 200
    for time in (1.0, 4_000.0):
        with refused("predictor-sound-time", got=time):
            predictor.hear(np.zeros(10, np.float32), time=time)


def test_a_model_that_does_not_listen_keeps_no_sound() -> None:
    predictor = listening()
    predictor.hear(np.ones(8_000, np.int16))
    assert not len(predictor.samples)
    with refused("predictor-sound"):
        predictor.hear(np.ones((8_000, 2), np.int16))


def test_sound_goes_on_where_it_ended_however_long_the_silence_was() -> None:
    spec = AudioInput(16_000, margin=0.1, grid=160)
    predictor = listening(spec)
    predictor.hear(np.ones(16_000, np.float32))
    predictor.frames = deque([SimpleNamespace(time=30.0)])  # type: ignore[arg-type]
    predictor._forget([spec])
    assert len(predictor.samples) < 16 * 160
    for time in (-5.0, 1e5):
        with refused("predictor-sound-time", got=time, last=1.0):
            predictor.hear(np.zeros(1_600, np.float32), time=time)
    predictor.hear(np.full(1_600, 2.0, np.float32))
    assert predictor.heard_from + len(predictor.samples) / 16_000 == pytest.approx(1.1)
    assert (predictor.samples[-1_600:] == 2.0).all()
