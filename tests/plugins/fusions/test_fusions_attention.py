"""The fusions by attention against a step-by-step calculation in NumPy, clip by clip and head by head."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from plugins.fusions.bottleneck import Bottleneck
from plugins.fusions.cross_attention import CrossAttention
from plugins.fusions.transformer import StaticQuery
from plugins.heads.mlp import Mlp
from tests.support.refusals import refused
from zoo.modules import Build

DIMS = {"face": 3, "audio": 2}
THREE = {"face": 3, "face.b": 4, "audio": 2}
SMALL = {"hidden": 8, "heads": 2}


def clips(dims=DIMS, frames: int = 5):
    """Two clips, the second with two frames of padding; one frame without any slot; the last slot absent from it."""
    generator = torch.Generator().manual_seed(frames)
    features = {
        slot: torch.randn(2, frames, dim, generator=generator, dtype=torch.float64) for slot, dim in dims.items()
    }
    present = {slot: torch.rand(2, frames, generator=generator) > 0.3 for slot in dims}
    for mask in present.values():
        mask[0, 0], mask[0, 1] = True, False
    present[list(dims)[-1]][1] = False
    present["face"][1, 0] = True
    valid = torch.arange(frames) < torch.tensor([[frames], [frames - 2]])
    return features, present, valid


def made(kind, dims=DIMS, **options):
    torch.manual_seed(0)
    fusion = kind(dims, Build(Mlp, 2), **{**SMALL, **options}).double().eval()
    with torch.no_grad():  # biases and norms away from what they start as
        for parameter in fusion.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return fusion


def fused(fusion, features, present, valid):
    with torch.no_grad():
        return fusion.fuse(features, present, valid).numpy()


# --- the steps in NumPy; x (T, D) of one clip -------------------------------------------------------------------------


def linear(layer, x):
    bias = 0.0 if layer.bias is None else layer.bias.detach().numpy()
    return x @ layer.weight.detach().numpy().T + bias


def norm(layer, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def gelu(x):
    return np.vectorize(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2)(x)


def angle(a, b, distance):
    """Product of a at a place and b ``distance`` frames later, with rotary positions."""
    half = len(a) // 2
    turn = distance * 10_000.0 ** (-np.arange(half) / half)
    pairs = np.conj(a[:half] + 1j * a[half:]) * (b[:half] + 1j * b[half:]) * np.exp(1j * turn)
    return pairs.real.sum()


def attention(net, x, memory, here, there, admitted):
    """Places None are outside time; admitted: indices of keys, or a function of the query's place."""
    query, key, value = linear(net.query, x), linear(net.key, memory), linear(net.value, memory)
    width = query.shape[1] // net.heads
    out = np.zeros_like(query)
    for q, place in enumerate(here):
        keys = [k for k in range(len(memory)) if admitted(q, k)]
        if not keys:
            continue
        for h in range(net.heads):
            part = slice(h * width, (h + 1) * width)
            away = [0 if None in (place, there[k]) else there[k] - place for k in keys]
            scores = np.array([angle(query[q, part], key[k, part], d) for k, d in zip(keys, away, strict=True)])
            share = np.exp(scores / np.sqrt(width))
            out[q, part] = share @ value[keys, part] / share.sum()
        out[q] = linear(net.output, out[q])
    return out


def layer(net, x, memory, here, there, admitted):
    before = norm(net.before_attention, x)
    x = x + attention(net.attention, before, before if memory is None else memory, here, there, admitted)
    inner = gelu(linear(net.perceptron[0], norm(net.before_perceptron, x)))
    return x + linear(net.perceptron[3], inner)


def mean_of_present(states, seen):
    """states (S, T, D), seen (S, T): frame by frame, zeros where no slot is present."""
    out = np.zeros_like(states[0])
    for t in range(out.shape[0]):
        if seen[:, t].any():
            out[t] = states[seen[:, t], t].mean(0)
    return out


def one(b, features, present, valid):
    """Clip b without its padding: features by slot, seen (S, T)."""
    length = int(valid[b].sum())
    return {s: x[b, :length].numpy() for s, x in features.items()}, np.stack([m[b, :length] for m in present.values()])


# --- the fusions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=len)
def test_cross_attention_step_by_step(dims):
    fusion, batch = made(CrossAttention, dims), clips(dims)
    got = fused(fusion, *batch)
    for b in range(2):
        x, seen = one(b, *batch)
        frames = seen.shape[1]
        states = [linear(net, x[slot]) for net, slot in zip(fusion.projections, dims, strict=True)]
        out = []
        for i in range(len(dims)):
            others = [j for j in range(len(dims)) if j != i]
            memory, keys = np.concatenate([states[j] for j in others]), np.concatenate([seen[j] for j in others])
            there = list(range(frames)) * len(others)
            read = attention(fusion.attentions[i], states[i], memory, range(frames), there, lambda q, k, m=keys: m[k])
            out.append(linear(fusion.outputs[i], norm(fusion.norms[i], states[i] + read)))
        np.testing.assert_allclose(got[b, :frames], mean_of_present(np.stack(out), seen), rtol=1e-5, atol=1e-6)


def test_cross_attention_of_one_slot_is_self_attention():
    dims = {"face": 3}
    fusion, (features, present, valid) = made(CrossAttention, dims), clips(dims)
    state = fusion.projections[0](features["face"])
    read = fusion.attentions[0](state, None, present["face"] & valid)
    expected = fusion.outputs[0](fusion.norms[0](state + read))
    seen = (present["face"] & valid).unsqueeze(-1)
    torch.testing.assert_close(fusion.fuse(features, present, valid), expected * seen)


@pytest.mark.parametrize("options", [{}, {"lead": "audio", "layers": 2, "window": 1}], ids=["usual", "others"])
def test_the_static_query_step_by_step(options):
    fusion, batch = made(StaticQuery, **options), clips()
    got = fused(fusion, *batch)
    reach = options.get("window", 99)
    for b in range(2):
        x, seen = one(b, *batch)
        places = range(seen.shape[1])
        parts = np.stack([linear(net, x[slot]) for net, slot in zip(fusion.projections, DIMS, strict=True)])
        memory = norm(fusion.norm_memory, mean_of_present(parts, seen))
        out = linear(fusion.query, x[options.get("lead", "face")])
        for net in fusion.layers:
            out = layer(net, out, memory, places, places, lambda q, k, m=seen: m[:, k].any() and abs(q - k) <= reach)
        np.testing.assert_allclose(got[b, : len(places)], norm(fusion.norm, out), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_bottleneck_step_by_step(layers):
    """MBT with two slots: own layers, tokens averaged over the slots present in the clip."""
    fusion, batch = made(Bottleneck, layers=layers, tokens=3), clips()
    got = fused(fusion, *batch)
    for b in range(2):
        x, seen = one(b, *batch)
        frames = seen.shape[1]
        places = [*range(frames), None, None, None]
        states = [linear(net, x[slot]) for net, slot in zip(fusion.projections, DIMS, strict=True)]
        tokens = fusion.tokens[0].detach().numpy()
        for n in range(layers):
            left = []
            for i in range(2):
                sequence = np.concatenate([states[i], tokens])
                keys = [*seen[i], True, True, True]
                out = layer(fusion.stacks[i][n], sequence, None, places, places, lambda q, k, m=keys: m[k])
                states[i] = out[:frames]
                left.append(out[frames:])
            tokens = np.mean([left[i] for i in range(2) if seen[i].any()], axis=0)
        expected = mean_of_present(np.stack([norm(fusion.norm, state) for state in states]), seen)
        np.testing.assert_allclose(got[b, :frames], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("layers", "heard"), [(1, False), (2, True)])
def test_slots_hear_each_other_through_the_tokens_of_the_layer_before(layers, heard):
    """At a frame where the voice is absent, its other frames can matter through tokens alone."""
    fusion, (features, present, valid) = made(Bottleneck, layers=layers), clips()
    present["face"][0, 2], present["audio"][0, 2] = True, False
    before = fused(fusion, features, present, valid)[0, 2]
    features["audio"] = features["audio"] + 1
    moved = np.abs(fused(fusion, features, present, valid)[0, 2] - before).max() > 1e-6
    assert moved == heard


@pytest.mark.parametrize("kind", [CrossAttention, StaticQuery, Bottleneck])
def test_time_matters_but_not_its_origin(kind):
    """Frames in another order are another clip; the same clip after frames without any slot is the same."""
    fusion, (features, _, _) = made(kind), clips()
    valid = torch.ones(2, 5, dtype=torch.bool)
    present = dict.fromkeys(DIMS, valid)
    before = fused(fusion, features, present, valid)
    order = [2, 0, 4, 3, 1]
    shuffled = fused(fusion, {s: x[:, order] for s, x in features.items()}, present, valid)
    assert np.abs(shuffled - before[:, order]).max() > 1e-4
    later = {s: nn.functional.pad(x, (0, 0, 20, 0)) for s, x in features.items()}
    masks = {s: nn.functional.pad(m, (20, 0)) for s, m in present.items()}
    shifted = fused(fusion, later, masks, torch.ones(2, 25, dtype=torch.bool))[:, 20:]
    np.testing.assert_allclose(shifted, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [CrossAttention, StaticQuery, Bottleneck])
@pytest.mark.parametrize("dims", [{"face": 3}, THREE], ids=len)
def test_shapes_can_be_found_without_numbers(kind, dims):
    features, present, valid = clips(dims)
    with torch.device("meta"):
        net = kind(dims, Build(Mlp, 7), **SMALL)
    masks = {slot: mask.to("meta") for slot, mask in present.items()}
    out = net({slot: x.float().to("meta") for slot, x in features.items()}, masks, valid.to("meta"))
    assert out.raw.shape == (2, 5, 7)


@pytest.mark.parametrize(
    ("kind", "options", "refusal"),
    [
        (CrossAttention, {"heads": 3}, refused("attention-heads", heads=3, dim=8)),
        (
            CrossAttention,
            {"hidden": 0},
            refused("option-too-small", who="fusion cross_attention", name="hidden", value=0),
        ),
        (StaticQuery, {"lead": "fase"}, refused("plugin-error", match="'fase' .lead.: .*'face'")),
        (StaticQuery, {"window": -1}, refused("option-too-small", who="fusion transformer", name="window", value=-1)),
        (Bottleneck, {"tokens": 0}, refused("option-too-small", who="fusion bottleneck", name="tokens", value=0)),
        (Bottleneck, {"dropout": 1.5}, refused("option-not-a-share", name="dropout", value=1.5)),
    ],
)
def test_bad_options_are_named(kind, options, refusal):
    with refusal:
        made(kind, **options)
