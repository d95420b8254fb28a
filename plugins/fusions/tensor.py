"""Tensor fusion (TFN): the outer product of all slots. Zadeh et al. 2017, arXiv:1707.07250.

Public code read: Justin1904/TensorFusionNetworks. There each slot passes a small perceptron first and the product is
of whole clips; here each slot is projected by one linear layer and the product is of each frame, with the temporal
model (build.predictor) behind it.
"""

from __future__ import annotations

import math
from typing import NoReturn

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.modules import Build, FeatureFusion, Features, Masks

PRODUCT = 16_384  # numbers of the product, unless ``dim`` is set
WEIGHTS = 50_000_000  # that the layers on the product may have


class TensorFusion(FeatureFusion):
    """One predictor on the outer product of [1; z] over all slots, z a slot projected to ``dim``.

    Without ``dim``: the largest one whose product, (dim + 1) ** slots, is at most 16,384 - but no wider than the slot
    itself, because the product of a wider linear map tells the predictor nothing more. An absent slot's vector is
    [1; 0 ... 0]: the product is then that of the other slots. With one slot: a linear layer before the predictor.
    The axes of the product follow the slots' names in alphabetical order, so the order of slots changes nothing.

    Raises UserError where the predictor on the product has more than 50 million weights, before they are made.
    """

    def __init__(self, dims: dict[str, int], build: Build, dim: int | None = None) -> None:
        widths = project(dims, dim)
        size = math.prod(width + 1 for width in widths.values())
        refuse_large(build, size, widths)
        super().__init__(dims, build, dim=size)
        self.projections = nn.ModuleList(nn.Linear(dims[slot], widths[slot]) for slot in dims)

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """slot -> (B, T, D_slot) to (B, T, product over slots of dim + 1)."""
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
    """z (B, T, d), present (B, T) -> [1; z], or [1; 0 ... 0] where the slot is absent, (B, T, d + 1)."""
    z = z.masked_fill(~present.unsqueeze(-1), 0.0)
    return torch.cat([torch.ones_like(z[..., :1]), z], dim=-1)


def project(dims: dict[str, int], dim: int | None) -> dict[str, int]:
    """The width each slot is projected to. UserError where ``dim`` is less than 1."""
    if dim is not None:
        at_least("fusion tensor", 1, dim=dim)
        return dict.fromkeys(dims, dim)
    largest = 1
    while (largest + 2) ** len(dims) <= PRODUCT:
        largest += 1
    return {slot: min(largest, width) for slot, width in dims.items()}


def refuse_large(build: Build, size: int, widths: dict[str, int]) -> None:
    """UserError where the predictor on a product of ``size`` numbers has too many weights, counted without making
    them. The last layer alone has ``size`` of them where the head adds none."""
    if size > WEIGHTS:
        _refuse(size, size, widths)
    try:
        with torch.device("meta"):
            weights = sum(p.numel() for p in build.predictor(size).parameters())
    except (NotImplementedError, RuntimeError):  # a head that has no meta form: it cannot be counted beforehand
        return
    if weights > WEIGHTS:
        _refuse(size, weights, widths)


def _refuse(size: int, weights: int, widths: dict[str, int]) -> NoReturn:
    each = " x ".join(str(width + 1) for width in widths.values())
    raise UserError(
        f"fusion tensor: the product of the slots has {each} = {size:,} numbers, and the layers on it at least "
        f"{weights:,} weights; that is more than {WEIGHTS:,}: take fusion low_rank, or a smaller fusion.dim or head"
    )
