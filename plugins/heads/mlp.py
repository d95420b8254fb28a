"""A perceptron on each frame by itself: what temporal heads must beat."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from plugins.heads.base import Head
from zoo.layers.validation import at_least


class Mlp(Head):
    """(B, T, dim) -> (B, T, hidden); no frame sees another. With no layers it is the identity.

    UserError for fewer than 1 unit, fewer than 0 layers, or a dropout outside [0, 1)."""

    def __init__(self, dim: int, hidden: int = 64, layers: int = 1, dropout: float = 0.1) -> None:
        super().__init__(hidden if layers else dim, dropout=dropout, hidden=hidden)
        at_least("head mlp", 0, layers=layers)
        widths = [dim, *[hidden] * layers]
        self.net = nn.Sequential()
        for inputs, outputs in pairwise(widths):
            self.net.extend([nn.Dropout(dropout), nn.Linear(inputs, outputs), nn.GELU()])

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, dim), valid (B, T) -> (B, T, hidden)."""
        out: Tensor = self.net(x)
        return out
