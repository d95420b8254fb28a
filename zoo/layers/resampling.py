"""Interpolation of a regular time grid at the times of video frames."""

from __future__ import annotations

import torch
from torch import Tensor


def points_read(position: Tensor, known: Tensor) -> Tensor:
    """Return the known grid points that ``read_at`` reads at some position.

    If the known points are a prefix, as with sound, computing only these points gives the same result as computing all.

    Args:
        position: (B, T) in grid points.
        known: (B, L) bool.

    Returns:
        (B, L) bool.

    Examples:
        >>> import torch
        >>> from zoo.layers.resampling import points_read
        >>> points_read(torch.tensor([[0.5, 3.0]]), torch.ones(1, 5, dtype=torch.bool)).tolist()
        [[True, True, False, True, False]]
    """
    points = torch.arange(known.shape[1], device=known.device)
    last = torch.where(known, points, 0).amax(1, keepdim=True)
    near = (torch.minimum(position, last).clamp_min(0).unsqueeze(-1) - points).abs() < 1
    return known & near.any(1)


def read_at(x: Tensor, known: Tensor, position: Tensor, reach: float = 0.0) -> Tensor:
    """Interpolate values of a grid at arbitrary positions.

    Interpolation is linear between the two neighbours of a position. If one of them is unknown, the other is taken.
    Before the first and after the last known point the nearest known value is held for ``reach`` points; further out
    the result is 0. Values at unknown points never matter.

    Args:
        x: (B, L, D) values at the grid points 0...L-1; L may be 0.
        known: (B, L) bool.
        position: (B, T) in grid points.
        reach: Grid points for which the outermost values are held.

    Returns:
        (B, T, D).

    Examples:
        >>> import torch
        >>> from zoo.layers.resampling import read_at
        >>> x, known = torch.tensor([[[0.0], [10.0], [99.0]]]), torch.tensor([[True, True, False]])
        >>> read_at(x, known, torch.tensor([[0.5, 1.5, 3.0]]), reach=1.0).squeeze(-1).tolist()
        [[5.0, 10.0, 0.0]]
    """
    x = torch.cat([x, x.new_zeros(x.shape[0], 2, x.shape[2])], 1)  # two more points keep the indices in range
    known = torch.cat([known, known.new_zeros(known.shape[0], 2)], 1)
    x = torch.where(known.unsqueeze(-1), x, torch.zeros_like(x))
    points = torch.arange(known.shape[1], device=known.device)
    last = torch.where(known, points, 0).amax(1, keepdim=True)
    first = torch.where(known, points, points[-1]).amin(1, keepdim=True)
    position = position.nan_to_num()
    inside = torch.minimum(torch.maximum(position, first), last)
    low = inside.floor()
    share = inside - low
    index = low.long().clamp(0, known.shape[1] - 2)
    near = (position - inside).abs() <= reach
    left = (1 - share) * known.gather(1, index) * near
    right = share * known.gather(1, index + 1) * near
    total = (left + right).clamp_min(1e-6)
    wide = index.unsqueeze(-1).expand(-1, -1, x.shape[-1])
    weights = (left / total).unsqueeze(-1).to(x.dtype), (right / total).unsqueeze(-1).to(x.dtype)
    return x.gather(1, wide) * weights[0] + x.gather(1, wide + 1) * weights[1]
