"""Cross-attention: each slot attends to the frames of all other slots."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.attention import Attention
from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks, masked_mean


class CrossAttention(FeatureFusion):
    """Cross-modal attention between slots.

    Each slot s is projected to h_s (B, T, hidden) and attends to all frames of all other slots at once:
    y_s = LayerNorm(h_s + attention(h_s, other slots)). The predictor's input is the mean of U_s y_s over the slots
    present at the frame. This is a linear map of the concatenated y_s that takes the masks into account.

    Keys at absent frames and padding are masked. If all other slots are absent throughout the clip, a slot keeps its
    own state, LayerNorm(h_s). If no slot is present at a frame, the predictor receives zeros. With one slot this is
    self-attention.

    Tsai et al. 2019, arXiv:1906.00295, have a stack of layers for each ordered pair of modalities and sinusoidal
    positions. Choices here: one layer; one attention per slot over all other slots together, so that the cost is linear
    in the number of slots; no perceptron after it, because the predictor follows; rotary positions, because test clips
    may be longer than training clips.

    Raises UserError if heads does not divide hidden into even widths.
    """

    def __init__(
        self, dims: dict[str, int], build: Build, hidden: int = 64, heads: int = 4, dropout: float = 0.1
    ) -> None:
        at_least("fusion cross_attention", 1, hidden=hidden, heads=heads)
        super().__init__(dims, build, hidden)
        self.projections = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims.values())
        self.attentions = nn.ModuleList(Attention(hidden, heads, dropout) for _ in dims)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in dims)
        self.outputs = nn.ModuleList(nn.Linear(hidden, hidden) for _ in dims)
        self.dropout = nn.Dropout(dropout)

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, hidden)."""
        states = [net(features[slot]) for slot, net in zip(self.slots, self.projections, strict=True)]
        masks = [present[slot] & valid for slot in self.slots]
        frames = torch.arange(valid.shape[1], device=valid.device)
        out = []
        for i, (attention, norm, output) in enumerate(zip(self.attentions, self.norms, self.outputs, strict=True)):
            others = [j for j in range(len(states)) if j != i] or [i]
            memory = torch.cat([states[j] for j in others], 1)  # (B, others * T, hidden)
            mask = torch.cat([masks[j] for j in others], 1)
            read = attention(states[i], memory, mask, positions=(frames, frames.repeat(len(others))))
            out.append(output(norm(states[i] + self.dropout(read))))
        return masked_mean(torch.stack(out), torch.stack(masks).unsqueeze(-1), 0)
