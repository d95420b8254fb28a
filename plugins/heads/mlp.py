"""A perceptron on each frame separately: the baseline for temporal heads."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from plugins.heads.base import Head
from zoo.layers.validation import at_least


class Mlp(Head):
    """Frame-wise perceptron: (B, T, dim) -> (B, T, hidden). With layers=0 it is the identity.

    Raises UserError if hidden is less than 1, layers is less than 0, or dropout is outside [0, 1).
    """

    def __init__(self, dim: int, hidden: int = 64, layers: int = 1, dropout: float = 0.1) -> None:
        super().__init__(hidden if layers else dim, dropout=dropout, hidden=hidden)
        at_least("head mlp", 0, layers=layers)
        widths = [dim, *[hidden] * layers]
        self.net = nn.Sequential()
        for inputs, outputs in pairwise(widths):
            self.net.extend([nn.Dropout(dropout), nn.Linear(inputs, outputs), nn.GELU()])

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, hidden)."""
        out: Tensor = self.net(x)
        return out
