"""Joint cross-attention against loops over clips, slots and frames in NumPy, and what absence and length do to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.fusions import fusions, joint_cross_attention
from plugins.fusions.joint_cross_attention import JointCrossAttention
from plugins.heads.mlp import Mlp
from plugins.heads.recurrent import Gru
from tests.support.refusals import refused
from zoo.modules import Build
from zoo.testing import fusion_checks

DIMS = {"face": 3, "face.b": 4, "audio": 2}
LENGTHS = (5, 3, 4)
HIDDEN = 6
SPEC = next(spec for spec in fusions() if spec.name == "joint_cross_attention")
GATED = {"rounds": 3, "gate": "hierarchical"}


def gru(dim: int) -> Gru:
    return Gru(dim, hidden=2, dropout=0.0)


def mlp(dim: int) -> Mlp:
    return Mlp(dim, hidden=5, dropout=0.0)


def fusion(head=gru, dims=DIMS, **options) -> JointCrossAttention:
    torch.manual_seed(0)
    return JointCrossAttention(dims, Build(head, 2), hidden=HIDDEN, **options).double().eval()


def clips(dims=DIMS, frames: int = 5):
    generator = torch.Generator().manual_seed(1)
    features = {slot: torch.randn(3, frames, dim, generator=generator).double() for slot, dim in dims.items()}
    present = {slot: torch.rand(3, frames, generator=generator) > 0.4 for slot in dims}
    list(present.values())[-1][2] = False  # one slot is nowhere in a clip
    for mask in present.values():
        mask[0, 0], mask[1, 1] = True, False  # all slots at one frame, none at another
    return features, present, torch.arange(frames) < torch.tensor(LENGTHS).unsqueeze(1)


def one_round(x, admitted, w):
    """x: a list over slots of (T, H) of one clip, admitted a list of (T,), w the round's weights -> the same list."""
    slots, (frames, hidden) = len(x), x[0].shape
    attended = []
    for m in range(slots):
        # W_m: the blocks that m reads of every slot, side by side.
        whole = np.concatenate([w[f"correlation.{n}"][m] for n in range(slots)], axis=1)
        out = np.zeros((frames, hidden))
        for s in range(frames):
            joint = np.concatenate([x[n][s] if admitted[n][s] else np.zeros(hidden) for n in range(slots)])
            total, count = np.zeros(hidden), 0
            for t in range(frames):
                if admitted[m][t]:
                    correlation = np.tanh(x[m][t] @ whole @ joint / np.sqrt(slots * hidden))
                    total += correlation * (w[f"value.{m}.weight"] @ x[m][t])
                    count += 1
            attended_here = total / max(count, 1)
            if f"own.{m}.weight" in w and admitted[m][s]:
                attended_here = attended_here + w[f"own.{m}.weight"] @ x[m][s]
            pooled = np.maximum(attended_here, 0)
            out[s] = x[m][s] + w[f"output.{m}.weight"] @ pooled + w[f"output.{m}.bias"]
        attended.append(out)
    return attended


def one_gate(states, w):
    """states: choices of lists over slots of (T, H), w the gate's weights -> a list over slots of (T, H)."""
    out = []
    for m in range(len(states[0])):
        logits = (states[-1][m] @ w[f"scores.{m}.weight"].T + w[f"scores.{m}.bias"]) / 0.1
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        out.append(np.maximum(sum(chances[:, [k]] * state[m] for k, state in enumerate(states)), 0))
    return out


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, h, c, w, way):
    """One step of an LSTM: gates in the order input, forget, cell, output."""
    both = w[f"rnn.weight_ih_l0{way}"] @ x + w[f"rnn.bias_ih_l0{way}"]
    both = both + w[f"rnn.weight_hh_l0{way}"] @ h + w[f"rnn.bias_hh_l0{way}"]
    enter, forget, cell, out = both.reshape(4, -1)
    c = sigmoid(forget) * c + sigmoid(enter) * np.tanh(cell)
    return sigmoid(out) * np.tanh(c), c


def temporal_gate(states, w):
    """TAGF: states, a list over rounds of lists over slots of (T, H), w the gate's weights -> list over slots."""
    out, count = [], len(states)
    for m in range(len(states[0])):
        own = part(w, f"encoders.{m}.")
        fused = np.zeros_like(states[0][m])
        for t in range(len(fused)):
            rows = [state[m][t] for state in states]
            ahead, back = [None] * count, [None] * count
            for found, order, way, k in (
                (ahead, range(count), "", 0),
                (back, reversed(range(count)), "_reverse", 1),
            ):
                h, c = own["start"][:, k]
                for i in order:
                    h, c = lstm_step(rows[i], h, c, own, way)
                    found[i] = h
            scores = []
            for row, left, right in zip(rows, ahead, back, strict=True):
                code = own["linear.weight"] @ np.concatenate([row, left, right]) + own["linear.bias"]
                scores.append((code / np.sqrt((code**2).sum())).mean() / 0.1)
            chances = np.exp(scores) / np.exp(scores).sum()
            fused[t] = sum(chance * row for chance, row in zip(chances, rows, strict=True))
        out.append(fused)
    return out


def part(weights, prefix):
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def reference(net, temporal, present, length, rounds, gate):
    """The answers (T, K) of one clip, from its temporal nets' outputs (a list over slots of (T, out_dim))."""
    w = {name: value.numpy() for name, value in net.state_dict().items()}
    x = [temporal[m][:length] @ w[f"enter.{m}.weight"].T + w[f"enter.{m}.bias"] for m in range(len(temporal))]
    if gate == "temporal":
        x = [rows / np.sqrt((rows**2).sum(1, keepdims=True)) for rows in x]
    states = [x]
    for i in range(rounds):
        states.append(one_round(states[-1], [mask[:length] for mask in present], part(w, f"rounds.{i}.")))
    fused = states[-1]
    if gate == "flat":
        fused = one_gate(states, part(w, "gate."))
    if gate == "temporal":
        fused = temporal_gate(states, part(w, "gate."))
    if gate == "hierarchical":
        gated = [one_gate([states[0], state], part(w, f"gate.each.{i}.")) for i, state in enumerate(states[1:])]
        fused = one_gate(gated, part(w, "gate.between."))
    return sum(fused[m] @ w[f"outputs.{m}.1.weight"].T + w[f"outputs.{m}.1.bias"] for m in range(len(fused)))


@pytest.mark.parametrize("dims", [DIMS, {"audio": 2}], ids=["three", "one"])
@pytest.mark.parametrize(
    ("rounds", "gate"),
    [
        (1, "none"),
        (2, "none"),
        (1, "flat"),
        (2, "flat"),
        (2, "hierarchical"),
        (3, "hierarchical"),
        (1, "temporal"),
        (2, "temporal"),
    ],
)
@pytest.mark.parametrize("own_term", [False, True])
def test_against_loops(dims, rounds, gate, own_term):
    net = fusion(dims=dims, rounds=rounds, gate=gate, own_term=own_term)
    features, present, valid = clips(dims)
    with torch.no_grad():
        raw = net(features, present, valid).raw.numpy()
        temporal = [head(features[slot], valid).numpy() for slot, head in zip(dims, net.heads, strict=True)]
    for b, length in enumerate(LENGTHS):
        masks = [present[slot][b].numpy() for slot in dims]
        expected = reference(net, [x[b] for x in temporal], masks, length, rounds, gate)
        np.testing.assert_allclose(raw[b, :length], expected, rtol=1e-12, atol=1e-12)


def test_an_absent_frame_is_in_no_sum():
    """With heads that see one frame only, an absent frame's features reach its own answer and no other's."""
    net = fusion(mlp, rounds=2)
    features, present, valid = clips()
    present["face"][0] = torch.tensor([True, True, False, True, True])
    before = net(features, present, valid).raw
    features["face"][0, 2] += 1
    after = net(features, present, valid).raw
    other = torch.arange(5) != 2
    torch.testing.assert_close(before[0, other], after[0, other], rtol=0, atol=0)
    assert not torch.allclose(before[0, 2], after[0, 2])
    features["face"][0, 3] += 1  # a present one reaches the others
    assert not torch.allclose(after[0, 0], net(features, present, valid).raw[0, 0])


def test_any_length_and_no_difference_by_chunks(monkeypatch):
    net = fusion(rounds=2)
    long = clips(frames=23)
    long = (*long[:2], torch.ones_like(long[2]))
    whole = net(*long).raw
    assert whole.shape == (3, 23, 2)
    monkeypatch.setattr(joint_cross_attention, "CHUNK", 4)
    torch.testing.assert_close(net(*long).raw, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "check", [*fusion_checks(SPEC, **GATED), *fusion_checks(SPEC, rounds=2, gate="temporal")], ids=str
)
def test_the_gated_forms_keep_the_rules(check):
    check()


def test_the_order_of_the_rounds_matters_to_the_temporal_gate():
    """The gate reads states as a sequence: two states in turn get other weights, which a gate without time would swap."""
    gate = fusion(rounds=2, gate="temporal").gate
    states = [torch.randn(3, 2, 4, HIDDEN, generator=torch.Generator().manual_seed(i)).double() for i in range(3)]
    before, after = gate(states), gate([states[1], states[0], states[2]])
    assert not torch.allclose(before, after, rtol=1e-6)
    same = gate([states[0]] * 3)  # the weights add up to 1
    torch.testing.assert_close(same, states[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"rounds": 2, "gate": "flat"}, {"gate": "temporal"}, GATED], ids=str)
def test_shapes_can_be_found_without_numbers(options):
    with torch.device("meta"):
        net = JointCrossAttention(DIMS, Build(gru, 7), **options)
    features, present, valid = clips()
    meta = {slot: x.to("meta", torch.float32) for slot, x in features.items()}
    masks = {slot: x.to("meta") for slot, x in present.items()}
    assert net(meta, masks, valid.to("meta")).raw.shape == (3, 5, 7)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"rounds": 0}, refused("option-too-small", name="rounds", value=0)),
        ({"hidden": 0}, refused("option-too-small", name="hidden", value=0)),
        ({"dropout": 1.0}, refused("option-not-a-share", name="dropout")),
        ({"gate": "hierarchical"}, refused("plugin-error", match="rounds 2 or more")),
    ],
)
def test_values_that_make_no_sense(options, refusal):
    with refusal:
        JointCrossAttention(DIMS, Build(gru, 2), **options)
