"""Reliability-weighted fusion against its steps in NumPy, and what absence and priors must do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.fusions.reliability import Reliability
from tests.plugins.fusions.test_fusions_attention import THREE, attention, clips, fused, gelu, linear, made, norm
from tests.support.refusals import refused

FOUR = {**THREE, "body": 2}
PRIORS = "face=0.85,face.b=0.15"


@pytest.mark.parametrize(("apart", "priors"), [("auto", PRIORS), ("none", "equal"), ("face", "equal")])
def test_it_is_the_weighted_sum_and_the_latents_step_by_step(apart, priors) -> None:
    fusion = made(Reliability, THREE, latents=3, apart=apart, priors=priors)
    features, present, valid = clips(THREE)
    got = fused(fusion, features, present, valid)
    slots = list(THREE)
    shares = {"face": 0.85, "face.b": 0.15} if priors == PRIORS else dict.fromkeys(slots, 1.0)
    named = {"auto": "audio", "none": None}.get(apart, apart)
    for b in range(2):
        states = {s: linear(fusion.projections[i], features[s][b].numpy()) for i, s in enumerate(slots)}
        z = np.zeros_like(got[b])
        for t in range(len(z)):
            here = [s for s in slots if s != named and present[s][b, t]]
            if not here:
                continue
            logits = []
            for s in here:
                net = fusion.scores[slots.index(s)]
                logits.append(linear(net[3], gelu(linear(net[0], states[s][t])))[0] + np.log(shares[s]))
            weights = np.exp(logits) / np.exp(logits).sum()
            z[t] = sum(w * states[s][t] for w, s in zip(weights, here, strict=True))
        if named:
            seen = np.flatnonzero((present[named] & valid)[b].numpy())
            latents = fusion.latents.detach().numpy()
            if len(seen):
                own = norm(fusion.norm_latents, latents)
                none = [None] * len(own)
                latents = latents + attention(
                    fusion.collect, own, states[named], none, [None] * len(z), lambda _, k, seen=seen: k in seen
                )
                z = z + attention(fusion.read, norm(fusion.norm, z), latents, [None] * len(z), none, lambda *_: True)
        np.testing.assert_allclose(got[b][valid[b].numpy()], z[valid[b].numpy()], atol=1e-9)


def test_equal_scores_give_the_priors_of_the_slots_present() -> None:
    fusion = made(Reliability, FOUR, priors="face=0.6,face.b=0.3,body=0.1")
    for net in fusion.scores:
        if not isinstance(net, torch.nn.Identity):
            torch.nn.init.zeros_(net[3].weight)
            torch.nn.init.zeros_(net[3].bias)
    features, present, _ = clips(FOUR)
    with torch.no_grad():
        weights, _ = fusion.weights(features, present)
    expected = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).view(3, 1, 1)
    expected = expected * torch.stack([present[s] for s in ("face", "face.b", "body")])
    expected = expected / expected.sum(0).clamp_min(1e-9)
    torch.testing.assert_close(weights.squeeze(-1), expected, atol=1e-6, rtol=0)


def test_an_absent_slot_has_no_weight_and_no_influence() -> None:
    fusion = made(Reliability, THREE)
    features, present, valid = clips(THREE)
    before = fused(fusion, features, present, valid)
    changed = {s: torch.where(present[s].unsqueeze(-1), x, 100.0) for s, x in features.items()}
    np.testing.assert_array_equal(fused(fusion, changed, present, valid), before)


def test_a_clip_without_sound_is_that_of_the_model_without_it() -> None:
    fusion = made(Reliability, THREE)
    features, present, valid = clips(THREE)  # the sound is absent from the second clip
    got = fused(fusion, features, present, valid)
    weights, states = fusion.weights(features, present)
    np.testing.assert_array_equal(got[1], (weights * states).sum(0)[1].detach().numpy())


def test_the_order_of_sound_does_not_matter() -> None:
    """The latent tokens have no positions."""
    fusion = made(Reliability, THREE)
    features, present, _ = clips(THREE)
    valid = torch.ones_like(present["face"])
    before = fused(fusion, features, present, valid)
    order = torch.tensor([3, 1, 4, 0, 2])
    features["audio"], present["audio"] = features["audio"][:, order], present["audio"][:, order]
    np.testing.assert_allclose(fused(fusion, features, present, valid), before, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"apart": "fase"}, "did you mean 'face'"),
        ({"priors": "face=0.5"}, "a number above 0 for each of face, face.b"),
        ({"priors": "face=0,face.b=1"}, "got 'face=0,face.b=1'"),
        ({"priors": "face=x,face.b=1"}, "write face=0.5,face.b=0.5"),
    ],
)
def test_bad_options_are_one_line(options, words) -> None:
    with refused("plugin-error", match=words):
        made(Reliability, THREE, **options)
