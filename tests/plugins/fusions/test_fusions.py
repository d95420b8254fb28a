"""The registered fusions keep the rules, and the built-in ones compute what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from plugins.fusions import fusions
from plugins.fusions.concat import Concat
from plugins.fusions.late import Late
from plugins.heads.mlp import Mlp
from zoo.api import Answer, Counts
from zoo.modules import Build, weighted_mean
from zoo.registry.registry import load, resolve
from zoo.testing import check_light, fusion_checks

DIMS = {"face": 3, "face.b": 4, "audio": 2}


def test_the_catalogue_is_light():
    check_light("plugins.fusions")


def build(width: int = 2) -> Build:
    return Build(Mlp, width)


def clips(seed: int = 0, dims: dict[str, int] = DIMS):
    torch.manual_seed(seed)
    features = {slot: torch.randn(2, 5, dim) for slot, dim in dims.items()}
    present = {slot: torch.rand(2, 5) > 0.4 for slot in dims}
    for mask in present.values():
        mask[0, 0], mask[1, 1] = True, False  # all slots at one frame, none at another
    return features, present, torch.ones(2, 5, dtype=torch.bool)


@pytest.mark.parametrize("weights", ["learned", "equal"])
def test_late_averages_the_answers_of_the_slots_present(weights):
    """Against a loop over frames in NumPy, with weights that differ by slot and answer."""
    torch.manual_seed(0)
    fusion = Late(DIMS, build(), weights=weights).eval()
    if weights == "learned":
        nn.init.normal_(fusion.logits)
    features, present, valid = clips()
    with torch.no_grad():
        out = fusion(features, present, valid)
        logits = fusion.logits.numpy()
    share = np.exp(logits)
    for b in range(2):
        for t in range(5):
            slots = [i for i, slot in enumerate(DIMS) if present[slot][b, t]] or range(len(DIMS))
            each = np.array([out.per_slot[slot][b, t].numpy() for slot in DIMS])
            expected = sum(each[i] * share[i] for i in slots) / sum(share[i] for i in slots)
            np.testing.assert_allclose(out.raw[b, t].numpy(), expected, rtol=1e-5, atol=1e-6)


def shares_of(logits: np.ndarray, present: list[bool]) -> np.ndarray:
    """(S, K) weights of the slots that are present; of all where none is."""
    share = np.exp(logits) * np.array([p or not any(present) for p in present])[:, None]
    return share / share.sum(0)


@pytest.mark.parametrize("kind", ["class", "binary", "value"])
def test_late_averages_posteriors_by_the_sum_rule(kind: str) -> None:
    """Decoded, against the weighted mean of the slots' own probabilities in NumPy; values: of their raw answers."""
    answer, name = {
        "class": (Answer("expression", "class", -1, ("a", "b", "c")), "ce"),
        "binary": (Answer("AU1", "binary", -1), "bce"),
        "value": (Answer("valence", "value", -5), "ccc"),
    }[kind]
    bins = {"class": (3, 3, 3), "binary": (6, 3), "value": (1,) * 20}[kind]
    loss = resolve(load().get("losses", name).build)((answer,), (Counts(9, bins),))
    torch.manual_seed(0)
    fusion = Late(DIMS, Build(Mlp, loss.width, average=loss.average), average="posteriors").eval()
    nn.init.normal_(fusion.logits)
    features, present, valid = clips()
    with torch.no_grad():
        out = fusion(features, present, valid)
        decoded = loss.decode(out.raw).numpy()
        each = np.stack([(out.per_slot[s] if kind == "value" else loss.decode(out.per_slot[s])).numpy() for s in DIMS])
        logits = fusion.logits.numpy().astype(np.float64)
    for b in range(2):
        for t in range(5):
            share = shares_of(logits, [bool(present[slot][b, t]) for slot in DIMS])
            share = share.mean(1, keepdims=True) if kind == "class" else share
            expected = (share * each[:, b, t]).sum(0)
            found = out.raw[b, t].numpy() if kind == "value" else decoded[b, t]
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_a_sure_slot_has_a_veto_in_the_mean_of_logits_and_one_without_a_share_has_no_gradient() -> None:
    sure = torch.tensor([[[[0.0, 1.0]]], [[[0.0, 1.0]]], [[[0.0, -9.0]]]], requires_grad=True)  # (S, 1, 1, K)
    loss = resolve(load().get("losses", "ce").build)((Answer("x", "class", -1, ("a", "b")),), (Counts(9, (4, 5)),))
    shares = torch.full((3, 1, 1, 2), 1 / 3)
    # Probabilities of b: 0.731, 0.731 and 0.0001, whose mean is 0.487; the mean of the logits is -7 / 3.
    assert loss.decode(loss.average(sure, shares))[0, 0, 1].item() == pytest.approx(0.48741352, rel=1e-6)
    assert loss.decode(weighted_mean(sure, shares))[0, 0, 1].item() == pytest.approx(0.08839968, rel=1e-6)
    alone = torch.tensor([0.5, 0.5, 0.0]).view(3, 1, 1, 1).expand(3, 1, 1, 2)
    loss.average(sure, alone)[0, 0, 0].backward()
    assert sure.grad is not None
    assert not sure.grad[2].any()
    assert torch.isfinite(sure.grad).all()
    assert sure.grad[0].any()


def test_late_starts_as_the_plain_average():
    torch.manual_seed(0)
    learned = Late(DIMS, build())
    equal = Late(DIMS, build(), weights="equal")
    equal.load_state_dict({k: v for k, v in learned.state_dict().items() if k != "logits"})
    one, two = (fusion.eval()(*clips()).raw for fusion in (learned, equal))
    torch.testing.assert_close(one, two)


def test_an_absent_slot_has_no_say_in_late():
    fusion = Late(DIMS, build()).eval()
    features, present, valid = clips()
    features["audio"].requires_grad_()
    present["audio"][0, 2], present["face"][0, 2] = False, True
    fusion(features, present, valid).raw[0, 2].sum().backward()
    assert not features["audio"].grad.any()


def test_late_learns_that_an_answer_lives_in_one_slot():
    """The first answer is right in the face and noise in the voice, the second one the other way round."""
    fusion = Late({"face": 1, "audio": 1}, build())
    target, noise = torch.randn(2, 8, 20, 2, generator=torch.Generator().manual_seed(0))
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(2, 1, 1, 2)
    raw = right * target + (1 - right) * noise
    optimiser = torch.optim.Adam([fusion.logits], 0.1)
    for _ in range(100):
        loss = (fusion.combine(raw, torch.ones(2, 8, 20, dtype=torch.bool)) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert fusion.logits.softmax(0)[right.view(2, 2) > 0].min() > 0.95


def test_concat_is_one_predictor_on_the_slots_in_order():
    fusion = Concat(DIMS, build()).eval()
    features, present, valid = clips()
    joined = torch.cat([features["face"], features["face.b"], features["audio"]], -1)
    out = fusion(features, present, valid)
    torch.testing.assert_close(out.raw, fusion.predictor(joined, valid))
    assert out.per_slot == {}


@pytest.mark.parametrize("fusion", [Late, Concat])
def test_shapes_can_be_found_without_numbers(fusion):
    features, present, valid = clips()
    with torch.device("meta"):
        net = fusion(DIMS, build(7))
    meta = [{k: v.to("meta") for k, v in part.items()} for part in (features, present)]
    assert net(*meta, valid.to("meta")).raw.shape == (2, 5, 7)


@pytest.mark.parametrize("fusion", [Late, Concat])
def test_fusions_that_are_bare_alone_are_the_predictor_of_their_slot(fusion) -> None:
    declared = {spec.name for spec in fusions() if spec.bare_alone}
    assert declared == {"late", "concat"}
    net = fusion({"face": 3}, build()).eval()
    features, present, valid = clips(dims={"face": 3})
    predictor = net.predictors[0] if fusion is Late else net.predictor
    torch.testing.assert_close(net(features, present, valid).raw, predictor(features["face"], valid), rtol=0, atol=0)


LATE = next(spec for spec in fusions() if spec.name == "late")


@pytest.mark.parametrize(
    "check",
    [c for c in fusion_checks(LATE, values={"weights": "equal"}, average="posteriors") if c.rule != "learns"],
    ids=str,
)
def test_late_by_posteriors_keeps_the_rules(check):
    check()
