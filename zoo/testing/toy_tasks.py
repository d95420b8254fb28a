"""Toy tasks that only a block which combines slots and frames can learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.testing.rules import expect

CLIPS, FRAMES = 8, 12
GOOD = 0.1  # proportion of the targets' variance that may remain


def bits(seed: int = 11) -> tuple[Tensor, Tensor]:
    """Draw two streams of bits, each (8, 12) of -1 and 1.

    Two sequences of the first are paired with four of the second in all combinations. No stream alone identifies the
    clip, and a sum of functions of each stream cannot solve the task either.

    Args:
        seed: Seed of the draw.

    Returns:
        The two streams.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randint(0, 2, (n, FRAMES), generator=generator) * 2.0 - 1 for n in (2, 4))
    clip = torch.arange(CLIPS)
    return first[clip % 2], second[clip // 2]


def crossed(a: Tensor, b: Tensor) -> Tensor:
    """Compute a temporal XOR across the streams: the previous bit of one times the present bit of the other.

    Args:
        a: (8, 12).
        b: (8, 12).

    Returns:
        (8, 11).
    """
    return a[:, :-1] * b[:, 1:]


def summed(a: Tensor, b: Tensor) -> Tensor:
    """Compute half the sum of each stream's own temporal XOR. An average of the slots' predictions can express it.

    Args:
        a: (8, 12).
        b: (8, 12).

    Returns:
        (8, 11).
    """
    return (a[:, :-1] * a[:, 1:] + b[:, :-1] * b[:, 1:]) / 2


def embed_bits(stream: Tensor, dim: int) -> Tensor:
    """Turn bits into features: the bit times a fixed direction.

    Args:
        stream: (B, T) bits.
        dim: Number of features.

    Returns:
        (B, T, dim).
    """
    direction = torch.randn(dim, generator=torch.Generator().manual_seed(dim))
    return stream.unsqueeze(-1) * direction


def expect_learned(module: nn.Module, answer: Callable[[], Tensor], target: Tensor, steps: int = 600) -> None:
    """Raise ConformanceError unless training fits the targets: an error under 10 % of their variance.

    The mean squared error is measured in evaluation mode, every 20 steps. The first frame has no target.

    Args:
        module: The network to train.
        answer: Returns its predictions (8, 12).
        target: (8, 11).
        steps: The most steps.

    Raises:
        ConformanceError: The network does not learn the task.
    """
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
