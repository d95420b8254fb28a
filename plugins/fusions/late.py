"""Late fusion: every slot answers for itself, the answers are averaged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.modules import Build, DecisionFusion


class Late(DecisionFusion):
    """Average of the slots' raw answers with weights that add up to 1 over the slots present at the frame.

    ``weights`` learned: a softmax over slots for each raw answer, equal at first, so that action units can come to
    live in the face alone. Where no slot is present: the plain average.
    """

    def __init__(self, dims: dict[str, int], build: Build, weights: str = "learned") -> None:
        super().__init__(dims, build)
        logits = torch.zeros(len(dims), build.width)
        if weights == "learned":
            self.logits: Tensor = nn.Parameter(logits)
        else:
            self.register_buffer("logits", logits, persistent=False)

    def combine(self, raw: Tensor, present: Tensor) -> Tensor:
        """raw (S, B, T, K), present (S, B, T) -> (B, T, K)."""
        counted = (present | ~present.any(0)).unsqueeze(-1)  # (S, B, T, 1)
        logits = self.logits[:, None, None, :].masked_fill(~counted, -torch.inf)
        return (raw * logits.softmax(0).to(raw.dtype)).sum(0)
