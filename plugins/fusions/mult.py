"""Multimodal transformer (MulT): a stack of cross-modal layers for each ordered pair of slots, then self-attention.

Tsai et al. 2019, arXiv:1906.00295; public code read: yaohungt/Multimodal-Transformer. Choices here, each with its
reason:

- Rotary positions instead of sinusoidal ones, because test clips may be longer than training clips.
- The code's mask of later frames, which is on by default, is the option ``causal`` and off: heads decide that here.
- All frames are predicted, so the last step's perceptron is left out; the project's head follows.
- A slot's pairs are joined by a linear layer each and a sum, a linear map of their concatenation, before the
  self-attention, which is as wide as one pair. The code attends at the width of all pairs.
- Perceptrons are as wide as the zoo's layers have them (``2 hidden``, GELU) instead of ``4 hidden``, ReLU.
- Slots are absent at frames: those keys are masked, and a slot's own absent frames do not enter the result.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.attention import TransformerLayer
from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks, masked_mean


class MulT(FeatureFusion):
    """Crossmodal transformers for each ordered pair of slots.

    Slot m is projected to h_m (B, T, hidden). For each other slot n, z_mn begins as h_m, and each of ``layers``
    pre-norm layers reads the unchanged h_n, with the same norm for queries and keys. Then y_m = sum over n of W_mn z_mn
    passes ``layers`` layers of self-attention and a norm. The predictor's input is the mean of U_m y_m over the slots
    present.

    A pair whose memory is absent throughout the clip keeps its residual path. If no slot is present at a frame, the
    predictor receives zeros. With one slot the pair is that of the slot with itself. The cost grows with the square of
    the number of slots. Raises UserError if heads does not divide hidden into even widths.
    """

    def __init__(
        self,
        dims: dict[str, int],
        build: Build,
        hidden: int = 32,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        causal: bool = False,
    ) -> None:
        at_least("fusion mult", 1, hidden=hidden, layers=layers, heads=heads)
        super().__init__(dims, build, hidden)
        self.causal = causal
        self.projections = nn.ModuleList(nn.Linear(dim, hidden, bias=False) for dim in dims.values())
        count = len(dims)
        self.pairs = nn.ModuleList(
            nn.ModuleList(
                Pair(hidden, layers, heads, dropout) if n != m or count == 1 else nn.Module() for n in range(count)
            )
            for m in range(count)
        )
        self.selves = nn.ModuleList(Stack(hidden, layers, heads, dropout) for _ in dims)
        self.outputs = nn.ModuleList(nn.Linear(hidden, hidden) for _ in dims)

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, hidden)."""
        states = [net(features[slot]) for slot, net in zip(self.slots, self.projections, strict=True)]
        masks = [present[slot] & valid for slot in self.slots]
        out = []
        for m, (pairs, stack, output) in enumerate(zip(self.pairs, self.selves, self.outputs, strict=True)):
            others = [n for n in range(len(states)) if n != m] or [m]
            read = [pairs[n](states[m], states[n], masks[n], self.causal) for n in others]  # type: ignore[index]
            out.append(output(stack(torch.stack(read).sum(0), None, masks[m], self.causal)))
        return masked_mean(torch.stack(out), torch.stack(masks).unsqueeze(-1), 0)


class Stack(nn.Module):
    """Pre-norm layers with one memory for all of them, and a last norm: (B, T, hidden) -> (B, T, hidden)."""

    def __init__(self, hidden: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(hidden, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, memory: Tensor | None, mask: Tensor, causal: bool) -> Tensor:
        """Attend to the memory (B, T, hidden) where the mask (B, T) allows it; None: to x itself."""
        for layer in self.layers:
            read = None if memory is None else layer.before_attention(memory)  # type: ignore[operator]
            x = layer(x, read, mask, causal=causal)
        out: Tensor = self.norm(x)
        return out


class Pair(Stack):
    """The stack of an ordered pair, and its share W_mn of the sum over pairs."""

    def __init__(self, hidden: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__(hidden, layers, heads, dropout)
        self.join = nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: Tensor, memory: Tensor | None, mask: Tensor, causal: bool) -> Tensor:
        """Return W_mn z_mn (B, T, hidden)."""
        out: Tensor = self.join(super().forward(x, memory, mask, causal))
        return out
