"""Transformer encoder over the frames of a clip.

Vaswani et al. 2017, arXiv:1706.03762; in ABAW for example Meng et al. 2022, arXiv:2203.13032. Widths (perceptrons four
times as wide as the model) and dropout (of the projected input and of the outputs of attention and perceptron, not of
attention weights) are the paper's. Layers are pre-norm instead of post-norm, with another norm after the input's
projection, because the model then trains without a warm-up.

Positions are relative, never absolute, so a clip longer than those in training contains no unknown positions:

- ``rotary`` rotates queries and keys (Su et al. 2021, arXiv:2104.09864).
- ``relative`` adds a learned bias for each distance, head and layer to the scores. Distances beyond 32 frames share one
  value. The clipping is that of Shaw et al. 2018, arXiv:1803.02155, and the scalar that of Raffel et al. 2020,
  arXiv:1910.10683, but each layer has its own.

The head is not meant for whole videos at once: time and memory grow with T^2 (20,000 frames: 1.6 GB per head), even
with ``window``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plugins.heads.base import Head
from zoo.layers.attention import Attention
from zoo.layers.validation import at_least

FAR = 32  # frames; larger distances share one bias


class Transformer(Head):
    """Transformer head: (B, T, dim) -> (B, T, hidden).

    A frame attends to all frames of the clip or, with ``window`` > 0, in each layer to at most that many on each side.
    With ``causal`` it attends only to itself and earlier frames. Raises UserError if heads does not divide hidden.
    """

    def __init__(
        self,
        dim: int,
        hidden: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        positions: str = "rotary",
        window: int = 0,
        causal: bool = False,
    ) -> None:
        super().__init__(hidden, dropout=dropout, hidden=hidden, layers=layers, heads=heads)
        at_least("head transformer", 0, window=window)
        self.window, self.causal = window or None, causal
        self.enter = nn.Sequential(nn.Linear(dim, hidden), nn.LayerNorm(hidden), nn.Dropout(dropout))
        self.layers = nn.ModuleList(_Layer(hidden, heads, dropout, positions) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, hidden), which is 0 on padding."""
        padding = ~valid.unsqueeze(-1)
        x = self.enter(x.masked_fill(padding, 0))
        for layer in self.layers:
            x = layer(x, valid, self.causal, self.window)
        out: Tensor = self.norm(x).masked_fill(padding, 0)
        return out


class _Layer(nn.Module):
    """Pre-norm residual layer: attention, then a perceptron on each frame."""

    def __init__(self, dim: int, heads: int, dropout: float, positions: str) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, positions)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor, causal: bool, window: int | None) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, dim)."""
        x = x + self.drop(self.attention(self.before_attention(x), valid, causal, window))
        out: Tensor = x + self.drop(self.perceptron(x))
        return out


class SelfAttention(nn.Module):
    """Self-attention over the frames of a clip: (B, T, dim) -> (B, T, dim). ``positions``: rotary or relative."""

    def __init__(self, dim: int, heads: int, positions: str) -> None:
        super().__init__()
        self.attend = Attention(dim, heads, rotary=positions == "rotary")
        self.bias = DistanceBias(heads) if positions == "relative" else None

    def forward(self, x: Tensor, valid: Tensor, causal: bool, window: int | None = None) -> Tensor:
        """Map x (B, T, dim) and valid (B, T) to (B, T, dim)."""
        bias = None if self.bias is None else self.bias(x.shape[1])
        out: Tensor = self.attend(x, None, valid, causal=causal, window=window, bias=bias)
        return out


class DistanceBias(nn.Module):
    """A learned bias for each head and each distance of two frames from -32 to 32; larger distances are clipped.

    The initialisation is N(0, 2^2), so that heads prefer different distances from the first step. Starting at 0, the
    temporal XOR of zoo.testing was not learned.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(2 * torch.randn(heads, 2 * FAR + 1))

    def no_weight_decay(self) -> set[str]:
        """Exclude the attention biases."""
        return {"table"}

    def forward(self, frames: int) -> Tensor:
        """Return the biases (heads, T, T) for T = ``frames``, indexed by query, then key."""
        place = torch.arange(frames, device=self.table.device)
        ahead = (place - place.unsqueeze(1)).clamp(-FAR, FAR)
        return self.table[:, ahead + FAR]
