"""The transformer head against a calculation in NumPy; that only distances count; option values that make no sense."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.heads.tcn_transformer import TcnTransformer
from plugins.heads.transformer import FAR, DistanceBias, Transformer
from tests.support.refusals import refused
from zoo.testing.comparisons import randomise_parameters

FRAMES = 11


def built(head=Transformer, **options):
    """In float64, every parameter moved a little."""
    torch.manual_seed(0)
    return randomise_parameters(head(3, **options)).double()


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def everything(clips, frames):
    return torch.ones(clips, frames, dtype=torch.bool)


def linear(net, x):
    return x @ net.weight.detach().numpy().T + net.bias.detach().numpy()


def normed(net, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + net.eps)
    return scaled * net.weight.detach().numpy() + net.bias.detach().numpy()


def attended(net, x, table, admits):
    """One clip, query by query, head by head, with relative positions: (T, D) -> (T, D)."""
    query, key, value = (linear(part, x) for part in (net.query, net.key, net.value))
    width = x.shape[1] // net.heads
    read = np.zeros_like(x)
    for t in range(len(x)):
        keys = [k for k in range(len(x)) if admits(k - t)]
        for h in range(net.heads):
            part = slice(h * width, (h + 1) * width)
            distance = [min(max(k - t, -FAR), FAR) + FAR for k in keys]
            scores = key[keys, part] @ query[t, part] / np.sqrt(width) + table[h, distance]
            share = np.exp(scores) / np.exp(scores).sum()
            read[t, part] = share @ value[keys, part]
    return linear(net.output, read)


@pytest.mark.parametrize(
    ("options", "admits"),
    [
        ({}, lambda ahead: True),
        ({"causal": True}, lambda ahead: ahead <= 0),
        ({"window": 2}, lambda ahead: abs(ahead) <= 2),
        ({"window": 3, "causal": True}, lambda ahead: -3 <= ahead <= 0),
    ],
)
def test_relative_positions_step_by_step(options, admits):
    net = built(hidden=8, heads=2, layers=2, positions="relative", **options)
    lengths = (40, 7)  # further apart than the distances that are told apart
    x = noise(2, 40, 3)
    out = net(x, torch.arange(40) < torch.tensor(lengths).unsqueeze(1)).detach().numpy()
    for clip, length in enumerate(lengths):
        y = normed(net.enter[1], linear(net.enter[0], x[clip, :length].numpy()))
        for layer in net.layers:
            table = layer.attention.bias.table.detach().numpy()
            y = y + attended(layer.attention.attend, normed(layer.before_attention, y), table, admits)
            inner = linear(layer.perceptron[1], normed(layer.perceptron[0], y))
            y = y + linear(layer.perceptron[4], np.maximum(inner, 0))
        np.testing.assert_allclose(out[clip, :length], normed(net.norm, y), rtol=0, atol=1e-10)
    assert not out[1, 7:].any()


def test_the_bias_is_one_number_a_head_and_distance():
    bias = randomise_parameters(DistanceBias(2))
    scores = bias(3 * FAR)
    assert scores.shape == (2, 3 * FAR, 3 * FAR)
    for query, key in ((0, 0), (5, 9), (9, 5), (0, FAR), (0, 3 * FAR - 1), (3 * FAR - 1, 1)):
        place = max(-FAR, min(FAR, key - query)) + FAR
        torch.testing.assert_close(scores[:, query, key], bias.table[:, place])


@pytest.mark.parametrize("positions", ["rotary", "relative"])
@pytest.mark.parametrize("head", [Transformer, TcnTransformer])
def test_a_frame_of_a_long_video_is_answered_as_in_a_short_clip(head, positions):
    """With a window an answer depends on few frames: cut out, they must give the same answer, wherever they stood."""
    net = built(head, hidden=16, heads=2, layers=2, positions=positions, window=4)
    tcn = net.tcn.reach[0] if head is TcnTransformer else 0
    around = 2 * 4 + tcn
    x = noise(1, 700, 3)
    whole = net(x, everything(1, 700))
    for frame in (around, 350, 699 - around):
        part = x[:, frame - around : frame + around + 1]
        answer = net(part, everything(1, part.shape[1]))[0, around]
        torch.testing.assert_close(answer, whole[0, frame], rtol=0, atol=1e-5)  # angles are float32


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_the_order_of_frames_counts(positions):
    """Without positions, frames in another order would give the same answer to a frame."""
    net = built(hidden=16, heads=2, layers=1, positions=positions)
    x = noise(1, FRAMES, 3)
    other = x[:, [0, *reversed(range(1, FRAMES))]]
    before, after = (net(clip, everything(1, FRAMES))[0, 0] for clip in (x, other))
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"hidden": 10, "heads": 4}, refused("attention-heads", heads=4, dim=10)),
        ({"hidden": 12, "heads": 4}, refused("attention-odd")),  # rotary turns pairs
        ({"heads": 0}, refused("option-too-small", name="heads", value=0)),
        ({"layers": 0}, refused("option-too-small", name="layers", value=0)),
        ({"window": -1}, refused("option-too-small", name="window", value=-1)),
        ({"dropout": 1.5}, refused("option-not-a-share", name="dropout", value=1.5)),
    ],
)
def test_senseless_values_are_named(options, refusal):
    with refusal:
        Transformer(3, **options)


@pytest.mark.parametrize("options", [{"tcn_layers": 0}, {"tcn_kernel": 1}])
def test_senseless_values_of_the_tcn_before_it_are_named(options):
    ((name, value),) = options.items()
    with refused("option-too-small", who="head tcn_transformer", name=name, value=value):
        TcnTransformer(3, **options)


def test_odd_heads_are_fine_without_turns():
    assert Transformer(3, hidden=12, heads=4, positions="relative").out_dim == 12
