"""The conformer's convolution and its block against NumPy and against the paper's order of parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from plugins.heads.conformer import Conformer
from tests.support.refusals import refused
from zoo.testing.comparisons import randomise_parameters

LENGTHS = (12, 7)
VALID = torch.arange(12) < torch.tensor(LENGTHS).unsqueeze(1)


def built(**options):
    torch.manual_seed(0)
    return randomise_parameters(Conformer(3, **{"hidden": 8, "heads": 2, "kernel": 5, "layers": 1} | options)).double()


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(net, x):
    return x @ net.weight.detach().numpy().T + net.bias.detach().numpy()


def normed(net, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + net.eps)
    return scaled * net.weight.detach().numpy() + net.bias.detach().numpy()


def convolved(net, x, kernel, ahead):
    """(T, D) -> (T, D), tap by tap."""
    content, gate = np.split(linear(net.enter, normed(net.before, x)), 2, -1)
    u, weight = content * sigmoid(gate), net.over_time.weight.detach().numpy()[:, 0]
    y = np.tile(net.over_time.bias.detach().numpy(), (len(x), 1))
    for t in range(len(x)):
        for tap in range(kernel):
            source = t + tap - (kernel - 1 - ahead)
            if 0 <= source < len(x):
                y[t] += weight[:, tap] * u[source]
    y = normed(net.after, y)
    return linear(net.leave, y * sigmoid(y))


def half(net, x):
    inner = linear(net[1], normed(net[0], x))
    return linear(net[4], inner * sigmoid(inner)) / 2


@pytest.mark.parametrize("positions", ["rotary", "relative"])
@pytest.mark.parametrize(("kernel", "causal", "ahead"), [(5, False, 2), (4, False, 1), (5, True, 0)])
def test_a_block_is_the_papers(kernel, causal, ahead, positions):
    """Half perceptron, attention, convolution, half perceptron, norm; each clip alone. Attention itself is held
    elsewhere (test_transformer_head.py)."""
    net = built(kernel=kernel, causal=causal, positions=positions)
    block, x = net.blocks[0], noise(2, 12, 3)
    out = net(x, VALID).detach().numpy()
    for clip, length in enumerate(LENGTHS):
        y = linear(net.enter[0], x[clip, :length].numpy())
        y = y + half(block.first, y)
        seen = torch.from_numpy(normed(block.before_attention, y)).unsqueeze(0)
        read = block.attention(seen, VALID[:1, :length], causal)
        y = y + read[0].detach().numpy()
        y = y + convolved(block.convolution, y, kernel, ahead)
        y = normed(block.norm, y + half(block.last, y))
        np.testing.assert_allclose(out[clip, :length], y, rtol=0, atol=1e-6 if positions == "rotary" else 1e-10)
    assert not out[1, 7:].any()


def test_no_norm_mixes_frames_or_clips():
    mixing = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm)
    assert not [part for part in built().modules() if isinstance(part, mixing)]


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"hidden": 9}, refused("attention-heads", heads=2, dim=9)),
        ({"kernel": 1}, refused("option-too-small", who="head conformer", name="kernel", value=1)),
        ({"layers": 0}, refused("option-too-small", who="head conformer", name="layers", value=0)),
        ({"dropout": 1.0}, refused("option-not-a-share", who="head conformer", name="dropout", value=1.0)),
    ],
)
def test_senseless_values_are_named(options, refusal):
    with refusal:
        built(**options)
