"""Names and options -> a plan; what does not fit is said in one line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.paths import TESTS
from tests.support.refusals import Part, Refusal, refused
from zoo.api import Answer
from zoo.registry.plan import Plan, make_plan
from zoo.registry.registry import load

VA = (Answer("valence", "value", -5), Answer("arousal", "value", -5))
AU = (Answer("AU1", "binary", -1),)
EXPR = (Answer("expression", "class", -1, ("a", "b", "c")),)
REGISTRY = load()


def plan(encoders: str = "face", fusion: str = "late", head: str = "gru", **more: Any) -> Plan:
    return make_plan(REGISTRY, encoders=encoders, fusion=fusion, head=head, **{"answers": VA, **more})


def test_defaults_follow_the_stream() -> None:
    slots = plan("face,context,audio").slots
    assert [slot.encoder.name for slot in slots] == ["lite0", "lite0", "melcnn"]
    assert [slot.frozen for slot in slots] == [True, True, False]


def test_finetune_and_pretrained_false_train_a_slot() -> None:
    assert [slot.frozen for slot in plan("face,context", finetune=["context"]).slots] == [True, False]
    slot = plan("face", options={"encoder.face.pretrained": "false"}).slots[0]
    assert not slot.frozen
    assert slot.passport is None


def test_a_slots_options_reach_only_that_slot() -> None:
    slots = plan("face,face.b=lite0", options={"encoder.face.b.size": 64}).slots
    assert [slot.options["size"] for slot in slots] == [112, 64]


def test_a_local_file_replaces_the_usual_weights_and_keeps_their_form() -> None:
    usual = plan("face").slots[0].passport
    slot = plan("face", options={"encoder.face.weights": "my.pth", "encoder.face.sha256": "ab" * 32}).slots[0]
    assert slot.passport is not None
    assert usual is not None
    assert (slot.passport.path, slot.passport.sha256) == ("my.pth", "ab" * 32)
    assert slot.passport.adapt == usual.adapt


def test_losses_follow_the_kinds_of_answers() -> None:
    mixed = plan(answers=(*VA, *EXPR, *AU))
    assert {kind: block.spec.name for kind, block in mixed.losses.items()} == {
        "value": "ccc",
        "class": "ce",
        "binary": "bce",
    }
    assert [indices for _, indices in mixed.loss_groups()] == [(0, 1), (2,), (3,)]


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"encoders": "fase"}, refused("block-unknown", noun="stream", name="fase", near=Part("'face'"))),
        ({"encoders": "face=lite1"}, refused("block-unknown", noun="encoder", name="lite1", near=Part("'lite0'"))),
        ({"encoders": "face=melcnn"}, refused("encoder-stream", name="melcnn", name2="face", names="audio")),
        ({"encoders": "face=lite0:x"}, refused("encoder-no-argument", name="face", name2="lite0", argument="x")),
        ({"fusion": "lat"}, refused("block-unknown", noun="fusion", name="lat", near=Part("'late'"))),
        ({"head": "grue"}, refused("block-unknown", noun="head", name="grue", near=Part("'gru'"))),
        (
            {"options": {"head.hiden": 3}},
            refused("option-unknown", block="head 'gru'", name="hiden", near=Part("'hidden'")),
        ),
        ({"options": {"encoder.body.size": 3}}, refused("set-without-block", key="encoder.body.size", names="face")),
        ({"finetune": ["body"]}, refused("finetune-unknown-slot", names="body", encoders="face")),
        ({"loss": ["ce"]}, None),
        ({"losses": ["ce"]}, refused("loss-kind", name="ce")),
        (
            {"options": {"encoder.audio.weights": "x"}, "encoders": "audio"},
            refused("weights-no-pretrained-form", name="audio", name2="melcnn"),
        ),
        (
            {"encoders": "audio=lite0"},
            refused("encoder-reads", name="lite0", kind="frames", name2="audio", kind2="sound"),
        ),
        ({"encoders": "face=timm:resnet18x"}, refused("plugin-error", match="did you mean")),
        (
            {"encoders": "face=hsemotion:enet_b0"},
            refused("encoder-argument", name2="hsemotion", what=Part("'enet_b0'"), near=Part("'enet_b2_8'")),
        ),
        ({"post": ["smooth", "clip", "smooth"]}, refused("post-twice", name="smooth")),
        ({"encoders": "face=hsemotion"}, refused("encoder-argument", name="face", name2="hsemotion", near="")),
        (
            {"options": {"encoder.face.pretrained": "maybe"}},
            refused("option-type", what=Part("'pretrained' of encoder 'lite0'"), kind="true or false", value="maybe"),
        ),
        (
            {"options": {"encoder.face.sise": 3}},
            refused("option-unknown", block="encoder 'lite0'", name="sise", near=Part("'size'")),
        ),
        (
            {"options": {"fusion.per_slot": "much"}},
            refused("option-type", what=Part("'per_slot' of fusion 'late'"), kind="a number", value="much"),
        ),
        (
            {"fusion": "concat", "post": ["confidence_gate"], "answers": EXPR},
            refused("per-slot-needed", names="confidence_gate", fusion="concat"),
        ),
    ],
)
def test_mistakes_are_named(given: dict[str, Any], refusal: Refusal | None) -> None:
    if refusal is None:
        with pytest.raises(TypeError):
            plan(**given)
        return
    with refusal as error:
        plan(**given)
    assert "\n" not in str(error.value)


def test_an_encoder_that_opens_its_own_input_takes_the_place_of_the_streams_reader() -> None:

    from zoo.registry.registry import resolve

    folder = TESTS / "plugins" / "ready"
    slot = plan(f"face=features:{folder}").slots[0]
    assert (slot.stream.name, slot.stream.kind, slot.stream.needs) == ("face", "vectors", ())
    assert slot.frozen
    assert slot.passport is None
    assert resolve(slot.stream.reader).keywords["argument"] == str(folder)
    with refused("finetune-nothing", name="face"):
        plan(f"face=features:{folder}", finetune=["face"])


def test_every_fusion_has_the_option_per_slot() -> None:
    assert plan("face,context", "concat", options={"fusion.per_slot": "0.25"}).per_slot == 0.25
    assert plan("face,context", "late").per_slot == 0
    gated = plan("face,context", "concat", answers=EXPR, post=["confidence_gate"], options={"fusion.per_slot": 0.1})
    assert gated.post[0].spec.name == "confidence_gate"
