"""Multimodal bottleneck transformer: slots talk to each other through a few tokens only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.attention import TransformerLayer
from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks, masked_mean


class Bottleneck(FeatureFusion):
    """MBT (Nagrani et al. 2021, arXiv:2107.00135; read: google-research/scenic, scenic/projects/mbt/model.py).

    Each slot has ``layers`` transformer layers of its own. In every layer its frames and the shared bottleneck tokens
    attend to each other (not to other slots' frames), each slot leaves tokens of its own, and their mean over the
    slots present in the clip goes to the next layer; so slots hear each other from the second layer on, across the
    whole clip. After one LayerNorm for all slots, the mean of the states of the slots present at the frame is what the
    answer is predicted from. No slot present at a frame: zeros. One slot: a plain transformer with extra tokens.

    Paper and code leave open, or differ from here: tokens are exchanged from the first layer on (theirs start at the
    ninth of twelve), as layers are few; rotary positions for frames and none for tokens instead of learned ones,
    because test clips may be longer; no class token, as every frame is answered; states are averaged instead of the
    modalities' logits, the same for a linear output.

    Raises UserError where heads do not divide hidden into even widths.
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
        """Learned vectors."""
        return {"tokens"}

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """slot -> (B, T, D_slot) to (B, T, hidden)."""
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
