"""Thinned lines: no extreme is lost, whatever the length."""

from __future__ import annotations

import base64
from itertools import pairwise

import numpy as np
import pytest

from harness.reports.thinning import edges, thin, thin_share, thin_times
from harness.reports.timelines import BUDGET, NOTHING, pack_shares, pack_times, pack_values, points_of


@pytest.mark.parametrize("n", [1, 2, 99, 100, 101, 5000])
def test_every_stretch_keeps_its_extremes_in_their_order(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.normal(size=n)
    bounds = edges(n, 100)
    thinned, times = thin(values, bounds), thin_times(np.arange(n, dtype=float), bounds)
    assert len(thinned) == len(times) == (n if n <= 100 else 100)
    assert (thinned.min(), thinned.max()) == (values.min(), values.max())
    assert (np.diff(times) >= 0).all()
    if n > 100:
        for i, (a, b) in enumerate(pairwise(bounds)):
            stretch = values[a:b].tolist()
            ends = sorted([min(stretch), max(stretch)], key=stretch.index)
            assert thinned[2 * i : 2 * i + 2].tolist() == ends


def test_frames_without_a_value_do_not_hide_those_with_one() -> None:
    values = np.full(1000, np.nan)
    values[503] = 0.25
    thinned = thin(values, edges(1000, 50))
    assert thinned[~np.isnan(thinned)].tolist() == [0.25, 0.25]
    assert np.isnan(thin(np.full(1000, np.nan), edges(1000, 50))).all()


def test_presence_is_a_share_of_each_stretch() -> None:
    flags = np.zeros(1000, bool)
    flags[:250] = True
    shares = thin_share(flags, edges(1000, 8))
    assert shares.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert thin_share(flags[:4], edges(4, 8)).tolist() == [1, 1, 1, 1]


def test_numbers_are_packed_as_the_page_reads_them() -> None:
    read = np.frombuffer(base64.b64decode(pack_values(np.array([0.1234, -1, np.nan, 1e9, np.inf]))), "<i2")
    assert read.tolist() == [123, -1000, NOTHING, 32767, 32000]
    assert np.frombuffer(base64.b64decode(pack_times(np.array([0.04, 3600.0]))), "<i4").tolist() == [40, 3_600_000]
    assert list(base64.b64decode(pack_shares(np.array([0.0, 0.5, 1.0])))) == [0, 50, 100]


def test_many_videos_share_the_budget() -> None:
    for videos, lines in ((350, 66), (76, 8), (1, 4)):
        bytes_ = videos * lines * points_of(videos, lines) * 8 / 3
        assert bytes_ <= 1.7 * BUDGET
    assert points_of(1, 4) == 3000
