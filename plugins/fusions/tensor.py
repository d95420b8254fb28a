"""Tensor fusion (TFN): the outer product of all slots. Zadeh et al. 2017, arXiv:1707.07250.

Public code read: Justin1904/TensorFusionNetworks. In that code each slot first passes through a small perceptron, and
the product is computed for whole clips. Here each slot is projected by one linear layer, and the product is computed
for each frame, followed by the temporal model (build.predictor).
"""

from __future__ import annotations

import math
from typing import NoReturn

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks

PRODUCT = 16_384  # largest size of the product, unless ``dim`` is set
WEIGHTS = 50_000_000  # largest number of weights in the layers on the product


class TensorFusion(FeatureFusion):
    """One predictor on the outer product of [1; z] over all slots, with z a slot's features projected to ``dim``.

    If ``dim`` is None, it is the largest one whose product, (dim + 1) ** slots, is at most 16,384, but at most the
    slot's own width, because a wider linear map adds no information. An absent slot's vector is [1; 0 ... 0], so that
    the product is that of the other slots. With one slot this is a linear layer before the predictor. The axes of the
    product are sorted by the slots' names, so the order of slots does not matter.

    Raises UserError, before the weights are allocated, if the predictor on the product has more than 50 million.
    """

    def __init__(self, dims: dict[str, int], build: Build, dim: int | None = None) -> None:
        widths = project(dims, dim)
        size = math.prod(width + 1 for width in widths.values())
        refuse_large(build, size, widths)
        super().__init__(dims, build, dim=size)
        self.projections = nn.ModuleList(nn.Linear(dims[slot], widths[slot]) for slot in dims)

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse features (B, T, D_slot) by slot into (B, T, product over slots of dim + 1)."""
        vectors = {
            slot: with_one(net(features[slot]), present[slot])
            for slot, net in zip(self.slots, self.projections, strict=True)
        }
        first, *others = sorted(self.slots)
        product = vectors[first]
        for slot in others:
            product = (product.unsqueeze(-1) * vectors[slot].unsqueeze(-2)).flatten(-2)
        return product


def with_one(z: Tensor, present: Tensor) -> Tensor:
    """Return [1; z], or [1; 0 ... 0] if the slot is absent, (B, T, d + 1), for z (B, T, d) and present (B, T)."""
    z = z.masked_fill(~present.unsqueeze(-1), 0.0)
    return torch.cat([torch.ones_like(z[..., :1]), z], dim=-1)


def project(dims: dict[str, int], dim: int | None) -> dict[str, int]:
    """Return the width to which each slot is projected. Raise UserError if ``dim`` is less than 1."""
    if dim is not None:
        at_least("fusion tensor", 1, dim=dim)
        return dict.fromkeys(dims, dim)
    largest = 1
    while (largest + 2) ** len(dims) <= PRODUCT:
        largest += 1
    return {slot: min(largest, width) for slot, width in dims.items()}


def refuse_large(build: Build, size: int, widths: dict[str, int]) -> None:
    """Raise UserError if the predictor on a product of ``size`` numbers has too many weights.

    They are counted without allocating them. The last layer alone has ``size`` weights if the head adds none.
    """
    if size > WEIGHTS:
        _refuse(size, size, widths)
    try:
        with torch.device("meta"):
            weights = sum(p.numel() for p in build.predictor(size).parameters())
    except (NotImplementedError, RuntimeError):  # a head that has no meta form cannot be counted in advance
        return
    if weights > WEIGHTS:
        _refuse(size, weights, widths)


def _refuse(size: int, weights: int, widths: dict[str, int]) -> NoReturn:
    each = " x ".join(str(width + 1) for width in widths.values())
    raise UserError(
        f"fusion tensor: the product of the slots has {each} = {size:,} numbers, and the layers on it at least "
        f"{weights:,} weights; that is more than {WEIGHTS:,}: take fusion low_rank, or a smaller fusion.dim or head"
    )
