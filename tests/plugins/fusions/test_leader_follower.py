"""Leader-follower attention against loops over clips, frames and slots in NumPy, and what absence does to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.fusions.leader_follower import LeaderFollower
from plugins.heads.mlp import Mlp
from plugins.heads.recurrent import Gru
from tests.support.refusals import refused
from zoo.modules import Build

DIMS = {"face": 3, "face.b": 4, "audio": 2}
LENGTHS = (5, 3)
HIDDEN = 6


def gru(dim: int) -> Gru:
    return Gru(dim, hidden=2, dropout=0.0)


def mlp(dim: int) -> Mlp:
    return Mlp(dim, hidden=5, dropout=0.0)


def fusion(head=gru, dims=DIMS, **options) -> LeaderFollower:
    torch.manual_seed(0)
    net = LeaderFollower(dims, Build(head, 2), hidden=HIDDEN, **options).double().eval()
    for norm in net.norm:  # 1 and 0 would hide that they are used
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    return net


def clips(dims=DIMS):
    generator = torch.Generator().manual_seed(1)
    features = {slot: torch.randn(2, 5, dim, generator=generator).double() for slot, dim in dims.items()}
    present = {slot: torch.rand(2, 5, generator=generator) > 0.4 for slot in dims}
    for mask in present.values():
        mask[0, 0], mask[1, 1] = True, False  # all slots at one frame, none at another
    return features, present, torch.arange(5) < torch.tensor(LENGTHS).unsqueeze(1)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def reference(net, x, present, heads, lead):
    """The answer (K,) to one frame: x a list over slots of (out_dim,), present a list of bool."""
    w = {name: value.numpy() for name, value in net.state_dict().items()}
    q, k, v = (
        [w[f"{name}.{i}.weight"] @ x[i] + w[f"{name}.{i}.bias"] for i in range(len(x))]
        for name in ("query", "key", "value")
    )
    answer = w["leader.1.weight"] @ x[lead] + w["leader.1.bias"]
    for i in range(len(x)):
        result = np.zeros(HIDDEN)
        if present[i]:
            result = v[i].copy()
            here = [j for j in range(len(x)) if present[j]]
            for h in range(heads):
                cut = slice(h * HIDDEN // heads, (h + 1) * HIDDEN // heads)
                weights = softmax(np.array([q[i][cut] @ k[j][cut] / np.sqrt(HIDDEN / heads) for j in here]))
                result[cut] += sum(a * v[j][cut] for a, j in zip(weights, here, strict=True))
            result = (result - result.mean()) / np.sqrt(result.var() + 1e-5)
            result = result * w[f"norm.{i}.weight"] + w[f"norm.{i}.bias"]
        answer = answer + w[f"followers.{i}.1.weight"] @ result + w[f"followers.{i}.1.bias"]
    return answer


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize(("dims", "lead"), [(DIMS, None), (DIMS, "audio"), ({"audio": 2}, None)], ids=str)
def test_against_loops(dims, lead, heads):
    net = fusion(dims=dims, lead=lead, heads=heads)
    features, present, valid = clips(dims)
    with torch.no_grad():
        raw = net(features, present, valid).raw.numpy()
        temporal = [head(features[slot], valid).numpy() for slot, head in zip(dims, net.heads, strict=True)]
    index = list(dims).index(lead) if lead else 0
    for b, length in enumerate(LENGTHS):
        for t in range(length):
            here = [bool(present[slot][b, t]) for slot in dims]
            expected = reference(net, [x[b, t] for x in temporal], here, heads, index)
            np.testing.assert_allclose(raw[b, t], expected, rtol=1e-12, atol=1e-12)


def test_an_absent_follower_has_no_say_and_an_absent_leader_its_own_place_only():
    net = fusion(mlp)
    features, present, valid = clips()
    present["face"][0, 2], present["audio"][0, 2], present["face.b"][0, 2] = False, False, True
    before = net(features, present, valid).raw
    features["audio"][0, 2] += 1
    torch.testing.assert_close(net(features, present, valid).raw, before, rtol=0, atol=0)
    moved = {**features, "face": features["face"].clone()}
    moved["face"][0, 2] += 1
    change = net(moved, present, valid).raw - before
    own = [net.leader(net.heads[0](each["face"], valid)) for each in (features, moved)]
    torch.testing.assert_close(change, own[1] - own[0])
    assert change[0, 2].abs().min() > 0


def test_shapes_can_be_found_without_numbers():
    with torch.device("meta"):
        net = LeaderFollower(DIMS, Build(gru, 7), lead="face.b")
    features, present, valid = clips()
    meta = {slot: x.to("meta", torch.float32) for slot, x in features.items()}
    masks = {slot: x.to("meta") for slot, x in present.items()}
    assert net(meta, masks, valid.to("meta")).raw.shape == (2, 5, 7)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (
            {"lead": "voice"},
            refused("plugin-error", match="lead 'voice'.* face, face.b, audio"),
        ),
        ({"hidden": 0}, refused("option-too-small", name="hidden", value=0)),
        ({"heads": 0}, refused("option-too-small", name="heads", value=0)),
        ({"heads": 5}, refused("plugin-error", match="5 heads .* 32")),
    ],
)
def test_values_that_make_no_sense(options, refusal):
    with refusal:
        LeaderFollower(DIMS, Build(gru, 2), **options)
