"""Reading what was computed on a grid of time at the times of video frames."""

from __future__ import annotations

import torch
from torch import Tensor


def beside(position: Tensor, known: Tensor) -> Tensor:
    """Return the known points that ``read_at`` reads at some position: (B, T), (B, L) bool -> (B, L) bool. Where what
    is known is a prefix, as of sound, what is computed there alone reads as if it were computed everywhere."""
    points = torch.arange(known.shape[1], device=known.device)
    last = torch.where(known, points, 0).amax(1, keepdim=True)
    near = (torch.minimum(position, last).clamp_min(0).unsqueeze(-1) - points).abs() < 1
    return known & near.any(1)


def read_at(x: Tensor, known: Tensor, position: Tensor, reach: float = 0.0) -> Tensor:
    """x (B, L, D) at the points 0...L-1 of a grid, known (B, L) bool, position (B, T) in points -> (B, T, D).

    Linear between the neighbours of a position; where one of them is not known, the other alone. Beyond the first and
    the last point, and beyond the last known one, the nearest known value is held for ``reach`` points; further out
    there are zeros. Values that are not known never matter. L may be 0.
    """
    x = torch.cat([x, x.new_zeros(x.shape[0], 2, x.shape[2])], 1)  # two points more: indices are never out of range
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
