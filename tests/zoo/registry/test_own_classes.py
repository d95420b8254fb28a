"""An encoder's class scores become probabilities of a track's classes, by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.editions._classes import EXPR8 as EXPR
from tests.support.refusals import refused
from zoo.api import Answer
from zoo.registry.own_classes import OwnClasses, own_classes
from zoo.registry.plan import make_plan
from zoo.registry.registry import load

VA = (Answer("valence", "value", -5),)
REGISTRY = load()
SCORES = {"encoder.face.scores": True}


def plan(encoders: str, post: tuple[str, ...] = (), answers: tuple[Answer, ...] = EXPR, **more: object):
    return make_plan(REGISTRY, encoders=encoders, fusion="concat", head="mlp", answers=answers, post=post, **more)


def test_the_softmax_is_over_all_classes_of_the_encoder() -> None:
    """HSEmotion's order of AffectNet: Contempt stays in the denominator and is no answer."""
    (own,) = own_classes(plan("face=hsemotion:enet_b0_8_va_mtl", options=SCORES).slots, EXPR)
    assert (own.key, own.scores, own.classes) == ("own.face.expression", 10, 8)
    assert own.columns == (5, 0, 2, 3, 4, 6, 7, None)
    features = np.random.default_rng(0).standard_normal((3, 5, 40))
    got = own.probabilities(features)
    want = torch.from_numpy(features[..., 30:38]).softmax(-1).numpy()[..., [5, 0, 2, 3, 4, 6, 7]]
    np.testing.assert_allclose(got[..., :7], want, rtol=1e-12)
    assert not got[..., 7].any()
    assert (got.sum(-1) < 1).all()


def test_the_order_of_the_encoders_classes_does_not_matter() -> None:
    features, order = np.random.default_rng(1).standard_normal((4, 6)), [2, 0, 1]
    one = OwnClasses("face", "e", 3, 3, (0, 1, 2))
    other = OwnClasses("face", "e", 3, 3, tuple(order.index(k) for k in range(3)))
    mixed = np.concatenate([features[:, :3], features[:, 3:][:, order]], 1)
    np.testing.assert_allclose(one.probabilities(features), other.probabilities(mixed), rtol=1e-12)


@pytest.mark.parametrize(
    ("encoders", "more"),
    [
        ("face=fer", {}),  # its scores are not kept
        ("face=lite0", {}),  # it predicts nothing
        ("face=fer", {"options": SCORES, "finetune": ["face"]}),  # they change in training
    ],
)
def test_a_gate_without_an_encoder_is_refused_before_anything_is_read(encoders: str, more: dict[str, object]) -> None:
    assert own_classes(plan(encoders, **more).slots, EXPR) == ()
    with refused("own-classes-none", name="encoder_gate", answers="expression", some="none"):
        plan(encoders, ("encoder_gate",), **more)
    plan(encoders, ("encoder_gate",), VA, **more)  # a track of values has no classes to gate


def test_a_gate_may_name_its_slot() -> None:
    given = {**SCORES, "post.encoder_gate.slot": "face"}
    assert plan("face=fer,face.b=lite0", ("encoder_gate",), options=given).post[0].options["slot"] == "face"
    with refused("own-classes-none", some="face", asked="; it asks for 'face.b'"):
        plan("face=fer,face.b=lite0", ("encoder_gate",), options={**given, "post.encoder_gate.slot": "face.b"})
