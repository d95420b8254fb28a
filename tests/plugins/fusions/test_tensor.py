"""Tensor fusion against a loop of outer products, low-rank fusion against tensor fusion, and what is refused."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
import torch
from torch import nn

from plugins.fusions.low_rank import LowRank
from plugins.fusions.tensor import TensorFusion, project
from plugins.heads.recurrent import Gru
from tests.support.refusals import refused
from zoo.modules import Build

DIMS = {"face": 3, "face.b": 4, "audio": 2}
SLOTS = [("audio",), ("face", "audio"), ("face", "face.b", "audio")]
LENGTHS = torch.tensor([5, 3])


def build(width: int = 2) -> Build:
    return Build(lambda dim: Gru(dim, hidden=3, dropout=0.0), width)


class Same(nn.Module):
    """A head without weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim


def clips(dims):
    generator = torch.Generator().manual_seed(1)
    features = {slot: torch.randn(2, 5, dim, generator=generator).double() for slot, dim in dims.items()}
    present = {slot: torch.rand(2, 5, generator=generator) > 0.4 for slot in dims}
    for mask in present.values():
        mask[0, 0], mask[1, 1] = True, False  # all slots at one frame, none at another
    return features, present, torch.arange(5) < LENGTHS.unsqueeze(1)


def tensor(dims, **options) -> TensorFusion:
    torch.manual_seed(0)
    return TensorFusion(dims, build(), **options).double().eval()


@pytest.mark.parametrize("dim", [None, 3])
@pytest.mark.parametrize("slots", SLOTS, ids=len)
@torch.no_grad()
def test_tensor_against_a_loop_of_outer_products(slots, dim):
    dims = {slot: DIMS[slot] for slot in slots}
    net = tensor(dims, dim=dim)
    features, present, valid = clips(dims)
    product = net.fuse(features, present, valid).numpy()
    projections = dict(zip(slots, net.projections, strict=True))
    for b in range(2):
        for t in range(5):
            vectors = []
            for slot in sorted(slots):
                weight, bias = (p.numpy() for p in projections[slot].parameters())
                z = weight @ features[slot][b, t].numpy() + bias
                vectors.append(np.concatenate([[1.0], z if present[slot][b, t] else np.zeros_like(z)]))
            expected = reduce(np.outer, vectors).ravel()
            np.testing.assert_allclose(product[b, t], expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_tensor_with_one_slot_is_a_linear_layer_before_the_predictor():
    net = tensor({"audio": 2})
    (features, _, valid), present = clips({"audio": 2}), {"audio": torch.ones(2, 5, dtype=torch.bool)}
    z = net.projections[0](features["audio"])
    expected = net.predictor(torch.cat([torch.ones(2, 5, 1), z], -1), valid)
    torch.testing.assert_close(net(features, present, valid).raw, expected)


@pytest.mark.parametrize(("slots", "dim"), [(1, 16_383), (2, 127), (3, 24), (4, 10), (7, 3), (14, 1)])
def test_the_widest_projection_whose_product_is_small_enough(slots, dim):
    widths = project({str(i): 20_000 for i in range(slots)}, None)
    assert set(widths.values()) == {dim}
    assert (dim + 1) ** slots <= 16_384 < (dim + 2) ** slots
    assert project({str(i): 2 + i for i in range(slots)}, None) == {str(i): min(dim, 2 + i) for i in range(slots)}
    assert set(project({str(i): 5 for i in range(slots)}, 9).values()) == {9}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(("dim", "head"), [(200, "gru"), (400, "gru"), (400, "same"), (10**6, "gru")], ids=str)
def test_a_product_that_is_too_large_is_refused_before_it_is_made(device, dim, head):
    """By the weights of the head on it, by those of the last layer alone, and where meta itself cannot count."""

    def make(inputs):
        assert torch.get_default_device().type == "meta", "made for real"
        return Gru(inputs, hidden=64) if head == "gru" else Same(inputs)

    with torch.device(device), refused("plugin-error", match="50,000,000: .*low_rank"):
        TensorFusion(dict.fromkeys(("face", "body", "audio"), 32), Build(make, 2), dim=dim)


def test_what_is_just_small_enough_is_taken():
    """Two slots, a head without weights, K = 2: 2 x 4,998 ** 2 weights are under 50 million, 2 x 5,001 ** 2 are not."""
    dims = {"face": 2, "audio": 2}
    with torch.device("meta"):
        TensorFusion(dims, Build(Same, 2), dim=4_997)
        with refused("plugin-error", match="5001 x 5001 = 25,010,001"):
            TensorFusion(dims, Build(Same, 2), dim=5_000)


# --- low rank ---------------------------------------------------------------------------------------------------------


def full_rank(weight: torch.Tensor) -> list[torch.Tensor]:
    """A linear layer's weights over a product, (width, n1, n2, ...), as one factor a slot of (rank, n, width), exactly:
    a rank for each entry of all axes but the last, whose factor holds the weights, the others' the entry's place."""
    width, *sizes = weight.shape
    places = list(np.ndindex(*sizes[:-1]))
    factors = [torch.zeros(len(places), n, width, dtype=weight.dtype) for n in sizes]
    for rank, place in enumerate(places):
        for axis, index in enumerate(place):
            factors[axis][rank, index] = 1.0
        factors[-1][rank] = weight[(slice(None), *place)].T
    return factors


@pytest.mark.parametrize("slots", SLOTS, ids=len)
@torch.no_grad()
def test_low_rank_at_full_rank_is_tensor_fusion_and_a_linear_layer(slots):
    dims = {slot: DIMS[slot] for slot in slots}
    order = sorted(slots)  # of the product's axes
    one = tensor(dims)
    for net in one.projections:
        nn.init.eye_(net.weight)
        nn.init.zeros_(net.bias)
    linear = nn.Linear(math.prod(DIMS[slot] + 1 for slot in slots), 7).double()
    factors = full_rank(linear.weight.unflatten(1, [DIMS[slot] + 1 for slot in order]))
    other = LowRank(dims, build(), rank=factors[0].shape[0], width=7).double()
    for slot, factor in zip(slots, other.factors, strict=True):
        factor.copy_(factors[order.index(slot)])
    other.bias.copy_(linear.bias)
    batch = clips(dims)
    torch.testing.assert_close(other.fuse(*batch), linear(one.fuse(*batch)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rank", [1, 8])
@pytest.mark.parametrize("slots", [1, 2, 4])
@torch.no_grad()
def test_low_rank_begins_with_features_of_variance_one(slots, rank):
    torch.manual_seed(0)
    dims = {str(i): 20 + i for i in range(slots)}
    net = LowRank(dims, build(), rank=rank, width=400)
    features = {slot: torch.randn(20, 50, dim) for slot, dim in dims.items()}
    mask = torch.ones(20, 50, dtype=torch.bool)
    assert 0.7 < net.fuse(features, dict.fromkeys(dims, mask), mask).var() < 1.4


@pytest.mark.parametrize("fusion", [TensorFusion, LowRank])
def test_shapes_can_be_found_without_numbers(fusion):
    with torch.device("meta"):
        net = fusion(DIMS, build(7))
    features, present, valid = clips(DIMS)
    meta = {slot: x.to("meta", torch.float32) for slot, x in features.items()}
    masks = {slot: x.to("meta") for slot, x in present.items()}
    assert net(meta, masks, valid.to("meta")).raw.shape == (2, 5, 7)


@pytest.mark.parametrize(
    ("fusion", "options", "refusal"),
    [
        (TensorFusion, {"dim": 0}, refused("option-too-small", name="dim", value=0)),
        (LowRank, {"rank": 0}, refused("option-too-small", name="rank", value=0)),
        (LowRank, {"width": -1}, refused("option-too-small", name="width", value=-1, least=1)),
    ],
)
def test_values_that_make_no_sense(fusion, options, refusal):
    with refusal:
        fusion(DIMS, build(), **options)
