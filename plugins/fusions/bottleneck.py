"""Multimodal bottleneck transformer: slots exchange information only through a few tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.attention import TransformerLayer
from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks, masked_mean


class Bottleneck(FeatureFusion):
    """MBT (Nagrani et al. 2021, arXiv:2107.00135; code read: google-research/scenic, scenic/projects/mbt/model.py).

    Each slot has its own ``layers`` transformer layers. In each layer the slot's frames and the shared bottleneck
    tokens attend to each other, but not to the frames of other slots. Each slot outputs new tokens, and their mean over
    the slots present in the clip is the next layer's input. So slots are connected from the second layer on, across the
    whole clip. After one LayerNorm shared by all slots, the predictor receives the mean of the states of the slots
    present at the frame, or zeros if no slot is present. With one slot this is a plain transformer with extra tokens.

    Choices that differ from the paper and code, or that they leave open:

    - Tokens are exchanged from the first layer on, because there are few layers. (Theirs start at the ninth of twelve.)
    - Frames have rotary positions and tokens none, instead of learned positions, because test clips may be longer.
    - There is no class token, because each frame has a prediction.
    - States are averaged instead of the modalities' logits, which is the same for a linear output.

    Raises UserError if heads does not divide hidden into even widths.
    """

    def __init__(
        self,
        dims: dict[str, int],
        build: Build,
        hidden: int = 64,
        layers: int = 2,
        heads: int = 4,
        tokens: int = 4,
        dropout: float = 0.1,
    ) -> None:
        at_least("fusion bottleneck", 1, hidden=hidden, layers=layers, heads=heads, tokens=tokens)
        super().__init__(dims, build, hidden)
        self.projections = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims.values())
        self.tokens = nn.Parameter(0.02 * torch.randn(1, tokens, hidden))
        self.stacks = nn.ModuleList(
            nn.ModuleList(TransformerLayer(hidden, heads, dropout, free=tokens) for _ in range(layers)) for _ in dims
        )
        self.norm = nn.LayerNorm(hidden)

    def no_weight_decay(self) -> set[str]:
        """Exclude the learned tokens."""
        return {"tokens"}

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, hidden)."""
        states = [net(features[slot]) for slot, net in zip(self.slots, self.projections, strict=True)]
        seen = torch.stack([present[slot] for slot in self.slots]) & valid  # (S, B, T)
        tokens = self.tokens.expand(len(valid), -1, -1)
        frames, count = valid.shape[1], tokens.shape[1]
        admitted = torch.cat([seen, seen.new_ones(*seen.shape[:2], count)], -1)  # (S, B, T + tokens)
        for layers in zip(*self.stacks, strict=True):
            left = []
            for i, layer in enumerate(layers):
                out = layer(torch.cat([states[i], tokens], 1), None, admitted[i])
                states[i] = out[:, :frames]
                left.append(out[:, frames:])
            tokens = masked_mean(torch.stack(left), seen.any(-1)[..., None, None], 0)
        return masked_mean(self.norm(torch.stack(states)), seen.unsqueeze(-1), 0)
