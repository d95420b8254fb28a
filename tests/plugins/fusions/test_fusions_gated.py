"""Fusions that weigh: gates, experts, and fixed weights of late fusion, against loops over frames in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from plugins.fusions.gated import Gated
from plugins.fusions.late import Late, fixed_weights
from plugins.fusions.moe import MixtureOfExperts, imbalance
from plugins.heads.mlp import Mlp
from tests.support.refusals import refused
from zoo.modules import Build

DIMS = {"face": 3, "face.b": 4, "audio": 2}


def clips(dims=DIMS):
    generator = torch.Generator().manual_seed(3)
    features = {slot: torch.randn(2, 5, dim, generator=generator) for slot, dim in dims.items()}
    present = {slot: torch.rand(2, 5, generator=generator) > 0.4 for slot in dims}
    for mask in present.values():
        mask[0, 0], mask[1, 1] = True, False  # all slots at one frame, none at another
    return features, present, torch.ones(2, 5, dtype=torch.bool)


def made(kind, dims=DIMS, **options):
    torch.manual_seed(0)
    return kind(dims, Build(Mlp, 2), **options).eval()


def linear(layer, x):
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def gelu(x):
    return np.array([v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x])


def softmax(x, axis=0):
    share = np.exp(x)
    return share / share.sum(axis, keepdims=True)


# --- gated ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
def test_gates_frame_by_frame(gate):
    fusion, (features, present, valid) = made(Gated, hidden=6, gate=gate), clips()
    got = fusion.fuse(features, present, valid).detach().numpy()
    for b, t in np.ndindex(2, 5):
        x = [features[slot][b, t].numpy() for slot in DIMS]
        seen = [i for i, slot in enumerate(DIMS) if present[slot][b, t]]
        states = [np.tanh(linear(net, part)) for net, part in zip(fusion.projections, x, strict=True)]
        logits = np.stack([linear(net, np.concatenate(x)) for net in fusion.gates])
        if gate == "sigmoid":
            gates = {i: 1 / (1 + np.exp(-logits[i])) for i in seen}
        else:
            gates = dict(zip(seen, softmax(logits[seen]), strict=True)) if seen else {}
        expected = sum((gates[i] * states[i] for i in seen), np.zeros(6))
        np.testing.assert_allclose(got[b, t], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
def test_one_slot_is_gate_times_its_state(gate):
    fusion, (features, present, valid) = made(Gated, {"face": 3}, gate=gate), clips({"face": 3})
    x = features["face"]
    expected = fusion.projections[0](x).tanh() * (fusion.gates[0](x).sigmoid() if gate == "sigmoid" else 1)
    torch.testing.assert_close(fusion.fuse(features, present, valid), expected * present["face"].unsqueeze(-1))


def test_two_softmax_gates_are_z_and_one_minus_z():
    """The paper's form for two modalities: one sigmoid, here of the difference of the two logits."""
    dims = {"face": 3, "audio": 2}
    fusion, (features, _, valid) = made(Gated, dims, gate="softmax"), clips(dims)
    joined = torch.cat([features["face"], features["audio"]], -1)
    z = (fusion.gates[0](joined) - fusion.gates[1](joined)).sigmoid()
    face, audio = (net(features[slot]).tanh() for slot, net in zip(dims, fusion.projections, strict=True))
    torch.testing.assert_close(fusion.fuse(features, dict.fromkeys(dims, valid), valid), z * face + (1 - z) * audio)


# --- mixture of experts -----------------------------------------------------------------------------------------------


def test_experts_frame_by_frame_and_their_balance():
    fusion, (features, present, valid) = made(MixtureOfExperts, hidden=6, experts=3, balance=0.5), clips()
    valid = torch.arange(5) < torch.tensor([[5], [3]])
    got = fusion.fuse(features, present, valid).detach().numpy()
    routes = []
    for b, t in zip(*np.nonzero(valid.numpy()), strict=True):
        parts = [
            linear(net, features[slot][b, t].numpy())
            for slot, net in zip(DIMS, fusion.projections, strict=True)
            if present[slot][b, t]
        ]
        z = np.mean(parts, axis=0) if parts else np.zeros(6)
        p = softmax(linear(fusion.router, z))
        each = [linear(e[3], gelu(linear(e[0], gelu(z)))) for e in fusion.experts]
        np.testing.assert_allclose(got[b, t], sum(p[i] * each[i] for i in range(3)), rtol=1e-4, atol=1e-6)
        if parts:
            routes.append(p)
    importance = np.sum(routes, axis=0)
    expected = 0.5 * importance.var() / importance.mean() ** 2
    aux = fusion(features, present, valid).aux
    assert list(aux) == ["balance"]
    np.testing.assert_allclose(aux["balance"].item(), expected, rtol=1e-4)


def test_balance_is_largest_for_one_expert_in_use_and_0_for_even_use():
    counted = torch.ones(2, 3, dtype=torch.bool)
    assert imbalance(torch.eye(4)[torch.tensor([[1, 1, 1], [1, 1, 1]])], counted).item() == pytest.approx(3)
    assert imbalance(torch.full((2, 3, 4), 0.25), counted).item() == pytest.approx(0)
    assert imbalance(torch.eye(3)[torch.tensor([[0, 1, 2], [2, 1, 0]])], counted).item() == pytest.approx(0)


def test_balance_is_0_with_a_graph_where_no_slot_is_present():
    fusion, (features, present, valid) = made(MixtureOfExperts), clips()
    nothing = {slot: torch.zeros_like(mask) for slot, mask in present.items()}
    aux = fusion(features, nothing, valid).aux["balance"]
    aux.backward()
    assert aux.item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())
    assert not fusion.router.weight.grad.any()


def test_training_on_the_balance_evens_out_the_experts():
    fusion, batch = made(MixtureOfExperts, experts=3, balance=1.0), clips()
    with torch.no_grad():
        fusion.router.bias[0] = 3.0
    optimiser = torch.optim.Adam(fusion.router.parameters(), 0.1)
    before = fusion(*batch).aux["balance"].item()
    for _ in range(50):
        optimiser.zero_grad()
        fusion(*batch).aux["balance"].backward()
        optimiser.step()
    assert before > 0.5
    assert fusion(*batch).aux["balance"].item() < 0.01


# --- fixed weights of late fusion -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["3, 0, 1", "audio=1,face=3,face.b=0"])
def test_fixed_weights_are_shared_out_over_the_slots_present(text):
    fusion, (features, present, valid) = made(Late, weights=text), clips()
    for slot in ("face", "audio"):
        present[slot][0, 2] = False
    present["face.b"][0, 2] = True  # weight 0, but alone
    out = fusion(features, present, valid)
    weights = np.array([3.0, 0.0, 1.0])
    for b, t in np.ndindex(2, 5):
        seen = np.array([bool(present[slot][b, t]) for slot in DIMS])
        share = weights * (seen if seen.any() else True)
        share = share if share.any() else seen.astype(float)
        each = np.stack([out.per_slot[slot][b, t].detach().numpy() for slot in DIMS])
        np.testing.assert_allclose(out.raw[b, t].detach().numpy(), share @ each / share.sum(), rtol=1e-5, atol=1e-6)
    assert not any("logits" in name for name in fusion.state_dict())


def test_fixed_weights_are_shares():
    assert fixed_weights("7,3", ("face", "audio")) == [0.7, 0.3]
    assert fixed_weights("2", ("face",)) == [1.0]
    assert fixed_weights(" audio = 1 , face = 3 ", ("face", "audio")) == [0.75, 0.25]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.7,0.3", "are 2 for 3 slots"),
        ("0.7,-0.3,1", "-0.3 is not a weight"),
        ("1,nan,1", "nan is not a weight"),
        ("1,inf,1", "inf is not a weight"),
        ("0,0,0", "all zero"),
        ("learnt", "'learnt' is not a number"),
        ("", "'' is not a number"),
        ("face=1,face.b=1,voice=1", "no slot is named 'voice'"),
        ("face=1,fase.b=1,audio=1", "'face.b'"),
        ("face=1,face=2,face.b=1,audio=1", "'face' twice"),
        ("face=1,audio=1", "leave out face.b"),
        ("face=1,face.b=1,0.5", "no slot is named '0.5'"),
        ("face=,face.b=1,audio=1", "'' is not a number"),
    ],
)
def test_bad_weights_are_named(text, words):
    with refused("plugin-error", match=words):
        made(Late, weights=text)


# --- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Gated, MixtureOfExperts, Late])
@pytest.mark.parametrize("dims", [{"face": 3}, DIMS], ids=len)
def test_shapes_can_be_found_without_numbers(kind, dims):
    features, present, valid = clips(dims)
    options = {"weights": ",".join("1" * len(dims))} if kind is Late else {}
    with torch.device("meta"):
        net = kind(dims, Build(Mlp, 7), **options)
    meta = [{k: v.to("meta") for k, v in part.items()} for part in (features, present)]
    out = net(*meta, valid.to("meta"))
    assert out.raw.shape == (2, 5, 7)
    assert all(aux.shape == () for aux in out.aux.values())


@pytest.mark.parametrize(
    ("kind", "options", "refusal"),
    [
        (Gated, {"hidden": -1}, refused("option-too-small", who="fusion gated", name="hidden", value=-1, least=1)),
        (Gated, {"dropout": 1.0}, refused("option-not-a-share", who="fusion gated", name="dropout", value=1.0)),
        (MixtureOfExperts, {"experts": 0}, refused("option-too-small", who="fusion moe", name="experts", value=0)),
        (
            MixtureOfExperts,
            {"balance": -0.1},
            refused("option-too-small", who="fusion moe", name="balance", value=-0.1, least=0),
        ),
    ],
)
def test_bad_options_are_named(kind, options, refusal):
    with refusal:
        made(kind, **options)
