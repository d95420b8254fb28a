"""Masked attention against a loop over queries, keys and heads in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.refusals import refused
from zoo.layers.attention import Attention, TransformerLayer, rotate


def linear(layer, x):
    bias = 0.0 if layer.bias is None else layer.bias.detach().numpy()
    return x @ layer.weight.detach().numpy().T + bias


def turned(x, place):
    """A vector with the pairs (i, i + D/2) turned, one pair after the other, as complex numbers."""
    half = len(x) // 2
    out = np.empty_like(x)
    for i in range(half):
        z = (x[i] + 1j * x[i + half]) * np.exp(1j * place * 10_000 ** (-i / half))
        out[i], out[i + half] = z.real, z.imag
    return out


def attend(net, x, memory, mask, here, there, admits=lambda q, k: True):
    """One clip: x (Tq, D), memory (Tk, Dk), mask (Tk,), positions; None is a place outside time."""
    query, key, value = linear(net.query, x), linear(net.key, memory), linear(net.value, memory)
    width = query.shape[1] // net.heads
    out = np.zeros_like(x)
    for q in range(len(x)):
        keys = [k for k in range(len(memory)) if mask[k] and (None in (here[q], there[k]) or admits(here[q], there[k]))]
        if not keys:
            continue
        read = []
        for h in range(net.heads):
            part = slice(h * width, (h + 1) * width)
            scores = []
            for k in keys:
                a, b = query[q, part], key[k, part]
                if net.rotary and here[q] is not None and there[k] is not None:
                    a, b = turned(a, here[q]), turned(b, there[k])
                scores.append(a @ b / np.sqrt(width))
            share = np.exp(scores) / np.exp(scores).sum()
            read.append(sum(s * value[k, part] for s, k in zip(share, keys, strict=True)))
        out[q] = linear(net.output, np.concatenate(read))
    return out


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def made(*args, **options):
    torch.manual_seed(0)
    return Attention(*args, **options).double().eval()


MASK = torch.tensor([[1, 1, 0, 1, 0, 1], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.bool)
ADMITS = {
    "all": ({}, lambda q, k: True),
    "causal": ({"causal": True}, lambda q, k: k <= q),
    "window": ({"window": 1}, lambda q, k: abs(k - q) <= 1),
    "past": ({"causal": True, "window": 2}, lambda q, k: 0 <= q - k <= 2),
}


@pytest.mark.parametrize("rotary", [True, False])
@pytest.mark.parametrize("limits", ADMITS)
def test_self_attention_against_a_loop(limits, rotary):
    options, admits = ADMITS[limits]
    net, x, places = made(8, 2, rotary=rotary), noise(3, 6, 8), range(6)
    with torch.no_grad():
        out = net(x, None, MASK, **options).numpy()
    for b in range(3):
        expected = attend(net, x[b].numpy(), x[b].numpy(), MASK[b], places, places, admits)
        np.testing.assert_allclose(out[b], expected, rtol=1e-6, atol=1e-6)  # angles are float32


def test_cross_attention_with_positions_of_its_own_against_a_loop():
    """Two sequences of three frames side by side as memory; queries lie at other places."""
    net, x, memory = made(8, 2, key_dim=5), noise(3, 4, 8), noise(3, 6, 5)
    here, there = [0.0, 1.5, 2.0, 7.0], [0, 1, 2, 0, 1, 2]
    with torch.no_grad():
        out = net(x, memory, MASK, positions=(torch.tensor(here), torch.tensor(there)), window=2).numpy()
    for b in range(3):
        expected = attend(net, x[b].numpy(), memory[b].numpy(), MASK[b], here, there, lambda q, k: abs(q - k) <= 2)
        np.testing.assert_allclose(out[b], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("limits", ADMITS)
def test_free_tokens_have_no_place(limits):
    options, admits = ADMITS[limits]
    net, x, places = made(8, 2, free=2), noise(3, 6, 8), [0, 1, 2, 3, None, None]
    mask = torch.cat([MASK[:, :4], torch.ones(3, 2, dtype=torch.bool)], 1)
    with torch.no_grad():
        out = net(x, None, mask, **options).numpy()
    for b in range(3):
        expected = attend(net, x[b].numpy(), x[b].numpy(), mask[b], places, places, admits)
        np.testing.assert_allclose(out[b], expected, rtol=1e-6, atol=1e-6)


def test_no_admitted_key_gives_zeros_and_finite_gradients():
    net, x = made(8, 2), noise(3, 6, 8).requires_grad_()
    out = net(x, None, MASK)
    assert not out[2].any()
    assert out[:2].abs().sum(-1).all()
    out.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    assert x.grad.isfinite().all()
    assert not x.grad[2].any()


def test_what_stands_at_masked_keys_does_not_matter_even_nan():
    net, x, memory = made(8, 2), noise(3, 4, 8), noise(3, 6, 8)
    spoilt = torch.where(MASK.unsqueeze(-1), memory, torch.nan)
    torch.testing.assert_close(net(x, spoilt, MASK), net(x, memory, MASK))


@pytest.mark.parametrize("kind", [Attention, TransformerLayer])
def test_padding_and_batch_mates_do_not_matter(kind):
    torch.manual_seed(0)
    net, x = kind(8, 2).eval(), noise(2, 6, 8).float()
    valid = torch.arange(6) < torch.tensor([[6], [3]])
    together = net(x, None, valid)
    torch.testing.assert_close(net(x[1:, :3], None, valid[1:, :3])[0], together[1, :3])
    spoilt = torch.where(valid.unsqueeze(-1), x, 100.0)
    torch.testing.assert_close(net(spoilt, None, valid)[valid], together[valid])


def test_rotary_scores_depend_on_the_distance_alone():
    net, x = made(8, 2), noise(1, 6, 8)
    late = torch.arange(6) + 1000
    torch.testing.assert_close(net(x, None, MASK[:1], positions=late), net(x, None, MASK[:1]), rtol=1e-3, atol=1e-4)
    apart = net(x, None, MASK[:1], positions=torch.arange(6) * 2)
    assert (apart - net(x, None, MASK[:1])).abs().max() > 1e-3


def test_rotation_turns_and_keeps_lengths():
    x = noise(5, 6)
    out = rotate(x, torch.arange(5))
    for t in range(5):
        np.testing.assert_allclose(out[t].numpy(), turned(x[t].numpy(), t), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(out.norm(dim=-1), x.norm(dim=-1), rtol=1e-6, atol=1e-6)


def test_a_layer_is_two_residual_steps():
    torch.manual_seed(0)
    net, x, memory = TransformerLayer(8, 2).eval(), noise(3, 6, 8).float(), noise(3, 6, 8, 1)[..., 0].float()
    for other in (None, memory):
        mid = x + net.attention(net.before_attention(x), other, MASK, window=1)
        expected = mid + net.perceptron(net.before_perceptron(mid))
        torch.testing.assert_close(net(x, other, MASK, window=1), expected)


def test_dropout_is_at_work_in_training():
    net = Attention(8, 2, dropout=0.5).train()
    x = noise(1, 6, 8).float()
    assert not torch.equal(net(x, None, MASK[:1]), net(x, None, MASK[:1]))


@pytest.mark.parametrize("kind", [Attention, TransformerLayer])
def test_shapes_can_be_found_without_numbers(kind):
    with torch.device("meta"):
        net = kind(8, 2, free=1)
        assert net(torch.empty(2, 5, 8), None, torch.ones(2, 5, dtype=torch.bool), causal=True).shape == (2, 5, 8)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"dim": 10, "heads": 4}, refused("attention-heads", heads=4, dim=10)),
        ({"dim": 6, "heads": 2}, refused("attention-odd", value=3)),
        ({"dim": 8, "heads": 0}, refused("option-too-small", name="heads", value=0)),
        ({"dim": 8, "heads": 2, "dropout": 1.0}, refused("option-not-a-share", name="dropout", value=1.0)),
    ],
)
def test_bad_options_are_named(options, refusal):
    with refusal:
        Attention(**options)


def test_an_odd_head_is_fine_without_rotation():
    assert Attention(6, 2, rotary=False)(noise(1, 3, 6).float(), None, MASK[:1, :3]).shape == (1, 3, 6)
