"""MulT against its steps in NumPy, pair by pair and frame by frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from plugins.fusions.mult import MulT
from tests.plugins.fusions.test_fusions_attention import THREE, attention, clips, fused, gelu, linear, made, norm


def layer(net, x, memory, admitted):
    """One pre-norm layer of Tsai et al.: queries and memory through the same norm, then the perceptron."""
    places = range(len(x))
    own = norm(net.before_attention, x)
    read = own if memory is None else norm(net.before_attention, memory)
    x = x + attention(net.attention, own, read, places, range(len(read)), admitted)
    hidden = gelu(linear(net.perceptron[0], norm(net.before_perceptron, x)))
    return x + linear(net.perceptron[3], hidden)


def stack(net, x, memory, admitted):
    for each in net.layers:
        x = layer(each, x, memory, admitted)
    return norm(net.norm, x)


def plain(net, x):
    return x @ net.weight.detach().numpy().T


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dims", [{"face": 3, "audio": 2}, THREE])
def test_it_is_the_stack_of_every_ordered_pair(dims, causal) -> None:
    fusion = made(MulT, dims, layers=2, causal=causal)
    features, present, valid = clips(dims)
    got = fused(fusion, features, present, valid)
    slots = list(dims)
    for b in range(2):
        seen = {s: (present[s] & valid)[b].numpy() for s in slots}
        states = [plain(net, features[s][b].numpy()) for net, s in zip(fusion.projections, slots, strict=True)]
        total, count = np.zeros_like(got[b]), np.zeros(len(got[b]))
        for m, slot in enumerate(slots):

            def keys(which, seen=seen):
                return lambda q, k, known=seen[slots[which]]: known[k] and (not causal or k <= q)

            parts = [
                plain(fusion.pairs[m][n].join, stack(fusion.pairs[m][n], states[m], states[n], keys(n)))
                for n in range(len(slots))
                if n != m
            ]
            own = linear(fusion.outputs[m], stack(fusion.selves[m], sum(parts), None, keys(m)))
            total[seen[slot]] += own[seen[slot]]
            count += seen[slot]
        expected = total / np.maximum(count, 1)[:, None]
        rows = valid[b].numpy()
        np.testing.assert_allclose(got[b][rows], expected[rows], atol=1e-9)


def test_a_memory_that_is_absent_leaves_the_residual_path() -> None:
    """In the second clip the sound is absent: other values there change nothing."""
    fusion = made(MulT)
    features, present, valid = clips()
    before = fused(fusion, features, present, valid)
    features["audio"][1] = 100.0
    np.testing.assert_array_equal(fused(fusion, features, present, valid)[1], before[1])


def test_without_positions_time_reversal_is_symmetric() -> None:
    fusion = made(MulT, layers=1)
    for part in fusion.modules():
        if hasattr(part, "rotary"):
            part.rotary = False
    features, present, _ = clips()
    valid = torch.ones_like(present["face"])
    before = fused(fusion, features, present, valid)
    turned, there = ({s: x.flip(1) for s, x in part.items()} for part in (features, present))
    after = fused(fusion, turned, there, valid)
    np.testing.assert_allclose(after, before[:, ::-1], atol=1e-12)
    assert math.isfinite(before.sum())
