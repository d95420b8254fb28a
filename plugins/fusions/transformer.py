"""Static-query cross-modal transformer: each frame of the leading slot is a query to all slots around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.attention import TransformerLayer
from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks, masked_mean
from zoo.registry.suggestions import did_you_mean


class StaticQuery(FeatureFusion):
    """Cross-modal transformer with a static query (Zhang et al. 2022, arXiv:2203.12367).

    The query is a static visual feature of the current frame; keys and values are dynamic multimodal features of the
    frames around it.

    - Query: the leading slot's features of the frame, projected to ``hidden``. No other frame of the clip enters it. If
      the leading slot is absent, the learned vector in its place is projected.
    - Memory: at each frame the mean, over the slots present, of each slot's projection. Frames without any slot are
      masked.
    - ``layers`` layers follow, in which the query attends to the memory (rotary positions), each with a perceptron;
      then a final LayerNorm. ``window``: frames on each side that are attended to, 0 for the whole clip.

    With one slot, each frame attends to the slot's own frames.

    Only the paper's abstract and introduction were read, and no public code was found. In the paper the static feature
    has its own encoder, and cross-attention joins both. Choices here: the same features for both uses, with separate
    projections; slots joined by a mean of projections, which is a linear map of their concatenation that respects the
    masks; pre-norm layers without self-attention of the query; the project's head after them.

    Raises UserError if ``lead`` is unknown or heads does not divide hidden into even widths.
    """

    def __init__(
        self,
        dims: dict[str, int],
        build: Build,
        lead: str = "",
        hidden: int = 64,
        layers: int = 1,
        heads: int = 4,
        window: int = 0,
        dropout: float = 0.1,
    ) -> None:
        at_least("fusion transformer", 1, hidden=hidden, layers=layers, heads=heads)
        at_least("fusion transformer", 0, window=window)
        if lead and lead not in dims:
            near = did_you_mean(lead, dims)
            raise UserError(f"fusion transformer: no slot is named {lead!r} (lead): {near}slots: {', '.join(dims)}")
        super().__init__(dims, build, hidden)
        self.lead = lead or self.slots[0]
        self.window = window or None
        self.query = nn.Linear(dims[self.lead], hidden)
        self.projections = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims.values())
        self.norm_memory = nn.LayerNorm(hidden)
        self.layers = nn.ModuleList(TransformerLayer(hidden, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, hidden)."""
        parts = [net(features[slot]) for slot, net in zip(self.slots, self.projections, strict=True)]
        seen = torch.stack([present[slot] for slot in self.slots]) & valid  # (S, B, T)
        memory = self.norm_memory(masked_mean(torch.stack(parts), seen.unsqueeze(-1), 0))
        x = self.query(features[self.lead])
        for layer in self.layers:
            x = layer(x, memory, seen.any(0), window=self.window)
        out: Tensor = self.norm(x)
        return out
