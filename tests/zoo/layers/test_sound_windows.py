"""Overlapping windows of sound beside a loop over windows and hops in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.layers.sound_windows import HELD, SoundWindows, standardised

WINDOWS = SoundWindows(rate=100, hop=5, field=8, hops=4)  # 0.4 s, a window every 0.2 s


def levels(windows: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A network whose feature is the sum of a hop's field plus the mean of its window."""
    fields = windows.unfold(1, WINDOWS.field, WINDOWS.hop)
    x = fields.sum(-1, keepdim=True) + windows.mean(1)[:, None, None]
    heard = WINDOWS.inside(valid, x.shape[1])
    lacking = 2 * WINDOWS.hops - x.shape[1]
    return torch.nn.functional.pad(x, (0, 0, 0, lacking)), torch.nn.functional.pad(heard, (0, lacking))


def by_hand(samples: np.ndarray, end: int, time: float) -> float:
    """The feature at a time: hops as weighted means over their windows, then interpolated between two hops."""
    samples = np.concatenate([np.where(np.arange(len(samples)) < end, samples, 0), np.zeros(100)])
    hops: dict[int, float] = {}
    for number in range(end // WINDOWS.hop + 1):
        parts, weights = [], []
        for start in range(0, 100, WINDOWS.hops):
            place = number - start
            first = number * WINDOWS.hop
            if 0 <= place < 2 * WINDOWS.hops - 1 and first + WINDOWS.field <= min(end, (start + 8) * WINDOWS.hop):
                window = samples[start * WINDOWS.hop :][: 2 * WINDOWS.step]
                parts.append(samples[first : first + WINDOWS.field].sum() + window.mean())
                weights.append(min(place + 1, 2 * WINDOWS.hops - 1 - place))
        if parts:
            hops[number] = float(np.average(parts, weights=weights))
    position = (time * WINDOWS.rate - (WINDOWS.field - 1) / 2) / WINDOWS.hop
    inside = min(max(position, min(hops)), max(hops))
    if abs(position - inside) > HELD * WINDOWS.rate / WINDOWS.hop:
        return 0.0
    low = int(np.floor(inside))
    return hops[low] + (inside - low) * (hops.get(low + 1, 0.0) - hops[low])


@pytest.mark.parametrize("end", [150, 93, 41])
def test_a_feature_is_the_weighted_mean_of_its_windows(end: int) -> None:
    samples = torch.randn(1, 150, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    valid = torch.arange(150)[None] < end
    times = torch.tensor([[-0.2, 0.0, 0.11, 0.2, 0.333, 0.9, 1.2, 1.45, 1.8]], dtype=torch.float64)
    got = WINDOWS.read(levels, 1, samples, valid, times)[0, :, 0]
    expected = [by_hand(samples[0].numpy(), end, float(time)) for time in times[0]]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_clip_that_starts_on_the_grid_reads_the_same() -> None:
    samples = torch.randn(1, 400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    valid = torch.ones(1, 400, dtype=torch.bool)
    times = torch.tensor([[1.6, 1.7, 1.85]], dtype=torch.float64)
    whole = WINDOWS.read(levels, 1, samples, valid, times)
    first = int((1.6 - WINDOWS.margin) * 100) // WINDOWS.step * WINDOWS.step
    last = int(np.ceil((1.85 + WINDOWS.margin) * 100))
    part = WINDOWS.read(levels, 1, samples[:, first:last], valid[:, first:last], times - first / 100)
    torch.testing.assert_close(part, whole, atol=1e-9, rtol=0)


def test_only_windows_that_a_frame_reads_are_encoded() -> None:
    counted = []

    def encode(windows: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        counted.append(len(windows))
        return levels(windows, valid)

    samples, valid = torch.randn(1, 400), torch.ones(1, 400, dtype=torch.bool)
    WINDOWS.read(encode, 1, samples, valid, torch.tensor([[1.1]]))
    assert counted == [2]
    silent = WINDOWS.read(encode, 1, samples, torch.zeros_like(valid), torch.tensor([[1.1]]))
    assert counted == [2]
    assert not silent.any()


def test_windows_are_standardised_over_their_valid_samples() -> None:
    valid = torch.arange(50) < torch.tensor([[50], [20]])
    windows = torch.where(valid, 3 * torch.randn(2, 50, dtype=torch.float64) + 1, 0.0)
    got = standardised(windows, valid, 0.0)
    for row, given, mask in zip(got, windows, valid, strict=True):
        torch.testing.assert_close(row[mask], (given[mask] - given[mask].mean()) / given[mask].std(correction=0))
        assert not row[~mask].any()
