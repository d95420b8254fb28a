"""Gated fusion: a sum of the slots at each frame, weighted by learned gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.validation import at_least, fraction
from zoo.modules import Build, FeatureFusion, Features, Masks


class Gated(FeatureFusion):
    """Gated multimodal unit (Arevalo et al. 2017, arXiv:1702.01992).

    The output (B, T, hidden) is the sum over slots of z_s * tanh(W_s x_s). The gates z_s, one for each of the
    ``hidden`` features, are computed from the features of all slots.

    ``gate``: with sigmoid the gates are independent, the paper's form for more than two modalities. With softmax they
    add up to 1 over the slots present, which for two slots is the paper's z and 1 - z.

    The paper has no absent modalities and no biases. Here an absent slot's gate is 0, linear maps have biases, and
    dropout is applied to the sum. The learned vector in the absent slot's place still tells the other gates that it is
    absent. If no slot is present, the output is 0. With one slot the output is sigmoid(V x) * tanh(W x), or tanh(W x)
    with softmax.
    """

    def __init__(
        self, dims: dict[str, int], build: Build, hidden: int = 64, gate: str = "sigmoid", dropout: float = 0.1
    ) -> None:
        at_least("fusion gated", 1, hidden=hidden)
        fraction("fusion gated", dropout=dropout)
        super().__init__(dims, build, hidden)
        self.softmax = gate == "softmax"
        self.projections = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims.values())
        self.gates = nn.ModuleList(nn.Linear(sum(dims.values()), hidden) for _ in dims)
        self.dropout = nn.Dropout(dropout)

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, hidden)."""
        parts = [features[slot] for slot in self.slots]
        states = torch.stack([net(x).tanh() for net, x in zip(self.projections, parts, strict=True)])
        joined = torch.cat(parts, -1)
        logits = torch.stack([net(joined) for net in self.gates])  # (S, B, T, hidden)
        seen = torch.stack([present[slot] for slot in self.slots]).unsqueeze(-1)  # (S, B, T, 1)
        if self.softmax:
            gates = logits.masked_fill(~(seen | ~seen.any(0)), -torch.inf).softmax(0)
        else:
            gates = logits.sigmoid()
        out: Tensor = self.dropout((torch.where(seen, gates.to(states.dtype), 0.0) * states).sum(0))
        return out
