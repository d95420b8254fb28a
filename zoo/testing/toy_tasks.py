"""A task that only a block which joins slots and frames can learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.testing.rules import expect

CLIPS, FRAMES = 8, 12
GOOD = 0.1  # share of the targets' variance that may remain


def bits(seed: int = 11) -> tuple[Tensor, Tensor]:
    """Two streams of bits, each (8, 12) of -1 and 1: two sequences of the one with four of the other in all pairs, so
    that no stream tells which clip it is, and the sum of what each tells is not enough either."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randint(0, 2, (n, FRAMES), generator=generator) * 2.0 - 1 for n in (2, 4))
    clip = torch.arange(CLIPS)
    return first[clip % 2], second[clip // 2]


def crossed(a: Tensor, b: Tensor) -> Tensor:
    """Temporal XOR across the streams: the previous bit of one times the present bit of the other, (8, 11)."""
    return a[:, :-1] * b[:, 1:]


def summed(a: Tensor, b: Tensor) -> Tensor:
    """Half the sum of each stream's own temporal XOR, (8, 11): what averaging the slots' answers can express."""
    return (a[:, :-1] * a[:, 1:] + b[:, :-1] * b[:, 1:]) / 2


def spread(stream: Tensor, dim: int) -> Tensor:
    """(B, T) bits -> (B, T, dim) features: the bit times a fixed direction."""
    direction = torch.randn(dim, generator=torch.Generator().manual_seed(dim))
    return stream.unsqueeze(-1) * direction


def expect_learned(module: nn.Module, answer: Callable[[], Tensor], target: Tensor, steps: int = 600) -> None:
    """Training brings the mean squared error of ``answer()`` (8, 12) under 10 % of the targets' variance. The first
    frame has no target. Measured in evaluation mode, every 20 steps."""
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    left = float("inf")
    for step in range(steps + 1):
        if step % 20 == 0:
            module.eval()
            with torch.no_grad():
                left = float((answer()[:, 1:] - target).square().mean() / target.var(unbiased=False))
            if left <= GOOD:
                return
        module.train()
        loss = (answer()[:, 1:] - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
    expect(
        False, f"it does not learn 8 clips of a temporal XOR: {left:.0%} of the variance is left after {steps} steps"
    )
