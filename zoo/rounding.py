"""Weights of convolutions in bfloat16, rounded so that the sum of each filter stays.

bfloat16 keeps eight binary digits. Rounded to the nearest one by one, a filter's weights add up to something else, and
since what it is given is mostly positive (behind a ReLU), all it gives is shifted, on every frame alike. Here what one
weight loses the next one takes over. It costs nothing when features are computed; how near they come to float32 is
measured by harness.traits. (Features of the default encoder, 256 demo frames, median distance from float32 as a share
of their length: faces 5.4 % rounded to the nearest, 3.7 % so; scenes 6.3 % and 3.6 %.)
"""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, from_numpy, nn

from zoo.folding import plain_convolution

N = TypeVar("N", bound=nn.Module)


def rounded(network: N) -> N:
    """The network with convolutions whose weights are bfloat16 numbers, stored as they were; autocast leaves them as
    they are. All else is shared with the network, which is returned itself where it has no convolution."""
    convolutions = [name for name, part in network.named_modules() if plain_convolution(part)]
    if not convolutions:
        return network
    every = [*network.parameters(), *network.buffers()]
    changed = copy.deepcopy(network, {id(tensor): tensor for tensor in every})
    for name in convolutions:
        part = changed.get_submodule(name)
        weight: Tensor = part.weight  # type: ignore[assignment]
        values = from_numpy(sums_kept(weight.detach().cpu().flatten(1).double().numpy()))
        kept = torch.empty_like(weight).copy_(values.view(weight.shape))  # in the layout and where the weight lies
        part.weight = nn.Parameter(kept, requires_grad=False)
    return changed


def sums_kept(rows: np.ndarray) -> np.ndarray:
    """Rows of numbers (R, n) float64 -> float32 of bfloat16 values; a row's sum is off by one rounding at most."""
    out = np.empty(rows.T.shape, np.float32)
    owed = np.zeros(len(rows))
    for column, given in zip(np.ascontiguousarray(rows.T), out, strict=True):
        owed += column
        given[:] = _nearest(owed.astype(np.float32))
        owed -= given
    return np.ascontiguousarray(out.T)


def _nearest(x: np.ndarray) -> np.ndarray:
    """float32 -> the nearest bfloat16 value, of two as near the even one."""
    bits = x.view(np.uint32)
    kept: np.ndarray = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    return kept.view(np.float32)
