"""What makes training harder: modality dropout, noise, mixup, learned weights of losses, the slots' own answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.refusals import refused
from tests.zoo.model.test_model import ANSWERS, COUNTS, REGISTRY, SMALL, batch
from zoo.model.mixup import training_loss
from zoo.model.model import Batch, Model, Regularisation
from zoo.registry.plan import make_plan

DIMS = {"face": 8, "context": 8}


def model(fusion: str = "concat", regularisation: Regularisation | None = None, **options: Any) -> Model:
    torch.manual_seed(0)
    plan = make_plan(
        REGISTRY,
        encoders="face,context",
        fusion=fusion,
        head="mlp",
        answers=ANSWERS,
        options={"head.dropout": 0.0, **options},
    )
    return Model(plan, DIMS, COUNTS, SMALL, regularisation or Regularisation(output_dropout=0.0))


def labelled_batch(clips: int = 4, frames: int = 6) -> Batch:
    made = batch(clips, frames)
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(clips, frames, len(ANSWERS), generator=generator)
    target[..., 2:] = (target[..., 2:] * 2).floor()
    labelled = torch.rand(clips, frames, len(ANSWERS), generator=generator) > 0.3
    return replace(made, target=target, labelled=labelled)


def test_a_frame_whose_only_slot_is_dropped_is_not_learned_from():
    net = model(regularisation=Regularisation(modality_dropout=0.5))
    clips = labelled_batch(400, 4)
    context = torch.ones(400, 4, dtype=torch.bool)
    context[:, 2:] = False
    clips = replace(clips, present={"face": clips.valid, "context": context})
    torch.manual_seed(0)
    left = net.drop(clips)
    seen = left.present["face"] | left.present["context"]
    assert (~seen).any()
    assert torch.equal(left.labelled, clips.labelled & seen.unsqueeze(-1))
    assert clips.present["face"].all()  # the batch given is left as it was


def test_noise_moves_present_frames_in_training_only():
    net = model(regularisation=Regularisation(feature_noise=0.5))
    clips = labelled_batch(200, 6)
    mask = torch.rand(200, 6) > 0.5
    clips = replace(clips, present={"face": mask, "context": clips.valid})
    quiet = net.eval().features(clips)["face"]
    moved = net.train().features(clips)["face"] - quiet
    assert not moved[~mask].any()
    assert moved[mask].std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(net.eval().features(clips)["face"], quiet)


def test_mixup_against_the_same_sum_by_hand(monkeypatch):
    """Share 0.3 and a fixed order: classes and action units by two losses, values by mixed targets."""
    net, clips = model().eval(), labelled_batch()
    order = torch.tensor([2, 0, 3, 1])
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self: torch.tensor(0.3))
    monkeypatch.setattr(torch, "randperm", lambda n, device=None: order)
    got, _ = training_loss(net, clips, mixup=0.4)
    features = {k: 0.3 * x + 0.7 * x[order] for k, x in net.features(clips).items()}
    raw = net.fuse(features, clips.present, clips.valid).raw
    value, classes, binary = net.losses.losses
    both = (clips.labelled & clips.labelled[order])[..., :2]
    mixed = (0.3 * clips.target + 0.7 * clips.target[order])[..., :2]
    expected = value(raw[..., :2], mixed, both)
    for weight, index in ((0.3, torch.arange(4)), (0.7, order)):
        target, labelled = clips.target[index], clips.labelled[index]
        expected = expected + weight * classes(raw[..., 2:5], target[..., 2:3], labelled[..., 2:3])
        expected = expected + weight * binary(raw[..., 5:], target[..., 3:], labelled[..., 3:])
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-7)


def test_without_mixup_the_loss_is_the_plain_one():
    net, clips = model().eval(), labelled_batch()
    torch.testing.assert_close(training_loss(net, clips)[0], net.loss(net(clips), clips)[0])


def test_uncertainty_weights_are_those_of_the_formula_and_learn_only_from_labels():
    net = model(regularisation=Regularisation(uncertainty=True)).eval()
    clips = labelled_batch()
    out = net(clips)
    with torch.no_grad():
        net.losses.log_variance.copy_(torch.tensor([0.5, -1.0, 0.2]))
    each = [
        float(loss(part.detach(), clips.target[..., list(i)], clips.labelled[..., list(i)]))
        for loss, part, i in zip(
            net.losses.losses, out.raw.split(net.losses.widths, -1), net.losses.indices, strict=True
        )
    ]
    s = np.array([0.5, -1.0, 0.2])
    expected = (np.exp(-s) * each + s / 2).sum()
    assert float(net.losses(out.raw, clips.target, clips.labelled)) == pytest.approx(expected, rel=1e-6)
    only_values = clips.labelled.clone()
    only_values[..., 2:] = False
    net.losses(out.raw, clips.target, only_values).backward()
    grad = net.losses.log_variance.grad
    assert grad[0] != 0
    assert grad[1:].abs().sum() == 0


def test_any_fusion_can_be_made_to_answer_for_each_slot():
    net, clips = model("concat", **{"fusion.per_slot": 0.5}).eval(), labelled_batch()
    out = net(clips)
    assert set(out.per_slot) == {"face", "context"}
    loss, parts = net.loss(out, clips)
    own = [0.5 / 2 * net.losses(out.per_slot[slot], clips.target, clips.labelled) for slot in DIMS]
    torch.testing.assert_close(loss, parts["main"] + own[0] + own[1])
    assert not net.own["face"].state_dict().keys() - net.own["context"].state_dict().keys()
    assert model("concat").own == {} or len(model("concat").own) == 0


def test_a_slots_own_answers_learn_only_where_the_slot_is_present():
    """The reference is each loss on the labels of those frames; without any, it is 0."""
    net, clips = model("concat", **{"fusion.per_slot": 0.5}).eval(), labelled_batch()
    some = torch.zeros_like(clips.valid)
    some[:, ::2] = True
    clips = replace(clips, present={"face": some, "context": torch.zeros_like(some)})
    out = net(clips)
    _, parts = net.loss(out, clips)
    own = net.losses(out.per_slot["face"], clips.target, clips.labelled & some.unsqueeze(-1)) / 4
    torch.testing.assert_close(parts["slot.face"], own, rtol=1e-6, atol=0)
    whole = net.losses(out.per_slot["face"], clips.target, clips.labelled) / 4
    assert abs(float(whole - own)) > 1e-4
    assert parts["slot.context"].item() == 0


def test_late_answers_for_its_slots_itself():
    net = model("late", **{"fusion.per_slot": 0.5})
    assert len(net.own) == 0
    assert "slot.face" in net.loss(net(labelled_batch()), labelled_batch())[1]


def test_a_weight_below_zero_is_refused():
    with refused("per-slot-weight", fusion="concat", per_slot=-1.0):
        model("concat", **{"fusion.per_slot": -1.0})
