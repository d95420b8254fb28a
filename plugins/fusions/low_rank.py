"""Low-rank multimodal fusion (LMF): tensor fusion and a linear layer, without forming the tensor.

Liu et al. 2018, arXiv:1806.00064. The linear layer's weights, a tensor over all slots, are a sum of ``rank`` outer
products of one factor per slot, so the outer product of slots becomes an elementwise product. The ranks are summed as
in the paper. Its public code (Justin1904/Low-rank-Multimodal-Fusion) weights the ranks by an additional vector, which
the factors can absorb.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks


class LowRank(FeatureFusion):
    """One predictor on bias + sum over ranks of the elementwise product over slots of factor' [1; x].

    A slot's factor has shape (rank, 1 + D, width). With enough ranks this is fusion ``tensor`` (unprojected) with a
    linear layer to ``width``. An absent slot's vector is [1; 0 ... 0]. With one slot this is a linear layer before the
    predictor. Raises UserError if rank or width is less than 1.
    """

    def __init__(self, dims: dict[str, int], build: Build, rank: int = 4, width: int = 64) -> None:
        at_least("fusion low_rank", 1, rank=rank, width=width)
        super().__init__(dims, build, dim=width)
        # For inputs of variance 1 the fused features initially have variance 1 for any number of slots and ranks. With
        # the initialisation of a linear layer, the product of four slots would almost vanish.
        spread = rank ** (-0.5 / len(dims))
        self.factors = nn.ParameterList(
            nn.Parameter(torch.empty(rank, 1 + dim, width).normal_(std=spread * (1 + dim) ** -0.5))
            for dim in dims.values()
        )
        self.bias = nn.Parameter(torch.zeros(width))

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, width)."""
        product: Tensor | None = None
        for slot, factor in zip(self.slots, self.factors, strict=True):
            x = features[slot].masked_fill(~present[slot].unsqueeze(-1), 0.0)
            # factor' [1; x], with the row of the 1 added separately: (B, T, rank, width)
            part = torch.einsum("btd,rdw->btrw", x, factor[:, 1:]) + factor[:, 0]
            product = part if product is None else product * part
        assert product is not None
        return product.sum(-2) + self.bias
