"""Conformer: attention for distant frames and a convolution for near ones, between two half-weighted perceptrons.

Gulati et al. 2020, arXiv:2005.08100. Differences from the paper:

- LayerNorm of each frame replaces the batch norm after the depth-wise convolution, because batch norm over time would
  mix clips and padding.
- The position encodings of the transformer head (rotary, or a learned bias) replace those of Transformer-XL.
- There is a causal variant, and the default kernel is smaller (paper: 31).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import glu, pad, silu

from plugins.heads.base import Head
from plugins.heads.transformer import SelfAttention
from zoo.layers.validation import at_least


class Conformer(Head):
    """Conformer head: (B, T, dim) -> (B, T, hidden).

    With ``causal``, attention and convolutions read only the frame itself and earlier frames. Raises UserError if heads
    does not divide hidden, kernel is less than 2, or a size is less than 1.
    """

    def __init__(
        self,
        dim: int,
        hidden: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        kernel: int = 15,
        positions: str = "rotary",
        causal: bool = False,
    ) -> None:
        super().__init__(hidden, dropout=dropout, hidden=hidden, layers=layers, heads=heads)
        at_least("head conformer", 2, kernel=kernel)
        self.enter = nn.Sequential(nn.Linear(dim, hidden), nn.Dropout(dropout))
        self.blocks = nn.ModuleList(_Block(hidden, heads, dropout, kernel, positions, causal) for _ in range(layers))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, hidden), which is 0 on padding."""
        padding = ~valid.unsqueeze(-1)
        x = self.enter(x.masked_fill(padding, 0))
        for block in self.blocks:
            x = block(x, valid)
        return x.masked_fill(padding, 0)


class _Block(nn.Module):
    """Residual block: half-weighted perceptron, attention, convolution, half-weighted perceptron; then LayerNorm."""

    def __init__(self, dim: int, heads: int, dropout: float, kernel: int, positions: str, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.first, self.last = _perceptron(dim, dropout), _perceptron(dim, dropout)
        self.before_attention = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, positions)
        self.convolution = _Convolution(dim, kernel, causal)
        self.norm = nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, dim)."""
        x = x + self.first(x) / 2
        x = x + self.drop(self.attention(self.before_attention(x), valid, self.causal))
        x = x + self.drop(self.convolution(x, valid))
        out: Tensor = self.norm(x + self.last(x) / 2)
        return out


class _Convolution(nn.Module):
    """LayerNorm, gated linear unit, depth-wise convolution over time, LayerNorm, swish, a linear layer."""

    def __init__(self, dim: int, kernel: int, causal: bool) -> None:
        super().__init__()
        ahead = 0 if causal else (kernel - 1) // 2
        self.sides = (kernel - 1 - ahead, ahead)
        self.before = nn.LayerNorm(dim)
        self.enter = nn.Linear(dim, 2 * dim)
        self.over_time = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.after = nn.LayerNorm(dim)
        self.leave = nn.Linear(dim, dim)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, dim); padding is zeroed, like frames outside the clip."""
        y = glu(self.enter(self.before(x)), -1).masked_fill(~valid.unsqueeze(-1), 0)
        y = self.over_time(pad(y.transpose(1, 2), self.sides)).transpose(1, 2)
        out: Tensor = self.leave(silu(self.after(y)))
        return out


def _perceptron(dim: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, 4 * dim),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(4 * dim, dim),
        nn.Dropout(dropout),
    )
