"""Audio windows: beyond the frames on both sides, on the grid, and the same samples for the same frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.data.streams.sound_window import sound_window
from zoo.api import AudioInput


def test_the_window_of_two_frames() -> None:
    spec = AudioInput(16_000, margin=0.5, grid=160)
    assert sound_window(np.array([2.0, 2.04]), spec) == (24_000, 40_640)
    assert sound_window(np.array([2.001, 2.04]), spec)[0] == 24_000  # back to the grid, not on to it
    assert sound_window(np.array([0.1, 0.2]), spec) == (0, 11_200)
    assert sound_window(np.array([-3.0, -2.0]), spec) == (0, 0)  # sound begins later


@given(
    first=st.floats(-5, 500),
    length=st.floats(0, 20),
    margin=st.floats(0, 3),
    grid=st.integers(1, 2000),
    rate=st.sampled_from((8_000, 16_000, 44_100)),
)
def test_it_reaches_beyond_its_frames_and_begins_on_the_grid(
    first: float, length: float, margin: float, grid: int, rate: int
) -> None:
    low, high = sound_window(np.array([first, first + length]), AudioInput(rate, margin=margin, grid=grid))
    assert 0 <= low <= high
    assert low % grid == 0
    begins = (first - margin) * rate
    assert low <= max(0, begins) + 1e-6
    assert low == 0 or low > begins - grid - 1e-6
    assert high >= (first + length + margin) * rate - 1e-6
