import pytest

from tests.support.refusals import refused
from zoo.registry.slots import Slot, parse_slots


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("face", [Slot("face", "face", None, None)]),
        ("face,context", [Slot("face", "face"), Slot("context", "context")]),
        (" audio , face ", [Slot("audio", "audio"), Slot("face", "face")]),
        ("face=timm", [Slot("face", "face", "timm")]),
        ("face=timm:resnet18", [Slot("face", "face", "timm", "resnet18")]),
        ("face.b=timm:vit_s.dino", [Slot("face.b", "face", "timm", "vit_s.dino")]),
        ("face,face.b", [Slot("face", "face"), Slot("face.b", "face")]),
        # Only the first = and the first : separate; the rest is the argument's own.
        ("face=timm:hf-hub:a/b=c.d:1", [Slot("face", "face", "timm", "hf-hub:a/b=c.d:1")]),
        ("body_2=my-net", [Slot("body_2", "body_2", "my-net")]),
    ],
)
def test_slots_are_split_at_the_first_separators(text, expected):
    assert parse_slots(text) == expected


@pytest.mark.parametrize("text", ["face", "face.b=timm:a/b=c:d", "audio=melcnn"])
def test_a_slot_prints_as_it_was_written(text):
    (slot,) = parse_slots(text)
    assert str(slot) == text


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", refused("slots-none")),
        ("  ", refused("slots-none")),
        ("face,", refused("slot-empty")),
        ("face,,audio", refused("slot-empty")),
        ("face,face", refused("slot-twice", name="face", stream="face")),
        ("face=timm:a,face=timm:b", refused("slot-twice", name="face", stream="face")),
        ("face.b,face.b=timm", refused("slot-twice", name="face.b", stream="face")),
        ("=timm", refused("slot-invalid", text="=timm")),
        ("face:resnet18", refused("slot-invalid", name="face:resnet18", text="face:resnet18")),
        ("face.b.c", refused("slot-invalid")),
        (".b", refused("slot-invalid")),
        ("face.", refused("slot-invalid")),
        ("2face", refused("slot-invalid")),
        ("face context", refused("slot-invalid")),
        ("face=", refused("slot-encoder-invalid", item="face=", name="face")),
        ("face=:resnet18", refused("slot-encoder-invalid")),
        ("face=ti mm", refused("slot-encoder-invalid", encoder="ti mm", item="face=ti mm", name="face")),
        ("face=timm:", refused("slot-argument-empty")),
    ],
)
def test_mistakes_are_named(text, refusal):
    with refusal as error:
        parse_slots(text)
    assert "\n" not in str(error.value)
