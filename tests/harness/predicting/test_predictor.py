"""What a predictor of frames as they come keeps of the sound."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

from harness.predicting.predictor import Predictor
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
