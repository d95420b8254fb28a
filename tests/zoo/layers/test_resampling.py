"""Reading a grid of features at frames' times, against NumPy's interpolation and worked cases."""

from __future__ import annotations

import numpy as np
import torch

from zoo.layers.resampling import points_read, read_at


def read(x, known, position, reach=0.0):
    """One clip of one feature."""
    x, known, position = torch.tensor(x), torch.tensor(known), torch.tensor(position)
    return read_at(x.view(1, -1, 1), known.view(1, -1), position.view(1, -1), reach)[0, :, 0].tolist()


def test_between_points_it_is_linear():
    random = np.random.default_rng(0)
    x, position = random.standard_normal(9).astype(np.float32), random.uniform(0, 8, 50).astype(np.float32)
    np.testing.assert_allclose(read(x, [True] * 9, position), np.interp(position, np.arange(9), x), atol=1e-6)


def test_what_is_not_known_never_matters():
    nan = float("nan")
    got = read([1.0, nan, 3.0, nan], [True, False, True, False], [0.0, 0.4, 1.5, 2.0])
    assert got == [1.0, 1.0, 3.0, 3.0]
    assert read([nan, nan], [False, False], [0.0, 1.0, 5.0], reach=9) == [0.0, 0.0, 0.0]


def test_outside_the_nearest_is_held_as_far_as_reach():
    position = [-2.5, -1.5, -0.5, 2.5, 3.5, 4.5, float("nan")]
    assert read([1.0, 2.0, 3.0], [True] * 3, position, reach=1.5) == [0, 1, 1, 3, 3, 0, 1]
    assert read([1.0, 2.0, 3.0], [True] * 3, [-0.5, 2.5]) == [0, 0]
    assert read([1.0, 2.0, 3.0], [True, True, False], [1.5, 2.0, 2.5], reach=1.0) == [2, 2, 0]


def test_an_empty_grid_gives_zeros():
    assert read_at(torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.bool), torch.zeros(2, 4)).shape == (2, 4, 3)


def test_points_beside_positions_are_all_that_is_read():
    """Of a prefix that is known, as of sound: whatever else is left out, the same is read."""
    generator = torch.Generator().manual_seed(0)
    for known_points in range(1, 12):
        x = torch.randn(1, 12, 2, generator=generator)
        known = (torch.arange(12) < known_points).view(1, -1)
        for _ in range(20):
            position = torch.rand(1, 2, generator=generator) * 16 - 2
            wanted = points_read(position, known)
            assert int(wanted.sum()) <= 4
            least = torch.where(wanted.unsqueeze(-1), x, torch.full_like(x, 9.0))
            assert torch.equal(read_at(least, known, position, 3.0), read_at(x, known, position, 3.0))
